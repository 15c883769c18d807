"""An emulated UHFReader288 gate on a pty, with two light beams on its inputs; who walks through is the world's."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kiosk.emulators.feig_gate import watch
from kiosk.emulators.passing import Passing, UhfGateField
from kiosk.emulators.talk import Said, converse, until
from kiosk.emulators.tty import TtyLine
from kiosk.emulators.uhf18_pad import BAUD, BITS, EmulatedUhf
from kiosk.emulators.world import World
from kiosk.wire import len_frame
from kiosk.wire.uhf18 import ANY_ADDRESS, Command, Reply, Request, Series, Status
from kiosk.wire.uhf18_gate import HEARTBEAT, UNIT, GateCommand, Sighting

OUTER, INNER = 0x01, 0x02
"""Bits of the beams: input 1 is on the street's side."""
EVERY = 0.03
"""Seconds between two sightings of one tag in real-time mode."""
_STEPS = (
    (0.15, 0b01),
    (0.30, 0b11),
    (0.45, 0b10),
)  # seconds until which the first, both, the second are dark


async def main(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """Be the gate called ``link`` until ``stop``, one that is asked; leaves no file behind."""
    await be(world_path, link, stop)


async def push(world_path: Path, link: Path, stop: asyncio.Event) -> None:
    """The same in its real-time mode."""
    await be(world_path, link, stop, real_time=True)


async def be(
    world_path: Path, link: Path, stop: asyncio.Event,
    *, real_time: bool = False, lacks: frozenset[GateCommand] = frozenset(), alive: float = 0.5,
    epcs: dict[str, bytes] | None = None, noisy: bool = False,
) -> None:  # fmt: skip
    """``lacks``: what it does not know; ``epcs``: tags by UID with another bank 01; ``alive``: between heartbeats.

    ``noisy``: stray bytes stand before its answers.
    """
    world = World(world_path)
    line = _Line(link, BAUD, BITS)
    try:
        gate = EmulatedUhfGate(world, lacks=lacks, epcs=epcs)
        line.plug()
        works = [
            converse(line, len_frame.framer, gate.answer, lambda: noisy),
            watch(world, gate.look),
        ]
        if real_time:
            works.append(_tell(line, gate, alive))
        await until(stop, *works)
    finally:
        line.unplug()
        world.close()


class EmulatedUhfGate:
    """A reader at a gate's field, its relay and its inputs."""

    def __init__(
        self,
        world: World,
        *,
        lacks: frozenset[GateCommand] = frozenset(),
        epcs: dict[str, bytes] | None = None,
    ) -> None:
        self._world = world
        self._lacks = lacks
        self._passing = Passing(world)
        self._field = UhfGateField(world, self._passing, epcs=epcs)
        self._reader = EmulatedUhf(self._field, Series.R288)

    def look(self) -> None:
        """Notice who walks in."""
        self._passing.look()

    def answer(self, frame: bytes) -> Said | None:
        """What it says to a frame; nothing if that is for another reader."""
        self.look()
        request = Request.decode(frame)
        if request.address not in (0, ANY_ADDRESS):
            return None
        match request.command:
            case lacking if lacking in self._lacks:
                return Said(Reply(0, Status.ILLEGAL).encode())
            case GateCommand.INPUTS:
                return Said(Reply(request.command, Status.OK, bytes((self._dark(),))).encode())
            case GateCommand.RELAY if len(request.data) == 1:
                self._world.siren(request.data[0] * UNIT)
            case GateCommand.BUZZER if len(request.data) == 3:
                on, off, times = request.data
                self._world.siren((on + off) * times * UNIT)
            case _:
                return self._reader.answer(frame)
        return Said(Reply(request.command).encode())

    def sightings(self) -> list[Sighting]:
        """One of every tag in the field."""
        return [Sighting(tag.uii, 1, 0xC8) for tag in self._field.present()]

    def _dark(self) -> int:
        one = self._passing.crossing()
        if one is None:
            return 0
        since = asyncio.get_running_loop().time() - one.at
        first, second = (OUTER, INNER) if one.walk.direction == "in" else (INNER, OUTER)
        step = next((dark for end, dark in _STEPS if since < end), 0)
        return first * (step & 1) | second * (step >> 1)


class _Line(TtyLine):
    """Answers and what is told unasked do not mix."""

    def __init__(self, link: Path, baud: int, bits: int) -> None:
        super().__init__(link, baud, bits)
        self._one = asyncio.Lock()

    async def send(self, data: bytes, start: float) -> None:
        async with self._one:
            await super().send(data, max(start, asyncio.get_running_loop().time()))


async def _tell(line: TtyLine, gate: EmulatedUhfGate, alive: float) -> None:
    loop = asyncio.get_running_loop()
    said_at = -alive
    number = 0
    while True:
        seen = gate.sightings()
        for one in seen:
            await line.send(Reply(Command.PUSHED, Status.OK, one.encode()).encode(), loop.time())
        if seen:
            said_at = loop.time()
        elif loop.time() - said_at >= alive:
            number += 1
            beat = number.to_bytes(4, "big") + bytes(12)
            await line.send(Reply(Command.PUSHED, HEARTBEAT, beat).encode(), loop.time())
            said_at = loop.time()
        await asyncio.sleep(EVERY)
