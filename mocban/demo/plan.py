"""What a demo branch consists of: where it listens, what its services are told, how each is started and ended."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

from mocban import identity, ids
from mocban.demo import broker, staff
from mocban.demo.probe import HOST, answers, listens, ready
from mocban.errors import ConfigError

END_WITHIN = (0.9, 0.7, 0.3)  # seconds for edge and world, gateway, broker: together under two
MONITORED = frozenset({"prometheus", "alertmanager"})
"""Ports that are needed only with Prometheus."""
PACE = ("--scrape", "5", "--wait", "1", "--again", "5")
"""What ``mocban ops monitor config`` is told: a person looks on, and the branch is small."""
SBIN = "/usr/sbin:/usr/local/sbin"
PLAYBOOKS = ("gate-storm", "reader-lost")
"""They begin by themselves when an incident of that name opens."""
PADS = ("feig", "3m", "rr9", "uhf18", "pcsc", "none")
"""Readers the kiosk's pad can be; none: the kiosk has no reader."""
MOCBAN = (sys.executable, "-m", "mocban")


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
    ops: int = 8444
    prometheus: int = 9090
    alertmanager: int = 9093

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

    def check(self, *, monitored: bool) -> None:
        """ConfigError if one of them is taken: said before anything is started."""
        for each in fields(self):
            if each.name in MONITORED and not monitored:
                continue
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


