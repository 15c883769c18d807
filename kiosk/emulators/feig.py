"""What the emulated FEIG pad and gate share: answering a request in a reader's own words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from kiosk.emulators import talk
from kiosk.emulators.talk import Said, until
from kiosk.emulators.tty import TtyLine
from kiosk.wire import iso_host
from kiosk.wire.iso_host import ANY_ADDRESS, Command, Reply, Request, Status, Version
from mocban.errors import RemoteProtocolError

__all__ = ["Answer", "control", "converse", "grant", "refuse", "spoken", "until"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reader says, after ``air`` seconds of talking to tags."""

    reply: Reply
    air: float = 0.0


async def converse(
    line: TtyLine, answer: Callable[[Request], Answer], noisy: Callable[[], bool]
) -> None:
    """``talk.converse`` in FEIG's frames."""
    await talk.converse(line, iso_host.framer, spoken(answer), noisy)


def spoken(answer: Callable[[Request], Answer]) -> talk.Answer:
    """``answer`` as frames in and out; frames for another reader get none, an answer has its request's framing."""

    def say(frame: bytes) -> Said | None:
        request = Request.decode(frame)
        if request.address not in (0, ANY_ADDRESS):
            return None
        try:
            said = answer(request)
        except RemoteProtocolError:
            said = refuse(request, Status.LENGTH)
        return Said(replace(said.reply, advanced=request.advanced).encode(), said.air)

    return say


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


def _to(request: Request, status: Status, data: bytes = b"") -> Reply:
    return Reply(request.command, status, data)
