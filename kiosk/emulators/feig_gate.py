"""An emulated FEIG gate on a pty, with its own buffer of reads; who walks through is the world's.

It keeps the times of its line and of the tags on air: a record stands in the buffer once its tag was found and read. A
tag that stays in the field is told again every second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from kiosk.emulators import air
from kiosk.emulators.feig import Answer, control, converse, grant, refuse, until
from kiosk.emulators.feig_pad import EmulatedFeig
from kiosk.emulators.passing import GateField, Passing
from kiosk.emulators.things import IN_STOCK, WorldTag
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
HAS = Has.IDD | Has.BLOCKS | Has.ANTENNA | Has.SECOND | Has.INPUT
"""Fields of each record."""
AGAIN = 1.0
"""Seconds after which a tag that stays is told once more."""
LOOK = 0.02
"""Seconds between two looks at the world."""
_VERSION = Version((2, 7), 0x00, 0x40, 0x2A, bytes.fromhex("0008"))
_DIRECTION = {"in": 1, "out": 2}
_OUTPUTS = (0x01, 0x81)  # digital output 1, relay 1: both are wired to siren and lamp
_FOR_EVER = 0xFFFF
_BLOCKS = 9  # read while somebody walks through
_MOST = 60  # records in one answer, so that it stays below 4 KiB


async def main(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """Be the gate called ``link`` until ``stop``; it polls AFI 07. Leaves no file behind."""
    await be(world_path, link, stop)


async def be(
    world_path: Path, link: Path, stop: asyncio.Event,
    *, afi: int | None = IN_STOCK, custom: bool = True, noisy: bool = False,
) -> None:  # fmt: skip
    """The same, set to poll ``afi`` (None: every tag); ``custom``: it can be asked for EAS alarms.

    ``noisy``: stray bytes stand before its answers.
    """
    world = World(world_path)
    line = TtyLine(link)
    try:
        gate = EmulatedGate(world, afi=afi, custom=custom)
        line.plug()
        await until(stop, converse(line, gate.answer, lambda: noisy), watch(world, gate.look))
    finally:
        line.unplug()
        world.close()


class Reading:
    """What a reader that scans by itself found: records, each due when its tag was read."""

    def __init__(self, world: World, passing: Passing, afi: int | None = IN_STOCK) -> None:
        self._world = world
        self._passing = passing
        self._afi = afi
        self._due: list[tuple[float, Record]] = []
        self._told: dict[str, float] = {}

    def look(self) -> list[Record]:
        """The records that became whole since the last look."""
        now = asyncio.get_running_loop().time()
        for one in self._passing.look():
            self._read(list(one.walk.tags), one.at, _DIRECTION[one.walk.direction])
        staying = self._world.tags("gate")
        self._told = {tag.uid: self._told.get(tag.uid, 0.0) for tag in staying}
        again = [tag for tag in staying if now - self._told[tag.uid] >= AGAIN]
        self._told |= {tag.uid: now for tag in again}
        self._read(again, now, 0)
        whole = [record for due, record in self._due if due <= now]
        self._due = [(due, record) for due, record in self._due if due > now]
        return whole

    def _read(self, tags: list[WorldTag], now: float, way: int) -> None:
        """Whoever carries only items of another family stays unseen."""
        found = [tag for tag in tags if self._afi is None or tag.afi == self._afi]
        due = now + air.inventory([bytes.fromhex(tag.uid) for tag in found], self._afi)
        for tag in found:
            due += air.read(_BLOCKS, tag.block_size)
            self._due.append((due, _record(tag, way)))


class EmulatedGate:
    """A reader between two requests. A siren that is told to sound for ever raises ``ValueError``: that kills it."""

    def __init__(self, world: World, *, afi: int | None = IN_STOCK, custom: bool = True) -> None:
        self._world = world
        passing = Passing(world)
        self._reading = Reading(world, passing, afi)
        self._pad = EmulatedFeig(world, custom=custom, field=GateField(world, passing))
        self._buffer: list[Record] = []
        self._read = 0
        self._overflowed = False
        self._counted_from = (0, 0)
        self._until = 0.0

    @property
    def sounding(self) -> bool:
        """Whether siren and lamp are on now. The relay falls off by itself, whoever is still there."""
        return asyncio.get_running_loop().time() < self._until

    def look(self) -> None:
        """Put whoever walked through since into the buffer."""
        for record in self._reading.look():
            if len(self._buffer) >= ROOM:
                self._overflowed = True
            else:
                self._buffer.append(record)

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
                self._until = max(
                    self._until, asyncio.get_running_loop().time() + _seconds(request)
                )
                return switch(self._world, request)
            case Command.PIGGYBACK:
                return self._counter(request, Piggyback.decode(request.data))
            case Command.ISO | Command.CUSTOM:
                return self._pad.answer(request)
            case _:
                return refuse(request, Status.UNKNOWN_COMMAND)

    def _batch(self, request: Request) -> Answer:
        if len(request.data) != 2:
            return refuse(request, Status.LENGTH)
        room = _MOST if request.advanced else 3
        self._read = min(int.from_bytes(request.data, "big"), room, len(self._buffer))
        if not self._buffer:
            return refuse(request, Status.NO_DATA)
        data = Batch(HAS, tuple(self._buffer[: self._read])).encode()
        if self._overflowed:
            return refuse(request, Status.OVERFLOW, data=data)
        more = self._read < len(self._buffer)
        return refuse(request, Status.MORE, data=data) if more else grant(request, data)

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


def switch(world: World, request: Request) -> Answer:
    """72: the siren for a time."""
    outputs = decode_outputs(request.data)
    if any(output.number not in _OUTPUTS for output in outputs):
        return refuse(request, Status.RANGE)
    for output in outputs:
        if output.state & 0x03 != 0x01:
            continue
        if output.tenths == _FOR_EVER:
            raise ValueError("a siren without an end was asked for")
        world.siren(min(output.tenths / 10, 600.0))
    return grant(request)


def _seconds(request: Request) -> float:
    outputs = decode_outputs(request.data)
    return max((one.tenths / 10 for one in outputs if one.state & 0x03 == 0x01), default=0.0)


async def watch(world: World, look: Callable[[], object]) -> None:
    """Look whenever the world changed, and now and then: the buffer fills even while nobody asks."""
    seen, turn = -1, 0
    while True:
        turn += 1
        if (version := world.version()) != seen or turn % 5 == 0:
            seen = version
            look()
        await asyncio.sleep(LOOK)


def _record(tag: WorldTag, way: int) -> Record:
    return Record(
        idd=bytes.fromhex(tag.uid),
        tag_type=0x03,
        data=tag.data[: _BLOCKS * tag.block_size],
        block_size=tag.block_size,
        antenna=1,
        inputs=(0, way),
    )
