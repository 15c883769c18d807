"""Test tags mounted at a gate for good: an antenna that does not see its own any more is blind. Pure.

A gate that polls one family only sees what holds it, so a test tag holds the AFI of an item in stock: what it proves is
the whole way of an alarm but for the siren. It is known by its UID and never cries here. At a gate that heeds EAS it
must not be armed, or the alarm would never end: there it is looked for by its name.
"""

from __future__ import annotations

from collections.abc import Iterable


class Mounted:
    """``tags``: keys in the order of the antennas; ``within``: seconds in which each must be seen."""

    def __init__(self, tags: Iterable[str], within: float) -> None:
        keys = tuple(dict.fromkeys(tags))
        names = (
            ["gate-field"]
            if len(keys) == 1
            else [f"gate-antenna-{n + 1}" for n in range(len(keys))]
        )
        self._parts = dict(zip(keys, names, strict=True))
        self._within = within
        self._seen: dict[str, float] = {}
        self._ok: dict[str, bool] = {}
        self._looked = 0.0

    def opened(self, now: float) -> None:
        """The gate is there again: each tag has its time once more."""
        self._seen = dict.fromkeys(self._parts, now)
        self._looked = now - self._within

    def saw(self, key: str, now: float) -> tuple[str, bool] | None:
        """A tag was seen; part and True if that is news."""
        if key not in self._parts:
            return None
        self._seen[key] = now
        return self._turn(key, ok=True)

    def missing(self, now: float) -> list[tuple[str, bool]]:
        """Parts that have become blind by ``now``, each with False."""
        late = [key for key, at in self._seen.items() if now - at > self._within]
        return [turn for key in late if (turn := self._turn(key, ok=False)) is not None]

    def due(self, now: float) -> bool:
        """Whether it is time to look for them by name; three times in ``within``."""
        if not self._parts or now - self._looked < self._within / 3:
            return False
        self._looked = now
        return True

    def _turn(self, key: str, *, ok: bool) -> tuple[str, bool] | None:
        if self._ok.get(key) is ok:
            return None
        self._ok[key] = ok
        return self._parts[key], ok
