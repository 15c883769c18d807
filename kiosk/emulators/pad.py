"""An emulated FEIG pad on a pty; what lies on it is the world's."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kiosk.emulators.feig import Answer, control, converse, grant, refuse, until
from kiosk.emulators.things import WorldTag
from kiosk.emulators.tty import TtyLine
from kiosk.emulators.world import World
from kiosk.wire.iso15693 import Found, SystemInfo, Uid
from kiosk.wire.iso_host import Command, OutputMask, Request, Status, Version
from kiosk.wire.iso_host_tags import (
    MORE,
    MOST_BYTES,
    Blocks,
    Mode,
    Sub,
    TagCommand,
    encode_found,
    encode_system_info,
)

_VERSION = Version((4, 2), 0x00, 0x21, 0x54, bytes.fromhex("0008"))
_ICODE_SLIX = 0x01  # IC reference
_NOT_THERE = b"\x10"  # ISO 15693: no such block
_POLL = 0.05  # seconds between two looks at the world
_EEPROM = 0.005  # seconds a tag needs to write


async def main(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """Be the pad called ``link`` until ``stop``; leaves no file behind."""
    world = World(world_path)
    line = TtyLine(link)
    try:
        pad = EmulatedPad(world)
        await until(
            stop,
            converse(line, pad.answer, lambda: bool(world.fault("pad-noise"))),
            _watch(world, line),
        )
    finally:
        line.unplug()
        world.close()


class EmulatedPad:
    """A reader's memory between two requests: quieted and selected tags, and what MORE still owes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._quiet: set[str] = set()
        self._selected = ""
        self._owed: list[WorldTag] = []

    def answer(self, request: Request) -> Answer:
        """The answer to one request; RemoteProtocolError if its data are too short."""
        if request.command in (Command.RF_RESET, Command.CPU_RESET):
            self._quiet.clear()
            self._selected = ""
            self._owed = []
        if (said := control(request, _VERSION)) is not None:
            return said
        match request.command:
            case Command.SET_OUTPUT_MASK:
                OutputMask.decode(request.data)
                return grant(request)
            case Command.ISO:
                return self._tags(request, TagCommand.decode(request.data))
            case _:
                return refuse(request, Status.UNKNOWN_COMMAND)

    def _tags(self, request: Request, command: TagCommand) -> Answer:
        if command.sub == Sub.INVENTORY:
            return self._inventory(request, bool(command.mode & MORE))
        tag = self._meant(command)
        if tag is None:
            return refuse(request, Status.NO_TAG, air=0.006)
        match command.sub:
            case Sub.STAY_QUIET:
                self._quiet.add(tag.uid)
                return grant(request, air=0.004)
            case Sub.SELECT:
                self._selected = tag.uid
                return grant(request, air=0.006)
            case Sub.RESET_TO_READY:
                self._quiet.discard(tag.uid)
                self._selected = ""
                return grant(request, air=0.006)
            case Sub.SYSTEM_INFO:
                return grant(request, encode_system_info(_info(tag)), air=0.0098)
            case Sub.READ_BLOCKS:
                return _read(request, command, tag)
            case Sub.WRITE_AFI | Sub.WRITE_BLOCKS:
                return self._write(request, command, tag)
            case _:
                return refuse(request, Status.UNKNOWN_COMMAND)

    def _inventory(self, request: Request, more: bool) -> Answer:
        if not more:
            field = self._world.tags("pad")
            self._owed = [tag for tag in field if tag.uid not in self._quiet]
        if not self._owed:
            return refuse(request, Status.NO_TAG, air=0.0098)
        room = 400 if request.advanced else 24  # of ten bytes each
        now, self._owed = self._owed[:room], self._owed[room:]
        data = encode_found([Found(Uid.parse(tag.uid), tag.dsfid) for tag in now])
        air = 0.005 + 0.009 * len(now)
        if self._owed:
            return refuse(request, Status.MORE, air, data)
        return grant(request, data, air)

    def _meant(self, command: TagCommand) -> WorldTag | None:
        """The tag in the field a command is for; without an address it must be the only one."""
        field = {tag.uid: tag for tag in self._world.tags("pad")}
        if command.uid is not None:
            return field.get(str(command.uid))
        if command.mode & 0x07 == Mode.SELECTED:
            return field.get(self._selected)
        return next(iter(field.values())) if len(field) == 1 else None

    def _write(self, request: Request, command: TagCommand, tag: WorldTag) -> Answer:
        air = 0.0059 + _EEPROM
        if self._world.fault("write-fails"):
            return refuse(request, Status.WRITE_ERROR, air)
        if command.sub == Sub.WRITE_AFI:
            if len(command.args) != 1:
                return refuse(request, Status.LENGTH)
            self._world.write_afi(tag.uid, command.args[0])
            return grant(request, air=air)
        return self._write_blocks(request, command.args, tag)

    def _write_blocks(self, request: Request, args: bytes, tag: WorldTag) -> Answer:
        if len(args) < 3 or len(args) != 3 + args[1] * args[2]:
            return refuse(request, Status.LENGTH)
        first, count, size, data = args[0], args[1], args[2], args[3:]
        if size != tag.block_size or first + count > len(tag.data) // size:
            return refuse(request, Status.ISO_ERROR, 0.007, _NOT_THERE)
        for number in range(count):
            self._world.write_block(tag.uid, first + number, data[number * size :][:size])
        return grant(request, air=count * (0.0071 + _EEPROM))


def _info(tag: WorldTag) -> SystemInfo:
    blocks = len(tag.data) // tag.block_size
    return SystemInfo(Uid.parse(tag.uid), tag.dsfid, tag.afi, blocks, tag.block_size, _ICODE_SLIX)


def _read(request: Request, command: TagCommand, tag: WorldTag) -> Answer:
    if len(command.args) != 2:
        return refuse(request, Status.LENGTH)
    (first, count), size = command.args, tag.block_size
    if count == 0 or count * size > MOST_BYTES:
        return refuse(request, Status.RANGE)
    if first + count > len(tag.data) // size:
        return refuse(request, Status.ISO_ERROR, 0.006, _NOT_THERE)
    data = tag.data[first * size : (first + count) * size]
    return grant(request, Blocks(size, data).encode(), air=0.0059 + 0.00122 * count)


async def _watch(world: World, line: TtyLine) -> None:
    """Plug and unplug as the world says."""
    seen = -1
    while True:
        if (version := world.version()) != seen:
            seen = version
            if world.fault("pad-unplugged"):
                line.unplug()
            else:
                line.plug()
        await asyncio.sleep(_POLL)
