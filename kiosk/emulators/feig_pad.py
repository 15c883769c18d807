"""An emulated FEIG pad on a pty; what lies on it is the world's."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kiosk.emulators import air
from kiosk.emulators.chip import Chip
from kiosk.emulators.feig import Answer, control, grant, refuse, spoken
from kiosk.emulators.field import Field, nxp
from kiosk.emulators.talk import serve
from kiosk.emulators.things import WorldTag
from kiosk.emulators.world import World
from kiosk.wire import iso_host
from kiosk.wire.iso15693 import Found, Uid, sealed
from kiosk.wire.iso_host import Command, OutputMask, Request, Status, Version
from kiosk.wire.iso_host_tags import (
    MORE,
    MOST_BYTES,
    Blocks,
    Custom,
    CustomCommand,
    Mode,
    Sub,
    TagCommand,
    Through,
    encode_found,
    encode_system_info,
)

BAUD, BITS = 38400, 11
_VERSION = Version((4, 2), 0x00, 0x21, 0x54, bytes.fromhex("0008"))
_NOT_THERE, _LOCKED = b"\x10", b"\x12"  # ISO 15693: no such block; locked
_LOCKS = {Sub.LOCK_AFI: "afi", Sub.LOCK_DSFID: "dsfid", Sub.LOCK_BLOCKS: "blocks"}


async def main(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """Be the pad called ``link`` until ``stop``, one that knows NXP's commands by name; leaves no file behind."""
    await _be(world_path, link, stop, custom=True)


