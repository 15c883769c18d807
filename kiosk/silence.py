"""The library system's silence on a line that is up: when a question without an answer is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mocban.ids import jitter

AGAIN = (0.5, 15.0)
"""First and longest pause before an unanswered question is asked again, seconds."""


class Silence:
    """Calls ``again`` when it is time to ask; False from it: that could not be stored, and it is tried once more."""

    def __init__(self, again: Callable[[], bool]) -> None:
        self._again = again
        self._times = 0
        self._asking: asyncio.TimerHandle | None = None

    def met(self) -> None:
        """No answer came: ask in a while, in a longer one each time."""
        if self._asking is None:
            pause = min(AGAIN[0] * 2**self._times, AGAIN[1])
            self._times = min(self._times + 1, 10)
            self._asking = asyncio.get_running_loop().call_later(
                pause / 2 + jitter(pause / 2), self._ask
            )

    def broken(self) -> None:
        """The library system answers: ask at once."""
        self._times = 0
        self._ask()

    def end(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    def _ask(self) -> None:
        self.end()
        self._asking = None
        if not self._again():
            self.met()
