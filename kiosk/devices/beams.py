"""Two light beams across a gate, one behind the other: which way people go, and how many. Pure.

A person interrupts one beam, then both, then the other, then none. Which came first and which stayed last give the way;
who steps back leaves by the beam they came by, and counts for nothing.
"""

from __future__ import annotations

OUTER, INNER = 1, 2
"""Bits of a reading: the beam on the street's side, and that on the library's."""
_FRESH = 1.0  # seconds for which the way of who just left is that of a tag that is seen


class Beams:
    """Readings in, people out. ``entered`` and ``left`` only grow."""

    def __init__(self) -> None:
        self.entered = 0
        self.left = 0
        self._first = 0  # the beams of the crossing that is under way, as it began
        self._last = 0
        self._way = "unknown"
        self._at = -_FRESH

    def read(self, dark: int, now: float) -> None:
        """``dark``: which beams are interrupted at ``now``, in seconds of one clock."""
        dark &= OUTER | INNER
        if dark:
            if not self._first:
                self._first = dark
            self._last = dark
            if self._first in (OUTER, INNER):
                self._way = "in" if self._first == OUTER else "out"
            self._at = now
            return
        if self._first:
            self._cross(self._first, self._last)
        self._first = self._last = 0

    def way(self, now: float) -> str:
        """Which way whoever is in the gate goes: in, out or unknown."""
        return self._way if self._first or now - self._at < _FRESH else "unknown"

    def _cross(self, first: int, last: int) -> None:
        """Where both were interrupted at once, the clear end tells; two of them tell nothing."""
        if (first == OUTER and last != OUTER) or (last == INNER and first != INNER):
            self._way = "in"
            self.entered += 1
        elif (first == INNER and last != INNER) or (last == OUTER and first != OUTER):
            self._way = "out"
            self.left += 1
        else:
            self._way = "unknown"
