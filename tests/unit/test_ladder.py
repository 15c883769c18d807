"""The ladder of writes: how often, how far apart, and when it ends early."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from kiosk.devices.ladder import PAUSE, TRIES, persist


class Tag:
    """A tag that takes a write, or answers at all, as its script says; notes what was done to it and when."""

    def __init__(self, *answers: bool | None) -> None:
        self.steps: list[str] = []
        self.at: list[float] = []
        self._answers = list(answers)

    async def write(self) -> None:
        self.steps.append("write")
        self.at.append(asyncio.get_running_loop().time())

    async def holds(self) -> bool | None:
        return self._answers.pop(0) if self._answers else False

    async def reset(self) -> None:
        self.steps.append("reset")

    def climb(self) -> bool:
        """Up the ladder."""
        return asyncio.run(persist(self.write, self.holds, self.reset))


def test_a_write_that_holds_at_once_is_done_once() -> None:
    tag = Tag(True)
    assert tag.climb()
    assert tag.steps == ["write"]


def test_five_tries_thirty_milliseconds_apart_a_reset_and_five_more() -> None:
    tag = Tag()
    assert not tag.climb()
    assert tag.steps == ["write"] * TRIES + ["reset"] + ["write"] * TRIES
    first, second = tag.at[:TRIES], tag.at[TRIES:]
    pauses = [b - a for rung in (first, second) for a, b in pairwise(rung)]
    assert min(pauses) >= PAUSE
    assert second[0] - first[-1] < PAUSE  # the reset is pause enough


def test_the_last_rung_is_climbed() -> None:
    tag = Tag(*[False] * 9, True)
    assert tag.climb()
    assert tag.steps.count("write") == 2 * TRIES


def test_a_tag_that_is_gone_ends_it_early_after_one_reset() -> None:
    tag = Tag(*[None] * 10)
    assert not tag.climb()
    assert tag.steps == ["write", "write", "reset", "write", "write"]


def test_a_tag_that_a_reset_wakes_is_written() -> None:
    tag = Tag(None, None, True)
    assert tag.climb()
    assert tag.steps == ["write", "write", "reset", "write"]


def test_silence_that_is_broken_is_no_absence() -> None:
    tag = Tag(None, False, None, False, True)
    assert tag.climb()
    assert tag.steps == ["write"] * 5
