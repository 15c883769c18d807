"""The life of an emulated reader on a serial line: plugged and unplugged, asked, answering in its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kiosk.emulators.tty import TtyLine
from kiosk.emulators.world import World
from kiosk.wire.framing import Framer

THINK = 0.005
"""Seconds a reader thinks about anything."""
_STALE = 0.05  # seconds after which half a request is forgotten
_POLL = 0.05  # seconds between two looks at the world

Answer = Callable[[bytes], "Said | None"]


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: the whole frame, after ``air`` seconds of talking to tags and ``think`` of thinking."""

    data: bytes = field(repr=False)
    air: float = 0.0
    think: float = THINK


async def serve(
    world_path: Path,
    link: Path,
    stop: asyncio.Event,
    *,
    baud: int,
    bits: int,
    framer: Callable[[], Framer],
    answer: Callable[[World], Answer],
    timing: Callable[[TtyLine], None] | None = None,
) -> None:
    """Be the reader called ``link`` until ``stop``; leaves no file behind.

    ``bits``: of one byte on the line, 10 for 8N1 and 11 for 8E1. ``answer`` is called once with the world and gives
    what answers a frame (None: nothing is said). The faults pad-unplugged and pad-noise are its own. ``timing`` is
    shown the line at the end, with its lateness.
    """
    world = World(world_path)
    line = TtyLine(link, baud, bits)
    try:
        await until(
            stop,
            converse(line, framer, answer(world), lambda: bool(world.fault("pad-noise"))),
            watch(world, line, "pad-unplugged"),
        )
    finally:
        if timing is not None:
            timing(line)
        line.unplug()
        world.close()


async def converse(
    line: TtyLine, framer: Callable[[], Framer], answer: Answer, noisy: Callable[[], bool]
) -> None:
    """Answer every request until cancelled. Bad frames get no answer, a wrong speed gets garbage."""
    frames = framer()
    spoken = 0
    while True:
        data = await _hear(line, frames)
        heard_at = asyncio.get_running_loop().time()
        if not line.right_speed():
            frames = framer()
            await line.send(misheard(data), heard_at + line.airtime(len(data)))
            continue
        for frame in frames.feed(data) if data else frames.idle():
            said = answer(frame)
            if said is None:
                continue
            spoken += 1
            out = (crackle(spoken) if noisy() else b"") + said.data
            await line.send(out, heard_at + line.airtime(len(frame)) + said.think + said.air)


async def watch(world: World, line: TtyLine, fault: str) -> None:
    """Plug and unplug as the world says."""
    seen = -1
    while True:
        if (version := world.version()) != seen:
            seen = version
            if fault and world.fault(fault):
                line.unplug()
            else:
                line.plug()
        await asyncio.sleep(_POLL)


async def until(stop: asyncio.Event, *works: Coroutine[Any, Any, None]) -> None:
    """Run ``works`` until ``stop`` is set or one of them fails, which is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    halt = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((*tasks, halt), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, halt):
            task.cancel()
        ends = await asyncio.gather(*tasks, halt, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end


def misheard(data: bytes) -> bytes:
    """What a line at the wrong speed makes of bytes: never a frame, the top bit stands in all of them."""
    return bytes((byte * 29 + 113) & 0xFF | 0x80 for byte in data)


def crackle(turn: int) -> bytes:
    """Some garbage between frames; every third piece looks like the start of a long frame."""
    if turn % 3 == 0:
        return bytes((0x02, 0x01, 0xFE, turn & 0xFF))
    return bytes((0x00, 0x03, 0x01, turn & 0x03)[: 1 + turn % 4])


async def _hear(line: TtyLine, framer: Framer) -> bytes:
    """The next bytes; none if half a request went stale."""
    if not framer.partial:
        return await line.read()
    try:
        async with asyncio.timeout(_STALE):
            return await line.read()
    except TimeoutError:
        return b""
