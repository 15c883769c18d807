"""What the emulated FEIG pad and gate share: hearing a request and answering it in a reader's own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from kiosk.emulators.tty import TtyLine
from kiosk.wire import iso_host
from kiosk.wire.framing import Framer
from kiosk.wire.iso_host import ANY_ADDRESS, Command, Reply, Request, Status, Version
from mocban.errors import RemoteProtocolError

THINK = 0.005  # seconds a reader thinks about anything
_STALE = 0.05  # seconds after which half a request is forgotten


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reader says, after ``air`` seconds of talking to tags."""

    reply: Reply
    air: float = 0.0


async def converse(
    line: TtyLine, answer: Callable[[Request], Answer], noisy: Callable[[], bool]
) -> None:
    """Answer every request until cancelled. Bad frames get no answer, a wrong speed gets garbage."""
    framer = iso_host.framer()
    spoken = 0
    while True:
        data = await _hear(line, framer)
        heard_at = asyncio.get_running_loop().time()
        if not line.right_speed():
            framer = iso_host.framer()
            await line.send(misheard(data), heard_at + line.airtime(len(data)))
            continue
        for frame in framer.feed(data) if data else framer.idle():
            said = _answer(frame, answer)
            if said is None:
                continue
            spoken += 1
            out = (crackle(spoken) if noisy() else b"") + said.reply.encode()
            start = heard_at + line.airtime(len(frame)) + THINK + said.air
            await line.send(out, start)


def misheard(data: bytes) -> bytes:
    """What a line at the wrong speed makes of bytes: never a frame, the top bit stands in all of them."""
    return bytes((byte * 29 + 113) & 0xFF | 0x80 for byte in data)


def crackle(turn: int) -> bytes:
    """Some garbage between frames; every third piece looks like the start of a long frame."""
    if turn % 3 == 0:
        return bytes((0x02, 0x01, 0xFE, turn & 0xFF))
    return bytes((0x00, 0x03, 0x01, turn & 0x03)[: 1 + turn % 4])


def control(request: Request, version: Version) -> Answer | None:
    """Commands every reader knows; None for the others."""
    match request.command:
        case Command.VERSION | Command.READER_INFO:
            return Answer(_to(request, Status.OK, version.encode()))
        case Command.RF_RESET:
            return Answer(_to(request, Status.OK), 0.015)
        case Command.CPU_RESET | Command.RF_OUTPUT:
            return Answer(_to(request, Status.OK))
        case _:
            return None


def refuse(request: Request, status: Status, air: float = 0.0, data: bytes = b"") -> Answer:
    """An answer that is only a status."""
    return Answer(_to(request, status, data), air)


def grant(request: Request, data: bytes = b"", air: float = 0.0) -> Answer:
    """A good answer."""
    return Answer(_to(request, Status.OK, data), air)


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


async def _hear(line: TtyLine, framer: Framer) -> bytes:
    """The next bytes; none if half a request went stale."""
    if not framer.partial:
        return await line.read()
    try:
        async with asyncio.timeout(_STALE):
            return await line.read()
    except TimeoutError:
        return b""


def _answer(frame: bytes, answer: Callable[[Request], Answer]) -> Answer | None:
    request = Request.decode(frame)
    if request.address not in (0, ANY_ADDRESS):
        return None
    try:
        said = answer(request)
    except RemoteProtocolError:
        said = refuse(request, Status.LENGTH)
    return replace(said, reply=replace(said.reply, advanced=request.advanced))


def _to(request: Request, status: Status, data: bytes = b"") -> Reply:
    return Reply(request.command, status, data)
