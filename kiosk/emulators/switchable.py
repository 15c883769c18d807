"""The pad of the demo: the emulator of one reader, or of whichever the world has chosen, at the same link."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from kiosk.emulators.things import PADS, READERS
from kiosk.emulators.world import World
from mocban.errors import ConfigError

WORLD = "world"
"""In place of a driver's name: whichever the world has chosen."""
FIRST = "feig"
"""What stands there before anybody has chosen."""
_POLL = 0.05  # seconds between two looks at the world

Emulator = Callable[[Path, Path, asyncio.Event], Awaitable[None]]


async def main(
    world_path: Path, link: Path, stop: asyncio.Event, driver: str = FIRST, begin: str = ""
) -> None:
    """Be the reader of that ``driver`` called ``link`` until ``stop``; leaves no file behind.

    ``world``: be what the world has chosen, which may change at any time; ``begin`` is chosen at the start.
    ConfigError: no such reader, or this machine cannot be it.
    """
    for name in filter(None, (driver if driver != WORLD else "", begin)):
        _known(name)
    world = World(world_path)
    try:
        if driver == WORLD:
            world.choose(begin or world.reader() or FIRST)
            await _follow(world, link, stop)
        else:
            world.choose("")
            await emulator(driver)(world_path, link, stop)
    finally:
        world.close()


def emulator(driver: str) -> Emulator:
    """What runs as that reader. ConfigError: no such reader, or this machine cannot be it."""
    _known(driver)
    if (why := missing(driver)) is not None:
        raise why
    if driver == "none":
        return _nobody
    return cast(Emulator, import_module(PADS[driver]).main)


def missing(driver: str) -> ConfigError | None:
    """Why this machine cannot be that reader; None if it can."""
    if driver != "pcsc":
        return None
    if find_spec("smartcard") is None:
        do = 'apt-get install gcc swig libpcsclite-dev, then pip install "mocban[pcsc]"'
        return ConfigError("the Python package pyscard is missing", do, code="missing-package")
    from kiosk.emulators.vpcd import Service

    try:
        Service(Path("pcscd"))
    except ConfigError as error:
        return error
    return None


async def _follow(world: World, link: Path, stop: asyncio.Event) -> None:
    """Unplug one reader and plug in the next, as often as the choice changes."""
    while not stop.is_set():
        chosen, end = world.reader(), asyncio.Event()
        running = asyncio.ensure_future(emulator(chosen)(world.path, link, end))
        changed = asyncio.create_task(_other(world, chosen, stop))
        try:
            await asyncio.wait((running, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            end.set()
            changed.cancel()
            await asyncio.gather(changed, return_exceptions=True)
            await running


async def _other(world: World, chosen: str, stop: asyncio.Event) -> None:
    """Until another reader is chosen, or ``stop``."""
    while world.reader() == chosen and not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL):
                await stop.wait()


async def _nobody(_world: Path, link: Path, stop: asyncio.Event) -> None:
    """No reader: a name that leads nowhere, as ``auto`` knows it."""
    link.unlink(missing_ok=True)
    link.symlink_to(os.devnull)
    try:
        await stop.wait()
    finally:
        link.unlink(missing_ok=True)


def _known(driver: str) -> None:
    if driver not in READERS:
        raise ConfigError(
            f"there is no emulator of a reader called {driver}",
            f"choose one of {', '.join(READERS)}, or {WORLD}",
            code="usage",
        )
