"""An emulated FEIG gate on a pty, with its own buffer of reads; who walks through is the world's."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kiosk.emulators.feig import Answer, control, converse, grant, refuse, until
from kiosk.emulators.things import IN_STOCK, WorldPassage, WorldTag
from kiosk.emulators.tty import TtyLine
from kiosk.emulators.world import World
from kiosk.wire.iso_host import Command, Reply, Request, Status, Version
from kiosk.wire.iso_host_gate import (
    COUNTER,
    Batch,
    Has,
    Piggyback,
    Record,
    decode_outputs,
    encode_counters,
)
from mocban.errors import RemoteProtocolError

ROOM = 128  # records the buffer holds
_VERSION = Version((2, 7), 0x00, 0x40, 0x2A, bytes.fromhex("0008"))
_HAS = Has.IDD | Has.BLOCKS | Has.ANTENNA | Has.SECOND | Has.INPUT
_DIRECTION = {"in": 1, "out": 2}
_OUTPUTS = (0x01, 0x81)  # digital output 1, relay 1: both are wired to siren and lamp
_BASIC = 36  # bytes read while somebody walks through
_MOST = 60  # records in one answer, so that it stays below 4 KiB
_POLL = 0.05  # seconds between two looks at the world


async def main(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """Be the gate called ``link`` until ``stop``; leaves no file behind."""
    world = World(world_path)
    line = TtyLine(link)
    try:
        gate = EmulatedGate(world)
        line.plug()
        await until(stop, converse(line, gate.answer, lambda: False), _watch(world, gate))
    finally:
        line.unplug()
        world.close()


class EmulatedGate:
    """It polls for AFI 07, so whoever carries only lent items stays unseen but for the people counter."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._after = max((walk.no for walk in world.passages(0)), default=0)
        self._buffer: list[Record] = []
        self._read = 0
        self._overflowed = False
        self._counted_from = (0, 0)

    def look(self) -> None:
        """Put whoever walked through since into the buffer."""
        for walk in self._world.passages(self._after):
            self._after = walk.no
            for tag in walk.tags:
                if tag.afi != IN_STOCK:
                    continue
                if len(self._buffer) >= ROOM:
                    self._overflowed = True
                else:
                    self._buffer.append(_record(walk, tag))

    def answer(self, request: Request) -> Answer:
        """The answer to one request; RemoteProtocolError if its data are too short."""
        if (said := control(request, _VERSION)) is not None:
            return said
        self.look()
        match request.command:
            case Command.READ_BUFFER:
                return self._batch(request)
            case Command.CLEAR_BUFFER:
                del self._buffer[: self._read]
                self._read, self._overflowed = 0, False
                return grant(request)
            case Command.INIT_BUFFER:
                self._buffer.clear()
                self._read, self._overflowed = 0, False
                return grant(request)
            case Command.BUFFER_INFO:
                filled = len(self._buffer).to_bytes(2, "big")
                return grant(request, ROOM.to_bytes(2, "big") + b"\x00\x00" + filled)
            case Command.SET_OUTPUT:
                return self._switch(request)
            case Command.PIGGYBACK:
                return self._counter(request, Piggyback.decode(request.data))
            case _:
                return refuse(request, Status.UNKNOWN_COMMAND)

    def _batch(self, request: Request) -> Answer:
        if len(request.data) != 2:
            return refuse(request, Status.LENGTH)
        room = _MOST if request.advanced else 3
        self._read = min(int.from_bytes(request.data, "big"), room, len(self._buffer))
        if not self._buffer:
            return refuse(request, Status.NO_DATA)
        data = Batch(_HAS, tuple(self._buffer[: self._read])).encode()
        if self._overflowed:
            return refuse(request, Status.OVERFLOW, data=data)
        more = self._read < len(self._buffer)
        return refuse(request, Status.MORE, data=data) if more else grant(request, data)

    def _switch(self, request: Request) -> Answer:
        outputs = decode_outputs(request.data)
        if any(output.number not in _OUTPUTS for output in outputs):
            return refuse(request, Status.RANGE)
        for output in outputs:
            if output.state & 0x03 == 0x01:
                self._world.siren(min(output.tenths / 10, 600.0))
        return grant(request)

    def _counter(self, request: Request, packed: Piggyback) -> Answer:
        try:
            inner = Request.decode(packed.frame)
        except RemoteProtocolError:
            inner = None
        meant = (packed.mode, packed.device, packed.port) == (0x00, 0x0D, 0x02)
        if inner is None or inner.address != COUNTER or not meant:
            return refuse(request, Status.PERIPHERAL_SILENT)
        said = self._count(inner)
        return grant(request, said.encode())

    def _count(self, inner: Request) -> Reply:
        """The radar behind the reader: only its second aisle is connected."""
        entered, left = self._world.people()
        match inner.command:
            case Command.GET_COUNTERS:
                base = self._counted_from
                values = (0, 0, max(0, entered - base[0]), max(0, left - base[1]))
                data = encode_counters(values)
                return Reply(inner.command, Status.OK, data, COUNTER, advanced=True)
            case Command.SET_COUNTERS if not any(inner.data):
                self._counted_from = (entered, left)
                return Reply(inner.command, Status.OK, b"", COUNTER, advanced=True)
            case _:
                return Reply(inner.command, Status.RANGE, b"", COUNTER, advanced=True)


def _record(walk: WorldPassage, tag: WorldTag) -> Record:
    return Record(
        idd=bytes.fromhex(tag.uid),
        tag_type=0x03,
        data=tag.data[:_BASIC],
        block_size=tag.block_size,
        antenna=1,
        inputs=(0, _DIRECTION[walk.direction]),
    )


async def _watch(world: World, gate: EmulatedGate) -> None:
    """Look whenever the world changed: the buffer fills even while nobody asks."""
    seen = -1
    while True:
        if (version := world.version()) != seen:
            seen = version
            gate.look()
        await asyncio.sleep(_POLL)
