"""An emulated UHFReader18 or UHFReader288 on a pty; what lies on it is the world's."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kiosk.emulators.talk import Said, serve
from kiosk.emulators.uhf_field import UhfField, UhfTag
from kiosk.emulators.world import World
from kiosk.wire import len_frame, uhf18
from kiosk.wire.uhf18 import (
    ANY_ADDRESS,
    MOST_WORDS,
    Aimed,
    Bank,
    Command,
    Mask,
    Reply,
    Request,
    Series,
    Status,
)
from kiosk.wire.uhf18_reader import Info
from mocban.errors import RemoteProtocolError

BAUD, BITS = 57600, 10
_INFO = {
    Series.R18: Info((2, 68), 0x09, 0x03, 0x4E, 0x00, 30, 10),
    Series.R288: Info((3, 1), 0x20, 0x02, 0x4E, 0x00, 30, 10, bytes((1, 1, 0, 0))),
}
_ROOM = 240  # bytes of sightings in one frame
_PLAIN = bytes(4)  # the access password of a tag as its maker leaves it

Answer = tuple[list[Reply], float]


async def main(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """Be the pad called ``link`` until ``stop``, one of the 18 series; leaves no file behind."""
    await _be(Series.R18, world_path, link, stop)


async def main288(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """The same of the 288 series."""
    await _be(Series.R288, world_path, link, stop)


async def _be(series: Series, world_path: Path, link: Path, stop: asyncio.Event) -> None:
    await serve(
        world_path,
        link,
        stop,
        baud=BAUD,
        bits=BITS,
        framer=len_frame.framer,
        answer=lambda world: EmulatedUhf(UhfField(world), series).answer,
    )


class EmulatedUhf:
    """A reader at a field. ``password``: the access password of its tags; with none EAS cannot be switched."""

    def __init__(self, field: UhfField, series: Series, password: bytes = _PLAIN) -> None:
        self._field = field
        self._series = series
        self._password = password
        self.settings: dict[int, bytes] = {}
        """What was written to the reader itself, by command."""

    @classmethod
    def at(cls, world: World, series: Series) -> EmulatedUhf:
        """One over the pad of ``world``."""
        return cls(UhfField(world), series)

    def answer(self, frame: bytes) -> Said | None:
        """What it says to a frame; nothing if that is for another reader."""
        request = Request.decode(frame)
        if request.address not in (0, ANY_ADDRESS):
            return None
        try:
            replies, spent = self._do(request)
        except RemoteProtocolError:
            replies, spent = _one(request, Status.LENGTH)
        return Said(b"".join(reply.encode() for reply in replies), spent)

    def _do(self, request: Request) -> Answer:
        match request.command:
            case Command.INVENTORY:
                return self._inventory(request)
            case Command.READ:
                return self._read(request)
            case Command.WRITE:
                return self._write(request)
            case Command.SET_EAS:
                return self._arm(request)
            case Command.CHECK_EAS:
                armed, spent = self._field.eas()
                return _one(request, Status.OK if armed else Status.NO_TAG, spent=spent)
            case Command.INFO:
                return _one(request, data=_INFO[self._series].encode())
            case Command.REGION | Command.POWER | Command.SCAN_TIME:
                self.settings[request.command] = request.data
                return _one(request)
            case _:
                return [Reply(0, Status.ILLEGAL)], 0.0

    def _inventory(self, request: Request) -> Answer:
        """18: nothing, or where in the TID; 288: Q, session, that, target, antenna, time."""
        rest = request.data
        if self._series is Series.R288:
            if len(rest) not in (2, 5, 7):
                return _one(request, Status.LENGTH)
            rest = rest[2:-3]
        if rest not in (b"", bytes((0, uhf18.TID_WORDS))):
            return _one(request, Status.PARAMETER)
        found, spent = self._field.inventory(tid=bool(rest))
        if not found:
            return _one(request, Status.NO_TAG, spent=spent)
        seen = [tag.tid if rest else tag.uii for tag in found]
        if self._series is Series.R18:  # it keeps a list, in which nothing stands twice
            seen = list(dict.fromkeys(seen))
        batches = _batches(seen)
        data = [uhf18.encode_sightings(self._series, batch) for batch in batches]
        ends = [Status.MORE] * (len(data) - 1) + [Status.FOUND]
        return [Reply(Command.INVENTORY, *pair) for pair in zip(ends, data, strict=True)], spent

    def _read(self, request: Request) -> Answer:
        aimed = self._aimed(request.data, 7)
        bank, first, count = aimed.args[:3]
        if bank not in list(Bank) or not 1 <= count <= MOST_WORDS:
            return _one(request, Status.PARAMETER)
        tag, lost = self._tag(request, aimed)
        if tag is None:
            return lost
        data, spent = self._field.read(tag, Bank(bank), first, count)
        if data is None:
            return _one(request, Status.TAG_ERROR, bytes((uhf18.OVERRUN,)), spent)
        return _one(request, data=data, spent=spent)

    def _write(self, request: Request) -> Answer:
        size = 2 * request.data[0] if request.data else 0
        aimed = self._aimed(request.data[1:], 2 + size + 4)
        bank, first, data = aimed.args[0], aimed.args[1], aimed.args[2 : 2 + size]
        if bank not in list(Bank) or not data:
            return _one(request, Status.PARAMETER)
        tag, lost = self._tag(request, aimed)
        if tag is None:
            return lost
        done, spent = self._field.write(tag, Bank(bank), first, data)
        if not done:
            return _one(request, Status.TAG_ERROR, bytes((uhf18.TAG_LOCKED,)), spent)
        return _one(request, spent=spent)

    def _arm(self, request: Request) -> Answer:
        aimed = self._aimed(request.data, 5)
        tag, lost = self._tag(request, aimed)
        if tag is None:
            return lost
        if self._password == _PLAIN:
            return _one(request, Status.PASSWORD_ZERO)
        if aimed.args[:4] != self._password:
            return _one(request, Status.PASSWORD)
        done, spent = self._field.write_eas(tag, armed=bool(aimed.args[4]))
        return _one(request, Status.OK if done else Status.POOR, spent=spent)

    def _aimed(self, data: bytes, size: int) -> Aimed:
        aimed = Aimed.decode(data, size)
        if isinstance(aimed.target, Mask) and self._series is Series.R18:
            raise RemoteProtocolError("This series knows no mask.")
        return aimed

    def _tag(self, request: Request, aimed: Aimed) -> tuple[UhfTag | None, Answer]:
        """The first of the tags that are meant: the field gives one, and does not say that there were more."""
        found = self._field.meant(aimed.target)
        return (found[0] if found else None), _one(request, Status.NO_TAG, spent=0.02)


def _batches(seen: list[bytes]) -> list[list[bytes]]:
    out: list[list[bytes]] = [[]]
    size = 0
    for one in seen:
        if size + len(one) + 2 > _ROOM:
            out.append([])
            size = 0
        out[-1].append(one)
        size += len(one) + 2
    return out


def _one(
    request: Request, status: int = Status.OK, data: bytes = b"", spent: float = 0.0
) -> Answer:
    return [Reply(request.command, status, data)], spent
