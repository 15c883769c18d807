"""A whole demo branch as child processes, one a service, each started through its own command."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any, Self

from mocban import identity, ids, supervise
from mocban.demo import broker
from mocban.errors import ConfigError, LocalFault, PeerUnreachable

HOST = "127.0.0.1"
READY_WITHIN = 25.0  # seconds for the whole branch
END_WITHIN = (0.9, 0.7, 0.3)  # seconds for edge and world, gateway, broker: together under two


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the branch listens, all on loopback."""

    kiosk: int = 8080
    world: int = 8090
    gateway: int = 8000
    mqtt: int = 1883
    sip2: int = 6001
    gate: int = 8081
    line_mqtt: int = 1884
    line_sip2: int = 6002

    @classmethod
    def free(cls) -> Ports:
        """Ports nobody uses now, below the range that outgoing connections take theirs from."""
        found: list[int] = []
        port = 20000 + ids.pick(10_000)
        while len(found) < len(fields(cls)):
            port = port + 1 if port < 32_000 else 20_000
            with socket.socket() as sock:
                if sock.connect_ex((HOST, port)) != 0:
                    found.append(port)
        return cls(*found)

    def check(self) -> None:
        """ConfigError if one of them is taken: said before anything is started."""
        for each in fields(self):
            port = getattr(self, each.name)
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind((HOST, port))
                except OSError as error:
                    raise ConfigError(
                        f"port {port} ({each.name}) is in use by another program",
                        "stop that program, or start with --free-ports",
                        code="port-in-use",
                    ) from error


@dataclass(slots=True)
class Child:
    """One service: how it is started, and its process while it runs."""

    name: str
    argv: list[str]
    wave: int  # in which wave it is ended: the broker last
    ready: Callable[[], bool]
    process: asyncio.subprocess.Process | None = None
    log: Path = field(default_factory=Path)
    held: bool = False  # ended on purpose: do not start it again
    env: dict[str, str] = field(default_factory=dict)


