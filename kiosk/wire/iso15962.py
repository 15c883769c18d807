"""ISO/IEC 15962 without a directory: data sets, one behind the other, as library tags of ISO 28560-2 hold them.

A set is a precursor, for OIDs of 15 and more the OID less 15, with the offset flag the number of pad bytes, the
length, the data and the pads. Pads let a set end with a block, so that the set, or the one behind it, can be locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mocban.errors import LocalProtocolError

MOST = 128  # sets that are read: there are 31 elements
LONGEST = 127  # bytes of data; how more are announced is not known for certain
_OFFSET = 0x80  # flag in the precursor
_FAR = 0x0F  # nibble in the precursor: the OID stands in the next byte
_MOST_PADS = 255


@dataclass(frozen=True, slots=True)
class DataSet:
    """One set: relative ``oid`` from 1, compaction ``code``, and where it was found, ``at``.

    ``pads``: the bytes behind the data, b"" if the flag is there without need; None without the flag.
    """

    oid: int
    code: int
    data: bytes = field(repr=False)
    pads: bytes | None = field(default=None, repr=False)
    at: int = field(default=0, compare=False)

    def __bytes__(self) -> bytes:
        head = self.code << 4 | min(self.oid, _FAR)
        out = bytearray((head if self.pads is None else head | _OFFSET,))
        if self.oid >= _FAR:
            out.append(self.oid - _FAR)
        if self.pads is not None:
            out.append(len(self.pads))
        out.append(len(self.data))
        return bytes(out) + self.data + (self.pads or b"")

    @property
    def size(self) -> int:
        """Bytes of the whole set."""
        head = 2 + (self.oid >= _FAR) + (self.pads is not None)
        return head + len(self.data) + len(self.pads or b"")

    @property
    def end(self) -> int:
        """The byte behind the set."""
        return self.at + self.size

    def bare(self) -> DataSet:
        """The same without flag and pads."""
        return replace(self, pads=None)

    def filled(self, size: int) -> DataSet | None:
        """The same in exactly ``size`` bytes; None if it takes more, or another 256 pads."""
        bare = self.bare()
        if bare.size == size:
            return bare
        pads = size - bare.size - 1
        return replace(self, pads=bytes(pads)) if 0 <= pads <= _MOST_PADS else None

    def whole(self, block: int) -> DataSet:
        """The same, padded to whole blocks if it is not so long by itself."""
        bare = self.bare()
        over = bare.size % block
        return replace(self, pads=bytes(-(bare.size + 1) % block)) if over else bare


class Stop(StrEnum):
    """Why there are no more sets."""

    TERMINATOR = "terminator"  # a 00 where a precursor was due
    EDGE = "edge"  # the end of what was read, between two sets
    CUT = "cut"  # the end of what was read, inside a set
    LONG = "long"  # a length of 128 or more
    NONSENSE = "nonsense"  # a precursor without an OID, or more sets than there can be


@dataclass(frozen=True, slots=True)
class Memory:
    """The sets of a memory; ``at``: where they stopped.

    ``missing``: bytes of a cut set that were not read, at least. ``rest``: a cut or too long set as far as it goes,
    None if not all of its head was there; ``length`` and ``pads`` are what it says of itself.
    """

    sets: tuple[DataSet, ...]
    stop: Stop
    at: int
    missing: int = 0
    rest: DataSet | None = None
    length: int = 0
    pads: int = 0


def parse(data: bytes) -> Memory:
    """Bytes from the first precursor -> sets. Total: never raises."""
    sets: list[DataSet] = []
    at, edge = 0, len(data)
    while at < edge:
        head = data[at]
        if head == 0:
            return Memory(tuple(sets), Stop.TERMINATOR, at)
        oid, flag, code = head & _FAR, head & _OFFSET, head >> 4 & 7
        if oid == 0 or len(sets) == MOST:
            return Memory(tuple(sets), Stop.NONSENSE, at)
        needs = 2 + (oid == _FAR) + (flag != 0)
        if at + needs > edge:
            return Memory(tuple(sets), Stop.CUT, at, at + needs - edge)
        here = at + 1
        if oid == _FAR:
            oid += data[here]
            here += 1
        pads = None
        if flag:
            pads = data[here]
            here += 1
        length = data[here]
        end = here + 1 + length + (pads or 0)
        body = data[here + 1 : here + 1 + length]
        behind = None if pads is None else data[here + 1 + length : end]
        one = DataSet(oid, code, body, behind, at)
        if length > LONGEST:
            return Memory(tuple(sets), Stop.LONG, at, 0, one, length, pads or 0)
        if end > edge:
            return Memory(tuple(sets), Stop.CUT, at, end - edge, one, length, pads or 0)
        sets.append(one)
        at = end
    return Memory(tuple(sets), Stop.EDGE, at)


def arrange(free: Sequence[DataSet], fixed: Sequence[DataSet] = ()) -> bytes:
    """Sets one behind the other: the ``fixed`` ones where they stand (``at``), the ``free`` ones around them in order.

    A gap before a fixed set is closed by pads of the free set in it; LocalProtocolError if none goes there. Free sets
    that fit overtake those that do not, but never one that would be the first of all.
    """
    out = bytearray()
    waiting = list(free)
    for one in sorted(fixed, key=lambda fixed: fixed.at):
        out += _fill(waiting, one.at - len(out), begin=not out)
        out += bytes(one)
    for one in waiting:
        out += bytes(one)
    return bytes(out)


def _fill(waiting: list[DataSet], gap: int, *, begin: bool) -> bytes:
    """Takes from ``waiting`` what goes into ``gap``; exactly ``gap`` bytes."""
    inside: list[DataSet] = []
    left = gap
    for one in tuple(waiting):
        if one.size <= left:
            inside.append(one)
            waiting.remove(one)
            left -= one.size
        elif begin and not inside:
            break
    if left and inside and (last := inside[-1].filled(inside[-1].size + left)):
        inside[-1] = last
        left = 0
    if left:
        raise LocalProtocolError(
            "Parts of this tag are fixed in their place, and the rest does not fit around them.",
            "Take a new tag.",
            code="tag-fixed",
        )
    return b"".join(map(bytes, inside))
