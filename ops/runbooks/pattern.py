"""LIKE and MATCHES in time linear in the text, whatever the pattern: a condition must not be able to hang us. Pure.

MATCHES knows characters, ``.``, classes, ``\\d \\w \\s`` and their opposites, ``* + ? {m,n}``, ``^``, ``$`` and
alternatives with ``|``; no groups, no references back. It looks anywhere in the text, as STIX does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

PATTERN_MAX = 200
"""Most places of a pattern, repetitions counted out."""
TEXT_MAX = 4096
"""Longest text that is looked through, in characters."""

Test: TypeAlias = Callable[[str], bool]


class _Often(Enum):
    ONCE = 1
    MAYBE = 2
    ANY = 3


@dataclass(frozen=True, slots=True)
class _Way:
    """One alternative: places in a row."""

    places: tuple[tuple[Test, _Often], ...]
    begins: bool
    ends: bool


def like(pattern: str, text: str) -> bool:
    """Whether the whole ``text`` is as ``pattern``: ``%`` is any text, ``_`` one character, ``\\`` escapes.

    ValueError if the pattern or the text is too long.
    """
    places: list[tuple[Test, _Often]] = []
    at = 0
    while at < len(pattern):
        if pattern[at] == "%":
            places.append((_anything, _Often.ANY))
        elif pattern[at] == "_":
            places.append((_anything, _Often.ONCE))
        else:
            at += pattern[at] == "\\" and at + 1 < len(pattern)
            places.append((_same(pattern[at]), _Often.ONCE))
        at += 1
    return _walk(_Way(_few(places), True, True), _short(text))


def matches(pattern: str, text: str) -> bool:
    """Whether ``pattern`` is somewhere in ``text``; ValueError names what it does not know, or is too long."""
    return any(_walk(way, _short(text)) for way in ways(pattern))


def ways(pattern: str) -> tuple[_Way, ...]:
    """The alternatives of ``pattern``; ValueError."""
    return _Reader(pattern).all()


def _walk(way: _Way, text: str) -> bool:
    """Follows all places the pattern can be at together, one bit each: each character is looked at once."""
    last = len(way.places)
    skipped = sum(1 << n for n, (_, often) in enumerate(way.places) if often is not _Often.ONCE)
    repeated = sum(1 << n for n, (_, often) in enumerate(way.places) if often is _Often.ANY)
    taken: dict[str, int] = {}
    reached: dict[int, int] = {}
    here = _closed(1, skipped)
    for char in text:
        if here >> last and not way.ends:
            return True
        if char not in taken:
            taken[char] = sum(1 << n for n, (test, _) in enumerate(way.places) if test(char))
        moved = here & taken[char]
        after = (moved & repeated) | (moved & ~repeated) << 1
        after |= not way.begins
        if after not in reached:
            reached[after] = _closed(after, skipped)
        here = reached[after]
        if not here:
            return False
    return bool(here >> last)


def _closed(here: int, skipped: int) -> int:
    """With the places that need no character to be reached."""
    while True:
        more = here | (here & skipped) << 1
        if more == here:
            return here
        here = more


class _Reader:
    """Cuts one pattern into its ways."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._at = pattern, 0

    def all(self) -> tuple[_Way, ...]:
        found, count = [self._way()], 0
        while self._at < len(self._pattern):
            self._at += 1  # the bar
            found.append(self._way())
        count = sum(len(way.places) for way in found)
        if count > PATTERN_MAX:
            raise ValueError(f"it has more than {PATTERN_MAX} places")
        return tuple(found)

    def _way(self) -> _Way:
        begins = self._next("^")
        places: list[tuple[Test, _Often]] = []
        while self._at < len(self._pattern) and self._pattern[self._at] != "|":
            if self._next("$"):
                if self._at < len(self._pattern) and self._pattern[self._at] != "|":
                    raise ValueError("$ stands before its end")
                return _Way(_few(places), begins, True)
            places.extend(self._repeated(self._one()))
            _few(places)
        return _Way(_few(places), begins, False)

    def _one(self) -> Test:
        char = self._take()
        match char:
            case ".":
                return _anything
            case "\\":
                return self._escaped()
            case "[":
                return self._class()
            case "(" | ")":
                raise ValueError("groups are not supported")
            case "*" | "+" | "?" | "{" | "^":
                raise ValueError(f"{char} has nothing before it")
            case _:
                return _same(char)

    def _repeated(self, test: Test) -> list[tuple[Test, _Often]]:
        if self._next("*"):
            found = [(test, _Often.ANY)]
        elif self._next("+"):
            found = [(test, _Often.ONCE), (test, _Often.ANY)]
        elif self._next("?"):
            found = [(test, _Often.MAYBE)]
        elif self._next("{"):
            found = self._counted(test)
        else:
            return [(test, _Often.ONCE)]
        if self._at < len(self._pattern) and self._pattern[self._at] in "*+?{":
            raise ValueError("a repetition is repeated")
        return found

    def _counted(self, test: Test) -> list[tuple[Test, _Often]]:
        found = re.compile(r"([0-9]{1,3})(,([0-9]{0,3}))?\}").match(self._pattern, self._at)
        if found is None:
            raise ValueError("{ reads {m}, {m,} or {m,n}")
        self._at = found.end()
        least = int(found[1])
        once = [(test, _Often.ONCE)] * least
        if found[2] is None:
            return once
        if not found[3]:
            return [*once, (test, _Often.ANY)]
        if int(found[3]) < least:
            raise ValueError("{m,n} has n below m")
        return [*once, *[(test, _Often.MAYBE)] * (int(found[3]) - least)]

    def _escaped(self) -> Test:
        char = self._take()
        if char in _KINDS:
            return _KINDS[char]
        if char.isalnum():
            raise ValueError(f"\\{char} is not supported")
        return _same(char)

    def _class(self) -> Test:
        outside = self._next("^")
        tests: list[Test] = []
        first = True
        while first or self._at >= len(self._pattern) or self._pattern[self._at] != "]":
            first = False
            char = self._take()
            if char == "\\":
                tests.append(self._escaped())
                continue
            following = self._pattern[self._at : self._at + 2]
            if len(following) == 2 and following[0] == "-" and following[1] != "]":
                self._at += 1
                last = self._take()
                if last == "\\" or last < char:
                    raise ValueError("a range of characters ends before it begins")
                tests.append(_between(char, last))
            else:
                tests.append(_same(char))
        self._at += 1
        return lambda char: any(test(char) for test in tests) is not outside

    def _take(self) -> str:
        if self._at >= len(self._pattern):
            raise ValueError("it ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _next(self, char: str) -> bool:
        if not self._pattern.startswith(char, self._at):
            return False
        self._at += 1
        return True


def _few(places: list[tuple[Test, _Often]]) -> tuple[tuple[Test, _Often], ...]:
    if len(places) > PATTERN_MAX:
        raise ValueError(f"it has more than {PATTERN_MAX} places")
    return tuple(places)


def _short(text: str) -> str:
    if len(text) > TEXT_MAX:
        raise ValueError(f"the text has more than {TEXT_MAX} characters")
    return text


def _anything(_: str) -> bool:
    return True


def _same(char: str) -> Test:
    return lambda other: other == char


def _between(first: str, last: str) -> Test:
    return lambda other: first <= other <= last


def _digit(char: str) -> bool:
    return "0" <= char <= "9"


def _letter(char: str) -> bool:
    return char.isalnum() or char == "_"


_KINDS: dict[str, Test] = {
    "d": _digit, "D": lambda char: not _digit(char),
    "w": _letter, "W": lambda char: not _letter(char),
    "s": str.isspace, "S": lambda char: not char.isspace(),
}  # fmt: skip
