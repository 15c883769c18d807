"""ISILs in data elements 3 and 11 of ISO 28560-2: three tables, and codes that lead from one to another.

Many byte strings say the same ISIL; we write a shortest one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mocban.errors import LocalProtocolError

LONGEST = 16  # characters, ISO 15511
_ISIL = re.compile(r"[A-Za-z0-9]{1,4}-[A-Za-z0-9:/-]+")


@dataclass(frozen=True, slots=True)
class _Table:
    """Characters by code; behind them latch and shift to ``others``, in this order for each."""

    width: int  # bits
    letters: str
    others: tuple[int, int]

    def latch(self, other: int) -> int:
        return len(self.letters) + 2 * self.others.index(other)


_UPPER, _LOWER, _NUMERIC = range(3)
_TABLES = (
    _Table(5, "-ABCDEFGHIJKLMNOPQRSTUVWXYZ:", (_LOWER, _NUMERIC)),
    _Table(5, "-abcdefghijklmnopqrstuvwxyz/", (_UPPER, _NUMERIC)),
    _Table(4, "0123456789-:", (_UPPER, _LOWER)),
)


def fits(text: str) -> bool:
    """Whether ``text`` has the form of an ISIL: prefix, hyphen, identifier, 16 characters at most."""
    return len(text) <= LONGEST and _ISIL.fullmatch(text) is not None


def decode(data: bytes) -> str | None:
    """The ISIL; None if the bits end otherwise than in a pad of fewer than eight 1s. Never raises."""
    bits, total = int.from_bytes(data, "big"), len(data) * 8
    at = done = 0  # read so far; up to and with the last character
    state = _UPPER
    letters: list[str] = []

    def take(width: int) -> int:
        nonlocal at
        at += width
        return bits >> total - at & (1 << width) - 1

    while total - at >= _TABLES[state].width:
        table = _TABLES[state]
        code = take(table.width)
        if code < len(table.letters):
            letters.append(table.letters[code])
            done = at
            continue
        which, shift = divmod(code - len(table.letters), 2)
        other = table.others[which]
        if not shift:
            state = other
            continue
        if total - at < _TABLES[other].width:
            break
        code = take(_TABLES[other].width)
        if code >= len(_TABLES[other].letters):
            return None
        letters.append(_TABLES[other].letters[code])
        done = at
    pad = total - done
    ones = (1 << pad) - 1
    return "".join(letters) if pad < 8 and bits & ones == ones else None


def encode(text: str) -> bytes:
    """The shortest bits for ``text``, padded with 1s; LocalProtocolError if it is no ISIL."""
    if not fits(text):
        raise LocalProtocolError(
            "This owner code is not an ISIL.",
            "Write it as a code of your own, or in the form XX-code.",
        )
    paths: dict[int, str] = {_UPPER: ""}  # the shortest bits that end in each table
    for letter in text:
        nexts: dict[int, str] = {}
        for state, bits in paths.items():
            for end, more in _ways(state, letter):
                path = bits + more
                if end not in nexts or len(path) < len(nexts[end]):
                    nexts[end] = path
        paths = nexts
    best = min(paths.values(), key=len)
    best += "1" * (-len(best) % 8)
    return int(best, 2).to_bytes(len(best) // 8, "big")


def _ways(state: int, letter: str) -> list[tuple[int, str]]:
    """How ``letter`` can be said in ``state``: the table afterwards and the bits."""
    table = _TABLES[state]
    if (code := table.letters.find(letter)) >= 0:
        return [(state, f"{code:0{table.width}b}")]
    ways: list[tuple[int, str]] = []
    for other in table.others:
        if (code := _TABLES[other].letters.find(letter)) >= 0:
            latch = table.latch(other)
            said = f"{code:0{_TABLES[other].width}b}"
            ways += [
                (state, f"{latch + 1:0{table.width}b}{said}"),
                (other, f"{latch:0{table.width}b}{said}"),
            ]
    return ways
