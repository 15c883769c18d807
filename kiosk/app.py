"""The kiosk put together: journal, outbox, bus, library system, pad, runner, orders and screen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from kiosk.devices import open_pad
from kiosk.heed.feeds import Heed, keep
from kiosk.ils.port import Ils, IlsSilent
from kiosk.ils.sip2 import Sip2
from kiosk.journal import Journal
from kiosk.pending import Pending
from kiosk.perform import World
from kiosk.remote.ledger import Ledger
from kiosk.remote.logs import Logs
from kiosk.remote.modes import OPEN, WIPED
from kiosk.remote.orders import Remote
from kiosk.remote.parts import fail, parts, started
from kiosk.runner import Runner
from kiosk.session.events import Rested
from kiosk.session.state import Visit
from kiosk.settings import KioskSettings
from kiosk.ui.server import build
from mocban import log, supervise, web
from mocban.bus import Bus
from mocban.clock import Clock, SystemClock
from mocban.config import Config
from mocban.health import Health
from mocban.heart import Heart
from mocban.outbox import FULL, Outbox

NEEDS = ("reader", "ils", "journal")
"""What must have come up before the kiosk calls itself ready."""
ASKING = 20.0
"""Seconds a self-test waits for the library system."""

_log = log.get("kiosk.app")


@dataclass(frozen=True, slots=True)
class Kiosk:
    """A kiosk whose services are not running yet."""

    runner: Runner
    outbox: Outbox
    health: Health
    port: int
    services: dict[str, supervise.Service]
    remote: Remote
    heed: Heed
    pending: Pending


async def main(config: Config[KioskSettings], stop: asyncio.Event) -> None:
    """Run until ``stop``. ConfigError if port, folder or driver cannot be had; StorageError if the journal cannot."""
    with assemble(config, stop) as kiosk:
        started(kiosk.outbox, config.name)
        _log.info("kiosk.start", port=kiosk.port)
        await supervise.keep(kiosk.services, stop)
        _log.info("kiosk.end")


@contextmanager
def assemble(config: Config[KioskSettings], stop: asyncio.Event) -> Iterator[Kiosk]:
    """The parts, with port and files open; closed again at the end. Called on the loop."""
    settings, clock = config.app, SystemClock()
    health = Health(clock, NEEDS)
    with ExitStack() as closing:
        sock = web.bind(settings.host, settings.port)
        closing.callback(sock.close)
        # First: it is what keeps a second process off these files.
        outbox = Outbox(config.database, settings.device, clock, cap=config.outbox_mib * 2**20)
        closing.callback(outbox.close)
        journal = Journal(config.database)
        closing.callback(journal.close)
        ils = Sip2(
            settings.ils, clock,
            on_ready=lambda: runner.ils(ok=True), on_lost=lambda: runner.ils(ok=False),
        )  # fmt: skip
        pad = open_pad(settings.pad_driver, settings.pad)
        heed = Heed(config.database, config.identity, config.gateway_keys, clock)
        closing.callback(heed.close)
        pending = Pending(config.database, settings.device, heed)
        closing.callback(pending.close)
        world = World(ils, pad, outbox, settings.security, clock, pending)
        runner = Runner(settings, journal, world, health)
        _bar_when_full(outbox, runner, health)

        def feed(name: str, payload: bytes) -> None:
            if heed.take(name, payload):
                show()

        bus = Bus(
            config.mqtt, config.identity, outbox, ca_file=config.ca_file, password=config.broker_password,
            feeds=feed,
            orders=lambda name, payload: remote.order(name, payload),
            heart=Heart(config.name, health, outbox, clock, config.database.parent, settings.heartbeat_seconds),
        )  # fmt: skip
        bus.on_alarm = lambda say: health.check("broker", not say, say)

        def show(mode: str = "") -> None:
            bus.mode = mode or bus.mode
            bus.feed_versions = heed.versions
            bus.say()

        register = Ledger(config.database)
        closing.callback(register.close)
        hands = KioskHands(runner, journal, ils, health, outbox, config, clock, stop, heed, pending)
        logs = Logs(config.name, clock, settings.log_file, config.ca_file)
        remote = Remote(
            config.identity, config.gateway_keys, config.staff, register, outbox, clock, hands, bus.receipt,
            collect=logs.collect, shown=show,
        )  # fmt: skip
        screen = build(runner, settings, stop, extra_routes=web.health_routes(health), clock=clock)

        async def http(end: asyncio.Event) -> None:
            await web.serve(screen, sock, end)

        services: dict[str, supervise.Service] = {
            "runner": runner.run, "ils": ils.run, "bus": bus.run, "orders": remote.run, "modes": remote.modes.run,
            "feeds": lambda end: keep(heed, show, end), "http": http, "watchdog": health.watchdog,
        }  # fmt: skip
        yield Kiosk(runner, outbox, health, web.port_of(sock), services, remote, heed, pending)


class KioskHands:
    """What orders do to a kiosk. Who is at it may finish; a wipe waits for nobody."""

    modes = frozenset({OPEN, "closed"})

    def __init__(
        self, runner: Runner, journal: Journal, ils: Ils, health: Health, outbox: Outbox,
        config: Config[KioskSettings], clock: Clock, stop: asyncio.Event, heed: Heed, pending: Pending,
    ) -> None:  # fmt: skip
        self._runner = runner
        self._journal = journal
        self._ils = ils
        self._health = health
        self._outbox = outbox
        self._config = config
        self._clock = clock
        self._stop = stop
        self._heed = heed
        self._pending = pending

    async def self_test(self) -> dict[str, str]:
        """The pad is asked all the time: its check is what a trial would find. The library system is asked now."""
        found = parts(self._health, self._outbox, self._config.database.parent, self._clock)
        try:
            async with asyncio.timeout(ASKING):
                await self._ils.item("self-test")  # nobody's book: any answer will do
        except (IlsSilent, TimeoutError):
            fail(found, "ils", "it does not answer")
        return {**found, "feeds": self._heed.said}

    async def restart(self, patience: float) -> bool:
        """End once nobody is at it."""
        if await self._runner.at_rest(patience):
            self._stop.set()
            return True
        return False

    def set_mode(self, mode: str) -> None:
        """Open, closed, or wiped."""
        self._runner.bar(WIPED, on=mode == WIPED)
        self._runner.bar("closed", on=mode == "closed")

    async def wipe(self) -> None:
        """Forget every visit, in memory and on the disk; with the last visit goes the last key."""
        with contextlib.suppress(FileNotFoundError):  # a credential of systemd goes with the box
            (
                self._config.database.parent / "keys" / "seal.key"
            ).unlink()  # first: it needs no room on a full disk
        self._runner.visit = Visit(rules=self._runner.visit.rules)
        self._runner.bar(WIPED, on=True)
        self._journal.compact(Rested(self._clock.now(), self._runner.visit))
        self._pending.forget()
        self._heed.forget()


def _bar_when_full(outbox: Outbox, runner: Runner, health: Health) -> None:
    """Who cannot be told of lends no more, and lends again once it can. The outbox calls from any thread."""
    loop = asyncio.get_running_loop()

    def bar(on: bool) -> None:
        health.check("outbox", not on, FULL if on else "")
        runner.bar("outbox-full", on=on)

    def full(on: bool) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: we are stopping
            loop.call_soon_threadsafe(bar, on)

    outbox.on_full = full
    bar(outbox.full)
