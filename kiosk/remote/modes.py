"""The app's mode: it outlives a restart, and a timed one ends by itself, whatever the wall clock says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from kiosk.remote.ledger import Ledger, Standing
from mocban.clock import Clock

OPEN, WIPED = "open", "wiped"
KEEP = 30.0
"""Seconds between two notes of the time left: so much longer a timed mode lasts after a power cut, at most."""
TICK = 1.0

Apply = Callable[[str], None]


class Modes:
    """The mode of one app. ``apply`` puts it in force; ``undone`` is told the order whose mode ended by itself."""

    def __init__(
        self, ledger: Ledger, clock: Clock, apply: Apply, undone: Callable[[str], None]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._apply = apply
        self._undone = undone
        self._standing = ledger.standing
        self._since = self._noted = clock.mono()
        apply(self.mode)

    @property
    def mode(self) -> str:
        """The mode in force."""
        return self._standing.mode

    @property
    def left(self) -> float | None:
        """Seconds until it is open again; None if it stays."""
        left = self._standing.left
        return None if left is None else left - (self._clock.mono() - self._since)

    def set(self, mode: str, seconds: float | None, by: str) -> None:
        """Put ``mode`` in force, by order ``by``; ``wiped`` is for ever. StorageError: nothing changed."""
        if self.mode == WIPED:
            return
        self._store(Standing(mode, None if mode == OPEN else seconds, by))
        self._apply(mode)

    def tick(self) -> None:
        """End a timed mode that is over; note the time left."""
        left, standing = self.left, self._standing
        if left is None:
            return
        if left <= 0:
            self.set(OPEN, None, standing.by)
            self._undone(standing.by)
        elif self._clock.mono() - self._noted >= KEEP:
            self._ledger.stand(Standing(standing.mode, left, standing.by))
            self._noted = self._clock.mono()

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until ``stop``."""
        while not stop.is_set():
            self.tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), TICK)

    def _store(self, standing: Standing) -> None:
        self._ledger.stand(standing)
        self._standing = standing
        self._since = self._noted = self._clock.mono()
