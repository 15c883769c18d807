"""How long a screen waits for its patron: one clock, started anew with every sign of life."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kiosk.session.state import Mode, Visit
from kiosk.settings import KioskSettings
from mocban.clock import Clock

AGAIN = 0.2
"""Seconds before an end that could not be stored is tried again."""


class Patience:
    """Calls ``expired`` when nobody touched anything for the settings' time; False from it: it was not stored."""

    def __init__(self, settings: KioskSettings, clock: Clock, expired: Callable[[], bool]) -> None:
        self._settings = settings
        self._clock = clock
        self._expired = expired
        self._limit: tuple[float, asyncio.TimerHandle] | None = None

    def follow(self, before: Visit, visit: Visit) -> None:
        """Start the clock anew if there was a sign of life between the two."""
        if (before.mode, before.touched, before.lang) == (visit.mode, visit.touched, visit.lang):
            return
        self.end()
        seconds = self._seconds(visit)
        if seconds is not None:
            self._await(self._clock.mono() + seconds, seconds)

    def end(self) -> None:
        """Wait no more."""
        if self._limit is not None:
            self._limit[1].cancel()
            self._limit = None

    def _seconds(self, visit: Visit) -> float | None:
        match visit.mode:
            case Mode.DONE:
                return self._settings.thanks_seconds
            case Mode.IDLE:  # a language that was chosen and left
                return self._settings.idle_seconds if visit.lang != Visit().lang else None
            case _:
                return self._settings.idle_seconds

    def _await(self, deadline: float, seconds: float) -> None:
        self._limit = (deadline, asyncio.get_running_loop().call_later(seconds, self._expire))

    def _expire(self) -> None:
        if self._limit is None:
            return
        deadline = self._limit[0]
        left = deadline - self._clock.mono()
        if left > 0 or not self._expired():
            self._await(deadline, max(left, AGAIN))
