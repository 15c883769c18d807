"""``mocban runbook`` from a person's side: what is shown, what is signed, what is typed next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine_stand import Obeying, Ops
from tests.support.gateway_stand import running_broker, until
from tests.support.orders_stand import Centre
from tests.support.person import Person


def command(folder: Path, *words: str) -> list[str]:
    """``mocban runbook`` with the configuration of ``folder``."""
    config = str(folder / "mocban.toml")
    return [sys.executable, "-m", "mocban", "runbook", *words, "--config", config]


@dataclass
class Stand:
    """A running branch, and a shell."""

    folder: Path
    ops: Ops
    minh: Person

    def type(self, *words: str, exit_: int = 0) -> str:
        """What a command prints."""
        env = {**os.environ, "LANG": "en_US.UTF-8", "PYTHONUTF8": "1"}
        done = subprocess.run(
            command(self.folder, *words),
            capture_output=True,
            text=True,
            check=False,
            env=env,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        assert done.returncode == exit_, f"{done.returncode}: {done.stdout} {done.stderr}"
        return done.stdout + done.stderr

    def at_terminal(self, typed: str, *words: str) -> int:
        """The exit code of a command at a terminal where a person types."""
        master, slave = os.openpty()
        try:
            os.write(master, typed.encode())
            return subprocess.run(
                command(self.folder, *words),
                stdin=slave,
                stdout=subprocess.DEVNULL,
                check=False,
                timeout=60,
            ).returncode
        finally:
            os.close(master)
            os.close(slave)

    def json(self, *words: str, exit_: int = 0) -> dict[str, Any]:
        return dict(json.loads(self.type(*words, "--json", exit_=exit_).splitlines()[-1]))


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    boss, minh = Person(tmp_path, "boss"), Person(tmp_path, "minh")
    with (
        running_broker("iotcore", tmp_path) as broker,
        Centre(tmp_path, broker.url, boss, minh) as gateway,
    ):
        with Obeying(broker.url, gateway.public) as gate:
            until(lambda: gateway.knows("gate-1"), "the gate is known")
            with Ops(tmp_path, gateway.url, broker.url, boss, minh) as ops:
                (tmp_path / "mocban.toml").write_text(
                    f'data_dir = "{tmp_path}"\n[ops]\nport = {ops.port}\n', encoding="utf-8"
                )
                ops.put("gate-storm")
                yield Stand(tmp_path, ops, minh)
            assert gate.modes() in ([], ["silent", "open"])


def test_a_person_takes_a_playbook_to_its_end_by_what_is_shown(stand: Stand) -> None:
    begun = stand.json("run", "gate-storm", "--var", "device=gate-1", "--by", "person:boss")
    ident = begun["execution"]["id"]
    stand.ops.ask(ident)
    shown = stand.type("show", ident[:8], "--lang", "vi")
    assert "Tắt tiếng cổng 15 phút" in shown
    assert "✓" in shown
    line = next(one.strip() for one in shown.splitlines() if "runbook approve" in one)
    assert line == f"mocban runbook approve {ident[:8]} --key ~/.ssh/id_ed25519 --as NAME"
    key = str(stand.minh.key)
    assert "--yes" in stand.type("approve", ident, "--key", key, "--as", "minh", exit_=2)
    assert stand.ops.state(ident) == "waiting"
    assert stand.at_terminal("n\n", "approve", ident, "--key", key, "--as", "minh") == 1
    assert stand.ops.state(ident) == "waiting"
    said = stand.type("approve", ident, "--key", key, "--as", "minh", "--yes", "--lang", "vi")
    for word in ("gate-1", "set-mode", "mode=silent seconds=900", "mode=open", "boss"):
        assert word in said, f"{word} is signed and not shown"
    row = stand.ops.waiting(ident, "person")
    shown = stand.type("show", ident)
    line = next(one.strip() for one in shown.splitlines() if "--as-done" in one)
    assert line == f"mocban runbook resume {ident[:8]} --as-done --by NAME"
    assert row["state"] == "waiting"
    stand.type(*line.split()[2:-1], "boss")
    end = stand.json("show", ident, "--watch")
    assert (end["execution"]["state"], end["ok"]) == ("done", True)
    assert "runbook" not in stand.type("show", ident), "nobody is waited for"
    assert len(stand.type("show", ident, "--log", "--lang", "vi").splitlines()) == len(end["log"])
    assert ident in stand.type("runs")
    assert stand.json("runs", "--state", "open")["executions"] == []


def test_denied_stopped_and_asked_wrongly(stand: Stand) -> None:
    begun = ("run", "gate-storm", "--var", "device=gate-1", "--by")
    assert stand.json(*begun, "boss", exit_=2)["errors"][0]["code"] == "usage"
    ident = stand.json(*begun, "person:boss")["execution"]["id"]
    stand.ops.ask(ident)
    key = str(stand.folder / "boss")
    no = stand.json("approve", ident, "--key", key, "--as", "boss", "--yes", exit_=1)
    assert no["errors"][0]["code"] == "own-approval"
    assert (
        stand.json("resume", ident, "--as-done", "--by", "boss", exit_=1)["errors"][0]["code"]
        == "not-waiting"
    )
    assert stand.json("resume", ident, exit_=2)["errors"][0]["code"] == "usage"
    assert stand.json("show", "ffffffff", exit_=2)["errors"][0]["code"] == "execution-unknown"
    stand.type("deny", ident, "--as", "minh", "--reason", "not now")
    stand.ops.waiting(ident, "person")
    stand.type("stop", ident, "--by", "boss")
    assert stand.json("show", ident, "--watch", exit_=1)["execution"]["state"] == "stopped"


def test_a_dry_run_asks_no_service(tmp_path: Path) -> None:
    (tmp_path / "mocban.toml").write_text(
        f'data_dir = "{tmp_path}"\n[ops]\nport = 9\n', encoding="utf-8"
    )
    argv = command(tmp_path, "run", "gate-storm", "--dry-run")
    done = subprocess.run(
        [*argv, "--var", "device=gate-7", "--json"], capture_output=True, text=True, check=True
    )
    steps = json.loads(done.stdout.splitlines()[-1])["steps"]
    assert any(
        one["undo"] and one["persons"] == 1 and one["targets"] == ["gate-7"] for one in steps
    )
    done = subprocess.run(
        [*argv, "--var", "device=gate-7", "--lang", "en"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "must be approved by 1" in done.stdout
    done = subprocess.run([*argv, "--json"], capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout.splitlines()[-1])["errors"][0]["code"]) == (
        2,
        "no-value",
    )
