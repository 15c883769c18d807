"""The process of operations, killed (-9) where it hurts: what was begun goes on, nothing is ordered twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mocban.asking import Told
from mocban.errors import PeerUnreachable
from tests.support.engine_stand import Obeying, Ops
from tests.support.gateway_stand import running_broker, until
from tests.support.orders_stand import Centre
from tests.support.person import Person


class Killed(Ops):
    """Operations as a process of its own."""

    process: subprocess.Popen[bytes]

    def start(self) -> None:
        config = self.folder / "mocban.toml"
        staff = "".join(f'{name} = "{line.strip()}"\n' for name, line in self.config.staff.items())
        config.write_text(
            f'data_dir = "{self.folder}"\nmqtt = "{self.config.mqtt}"\n[staff]\n{staff}[ops]\nport = {self.port}\n'
            f'gateway_url = "{self.config.app.gateway_url}"\nplaybook_keys = ["{self.key.public}"]\n',
            encoding="utf-8",
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mocban", "ops", "run", "--config", str(config)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={**os.environ},
            )  # fmt: skip
        until(self._up, "operations answer", 60)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def again(self) -> None:
        """kill -9, and start."""
        self.stop()
        self.start()

    def _up(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")[
            -2000:
        ]
        try:
            self.api.get("/api/v1/executions", authorized=True)
        except (PeerUnreachable, Told):
            return False
        return True


@pytest.fixture
def staff(tmp_path: Path) -> list[Person]:
    return [Person(tmp_path, name) for name in ("boss", "minh")]


@pytest.fixture
def gate(tmp_path: Path, staff: list[Person]) -> Iterator[tuple[Obeying, Centre, str]]:
    with (
        running_broker("iotcore", tmp_path) as broker,
        Centre(tmp_path, broker.url, *staff) as gateway,
    ):
        with Obeying(broker.url, gateway.public) as obeying:
            until(lambda: gateway.knows("gate-1"), "the gate is known")
            yield obeying, gateway, broker.url


def test_a_playbook_goes_on_after_every_kill(
    tmp_path: Path, staff: list[Person], gate: tuple[Obeying, Centre, str]
) -> None:
    obeying, gateway, broker = gate
    with Killed(tmp_path, gateway.url, broker, *staff) as ops:
        ops.put("gate-storm")
        ident = ops.begin()
        ops.again()  # the self-test is ordered, or about to be
        ask = ops.ask(ident)
        ops.again()  # it waits for approval
        assert ops.ask(ident) == ask, "the same question: what was signed meanwhile counts"
        ops.post(ident, "approve", step=ask["step"], by="minh", signatures=ops.sign(ask, staff[1]))
        ops.again()  # approved a moment ago
        row = ops.waiting(ident, "person")
        ops.post(ident, "resume", step=row["id"], by="boss", outcome="done")
        ops.again()  # the undo is under way
        found = ops.wait(ident, "done", "failed")
    assert found["execution"]["state"] == "done"
    assert obeying.modes() == ["silent", "open"]
    assert len(gateway.json("/api/v1/commands")["orders"]) == 3
