"""Tags and frames changed by chance, and what becomes of them: the work of ``bench/mutants.py``."""

from __future__ import annotations

import random  # noqa: TID251  its seed is fixed: every run throws the same
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from kiosk.wire import iso28560_3, tag
from kiosk.wire.content import CardTag, ItemTag, Model, Warn
from mocban.errors import RemoteProtocolError
from tests.fuzz.targets import every, tags

HARMLESS = frozenset({
    Warn.BLOCKS_REVERSED, Warn.OWNER_REPEATS_COUNTRY, Warn.CRC_32, Warn.EXTENSION, Warn.EXTENSION_EARLY,
    Warn.NIBBLES_SWAPPED, Warn.PARTS_SWAPPED, Warn.PARTS_UNKNOWN, Warn.ORDER, Warn.PADDING, Warn.COUNTRY,
})  # fmt: skip
"""Warnings that leave the id beyond doubt."""
_BLOCK = 4


@dataclass(slots=True)
class Tally:
    """What one process counted. ``micros``: by kind, the processor's time for each decoding."""

    counts: Counter[str] = field(default_factory=Counter)
    micros: dict[str, array[float]] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what another process counted."""
        self.counts += other.counts
        self.examples += other.examples
        for kind, more in other.micros.items():
            self.micros.setdefault(kind, array("f")).extend(more)


def throw(number: int, share: int) -> Tally:
    """One process's mutants: three in five are tags, the rest frames of all readers in turn."""
    dice = random.Random(20261125 + number)
    tally = Tally()
    memories = [(data, _ids(data)) for data in tags()]
    frames = [each for each in every() if each.name not in {"tag", "text"}]
    for at in range(share):
        tally.counts["mutants"] += 1
        if at % 5 < 3:
            _tag(memories, dice, tally)
        else:
            target = frames[at % len(frames)]
            data, _ = mutate(target.seeds, dice)
            _time(target.name, target.run, data, tally)
    return tally


def _tag(memories: list[tuple[bytes, set[str]]], dice: random.Random, tally: Tally) -> None:
    seeds = [data for data, _ in memories]
    data, used = mutate(seeds, dice)
    first, *others = used
    before = memories[first][1]
    content = _time("tag", tag.decode, data, tally)
    guarded = all(fits(seeds[each]) for each in used)
    tally.counts["guarded" if guarded else "unguarded"] += 1
    if not isinstance(content, ItemTag | CardTag) or content.id in before or not before:
        return
    if any(content.id in memories[other][1] for other in others):
        tally.counts["spliced"] += 1
    elif set(content.warnings) - HARMLESS:
        tally.counts["warned"] += 1
    elif fits(data) and content.model in (Model.ISO28560_3, Model.ISO28560_4):
        tally.counts["chance"] += 1
    elif guarded:
        tally.counts["wrong"] += 1
        tally.examples.append(f"WRONG {data.hex()} was {seeds[first].hex()}")
    else:
        tally.counts["unguarded wrong"] += 1


def _time(kind: str, decode: Callable[[bytes], object], data: bytes, tally: Tally) -> object:
    began = time.thread_time_ns()
    try:
        found = decode(data)
    except RemoteProtocolError:
        found = None
    except Exception as error:  # noqa: BLE001  this is what is counted
        tally.counts["raised"] += 1
        tally.examples.append(f"RAISED {type(error).__name__} {kind} {data.hex()}")
        found = None
    took = (time.thread_time_ns() - began) / 1000
    tally.micros.setdefault(kind, array("f")).append(took)
    return found


def _ids(data: bytes) -> set[str]:
    content = tag.decode(data)
    return {content.id} if isinstance(content, ItemTag | CardTag) else set()


def fits(data: bytes) -> bool:
    """Whether a check value fits its bytes: of ISO 28560-3 in either order, or of bank 01. Not by our own CRC."""
    for block in (data, iso28560_3.turn_blocks(data)):
        if len(block) < 32:
            continue
        stored = int.from_bytes(block[19:21], "little")
        for end in (32, 34):
            rest = block[21:end].ljust(13, b"\x00")
            if _crc(block[:19] + rest) == stored:
                return True
    end = 4 + 2 * (data[2] >> 3) if len(data) > 4 else 0
    right = _crc(data[2:end]) ^ 0xFFFF
    return 4 < end <= len(data) and right == int.from_bytes(data[:2], "big")


def _row(head: int) -> int:
    for _ in range(8):
        head = head << 1 ^ (0x11021 if head & 0x8000 else 0)
    return head


_ROWS = tuple(_row(byte << 8) for byte in range(256))


def _crc(data: bytes) -> int:
    """CRC-16 1021, start FFFF, by a table: ours asks the standard library."""
    register = 0xFFFF
    for byte in data:
        register = register << 8 & 0xFFFF ^ _ROWS[register >> 8 ^ byte]
    return register


def mutate(seeds: tuple[bytes, ...] | list[bytes], dice: random.Random) -> tuple[bytes, list[int]]:
    """A seed changed one to three times, and the numbers of the seeds that went into it, the first first."""
    used = [dice.randrange(len(seeds))]
    data = bytearray(seeds[used[0]])
    for _ in range(dice.choice((1, 1, 2, 3))):
        way = dice.choice(_WAYS)
        if way is _splice:
            used.append(dice.randrange(len(seeds)))
            _splice(data, dice, seeds[used[-1]])
        else:
            way(data, dice, b"")
    return bytes(data), used


def _flip(data: bytearray, dice: random.Random, _: bytes) -> None:
    for _n in range(dice.randint(1, 4) if data else 0):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _replace(data: bytearray, dice: random.Random, _: bytes) -> None:
    for _n in range(dice.randint(1, 4) if data else 0):
        data[dice.randrange(len(data))] = dice.randrange(256)


def _cut(data: bytearray, dice: random.Random, _: bytes) -> None:
    at = dice.randrange(len(data) + 1)
    if dice.random() < 0.7:
        del data[at:]
    else:
        del data[at : at + dice.randint(1, 8)]


def _insert(data: bytearray, dice: random.Random, _: bytes) -> None:
    at = dice.randrange(len(data) + 1)
    data[at:at] = dice.randbytes(dice.randint(1, 8))


def _splice(data: bytearray, dice: random.Random, other: bytes) -> None:
    at = dice.randrange(len(data) + 1)
    data[at:] = other[min(at, len(other)) if dice.random() < 0.7 else dice.randrange(len(other)) :]


def _swap(data: bytearray, dice: random.Random, _: bytes) -> None:
    size = dice.choice((1, _BLOCK))
    places = range(0, len(data) - size + 1, size)
    if len(places) > 1:
        a, b = dice.sample(places, 2)
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def _turn(data: bytearray, dice: random.Random, _: bytes) -> None:
    """Every block backwards, or one."""
    blocks = range(0, len(data), _BLOCK)
    for at in blocks if dice.random() < 0.5 else dice.sample(blocks, min(1, len(blocks))):
        data[at : at + _BLOCK] = data[at : at + _BLOCK][::-1]


def _blank(data: bytearray, dice: random.Random, _: bytes) -> None:
    """A block as a tag has it that was never written there, or read in another field."""
    at = _BLOCK * dice.randrange(len(data) // _BLOCK + 1)
    data[at : at + _BLOCK] = bytes((dice.choice((0x00, 0xFF, 0x55)),)) * len(data[at : at + _BLOCK])


_WAYS = (_flip, _replace, _cut, _insert, _splice, _swap, _turn, _blank)
