"""A branch of real processes whose faults are ours to choose: broker, gateway and telling devices.

Every process can be killed (-9), frozen, started late and started again; every link can be cut (see ``line``), every
disk be full or fail (``disk``), every clock be wrong (``faketime``). What is random comes from one printed seed.
"""

from __future__ import annotations

import getpass
import json
import os
import random  # noqa: TID251  faults are repeated from a printed seed; nothing here becomes an id or a secret
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from mocban import ids, supervise
from mocban.clock import SystemClock
from mocban.demo import broker
from mocban.demo.branch import get_json
from mocban.errors import ConfigError, PeerUnreachable
from tests.fault.line import HOST, Line

BROKERS = ("iotcore", "mosquitto", "persistent")
"""``mosquitto`` forgets everything when it is killed, ``persistent`` writes every change down."""
DEADLINE = 30.0
CLOCK = SystemClock()
_PERSISTENT = """\
listener {port} 127.0.0.1
allow_anonymous true
user {user}
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_inflight_messages 1000
max_queued_messages 10000
log_type error
"""


def seeded(salt: str = "") -> tuple[int, random.Random]:
    """The seed of this run ($MOCBAN_SEED repeats one), printed, and its numbers."""
    seed = int(os.environ.get("MOCBAN_SEED") or ids.pick(1_000_000))
    print(f"MOCBAN_SEED={seed} {salt}", file=sys.stderr)  # noqa: T201  pytest shows it when the test fails
    return seed, random.Random(f"{seed}{salt}")


def tool(name: str) -> str:
    """The path of a program of the second tier; ConfigError (code ``missing-tool``) if there is none."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=places)
    if found is None:
        raise ConfigError(
            f"{name} is not installed", "run ./system-packages as root", code="missing-tool"
        )
    return found


def until(true: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Wait for a condition; AssertionError with ``what`` after ``deadline`` seconds."""
    end = CLOCK.mono() + deadline
    while not true():
        assert CLOCK.mono() < end, f"waited {deadline} s in vain until {what}"
        pause(0.02)


def pause(seconds: float) -> None:
    """Let a fault last."""
    threading.Event().wait(seconds)


def free_port() -> int:
    """A port nobody listens on, below the range that outgoing connections take theirs from."""
    while True:
        port = 20_000 + ids.pick(12_000)
        with socket.socket() as sock:
            if sock.connect_ex((HOST, port)) != 0:
                return port


def listens(port: int) -> bool:
    """Whether somebody listens on a loopback port."""
    with socket.socket() as sock:
        return sock.connect_ex((HOST, port)) == 0


class Process:
    """One process of the branch; it never outlives ours."""

    def __init__(self, name: str, argv: list[str], folder: Path) -> None:
        self.name = name
        self.argv = argv
        self.env: dict[str, str] = {}
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()

    @property
    def pid(self) -> int:
        """The pid of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended by itself."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it; the caller waits for what it needs."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, supervise.PARENT: str(os.getpid()), **self.env},
            )  # fmt: skip

    def kill(self) -> None:
        """kill -9, also a frozen one."""
        self._end(signal.SIGKILL)

    def end(self) -> int:
        """SIGTERM; its exit code."""
        return self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: alive, silent."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        assert process is not None, f"{self.name} does not run"
        process.send_signal(number)
        return process.wait(15)


class Broker(Process):
    """A broker of one of ``BROKERS``."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.port = kind, free_port()
        if kind == "persistent":
            file = folder / "persistent.conf"
            text = _PERSISTENT.format(port=self.port, user=getpass.getuser(), folder=folder)
            file.write_text(text, encoding="utf-8")
            argv = [
                tool("setpriv"),
                "--pdeathsig",
                "TERM",
                "--",
                tool("mosquitto"),
                "-c",
                str(file),
            ]
        else:
            if kind == "mosquitto":
                tool("mosquitto")
            _, argv = broker.command(self.port, folder, kind)
        super().__init__("broker", argv, folder)

    def start(self) -> None:
        super().start()
        until(lambda: listens(self.port), f"{self.kind} listens")

    def kill(self) -> None:
        super().kill()
        until(lambda: not listens(self.port), f"{self.kind} is gone")


