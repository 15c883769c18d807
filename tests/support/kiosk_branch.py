"""A whole kiosk in this process, over one world: journal, runner, SIP2, FEIG pad on a pty and screen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kiosk.app import Kiosk, assemble
from kiosk.emulators import feig_pad as reader
from kiosk.emulators import ils as acs
from kiosk.emulators.world import DEMO, World
from kiosk.session.state import Mode, Phase
from kiosk.settings import IlsSettings, KioskSettings
from mocban import supervise, web
from mocban.config import Config

DE_MEN, LICH_SU, HELD = "BG00012345", "11223344", "2935000003649"
CARD = "TV2400001"
IN_STOCK, ON_LOAN = 0x07, 0xC2


@dataclass
class Branch:
    """A world, its emulators, and a kiosk over them."""

    folder: Path
    world: World
    sip2: int
    kiosk: Kiosk

    async def tap(self, action: str, value: str = "") -> None:
        await self.kiosk.runner.tap(action, value)

    async def card(self, name: str = "the-1") -> None:
        """Lay the card and wait until borrowing is open."""
        self.world.show_card(name)
        await until(lambda: self.mode is Mode.BORROW)

    @property
    def mode(self) -> Mode:
        return self.kiosk.runner.visit.mode

    def phases(self) -> dict[str, Phase]:
        return {line.item.id: line.phase for line in self.kiosk.runner.visit.lines}

    def facts(self, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
        rows = [
            (row.kind, json.loads(row.payload)["data"]) for row in self.kiosk.outbox.rows(0, 100)
        ]
        return [(kind, data) for kind, data in rows if kind in kinds]


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition; fail at the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def free_port() -> int:
    with web.bind("127.0.0.1", 0) as sock:
        return web.port_of(sock)


def configuration(folder: Path, sip2: int, **changes: Any) -> Config[KioskSettings]:
    settings = KioskSettings(
        port=0, pad=f"serial://{folder}/pad?baud=38400&parity=E",
        ils=IlsSettings(url=f"sip2://127.0.0.1:{sip2}", user="kiosk", password="demo", timeout=1.0),
    ).model_copy(update=changes)  # fmt: skip
    return Config("kiosk", "demo", folder, "mqtt://127.0.0.1:9", settings)


@contextlib.asynccontextmanager
async def running(
    service: Callable[[asyncio.Event], Awaitable[None]],
) -> AsyncIterator[asyncio.Task[None]]:
    """A service, stopped at the end; what it raised comes out."""
    stop = asyncio.Event()

    async def body() -> None:
        await service(stop)

    task = asyncio.create_task(body())
    try:
        yield task
    finally:
        stop.set()
        await task


@contextlib.asynccontextmanager
async def peers(folder: Path) -> AsyncIterator[tuple[World, int]]:
    """World, library system and pad."""
    path, sip2 = folder / "world.db", free_port()
    world = World.create(path, tomllib.loads(DEMO.read_text(encoding="utf-8")))
    try:
        async with (
            running(lambda stop: acs.main(path, "127.0.0.1", sip2, stop)),
            running(lambda stop: reader.main(path, folder / "pad", stop)),
        ):
            yield world, sip2
    finally:
        world.close()


@contextlib.asynccontextmanager
async def branch(folder: Path, **changes: Any) -> AsyncIterator[Branch]:
    """Everything, ready."""
    async with peers(folder) as (world, sip2):
        stop = asyncio.Event()
        with assemble(configuration(folder, sip2, **changes), stop) as kiosk:
            services = asyncio.create_task(supervise.keep(kiosk.services, stop))
            try:
                await until(lambda: kiosk.runner.status.ready)
                yield Branch(folder, world, sip2, kiosk)
            finally:
                stop.set()
                await services


def play(
    folder: Path, scenario: Callable[[Branch], Coroutine[Any, Any, None]], **changes: Any
) -> None:
    """Run a scenario over a whole branch."""

    async def body() -> None:
        async with branch(folder, **changes) as there:
            await scenario(there)

    asyncio.run(body())