@dataclass(frozen=True, slots=True)
class Plan:
    """A branch in ``folder``. ``pace``: what its Prometheus is told; None: it has none. ``pad``: of ``PADS``."""

    folder: Path
    ports: Ports
    broker_kind: str = "auto"
    pace: tuple[str, ...] | None = None
    pad: str = PADS[0]

    @property
    def run(self) -> Path:
        """What is written anew at each start."""
        return self.folder / "run"

    @property
    def config_file(self) -> Path:
        """The configuration of every service of ours."""
        return self.run / "mocban.toml"

    def write(self) -> None:
        """Write the configuration."""
        p = self.ports
        # The gateway's key is made before its first start: the branch's devices are set up to believe it.
        key = identity.signing_key(self.folder / "gateway" / "keys" / "gateway.key")
        seal = identity.signing_key(self.folder / "ops" / "keys" / "playbook.key")
        persons = staff.keys(self.folder / "staff")
        self.config_file.write_text(
            f"""\
# Written anew at every start of the demo.
tenant = "demo"
data_dir = {json.dumps(str(self.folder))}
mqtt = "mqtt://{HOST}:{p.line_mqtt}"
gateway_keys = ["{key.public}"]

[staff]
{"".join(f'{name} = "{line}"' + chr(10) for name, line in persons.items())}
[kiosk]
device = "demo-kiosk-1"
port = {p.kiosk}
log_file = {json.dumps(str(self.folder / "log" / "kiosk.log"))}
pad = "serial://{self.run}/pad"
pad_driver = "auto"

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
gate = "serial://{self.run}/gate?baud=38400&parity=E"

[gateway]
port = {p.gateway}

[ops]
port = {p.ops}
gateway_url = "http://{HOST}:{p.gateway}"
playbook_keys = ["{seal.public}"]
autorun = {{ {", ".join(f'{name} = "{name}"' for name in PLAYBOOKS)} }}
""",
            encoding="utf-8",
        )
        self.config_file.chmod(0o600)  # it holds the library system's password

    def services(self) -> tuple[str, list[Child]]:
        """The broker's name, and every service in the order of their start. ConfigError if a program is missing."""
        p, run, world = self.ports, self.run, str(self.folder / "world.db")
        emulate = [*MOCBAN, "kiosk", "emulate"]
        config = ["--config", str(self.config_file)]
        name, broker_argv = broker.command(p.mqtt, run, self.broker_kind)
        links = [
            "--kiosk-url", f"http://{HOST}:{p.kiosk}/", "--gateway-url", f"http://{HOST}:{p.gateway}/",
        ]  # fmt: skip
        specs: list[tuple[str, list[str], int, Callable[[], bool]]] = [
            ("broker", broker_argv, 2, lambda: listens(p.mqtt)),
            ("gateway", [*MOCBAN, "gateway", "run", *config], 1, lambda: ready(p.gateway)),
            ("ops", [*MOCBAN, "ops", "run", *config], 0, lambda: ready(p.ops)),
            ("kiosk", [*MOCBAN, "kiosk", "run", *config], 0, lambda: ready(p.kiosk)),
            ("gate", [*MOCBAN, "kiosk", "gate", *config], 0, lambda: ready(p.gate)),
            ("ils", [*emulate, "ils", "--world", world, "--port", str(p.sip2)], 0, lambda: listens(p.sip2)),
            ("pad", [*emulate, "pad", "--world", world, "--link", str(run / "pad"), "--driver", "world",
                     "--begin", self.pad], 0, (run / "pad").is_symlink),
            ("gate-reader", [*emulate, "gate", "--world", world, "--link", str(run / "gate")], 0,
             (run / "gate").is_symlink),
            ("line", [*emulate, "line", "--world", world, "--forward", f"{p.line_mqtt}:{p.mqtt}",
                      "--forward", f"{p.line_sip2}:{p.sip2}"], 0, lambda: listens(p.line_mqtt)),
            ("world", [*emulate, "panel", "--world", world, "--port", str(p.world), *links], 0,
             lambda: listens(p.world)),
            *(self._monitoring() if self.pace is not None else ()),
        ]  # fmt: skip
        children = [
            Child(name, argv, wave, ready, log=self.folder / "log" / f"{name}.log")
            for name, argv, wave, ready in specs
        ]
        for child in children:
            # They stand beside the broker; only the branch hangs on the line that can be cut.
            if child.name in {"gateway", "ops"}:
                child.env["MOCBAN_MQTT"] = f"mqtt://{HOST}:{p.mqtt}"
        return name, children

    def monitor(self) -> list[str]:
        """The command that writes what Prometheus and Alertmanager are told; both read it when they start."""
        return [
            *MOCBAN, "ops", "monitor", "config", "--config", str(self.config_file), "--to", str(self.run),
            "--alertmanager", f"{HOST}:{self.ports.alertmanager}", *(self.pace or ()),
        ]  # fmt: skip

    def signing(self) -> list[list[str]]:
        """The commands that sign the demo's playbooks; none for those that are signed already."""
        there = self.folder / "ops" / "playbooks"
        return [
            [*MOCBAN, "runbook", "sign", name, "--as", "demo", "--config", str(self.config_file)]
            for name in PLAYBOOKS
            if not (there / f"{name}.json").exists()
        ]

    def _monitoring(self) -> list[tuple[str, list[str], int, Callable[[], bool]]]:
        p, prometheus, alertmanager = (
            self.ports,
            _found("prometheus"),
            _found("prometheus-alertmanager"),
        )
        if not (prometheus and alertmanager):
            raise ConfigError(
                "Prometheus and Alertmanager are not both installed",
                "apt install prometheus prometheus-alertmanager, or leave --with prometheus out",
                code="missing-tool",
            )
        return [
            ("alertmanager", broker.tied([
                alertmanager, f"--config.file={self.run / 'alertmanager.yml'}",
                f"--storage.path={self.folder / 'alertmanager'}", f"--web.listen-address={HOST}:{p.alertmanager}",
                "--cluster.listen-address=", "--log.level=warn",
            ]), 0, lambda: answers(f"http://{HOST}:{p.alertmanager}/-/ready")),
            ("prometheus", broker.tied([
                prometheus, f"--config.file={self.run / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'prometheus'}", f"--web.listen-address={HOST}:{p.prometheus}",
                "--storage.tsdb.retention.time=2d", "--log.level=warn",
            ]), 0, lambda: answers(f"http://{HOST}:{p.prometheus}/-/ready")),
        ]  # fmt: skip


def known(pad: str) -> str:
    """``pad`` if the demo has such a reader; ConfigError says which it has."""
    if pad not in PADS:
        raise ConfigError(
            f"there is no reader called {pad}", f"choose one of {', '.join(PADS)}", code="usage"
        )
    return pad


def _found(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path=SBIN)
