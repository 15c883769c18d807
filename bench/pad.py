"""A stack on the pad until it is decoded, and until it is disarmed and proven, against the shortest exchange of frames.

The limit is computed, not measured: for the same tags and seed, the bytes of every frame at the line's speed, the
reader's thinking, the tags' time on air (``kiosk.emulators.air``) and the silence a FEIG reader wants before each frame
but the first. Cache cold, no library system, no settling wait; that wait is printed beside it.

Why this is the shortest correct sequence:
- Decoded: one inventory with as many answers as its tags need, then one read of nine blocks by UID for each tag. Fewer
  blocks do not hold the basic block of ISO 28560-3; a read without UID is answered by any tag that lies there at that
  moment; selecting first costs an exchange more. NXP's inventory-read would be shorter, but only for NXP's tags.
- Disarmed and proven: for each tag one write of the AFI by its UID and one question to the same tag. The write's own
  status proves nothing: it can be lost, and it can lie. Books are lent one by one, so each is proven before the next.
  (Where a reader's inventory takes an AFI, one filtered inventory could prove a whole stack at its end. A 3M pad's can.
  No loan could be told before the last book was written then; that limit is printed beside it as well.)
- Advanced FEIG frames cost two bytes more each way and save answers of the inventory only: longer from 2 tags on.

The emulated reader runs in a process of its own behind a pty. How late its answers ended, which is this machine's doing
and counted against ours, is printed too.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from kiosk.devices import open_pad
from kiosk.devices.base import Pad
from kiosk.devices.feig import GAP
from kiosk.emulators import feig as feig_words
from kiosk.emulators import feig_pad, m3_pad, talk
from kiosk.emulators.talk import Answer
from kiosk.emulators.tty import TtyLine
from kiosk.emulators.world import World
from kiosk.inventory import MISSES, PAUSE
from kiosk.wire import iso_host, iso_host_tags, m3, m3_tags
from kiosk.wire.content import ItemTag
from kiosk.wire.framing import Framer
from kiosk.wire.iso15693 import Uid
from kiosk.wire.iso_host import Reply, Status
from kiosk.wire.tag import decode
from mocban.benches import Case, case
from tests.support.emulated import until

STACKS = (1, 10, 30, 50)
SHARE = 0.90
"""Of our time that the limit has to fill."""
SEED = 28560
_QUIET = 0.02  # seconds of rest before each measurement, as a kiosk's line rests: no gap is owed to the frame before
ON_LOAN = 0xC2
ITEM = "BG00012345"
_BOOK = "110101424730303031323334350000000000000317564E42473031"  # a vector made by others: ITEM, VN-BG01
_LOOK = m3_tags.Option.UID | m3_tags.Option.DSFID | m3_tags.Option.SET | m3_tags.Option.ONE_POLL


class Reader(NamedTuple):
    """A reader as the bench needs it. ``look``: asks until the inventory is whole; the others make one frame."""

    title: str
    driver: str
    query: str
    baud: int
    bits: int
    gap: float
    framer: Callable[[], Framer]
    answer: Callable[[World], Answer]
    look: Callable[[Callable[[bytes], bytes]], None]
    read: Callable[[Uid], bytes]
    write: Callable[[Uid], bytes]
    prove: Callable[[Uid], bytes]
    prove_all: Callable[[], bytes] | None = None


def _feig_look(ask: Callable[[bytes], bytes]) -> None:
    reply = Reply.decode(ask(iso_host_tags.inventory().encode()))
    while reply.status == Status.MORE:
        reply = Reply.decode(ask(iso_host_tags.inventory(more=True).encode()))


def _m3_look(ask: Callable[[bytes], bytes]) -> None:
    ask(m3_tags.inventory(options=_LOOK).encode())


READERS = {
    "feig": Reader(
        "FEIG 38400 8E1", "feig", "baud=38400&parity=E", feig_pad.BAUD, feig_pad.BITS, GAP, iso_host.framer,
        lambda world: feig_words.spoken(feig_pad.EmulatedFeig(world).answer), _feig_look,
        lambda uid: iso_host_tags.read_blocks(uid, 0, 9).encode(),
        lambda uid: iso_host_tags.write_afi(uid, ON_LOAN).encode(),
        lambda uid: iso_host_tags.system_info(uid).encode(),
    ),
    "3m": Reader(
        "3M 19200 8N1", "3m", "baud=19200", m3_pad.BAUD, m3_pad.BITS, 0.0, m3.framer,
        lambda world: m3_pad.EmulatedM3(world).answer, _m3_look,
        lambda uid: m3_tags.read_blocks(uid, 0, 9).encode(),
        lambda uid: m3_tags.write_afi(uid, ON_LOAN).encode(),
        lambda uid: m3_tags.get_afi(uid).encode(),
        lambda: m3_tags.inventory(ON_LOAN, m3_tags.Option.UID | m3_tags.Option.ONE_POLL).encode(),
    ),
}  # fmt: skip


def seed(size: int) -> dict[str, Any]:
    """``size`` books on the pad: ICODE SLIX of 28 blocks, ISO 28560-3, UIDs by ``SEED``."""
    chance = random.Random(SEED)
    book = {"kind": "item", "afi": 0x07, "blocks": 28, "place": "pad", "label": {}, "data": _BOOK}
    uids = ["E00401" + chance.randbytes(5).hex().upper() for _ in range(size)]
    return {"tag": [book | {"name": f"book-{uid}", "uid": uid} for uid in uids]}


def run(quick: bool) -> list[Case]:
    """Every stack on every reader: 3 rounds, or 7; each with a cold cache."""
    return asyncio.run(_run(3 if quick else 7))


async def _run(rounds: int) -> list[Case]:
    cases: list[Case] = []
    for reader in READERS.values():
        for size in STACKS:
            cases += await _stack(reader, size, rounds)
    return cases


async def _stack(reader: Reader, size: int, rounds: int) -> list[Case]:
    with tempfile.TemporaryDirectory(prefix="mocban-bench-") as name:
        folder = Path(name)
        world = World.create(folder / "world.db", seed(size))
        reads, writes, batch = _limits(reader, world)
        decoded: list[float] = []
        disarmed: list[float] = []
        late: list[float] = []
        async with _emulated(reader, world, folder, late) as device:
            for _ in range(rounds):
                world.reset()
                await device.close()
                await device.open()
                decoded.append(await _decode(device, size))
                disarmed.append(await _disarm(device, world))
        world.close()
    lateness = (
        f"emulator late by {1e3 * sum(late) / max(1, len(late)):.2f} ms an answer of {len(late)}"
    )
    settling = f"settling {MISSES * PAUSE:.1f} s not counted"
    proof = f"; proven by one filtered inventory: {batch:.3f} s" if batch else ""
    return [
        _case(f"{reader.title}, {size} decoded", decoded, reads, f"{lateness}, {settling}"),
        _case(f"{reader.title}, {size} disarmed and proven", disarmed, writes, lateness + proof),
    ]


def _case(name: str, ours: list[float], limit: float, beside: str) -> Case:
    share = limit / median(ours)
    what = f"the limit ({share:.3f} of ours; {beside})"
    return case(name, ours, [limit], unit="s", goal=round(limit / SHARE, 3), what=what)


def _limits(reader: Reader, world: World) -> tuple[float, float, float]:
    """Seconds of the shortest sequences: decoded; disarmed and proven; the same with one proof for all (0: unknown)."""
    uids = [Uid.parse(tag.uid) for tag in world.tags("pad")]
    reads = _Clock(reader, world)
    reader.look(reads.ask)
    reads.all(map(reader.read, uids))
    writes, batch = _Clock(reader, world), _Clock(reader, world)
    for uid in uids:
        writes.all((reader.write(uid), reader.prove(uid)))
    if reader.prove_all is not None:
        batch.all((*map(reader.write, uids), reader.prove_all()))
    world.reset()
    return reads.spent, writes.spent, batch.spent


class _Clock:
    """Adds up what frames cost, answered by the emulated reader's own words and by nobody's clock."""

    def __init__(self, reader: Reader, world: World) -> None:
        self.spent = 0.0
        self._reader = reader
        self._answer = reader.answer(world)

    def ask(self, frame: bytes) -> bytes:
        """One exchange."""
        said = self._answer(frame)
        assert said is not None
        line = (len(frame) + len(said.data)) * self._reader.bits / self._reader.baud
        gap = self._reader.gap if self.spent else 0.0
        self.spent += gap + line + said.think + said.air
        return said.data

    def all(self, frames: Iterable[bytes]) -> None:
        """One after the other."""
        for frame in frames:
            self.ask(frame)


async def _decode(device: Pad, size: int) -> float:
    await asyncio.sleep(_QUIET)
    start = time.perf_counter()
    tags = await device.tags()
    found = [decode(tag.data, dsfid=tag.dsfid) for tag in tags]
    spent = time.perf_counter() - start
    assert len(found) == size
    assert all(isinstance(one, ItemTag) and one.id == ITEM for one in found)
    return spent


async def _disarm(device: Pad, world: World) -> float:
    tags = [tag.uid for tag in world.tags("pad")]
    await asyncio.sleep(_QUIET)
    start = time.perf_counter()
    for uid in tags:
        assert await device.write_afi(uid, ON_LOAN)
    spent = time.perf_counter() - start
    assert all(tag.afi == ON_LOAN for tag in world.tags("pad"))
    return spent


@asynccontextmanager
async def _emulated(
    reader: Reader, world: World, folder: Path, late: list[float]
) -> AsyncIterator[Pad]:
    """The driver opposite the emulated reader in a process of its own; ``late`` gets how late its answers were."""
    link, told = folder / "pad", folder / "late.json"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", __file__, reader.driver, str(world.path), str(link), str(told)
    )
    device = open_pad(reader.driver, f"serial://{link}?{reader.query}")
    try:
        await until(link.is_symlink)
        yield device
    finally:
        await device.close()
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        await child.wait()
    late += json.loads(told.read_text())


async def _be(driver: str, world: str, link: str, told: str) -> None:
    """The emulated reader's process."""
    reader, stop = READERS[driver], asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await talk.serve(
        Path(world), Path(link), stop, baud=reader.baud, bits=reader.bits, framer=reader.framer,
        answer=reader.answer, timing=partial(_tell, Path(told)),
    )  # fmt: skip


def _tell(told: Path, line: TtyLine) -> None:
    told.write_text(json.dumps(list(line.lateness)))


if __name__ == "__main__":
    asyncio.run(_be(*sys.argv[1:]))
