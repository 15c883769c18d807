"""A driver of ours opposite its emulator over a real pty, for the contract suites."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kiosk.emulators.world import DEMO, World
from kiosk.transports.base import ByteStream, open_stream


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
    async with _playing(emulator, link, seed) as world:
        try:
            yield world, device
        finally:
            await device.close()


@asynccontextmanager
async def line_to(
    emulator: Emulator, link: Path, query: str
) -> AsyncIterator[tuple[World, ByteStream]]:
    """A demo branch and an open line to the emulator at ``link``, for frames written by hand."""
    async with _playing(emulator, link, demo()) as world:
        line = await open_stream(f"serial://{link}?{query}")
        try:
            yield world, line
        finally:
            await line.close()


async def said(line: ByteStream, request: str | bytes, size: int) -> str:
    """The answer of ``size`` bytes to ``request``, as hex."""
    await line.write(bytes.fromhex(request) if isinstance(request, str) else request)
    data = b""
    async with asyncio.timeout(2):
        while len(data) < size:
            data += await line.read()
    return data.hex(" ").upper()


@asynccontextmanager
async def _playing(emulator: Emulator, link: Path, seed: dict[str, Any]) -> AsyncIterator[World]:
    path = link.with_name("world.db")
    world = World.create(path, seed)
    stop = asyncio.Event()
    running = asyncio.ensure_future(emulator(path, link, stop))
    try:
        await until(link.is_symlink)
        yield world
    finally:
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