class Branch:
    """The demo branch in ``folder``. ``async with`` starts it; leaving ends every process."""

    def __init__(self, folder: Path, ports: Ports, broker_kind: str = "auto") -> None:
        self.folder = folder
        self.ports = ports
        self._run = folder / "run"
        self._lock: IO[str] | None = None
        self._watchers: list[asyncio.Task[None]] = []
        self._ending = False
        self._broker_kind = broker_kind
        self.broker = ""
        self.children: dict[str, Child] = {}

    @property
    def kiosk_url(self) -> str:
        """The kiosk's screen."""
        return f"http://{HOST}:{self.ports.kiosk}/"

    @property
    def gateway_url(self) -> str:
        """The gateway's dashboard."""
        return f"http://{HOST}:{self.ports.gateway}/"

    @property
    def world_url(self) -> str:
        """The demo world's control panel."""
        return f"http://{HOST}:{self.ports.world}/"

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def start(self) -> Self:
        """Start every service and wait until all of them answer; if that fails or is cancelled, all are ended."""
        self._prepare()
        try:
            for child in self.children.values():
                await self._start(child)
            await self._all_ready()
        except BaseException:
            await self.end()
            raise
        self._watchers = [
            asyncio.create_task(self._watch(child)) for child in self.children.values()
        ]
        return self

    async def kill(self, name: str) -> None:
        """kill -9 one service and leave it dead until ``revive``."""
        child = self.children[name]
        child.held = True
        if child.process and child.process.returncode is None:
            child.process.kill()
            await child.process.wait()

    async def revive(self, name: str) -> None:
        """Start a killed service again and wait until it answers."""
        child = self.children[name]
        await self._start(child)
        child.held = False
        await self._until_ready(child, asyncio.get_running_loop().time() + READY_WITHIN)

    async def end(self) -> None:
        """End every process, the broker last; what does not listen is killed."""
        self._ending = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for wave, within in enumerate(END_WITHIN):
            alive = [
                c.process
                for c in self.children.values()
                if c.wave == wave and c.process and c.process.returncode is None
            ]
            for process in alive:
                with suppress(ProcessLookupError):
                    process.terminate()
            await asyncio.gather(*(self._bury(process, within) for process in alive))
        if self._lock:
            self._lock.close()

    async def _bury(self, process: asyncio.subprocess.Process, within: float) -> None:
        try:
            await asyncio.wait_for(process.wait(), within)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _prepare(self) -> None:
        try:
            (self.folder / "log").mkdir(parents=True, exist_ok=True)
            self._run.mkdir(exist_ok=True)
            self._lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise ConfigError(
                f"{self.folder} cannot be written: {error.strerror}",
                "choose another folder with --data",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            self._lock = None
            raise ConfigError(
                f"a demo branch already runs in {self.folder}",
                "use that one, or choose another folder with --data",
            ) from error
        for stale in self._run.iterdir():  # left by a run that was ended by kill -9
            stale.unlink()
        try:
            self.ports.check()
            self._write_config()
            self.children = {child.name: child for child in self._services()}
        except BaseException:
            self._lock.close()
            raise

    def _write_config(self) -> None:
        p = self.ports
        # The gateway's key is made before its first start: the branch's devices are set up to believe it.
        key = identity.signing_key(self.folder / "gateway" / "keys" / "gateway.key")
        (self._run / "mocban.toml").write_text(
            f"""\
# Written anew at every start of the demo.
tenant = "demo"
data_dir = {json.dumps(str(self.folder))}
mqtt = "mqtt://{HOST}:{p.line_mqtt}"
gateway_keys = ["{key.public}"]

[kiosk]
device = "demo-kiosk-1"
port = {p.kiosk}
log_file = {json.dumps(str(self.folder / "log" / "kiosk.log"))}
pad = "serial://{self._run}/pad?baud=38400&parity=E"

[kiosk.ils]
url = "sip2://{HOST}:{p.line_sip2}"
user = "kiosk"
password = "demo"
location = "BG01"
institution = "BG"
timeout = 2.0

[gate]
device = "demo-gate-1"
port = {p.gate}
log_file = {json.dumps(str(self.folder / "log" / "gate.log"))}
gate = "serial://{self._run}/gate?baud=38400&parity=E"

[gateway]
port = {p.gateway}
""",
            encoding="utf-8",
        )
        (self._run / "mocban.toml").chmod(0o600)  # it holds the library system's password

    def _services(self) -> list[Child]:
        p, run, world = self.ports, self._run, str(self.folder / "world.db")
        mocban = [sys.executable, "-m", "mocban"]
        emulate = [*mocban, "kiosk", "emulate"]
        config = ["--config", str(run / "mocban.toml")]
        self.broker, broker_argv = broker.command(p.mqtt, run, self._broker_kind)
        at = {"kiosk": p.kiosk, "gateway": p.gateway, "gate": p.gate}
        links = ["--kiosk-url", self.kiosk_url, "--gateway-url", self.gateway_url]
        specs: list[tuple[str, list[str], int, Callable[[], bool]]] = [
            ("broker", broker_argv, 2, lambda: _listens(p.mqtt)),
            ("gateway", [*mocban, "gateway", "run", *config], 1, lambda: _ready(at["gateway"])),
            ("kiosk", [*mocban, "kiosk", "run", *config], 0, lambda: _ready(at["kiosk"])),
            ("gate", [*mocban, "kiosk", "gate", *config], 0, lambda: _ready(at["gate"])),
            ("ils", [*emulate, "ils", "--world", world, "--port", str(p.sip2)], 0, lambda: _listens(p.sip2)),
            ("pad", [*emulate, "pad", "--world", world, "--link", str(run / "pad")], 0, (run / "pad").is_symlink),
            ("gate-reader", [*emulate, "gate", "--world", world, "--link", str(run / "gate")], 0,
             (run / "gate").is_symlink),
            ("line", [*emulate, "line", "--world", world, "--forward", f"{p.line_mqtt}:{p.mqtt}",
                      "--forward", f"{p.line_sip2}:{p.sip2}"], 0, lambda: _listens(p.line_mqtt)),
            ("world", [*emulate, "panel", "--world", world, "--port", str(p.world), *links], 0,
             lambda: _listens(p.world)),
        ]  # fmt: skip
        children = [
            Child(name, argv, wave, ready, log=self.folder / "log" / f"{name}.log")
            for name, argv, wave, ready in specs
        ]
        # The gateway stands beside the broker; only the branch hangs on the line that can be cut.
        next(c for c in children if c.name == "gateway").env["MOCBAN_MQTT"] = (
            f"mqtt://{HOST}:{p.mqtt}"
        )
        return children

    async def _start(self, child: Child) -> None:
        with child.log.open("ab") as out:
            child.process = await asyncio.create_subprocess_exec(
                *child.argv, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, supervise.PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1", **child.env},
            )  # fmt: skip

    async def _all_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN
        await asyncio.gather(
            *(self._until_ready(child, deadline) for child in self.children.values())
        )

    async def _until_ready(self, child: Child, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while not await asyncio.to_thread(child.ready):
            if child.process is None or child.process.returncode is not None:
                raise _failed(child)
            if loop.time() > deadline:
                raise PeerUnreachable(
                    f"{child.name} is not ready after {READY_WITHIN:.0f} s", f"read {child.log}"
                )
            await asyncio.sleep(0.03)

    async def _watch(self, child: Child) -> None:
        """Start a service again that ended without being told to."""
        pause = 0.2
        while not self._ending:
            if child.process is not None:
                await child.process.wait()
            if child.held or self._ending:
                await asyncio.sleep(0.05)
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
            if not (child.held or self._ending):
                await self._start(child)


def _failed(child: Child) -> LocalFault:
    """What the dead service said last, as our own sentence."""
    lines = child.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = next(
        (line for line in reversed(lines) if line.startswith("mocban: ")),
        lines[-1] if lines else "",
    )
    if last.startswith("mocban: "):
        return ConfigError(
            f"{child.name}: {last.removeprefix('mocban: ').rstrip('.')}", f"details: {child.log}"
        )
    return LocalFault(f"{child.name} ended at once", f"read {child.log}")


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((HOST, port)) == 0


def _ready(port: int) -> bool:
    try:
        return bool(get_json(f"http://{HOST}:{port}/healthz").get("ready"))
    except PeerUnreachable:
        return False


def get(
    url: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> bytes:
    """GET, or POST ``body`` as JSON; PeerUnreachable on any failure."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"content-type": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bytes(answer.read(1 << 22))
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(1 << 16)
        if error.code == 503:  # healthz of a service that is not well yet
            return text
        raise PeerUnreachable(f"{url} answers {error.code}: {text[:200]!r}") from None
    except OSError as error:
        raise PeerUnreachable(f"{url} does not answer: {error}") from None


def get_json(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """As ``get``, decoded."""
    try:
        found = json.loads(get(url, body))
    except ValueError as error:
        raise PeerUnreachable(f"{url} does not answer in JSON") from error
    return found if isinstance(found, dict) else {"value": found}
