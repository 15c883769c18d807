"""Orders from the command line: asked, drafted, approved with real keys, sent, waited for; and a gateway killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway_stand import (
    EPOCH,
    Broker,
    Gateway,
    free_port,
    loan,
    running_broker,
    until,
)
from tests.support.orders_stand import Device
from tests.support.person import Person


@dataclass
class Desk:
    """``mocban gateway …`` on one machine, and its gateway as a process."""

    folder: Path
    port: int
    child: subprocess.Popen[bytes] | None = None

    def argv(self, *words: str) -> list[str]:
        config = [] if words[:2] == ("order", "approve") else ["--config", str(self.config)]
        return [sys.executable, "-m", "mocban", "gateway", *words, *config]

    @property
    def config(self) -> Path:
        return self.folder / "mocban.toml"

    def __call__(
        self, *words: str, env: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Exit code, and the object on the last line."""
        done = subprocess.run(
            [*self.argv(*words), "--json"], capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        assert done.stdout, done.stderr
        body = json.loads(done.stdout.splitlines()[-1])
        assert set(body) >= {"ok", "errors"}
        return done.returncode, body

    def start(self) -> None:
        self.child = subprocess.Popen(
            self.argv("run"), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self.is_up, "the gateway answers")

    def is_up(self) -> bool:
        return self("order", "list")[0] == 0

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.child is not None:
            self.child.send_signal(number)
            self.child.wait(15)
            self.child = None

    def order(self, order: str) -> dict[str, Any]:
        return dict(self("order", "show", order)[1]["order"])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker("iotcore", tmp_path) as started:
        yield started


@pytest.fixture
def staff(tmp_path: Path) -> list[Person]:
    return [Person(tmp_path, name) for name in ("minh", "lan")]


@pytest.fixture
def desk(tmp_path: Path, broker: Broker, staff: list[Person]) -> Iterator[Desk]:
    found = Desk(tmp_path, free_port())
    lines = "\n".join(f'{one.name} = "{one.line.strip()}"' for one in staff)
    found.config.write_text(
        f'data_dir = "{tmp_path}"\nmqtt = "{broker.url}"\n'
        f"[staff]\n{lines}\n[gateway]\nport = {found.port}\n"
    )
    found.start()
    try:
        yield found
    finally:
        found.end()


def test_an_order_is_asked_for_waited_for_and_shown(desk: Desk, broker: Broker) -> None:
    _, key = desk("key")
    with Device(broker.url) as device:
        device.say(online=True)
        device.wait(lambda: EPOCH in device.marks, "the gateway knows the kiosk")
        asking = subprocess.Popen(
            [*desk.argv("order", "ask", "kiosk-1", "kiosk", "set-mode", "--arg", "mode=closed"),
             "--arg", "seconds=60", "--by", "person:boss", "--wait", "--json"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        order = device.wait_order(key["public"])
        assert order.args == {"mode": "closed", "seconds": 60}
        device.receive(order)
        device.answer(order.id, 1, "set-mode", result={"was": "open"})
        out, _ = asking.communicate(timeout=30)
    body = json.loads(out.splitlines()[-1])
    assert (asking.returncode, body["ok"], body["order"]["state"]) == (0, True, "done")
    assert desk.order(str(order.id))["result"] == {"was": "open"}
    assert [one["id"] for one in desk("order", "list", "--state", "done")[1]["orders"]] == [
        str(order.id)
    ]


def test_what_a_device_refuses_is_a_no(desk: Desk, broker: Broker) -> None:
    _, key = desk("key")
    with Device(broker.url) as device:
        device.say(online=True)
        device.wait(lambda: EPOCH in device.marks, "the gateway knows the kiosk")
        asking = subprocess.Popen(
            [*desk.argv("order", "ask", "kiosk-1", "kiosk", "self-test", "--wait"), "--json"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        order = device.wait_order(key["public"])
        device.answer(order.id, 1, outcome="refused", reason="busy")
        out, _ = asking.communicate(timeout=30)
    body = json.loads(out.splitlines()[-1])
    assert asking.returncode == 1
    assert (body["ok"], body["errors"][0]["code"]) == (False, "busy")


def test_two_persons_approve_a_draft_one_of_them_through_an_agent(
    desk: Desk, broker: Broker, staff: list[Person], tmp_path: Path
) -> None:
    minh, lan = staff
    draft = str(tmp_path / "wipe.json")
    with Device(broker.url) as device:
        device.say(online=True)
        device.wait(lambda: EPOCH in device.marks, "the gateway knows the kiosk")
        code, body = desk(
            "order", "ask", "kiosk-1", "kiosk", "wipe", "--by", "person:boss",
            "--approve", f"{minh.key}=minh", "--draft", draft,
        )  # fmt: skip
        assert code == 0
        assert Path(draft).stat().st_mode & 0o777 == 0o600
        code, body = desk("order", "send", draft)
        assert (code, body["errors"][0]["code"]) == (1, "approvals-missing")
        with agent(lan) as env:
            public = str(lan.key.with_suffix(".pub"))
            code, body = desk("order", "approve", draft, "--key", public, "--as", "lan", env=env)
        assert (code, body["approvals"]) == (0, ["minh", "lan"])
        code, body = desk("order", "send", draft)
        assert (code, body["order"]["approved"]) == (0, ["person:lan", "person:minh"])
        assert desk("order", "send", draft)[0] == 0
        device.wait_order(desk("key")[1]["public"])


class agent:  # noqa: N801  used like the command it is
    """A real ssh-agent that holds the key of ``person``; the key's file is away meanwhile."""

    def __init__(self, person: Person) -> None:
        self._person = person
        # A socket's path is short by law: the folder of a test may not be.
        self._folder = tempfile.TemporaryDirectory(prefix="agent")
        self._socket = f"{self._folder.name}/s"
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> dict[str, str]:
        self._child = subprocess.Popen(
            ["ssh-agent", "-D", "-a", self._socket], stdout=subprocess.DEVNULL
        )
        until(lambda: Path(self._socket).exists(), "the agent is there")
        env = {"SSH_AUTH_SOCK": self._socket}
        subprocess.run(
            ["ssh-add", "-q", str(self._person.key)], env={**os.environ, **env}, check=True,
            capture_output=True,
        )  # fmt: skip
        self._person.key.rename(self._person.key.with_suffix(".away"))
        return env

    def __exit__(self, *_: object) -> None:
        assert self._child is not None
        self._child.terminate()
        self._child.wait(10)
        self._folder.cleanup()


def test_a_gateway_killed_between_asking_and_publishing_publishes_when_it_is_back(
    desk: Desk, broker: Broker
) -> None:
    _, key = desk("key")
    with Device(broker.url) as device:
        device.say(online=True)
        device.wait(lambda: EPOCH in device.marks, "the gateway knows the kiosk")
    broker.kill()
    until(lambda: not is_connected(desk), "the gateway misses its broker")
    code, body = desk("order", "ask", "kiosk-1", "kiosk", "self-test")
    assert (code, body["order"]["state"]) == (0, "queued")
    desk.end(signal.SIGKILL)
    broker.start()
    with Device(broker.url) as device:
        desk.start()
        order = device.wait_order(key["public"])
        assert str(order.id) == body["order"]["id"]
        device.answer(order.id, 1)
        until(lambda: desk.order(str(order.id))["state"] == "done", "it is done")


def is_connected(desk: Desk) -> bool:
    stand = Gateway(desk.folder, "mqtt://127.0.0.1:1")
    stand.url = f"http://127.0.0.1:{desk.port}"
    return bool(stand.health()["ok"])


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (2, "unknown-command", ("order", "ask", "kiosk-1", "kiosk", "explode")),
        (2, "bad-args", ("order", "ask", "kiosk-1", "kiosk", "set-mode", "--arg", "mode=up")),
        (2, "config", ("order", "ask", "kiosk-1", "kiosk", "set-mode", "--arg", "mode")),
        (2, "config", ("order", "ask", "KIOSK", "kiosk", "self-test")),
        (2, "usage", ("order", "ask", "kiosk-1", "kiosk", "self-test", "--by", "Boss")),
        (2, "config", ("order", "send", "no-such-file")),
        (4, "peer-unreachable", ("order", "ask", "kiosk-1", "kiosk", "self-test")),
        (4, "peer-unreachable", ("order", "list")),
        (4, "peer-unreachable", ("dead", "replay")),
        (4, "peer-unreachable", ("facts",)),
    ],
)
def test_what_goes_wrong_has_a_code_and_an_exit(
    tmp_path: Path, code: int, error: str, words: tuple[str, ...]
) -> None:
    desk = Desk(tmp_path, free_port())
    desk.config.write_text(f'data_dir = "{tmp_path}"\n[gateway]\nport = {desk.port}\n')
    told, body = desk(*words)
    assert (told, body["errors"][0]["code"]) == (code, error)
    assert body["errors"][0]["say"]
    assert body["ok"] is False


def test_facts_are_printed_once_and_dead_letters_are_judged_anew(
    desk: Desk, broker: Broker, tmp_path: Path
) -> None:
    with Device(broker.url) as device:
        device.tell(loan(1), 1)
        device.send(f"{device.prefix}/evt/loan-made", b"no fact", {"epoch": EPOCH, "seq": "2"})
        device.wait_mark(2)
    cursor = str(tmp_path / "cursor")
    done = subprocess.run(
        desk.argv("facts", "--cursor", cursor), capture_output=True, text=True, timeout=60, check=True
    )  # fmt: skip
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["seq"] for one in facts if one["device"] == "kiosk-1"] == [1]
    assert desk("facts", "--cursor", cursor)[1]["facts"] == 0
    code, body = desk("dead", "replay")
    assert (code, body["still_dead"], body["errors"][0]["code"]) == (3, 1, "still-dead")
    following = subprocess.Popen(
        desk.argv("facts", "--follow", "--cursor", cursor), stdout=subprocess.PIPE, text=True
    )
    assert following.stdout is not None
    try:
        with Device(broker.url) as device:
            device.tell(loan(2), 3)
            device.settle()
            seen: dict[str, Any] = {}
            while seen.get("device") != "kiosk-1":
                seen = json.loads(following.stdout.readline())
            assert seen["seq"] == 3
    finally:
        following.terminate()
        following.wait(10)
        following.stdout.close()
