"""The kiosk put together: journal, outbox, bus, library system, pad, runner and screen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from kiosk.devices import open_pad
from kiosk.ils.sip2 import Sip2
from kiosk.journal import Journal
from kiosk.perform import World
from kiosk.runner import Runner
from kiosk.settings import KioskSettings
from kiosk.ui.server import build
from mocban import log, supervise, web
from mocban.bus import Bus
from mocban.clock import SystemClock
from mocban.config import Config
from mocban.health import Health
from mocban.outbox import Outbox

NEEDS = ("reader", "ils", "journal")
"""What must have come up before the kiosk calls itself ready."""

_log = log.get("kiosk.app")


@dataclass(frozen=True, slots=True)
class Kiosk:
    """A kiosk whose services are not running yet."""

    runner: Runner
    outbox: Outbox
    health: Health
    port: int
    services: dict[str, supervise.Service]


async def main(config: Config[KioskSettings], stop: asyncio.Event) -> None:
    """Run until ``stop``. ConfigError if port, folder or driver cannot be had; StorageError if the journal cannot."""
    with assemble(config, stop) as kiosk:
        _log.info("kiosk.start", port=kiosk.port)
        await supervise.keep(kiosk.services, stop)
        _log.info("kiosk.end")


@contextmanager
def assemble(config: Config[KioskSettings], stop: asyncio.Event) -> Iterator[Kiosk]:
    """The parts, with port and files open; closed again at the end."""
    settings, clock = config.app, SystemClock()
    health = Health(clock, NEEDS)
    with ExitStack() as closing:
        sock = web.bind(settings.host, settings.port)
        closing.callback(sock.close)
        journal = Journal(config.database)
        closing.callback(journal.close)
        outbox = Outbox(config.database, settings.device, clock)
        closing.callback(outbox.close)
        ils = Sip2(
            settings.ils, clock,
            on_ready=lambda: runner.ils(ok=True), on_lost=lambda: runner.ils(ok=False),
        )  # fmt: skip
        pad = open_pad(settings.pad_driver, settings.pad)
        world = World(ils, pad, outbox, settings.security, clock)
        runner = Runner(settings, journal, world, health)
        bus = Bus(config.mqtt, config.identity, outbox)
        screen = build(runner, settings, stop, extra_routes=web.health_routes(health), clock=clock)

        async def http(end: asyncio.Event) -> None:
            await web.serve(screen, sock, end)

        services: dict[str, supervise.Service] = {
            "runner": runner.run, "ils": ils.run, "bus": bus.run, "http": http,
        }  # fmt: skip
        yield Kiosk(runner, outbox, health, web.port_of(sock), services)
