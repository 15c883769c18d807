"""A security gate: judge who passes, cry at once and without the network, then tell. A process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, assert_never

from starlette.applications import Starlette
from starlette.middleware import Middleware

from kiosk.devices import open_gate
from kiosk.gate.known import Known
from kiosk.gate.ledger import Ledger
from kiosk.gate.loans import Loans
from kiosk.gate.watch import Turn, Watch
from kiosk.heed.feeds import Heed, keep
from kiosk.remote import ledger as orders
from kiosk.remote.logs import Logs
from kiosk.remote.modes import OPEN
from kiosk.remote.orders import Remote
from kiosk.remote.parts import parts, started
from kiosk.settings import GateSettings
from mocban import log, supervise, web
from mocban.bus import Bus
from mocban.clock import Clock, SystemClock
from mocban.config import Config
from mocban.errors import MocbanError
from mocban.events import DeviceChanged
from mocban.health import Health
from mocban.heart import Heart
from mocban.outbox import FULL, Outbox

TURN = 30.0
"""Seconds within which the gate is read again, or tried again: what takes longer hangs."""
SWITCH = 0.0005
"""Seconds that a thread which writes to the disk may keep the one that reads and cries from going on."""
_log = log.get("kiosk.gates")


async def main(config: Config[GateSettings], stop: asyncio.Event) -> None:
    """Run one gate until ``stop``. ConfigError if port, folder or driver cannot be had."""
    with assemble(config, stop) as gate:
        started(gate.outbox, config.name)
        _log.info("gate.start", port=gate.port)
        sys.setswitchinterval(SWITCH)
        gc.collect()
        gc.freeze()  # what stands for good need not be searched for garbage while somebody walks through
        await supervise.keep(gate.services, stop)
        _log.info("gate.end")


@dataclass(frozen=True, slots=True)
class Assembled:
    """A gate whose services are not running yet."""

    watch: Watch
    excuses: Heed
    remote: Remote
    outbox: Outbox
    port: int
    services: dict[str, supervise.Service]


@contextmanager
def assemble(config: Config[GateSettings], stop: asyncio.Event) -> Iterator[Assembled]:
    """The parts, with port and files open; closed again at the end."""
    settings, clock = config.app, SystemClock()
    health = Health(clock, ("gate",))
    with ExitStack() as closing:
        sock = web.bind(settings.host, settings.port)
        closing.callback(sock.close)
        outbox = Outbox(config.database, settings.device, clock, cap=config.outbox_mib * 2**20)
        closing.callback(outbox.close)
        outbox.on_full = lambda on: health.check("outbox", not on, FULL if on else "")
        outbox.on_full(outbox.full)
        ledger = Ledger(config.database, outbox)
        closing.callback(ledger.close)
        excuses = Heed(config.database, config.identity, config.gateway_keys, clock)
        closing.callback(excuses.close)
        gate = open_gate(settings.gate_driver, settings.gate, **_heeded(settings))
        loans = Loans(settings.kiosk_database)
        told: dict[str, str] = {}

        def changed(turn: Turn) -> None:
            health.check(turn.part, turn.state == "ok", turn.say)
            if told.get(turn.part) != turn.state:
                told[turn.part] = turn.state
                _tell_change(outbox, clock, turn)

        health.expect("gate", TURN)
        watch = Watch(
            settings, gate, ledger, changed, clock, Known(excuses, loans), lambda: health.pulse("gate")
        )  # fmt: skip

        def feed(name: str, payload: bytes) -> None:
            if excuses.take(name, payload):
                show()

        def show(mode: str = "") -> None:
            bus.mode = mode or bus.mode
            bus.feed_versions = excuses.versions
            bus.say()

        bus = Bus(
            config.mqtt, config.identity, outbox, ca_file=config.ca_file, password=config.broker_password,
            feeds=feed,
            orders=lambda name, payload: remote.order(name, payload),
            heart=Heart(config.name, health, outbox, clock, config.database.parent, settings.heartbeat_seconds),
        )  # fmt: skip
        bus.on_alarm = lambda say: health.check("broker", not say, say)
        register = orders.Ledger(config.database)
        closing.callback(register.close)
        hands = GateHands(watch, excuses, health, outbox, config, clock, stop)
        logs = Logs(config.name, clock, settings.log_file, config.ca_file)
        remote = Remote(
            config.identity, config.gateway_keys, config.staff, register, outbox, clock, hands, bus.receipt,
            collect=logs.collect, shown=show,
        )  # fmt: skip
        hosts = web.LOOPBACK | {settings.host}
        page = Starlette(
            routes=web.health_routes(health),
            middleware=[Middleware(web.SecurityHeaders, hosts=hosts)],
        )
        services: dict[str, supervise.Service] = {
            "watch": watch.run,
            "loans": loans.run,
            "bus": bus.run,
            "orders": remote.run,
            "modes": remote.modes.run,
            "feeds": lambda end: keep(excuses, show, end),
            "http": lambda end: web.serve(page, sock, end),
            "watchdog": health.watchdog,
        }
        yield Assembled(watch, excuses, remote, outbox, web.port_of(sock), services)


class GateHands:
    """What orders do to a gate. Nobody is ever at it, so it may be restarted at once; closed it cannot be."""

    modes = frozenset({OPEN, "silent"})

    def __init__(
        self, watch: Watch, excuses: Heed, health: Health, outbox: Outbox, config: Config[GateSettings],
        clock: Clock, stop: asyncio.Event,
    ) -> None:  # fmt: skip
        self._watch = watch
        self._excuses = excuses
        self._health = health
        self._outbox = outbox
        self._config = config
        self._clock = clock
        self._stop = stop

    async def self_test(self) -> dict[str, str]:
        """The gate is read ten times a second: its check is what a trial would find."""
        found = parts(self._health, self._outbox, self._config.database.parent, self._clock)
        return {**found, "feeds": self._excuses.said}

    async def restart(self, patience: float) -> bool:
        """End now."""
        del patience
        self._stop.set()
        return True

    def set_mode(self, mode: str) -> None:
        """Open cries; silent and wiped do not."""
        self._watch.silent = mode != OPEN

    async def wipe(self) -> None:
        """A gate holds no patron data; what it knows of the library's tags goes."""
        self._excuses.forget()


def _heeded(settings: GateSettings) -> dict[str, Any]:
    """What the gate's driver is asked to look for."""
    asked: dict[str, Any] = {"siren": settings.siren} if settings.siren else {}
    match settings.detects:
        case "afi":
            return {**asked, "afi": settings.security.in_stock}
        case "eas":
            return {**asked, "afi": None, "eas": True}
        case "hybrid":
            return {**asked, "afi": settings.security.in_stock, "eas": True}
        case "database":
            return {**asked, "afi": None}
        case _:
            assert_never(settings.detects)


def _tell_change(outbox: Outbox, clock: Clock, turn: Turn) -> None:
    with contextlib.suppress(MocbanError):  # /healthz and the log say it, too
        outbox.put(DeviceChanged(part=turn.part, state=turn.state, code=turn.code, at=clock.now()))
    told = _log.info if turn.state == "ok" else _log.warning
    told("device", part=turn.part, ok=turn.state == "ok")
