"""An emulated RR9 pad on a pty: frames as published, statuses as recalled; what lies on it is the world's."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kiosk.emulators import air
from kiosk.emulators.field import Field
from kiosk.emulators.talk import Said, serve
from kiosk.emulators.things import WorldTag
from kiosk.emulators.world import World
from kiosk.wire import len_frame, rr9
from kiosk.wire.iso15693 import Command, Found, SystemInfo, Uid
from kiosk.wire.rr9 import MOST, Info, Own, Reply, Request, Scan, State, Status
from mocban.errors import RemoteProtocolError

BAUD, BITS = 19200, 10
_INFO = Info((2, 7), 0x66, (0, 0x08), 30)
_ADDRESSES = (rr9.DEFAULT_ADDRESS, 0xFF)
_ROOM = 27  # tags of nine bytes in one answer
_NO_BLOCK, _OPTION, _LOCKED = b"\x10", b"\x03", b"\x12"  # error codes of ISO 15693
_LOCKS = {Command.LOCK_AFI: "afi", Command.LOCK_DSFID: "dsfid", Command.LOCK_BLOCK: "blocks"}
_WRITES = (Command.WRITE_SINGLE, Command.WRITE_AFI, Command.WRITE_DSFID, *_LOCKS)

Answer = tuple[Reply, float]


async def main(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """Be the pad called ``link`` until ``stop``; leaves no file behind."""
    await serve(
        world_path,
        link,
        stop,
        baud=BAUD,
        bits=BITS,
        framer=len_frame.framer,
        answer=lambda world: EmulatedRr9(world).answer,
    )


class EmulatedRr9:
    """A reader's memory between two requests: its field, and which tags it has told already."""

    def __init__(self, world: World) -> None:
        self._field = Field(world)

    def answer(self, frame: bytes) -> Said | None:
        """What it says to a frame; nothing if that is for another reader."""
        try:
            request = Request.decode(frame)
        except RemoteProtocolError:
            return Said(Reply(Status.LENGTH).encode())
        if request.address not in _ADDRESSES:
            return None
        try:
            reply, spent = self._do(request)
        except RemoteProtocolError:
            reply, spent = Reply(Status.LENGTH), 0.0
        return Said(reply.encode(), spent)

    def _do(self, request: Request) -> Answer:
        if request.command == 0:
            return self._own(request)
        if request.command == Command.INVENTORY:
            return self._inventory(request)
        if request.command == Command.RESET_TO_READY and request.state & State.SELECTED:
            return Reply(), self._field.reset()
        tag, args = self._meant(request)
        if tag is None:
            return Reply(Status.NO_TAG), air.silence()
        match request.command:
            case Command.STAY_QUIET:
                return Reply(), self._field.quiet(tag)
            case Command.SELECT:
                return Reply(), self._field.select(tag)
            case Command.RESET_TO_READY:
                return Reply(), self._field.ready(tag)
            case Command.SYSTEM_INFO:
                info, spent = self._field.info(tag)
                return Reply(data=_told(info)), spent
            case Command.READ_MULTIPLE:
                return self._read(request, tag, args)
            case _ if request.command in _WRITES:
                return self._write(request, tag, args)
            case _:
                return Reply(Status.UNSUPPORTED), 0.0

    def _own(self, request: Request) -> Answer:
        match request.state:
            case Own.INFO:
                return Reply(data=_INFO.encode()), 0.0
            case Own.FIELD_OFF | Own.FIELD_ON:
                return Reply(), self._field.reset()
            case Own.ISO15693:
                return Reply(), 0.0
            case _:
                return Reply(Status.UNSUPPORTED), 0.0

    def _inventory(self, request: Request) -> Answer:
        """What is told is quieted, so that the next scan without a reset brings the others."""
        has_afi = bool(request.state & 1)
        if request.state not in list(Scan) or len(request.data) != has_afi:
            return Reply(Status.RANGE), 0.0
        spent = self._field.reset() if request.state in (Scan.NEW, Scan.NEW_AFI) else 0.0
        found, took = self._field.inventory(request.data[0] if has_afi else None)
        if not found:
            return Reply(Status.NO_TAG), spent + took
        one = request.state in (Scan.ONE, Scan.ONE_AFI)
        now = found[: 1 if one else _ROOM]
        for tag in now:
            self._field.quiet(tag)
        rows = [Found(Uid.parse(tag.uid), tag.dsfid) for tag in now]
        status = Status.OK if len(now) == len(found) or one else Status.INCOMPLETE
        return Reply(status, rr9.encode_found(rows)), spent + took

    def _meant(self, request: Request) -> tuple[WorldTag | None, bytes]:
        if request.state & State.SELECTED:
            return self._field.selected(), request.data
        uid, args = rr9.addressee(request)
        return self._field.get(str(uid)), args

    def _read(self, request: Request, tag: WorldTag, args: bytes) -> Answer:
        if len(args) != 2:
            return Reply(Status.LENGTH), 0.0
        first, count = args
        size = 8 if request.state & State.WIDE else 4
        if not 1 <= count <= MOST[size]:
            return Reply(Status.RANGE), 0.0
        if size != tag.block_size:  # the answer on air has not the length the reader waits for
            return Reply(Status.ISO), air.read(count, tag.block_size)
        data, spent = self._field.read(tag, first, count)
        if data is None:
            return Reply(Status.TAG_ERROR, _NO_BLOCK), spent
        locks = self._field.locks(tag, first, count)
        return Reply(data=rr9.encode_blocks(data, size, locks)), spent

    def _write(self, request: Request, tag: WorldTag, args: bytes) -> Answer:
        picky = Uid.parse(tag.uid).manufacturer == "Texas Instruments"
        if picky and not request.state & State.TYPE_B:
            return Reply(Status.TAG_ERROR, _OPTION), air.silence()
        if request.command in _LOCKS:
            what = _LOCKS[Command(request.command)]
            done, spent = self._field.lock(tag, what, args[0] if args else 0, 1)
        elif request.command == Command.WRITE_SINGLE:
            size = 8 if request.state & State.WIDE else 4
            if len(args) != 1 + size:
                return Reply(Status.LENGTH), 0.0
            done, spent = self._field.write(tag, args[0], args[1:])
        elif len(args) != 1:
            return Reply(Status.LENGTH), 0.0
        elif request.command == Command.WRITE_AFI:
            done, spent = self._field.write_afi(tag, args[0])
        else:
            done, spent = self._field.write_dsfid(tag, args[0])
        return (Reply(), spent) if done else (Reply(Status.TAG_ERROR, _LOCKED), spent)


def _told(info: SystemInfo) -> bytes:
    """As a tag says it on air, all four fields."""
    sizes = bytes(((info.blocks or 1) - 1, (info.block_size or 4) - 1))
    return (
        b"\x0f" + info.uid.on_air + bytes((info.dsfid or 0, info.afi or 0)) + sizes
        + bytes((info.ic or 0,))
    )  # fmt: skip