async def cpr(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """The same of a family that only passes custom commands through."""
    await _be(world_path, link, stop, custom=False)


async def _be(world_path: Path, link: Path, stop: asyncio.Event, *, custom: bool) -> None:
    await serve(
        world_path,
        link,
        stop,
        baud=BAUD,
        bits=BITS,
        framer=iso_host.framer,
        answer=lambda world: spoken(EmulatedFeig(world, custom=custom).answer),
    )


class EmulatedFeig:
    """A reader's memory between two requests: what its field remembers, and what MORE still owes."""

    def __init__(self, world: World, *, custom: bool = True, field: Field | None = None) -> None:
        self._field = field or Field(world)
        self._chip = Chip(self._field)
        self._custom = custom
        self._owed: list[WorldTag] = []

    def answer(self, request: Request) -> Answer:
        """The answer to one request; RemoteProtocolError if its data are too short."""
        if request.command in (Command.RF_RESET, Command.CPU_RESET):
            self._chip.reset()
            self._owed = []
        if (said := control(request, _VERSION)) is not None:
            return said
        match request.command:
            case Command.SET_OUTPUT_MASK:
                OutputMask.decode(request.data)
                return grant(request)
            case Command.ISO:
                return self._tags(request, TagCommand.decode(request.data))
            case Command.CUSTOM if self._custom:
                return self._named(request, CustomCommand.decode(request.data))
            case Command.THROUGH:
                return self._through(request, Through.decode(request.data))
            case _:
                return refuse(request, Status.UNKNOWN_COMMAND)

    def _tags(self, request: Request, command: TagCommand) -> Answer:
        if command.sub == Sub.INVENTORY:
            return self._inventory(request, bool(command.mode & MORE))
        tag = self._meant(command.uid, command.mode)
        if tag is None:
            return refuse(request, Status.NO_TAG, air.silence())
        match command.sub:
            case Sub.STAY_QUIET:
                return grant(request, air=self._field.quiet(tag))
            case Sub.SELECT:
                return grant(request, air=self._field.select(tag))
            case Sub.RESET_TO_READY:
                return grant(request, air=self._field.ready(tag))
            case Sub.SYSTEM_INFO:
                info, spent = self._field.info(tag)
                return grant(request, encode_system_info(info), spent)
            case Sub.READ_BLOCKS:
                return self._read(request, command.args, tag)
            case Sub.SECURITY_STATUS:
                return self._security(request, command.args, tag)
            case _:
                return self._change(request, command, tag)

    def _inventory(self, request: Request, more: bool) -> Answer:
        spent = 0.0
        if not more:
            self._owed, spent = self._field.inventory()
        if not self._owed:
            return refuse(request, Status.NO_TAG, spent)
        room = 255 if request.advanced else 24  # of ten bytes each; the number of tags is one byte
        now, self._owed = self._owed[:room], self._owed[room:]
        data = encode_found([Found(Uid.parse(tag.uid), tag.dsfid) for tag in now])
        if self._owed:
            return refuse(request, Status.MORE, spent, data)
        return grant(request, data, spent)

    def _meant(self, uid: Uid | None, mode: int) -> WorldTag | None:
        """The tag in the field a command is for; without an address it must be the only one."""
        if uid is not None:
            return self._field.get(str(uid))
        if mode & 0x07 == Mode.SELECTED:
            return self._field.selected()
        here = self._field.present()
        return here[0] if len(here) == 1 else None

    def _read(self, request: Request, args: bytes, tag: WorldTag) -> Answer:
        if len(args) != 2:
            return refuse(request, Status.LENGTH)
        (first, count), size = args, tag.block_size
        if count == 0 or count * size > MOST_BYTES:
            return refuse(request, Status.RANGE)
        data, spent = self._field.read(tag, first, count)
        if data is None:
            return refuse(request, Status.ISO_ERROR, spent, _NOT_THERE)
        blocks = Blocks(size, data, self._field.locks(tag, first, count))
        return grant(request, blocks.encode(), air.read(count, size, locks=True))

    def _security(self, request: Request, args: bytes, tag: WorldTag) -> Answer:
        if len(args) != 2:
            return refuse(request, Status.LENGTH)
        first, count = args
        if first + count > tag.blocks:
            return refuse(request, Status.ISO_ERROR, air.exchange(12, 1), _NOT_THERE)
        locks = self._field.locks(tag, first, count)
        return grant(request, bytes((count,)) + locks, air.exchange(12, count))

    def _change(self, request: Request, command: TagCommand, tag: WorldTag) -> Answer:
        args = command.args
        match command.sub:
            case Sub.WRITE_AFI if len(args) == 1:
                done, spent = self._field.write_afi(tag, args[0])
            case Sub.WRITE_DSFID if len(args) == 1:
                done, spent = self._field.write_dsfid(tag, args[0])
            case Sub.LOCK_AFI | Sub.LOCK_DSFID:
                done, spent = self._field.lock(tag, _LOCKS[Sub(command.sub)])
            case Sub.LOCK_BLOCKS if len(args) == 2:
                done, spent = self._field.lock(tag, "blocks", args[0], args[1])
            case Sub.WRITE_BLOCKS if len(args) >= 3 and len(args) == 3 + args[1] * args[2]:
                return self._write(request, args, tag)
            case Sub.WRITE_AFI | Sub.WRITE_DSFID | Sub.LOCK_BLOCKS | Sub.WRITE_BLOCKS:
                return refuse(request, Status.LENGTH)
            case _:
                return refuse(request, Status.UNKNOWN_COMMAND)
        return self._outcome(request, tag, done, spent)

    def _write(self, request: Request, args: bytes, tag: WorldTag) -> Answer:
        first, count, size = args[:3]
        if size != tag.block_size or first + count > tag.blocks:
            return refuse(request, Status.ISO_ERROR, air.exchange(11 + size, 1), _NOT_THERE)
        numbers = {str(number) for number in range(first, first + count)}
        if numbers & tag.locks:
            return refuse(request, Status.ISO_ERROR, air.exchange(11 + size, 1), _LOCKED)
        done, spent = self._field.write(tag, first, args[3:])
        return self._outcome(request, tag, done, spent)

    def _outcome(self, request: Request, tag: WorldTag, done: bool, spent: float) -> Answer:
        if done:
            return grant(request, air=spent)
        here = any(one.uid == tag.uid for one in self._field.present())
        return refuse(request, Status.WRITE_ERROR if here else Status.NO_TAG, spent)

    def _named(self, request: Request, command: CustomCommand) -> Answer:
        """B1: NXP's commands by their numbers."""
        if command.sub == Custom.EAS_ALARM and command.uid is None:
            armed, spent = self._field.eas(None)
            return grant(request, air=spent) if armed else refuse(request, Status.NO_TAG, spent)
        tag = self._meant(command.uid, command.mode)
        if tag is None:
            return refuse(request, Status.NO_TAG, air.silence())
        if not nxp(tag):
            return refuse(request, Status.ISO_ERROR, air.exchange(11, 1), b"\x01")
        match command.sub:
            case Custom.SET_EAS | Custom.RESET_EAS:
                done, spent = self._field.write_eas(tag, command.sub == Custom.SET_EAS)
                return self._outcome(request, tag, done, spent)
            case Custom.LOCK_EAS:
                return self._outcome(request, tag, *self._field.lock(tag, "eas"))
            case Custom.EAS_ALARM:
                armed, spent = self._field.eas(tag)
                return grant(request, air=spent) if armed else refuse(request, Status.NO_TAG, spent)
            case _:
                return refuse(request, Status.UNKNOWN_COMMAND)

    def _through(self, request: Request, frame: Through) -> Answer:
        said, spent = self._chip.hear(frame.frame)
        if said is None:
            return refuse(request, Status.NO_TAG, spent)
        answer = sealed(said)
        if len(answer) != frame.heard:
            return refuse(request, Status.DATA_FALSE, spent)
        return grant(request, answer, spent)
