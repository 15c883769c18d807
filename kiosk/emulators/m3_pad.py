"""An emulated 3M / bibliotheca pad on a pty, 19200 8N1; what lies on it is the world's.

Its firmware is that of a 210. What no document tells of a real one (how 0D is answered, what 13 means) is a
guess, and the driver must not need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from kiosk.emulators import air
from kiosk.emulators.field import Field
from kiosk.emulators.talk import Said, serve
from kiosk.emulators.things import WorldTag
from kiosk.emulators.world import World
from kiosk.wire import m3, m3_tags
from kiosk.wire.iso15693 import Found, Uid
from kiosk.wire.m3 import Answer, Command, Error, Request, Version
from kiosk.wire.m3_tags import MOST_TAGS, Blocks, Option, Round, Style
from mocban.errors import RemoteProtocolError

BAUD, BITS = 19200, 10
FIRMWARE = Version(0x0A, 5, 2, 0x19)
FIRMWARE_810 = Version(0x0A, 5, 0, 2)
_STARTED = bytes.fromhex("02 01 01 03 02 02 03 00")  # what a real 810 says to 13


async def main(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """Be the pad called ``link`` until ``stop``; leaves no file behind."""
    await _be(lambda world: EmulatedM3(world).answer, world_path, link, stop)


async def old(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """The same as a pad that knows only what is in the oldest document, and keeps silent to the boot question."""
    await _be(
        lambda world: EmulatedM3(world, FIRMWARE_810, boots=False, old=True).answer,
        world_path,
        link,
        stop,
    )


async def _be(
    answer: Callable[[World], Callable[[bytes], Said | None]],
    world_path: Path,
    link: Path,
    stop: asyncio.Event,
) -> None:
    await serve(world_path, link, stop, baud=BAUD, bits=BITS, framer=m3.framer, answer=answer)


class EmulatedM3:
    """A reader between two questions. ``boots``: whether it answers the D5 question.

    ``old``: it gives blocks in the old way alone, and no look but the one with both polls.
    """

    def __init__(
        self, world: World, firmware: Version = FIRMWARE, *, boots: bool = True, old: bool = False
    ) -> None:
        self._field = Field(world)
        self._firmware = firmware
        self._boots = boots
        self._old = old

    def answer(self, frame: bytes) -> Said | None:
        """The answer to one whole frame; None: it keeps silent."""
        request = Request.decode(frame)
        if request.start == m3.BOOT:
            known = self._boots and request == m3.boot()
            return Said(m3.encode_boot(self._firmware).encode()) if known else None
        try:
            answer, spent = self._say(request)
        except RemoteProtocolError:
            answer, spent = Answer(request.command, Error.NOT_IMPLEMENTED), 0.0
        return Said(answer.encode(), spent)

    def _say(self, request: Request) -> tuple[Answer, float]:
        command = request.command
        if m3.addressed(command):
            return self._one(request)
        match command:
            case Command.VERSION:
                return Answer(command, body=self._firmware.encode()), 0.0
            case Command.INIT:
                return Answer(command, body=_STARTED), 0.0
            case Command.INVENTORY if len(request.body) == 2:
                return self._inventory(*request.body)
            case _:
                return Answer(command, Error.NOT_IMPLEMENTED), 0.0

    def _inventory(self, afi: int, options: int) -> tuple[Answer, float]:
        tags, spent = self._field.inventory(afi or None)
        if (
            not options & Option.ONE_POLL
        ):  # what the second look costs is a guess: as much as the first
            spent += self._field.inventory(afi or None)[1]
        elif self._old:
            return Answer(Command.INVENTORY, Error.NOT_IMPLEMENTED), 0.0
        found = tuple(Found(Uid.parse(tag.uid), tag.dsfid) for tag in tags[:MOST_TAGS])
        look = Round(found, len(found), afi, options & ~Option.PROTOCOL)
        return Answer(Command.INVENTORY, body=look.encode()), spent

    def _one(self, request: Request) -> tuple[Answer, float]:
        uid = request.uid
        if uid is None:
            raise RemoteProtocolError("The question names no tag.")
        tag = self._field.get(str(uid))
        if tag is None:
            return _about(request, Error.NO_TAG), air.silence()
        args = request.body[8:]
        match request.command:
            case Command.READ_BLOCKS:
                return self._read(request, tag, args)
            case Command.QUIET:
                return _about(request), self._field.quiet(tag)
            case Command.GET_AFI:
                return _about(request, rest=bytes((tag.afi,))), air.info()
            case Command.GET_DSFID:
                return _about(request, rest=bytes((tag.dsfid,))), air.info()
            case Command.TAG_INFO:
                info, spent = self._field.info(tag)
                return _about(request, rest=m3_tags.encode_info(info)), spent
            case Command.CHECK_EAS:
                armed, spent = self._field.eas(tag)
                return _about(request, Error.NONE if armed else Error.NO_TAG), spent
            case _:
                return self._change(request, tag, args)

    def _change(self, request: Request, tag: WorldTag, args: bytes) -> tuple[Answer, float]:
        field, what = self._field, ""
        match request.command:
            case Command.WRITE_AFI if len(args) == 1:
                what, outcome = "afi", field.write_afi(tag, args[0])
            case Command.WRITE_DSFID if len(args) == 1:
                what, outcome = "dsfid", field.write_dsfid(tag, args[0])
            case Command.SET_EAS if len(args) == 1:
                what, outcome = "eas", field.write_eas(tag, bool(args[0]))
            case Command.LOCK_AFI:
                what, outcome = "afi", field.lock(tag, "afi")
            case Command.LOCK_DSFID:
                what, outcome = "dsfid", field.lock(tag, "dsfid")
            case Command.LOCK_BLOCK if len(args) == 1:
                what, outcome = str(args[0]), field.lock(tag, "blocks", args[0], 1)
            case _:
                return self._write(request, tag, args)
        return _done(request, tag, what, outcome)

    def _write(self, request: Request, tag: WorldTag, args: bytes) -> tuple[Answer, float]:
        if request.command != Command.WRITE_BLOCKS or len(args) < 3 or args[2]:
            raise RemoteProtocolError("The question is cut short, or not known.")
        first, count, data = args[0], args[1], args[3:]
        if len(data) != count * tag.block_size:
            return _about(request, Error.WRITE), 0.0
        if first + count > tag.blocks:
            return _about(request, Error.NO_BLOCK), air.exchange(11, 1)
        done, spent = self._field.write(tag, first, data)
        return _done(request, tag, str(first), (done, spent), Error.WRITE)

    def _read(self, request: Request, tag: WorldTag, args: bytes) -> tuple[Answer, float]:
        if len(args) not in (2, 3) or (self._old and len(args) == 3):
            raise RemoteProtocolError("A read has a first block, a number and perhaps options.")
        first, count, style = args[0], args[1], args[2] if len(args) == 3 else 0
        data, spent = self._field.read(tag, first, count)
        if data is None:
            return _about(request, Error.NO_BLOCK), spent
        size = tag.block_size
        if not style & Style.NO_LOCKS:
            spent = air.read(count, size, locks=True)
        blocks = Blocks(first, size, data, self._field.locks(tag, first, count))
        return _about(request, rest=blocks.encode(style)), spent


def _about(request: Request, error: Error = Error.NONE, rest: bytes = b"") -> Answer:
    """An answer about the tag that ``request`` names."""
    return Answer(request.command, error, request.body[:8] + rest)


def _done(
    request: Request,
    tag: WorldTag,
    what: str,
    outcome: tuple[bool, float],
    otherwise: Error = Error.NO_TAG,
) -> tuple[Answer, float]:
    done, spent = outcome
    if done:
        return _about(request), spent
    return _about(request, Error.LOCKED if what in tag.locks else otherwise), spent
