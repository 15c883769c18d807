"""A driver of ours opposite its emulator over a real pty, for the contract suites."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kiosk.emulators.world import DEMO, World


class Closing(Protocol):
    """A device that can be let go."""

    async def close(self) -> None: ...


D = TypeVar("D", bound=Closing)
Emulator = Callable[[Path, Path, asyncio.Event], Awaitable[None]]


@asynccontextmanager
async def emulated(
    emulator: Emulator, link: Path, device: D, seed: dict[str, Any]
) -> AsyncIterator[tuple[World, D]]:
    """A world of ``seed``, the emulator's tty at ``link`` and ``device``, not yet open; all gone afterwards."""
    path = link.with_name("world.db")
    world = World.create(path, seed)
    stop = asyncio.Event()
    running = asyncio.ensure_future(emulator(path, link, stop))
    try:
        await until(link.is_symlink)
        yield world, device
    finally:
        await device.close()
        stop.set()
        await asyncio.wait_for(running, 2)
        world.close()
    assert not link.is_symlink()


def demo() -> dict[str, Any]:
    """The demo branch's seed."""
    return tomllib.loads(DEMO.read_text(encoding="utf-8"))


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for ``condition``, with a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
