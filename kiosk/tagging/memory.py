"""What a tag holds, all of it, and what must be written to make it hold something else."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from kiosk.devices.base import Bench, Tag
from kiosk.tagging.refusals import refused
from kiosk.wire.content import Content
from kiosk.wire.iso15693 import SystemInfo
from kiosk.wire.tag import decode
from mocban.errors import ConfigError

T = TypeVar("T")
_ROUNDS = 5  # until two rounds in a row see the same
_MOST_BLOCKS = 256  # ISO 15693 counts no further in one byte


@dataclass(frozen=True, slots=True)
class Held:
    """The content of a tag. None: not told, or not to be touched."""

    data: bytes = field(repr=False)
    afi: int | None = None
    dsfid: int | None = None
    eas: bool | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """One tag on the bench: ``block`` bytes a block, ``info`` as it told of itself."""

    uid: str
    block: int
    held: Held
    info: SystemInfo | None = None
    epc: bytes = field(default=b"", repr=False)

    @property
    def content(self) -> Content:
        """What it says."""
        return decode(self.held.data, afi=self.held.afi, dsfid=self.held.dsfid, epc=self.epc)

    @property
    def blocks(self) -> int:
        """How many blocks it has."""
        return len(self.held.data) // self.block


async def look(bench: Bench) -> list[Tag]:
    """What lies there, by UID: asked until two rounds in a row saw the same, five times at most."""
    seen: list[Tag] = []
    before: set[str] | None = None
    for _ in range(_ROUNDS):
        seen = sorted(await bench.tags(), key=lambda tag: tag.uid)
        now = {tag.uid for tag in seen}
        if now == before and all(tag.data or tag.epc for tag in seen):
            break
        before = now
    return seen


async def take(bench: Bench, tag: Tag, *, eas: bool = False) -> Memory:
    """All of one tag. What the inventory read already is not read again. ``eas``: ask for that as well.

    Refused ``tag-gone`` if it does not answer; ConfigError ``unsupported`` for a UHF tag.
    """
    info = await bench.info(tag.uid)
    if info is None:
        raise refused("tag-gone", uid=tag.uid)
    size = info.block_size or await _size(bench, tag.uid)
    data = tag.data[: len(tag.data) // size * size]
    if info.blocks is None:
        data = await _all(bench, tag.uid, data, size)
    elif len(data) < info.blocks * size:
        rest = await bench.read(tag.uid, len(data) // size, info.blocks - len(data) // size)
        if not rest:
            raise refused("tag-gone", uid=tag.uid)
        data += rest
    else:
        data = data[: info.blocks * size]
    afi = info.afi if info.afi is not None else await family(bench, tag.uid)
    dsfid = info.dsfid if info.dsfid is not None else tag.dsfid
    armed = await alarm(bench, tag.uid) if eas else None
    return Memory(tag.uid, size, Held(data, afi, dsfid, armed), info)


async def again(bench: Bench, memory: Memory) -> Memory:
    """The same tag as it is now, every byte read anew."""
    fresh = await take(bench, Tag(memory.uid), eas=memory.held.eas is not None)
    return replace(fresh, block=memory.block)


async def family(bench: Bench, uid: str) -> int | None:
    """The AFI; None if this tag or this reader tells none, or the tag is silent."""
    return await _if_known(bench.read_afi(uid))


async def alarm(bench: Bench, uid: str) -> bool | None:
    """Whether the EAS bit is set; None if this tag or this reader knows none, or the tag is silent."""
    return await _if_known(bench.read_eas(uid))


def runs(now: bytes, wanted: bytes, block: int) -> Iterator[tuple[int, bytes]]:
    """First block and bytes of each run of blocks in which ``wanted`` differs from ``now``."""
    start: int | None = None
    for at in range(0, len(wanted), block):
        if now[at : at + block] == wanted[at : at + block]:
            if start is not None:
                yield start // block, wanted[start:at]
                start = None
        elif start is None:
            start = at
    if start is not None:
        yield start // block, wanted[start:]


async def _if_known(asked: Awaitable[T | None]) -> T | None:
    try:
        return await asked
    except ConfigError as error:
        if error.code != "unsupported":
            raise
        return None


async def _size(bench: Bench, uid: str) -> int:
    one = await bench.read(uid, 0, 1)
    if not one:
        raise refused("tag-gone", uid=uid)
    return len(one)


async def _all(bench: Bench, uid: str, data: bytes, size: int) -> bytes:
    """A tag that does not tell its size is read until it has no more."""
    while len(data) // size < _MOST_BLOCKS:
        one = await bench.read(uid, len(data) // size, 1)
        if one is None:
            raise refused("tag-gone", uid=uid)
        if not one:
            break
        data += one
    return data