class Gateway(Process):
    """``mocban gateway run`` over ``folder/central``."""

    def __init__(self, folder: Path, mqtt: int, extra: str = "") -> None:
        self.port = free_port()
        self.data = folder / "central"
        self.database = self.data / "gateway" / "gateway.db"
        file = folder / "gateway.toml"
        file.write_text(
            f'tenant = "demo"\ndata_dir = "{self.data}"\nmqtt = "mqtt://{HOST}:{mqtt}"\n'
            f"[gateway]\nport = {self.port}\n{extra}",
            encoding="utf-8",
        )
        argv = [sys.executable, "-m", "mocban", "gateway", "run", "--config", str(file)]
        super().__init__("gateway", argv, folder)

    def ready(self) -> bool:
        """Its canary came back."""
        try:
            return bool(self.json("/healthz").get("ready"))
        except PeerUnreachable:
            return False

    def json(self, path: str) -> dict[str, Any]:
        """An answer of its API; PeerUnreachable if there is none."""
        return get_json(f"http://{HOST}:{self.port}{path}")

    def facts(self) -> list[dict[str, Any]]:
        """Everything committed, page by page."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.json(f"/api/v1/facts?limit=1000{after}")
            if not page["facts"]:
                return found
            found += page["facts"]
            after = f"&after={page['next']}"

    def loans(self) -> list[str]:
        """Items of the loans committed, one entry a stored fact."""
        return [str(fact["data"]["item"]) for fact in self.facts() if fact["kind"] == "loan-made"]

    def counted(self) -> int:
        """Loans on the dashboard, all days."""
        return int(self.json("/api/v1/counts")["totals"]["loans"])


class Device(Process):
    """A teller (see ``teller``) over ``folder/NAME``."""

    def __init__(
        self, folder: Path, mqtt: int, *, name: str = "kiosk-1", device: str = "kiosk-1", session: str = "s1",
        total: int = 100, rate: float = 100.0, control: bool = False, data: Path | None = None,
    ) -> None:  # fmt: skip
        self.data = data or folder / name
        self.total, self.session = total, session
        self._status = folder / f"{name}.status"
        argv = [
            sys.executable, "-m", "tests.fault.teller", "--data", str(self.data), "--status", str(self._status),
            "--mqtt", f"mqtt://{HOST}:{mqtt}", "--device", device, "--session", session, "--total", str(total),
            "--rate", str(rate), *(["--delete-on-puback"] if control else []),
        ]  # fmt: skip
        super().__init__(name, argv, folder)

    @property
    def items(self) -> list[str]:
        """What it tells in all, one item a line."""
        return [f"{self.session}-{line:06}" for line in range(self.total)]

    def status(self) -> dict[str, Any]:
        """What the running process said last; empty before it said anything."""
        try:
            said: dict[str, Any] = json.loads(self._status.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return said if said["pid"] == self.pid else {}

    def put(self) -> int:
        """How many lines stand in its outbox or went through it."""
        return int(self.status().get("put", 0))

    def connected(self) -> bool:
        """Whether its bus has a connection."""
        return bool(self.status().get("connected"))

    def drained(self) -> bool:
        """Everything is put and nothing waits."""
        said = self.status()
        return bool(said) and said["put"] == self.total and said["depth"] == 0


class Stand:
    """Broker, gateway and one device, with a line of its own to each of the two."""

    def __init__(self, folder: Path, kind: str = "iotcore", **device: Any) -> None:
        self.folder = folder
        self._all = ExitStack()
        self.broker = Broker(kind, folder)
        self.centre_line = Line(free_port(), self.broker.port)
        self.edge_line = Line(free_port(), self.broker.port)
        self.gateway = Gateway(folder, self.centre_line.port)
        self.device = Device(folder, self.edge_line.port, **device)

    def __enter__(self) -> Self:
        for each in (self.centre_line, self.edge_line, self.broker, self.gateway, self.device):
            self._all.enter_context(each)
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def start(self) -> None:
        """All of them, ready; the device last, so that its first fact has somewhere to go."""
        self.broker.start()
        self.gateway.start()
        until(self.gateway.ready, "the gateway is ready")
        self.device.start()
        until(self.device.connected, "the device is connected")

    def settle(self, device: Device | None = None, deadline: float = DEADLINE) -> None:
        """Until the device has told everything and waits for nothing."""
        device = device or self.device
        try:
            until(device.drained, "the outbox is empty", deadline)
        except AssertionError as error:
            error.add_note(f"the device says {device.status()}")
            error.add_note(device.log.read_text(encoding="utf-8")[-2000:])
            raise

    def other(self, name: str, **more: Any) -> Device:
        """One more telling process on the line of the first."""
        return Device(self.folder, self.edge_line.port, name=name, **more)

    def audits(self, action: str) -> list[dict[str, Any]]:
        """What stands in the gateway's audit facts of one action."""
        facts = [fact["data"] for fact in self.gateway.facts() if fact["kind"] == "audited"]
        return [data for data in facts if data["action"] == action]

    def told_once(self, *devices: Device) -> None:
        """Every line of every device is stored once and counted once."""
        items = sorted(item for device in devices or (self.device,) for item in device.items)
        stored = sorted(self.gateway.loans())
        assert stored == items, (
            f"lost {sorted(set(items) - set(stored))[:9]}, {len(stored)} stored of {len(items)}"
        )
        assert self.gateway.counted() == len(items)


__all__ = [
    "BROKERS", "CLOCK", "HOST", "Broker", "Device", "Gateway", "Line", "Process", "Stand", "free_port", "listens",
    "pause", "seeded", "tool", "until",
]  # fmt: skip
