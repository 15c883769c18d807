"""A question the library system did not answer is asked again: later each time, until it answers."""

from __future__ import annotations

import asyncio

import pytest

from kiosk import silence
from kiosk.silence import Silence


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "AGAIN", (0.02, 0.08))


class Asked:
    """When it was asked, on the loop's clock; ``refuses``: how often the disk takes no question."""

    def __init__(self, refuses: int = 0) -> None:
        self.at: list[float] = []
        self._refuses = refuses

    def __call__(self) -> bool:
        self.at.append(asyncio.get_running_loop().time())
        return len(self.at) > self._refuses

    async def reach(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.at) < times:
                await asyncio.sleep(0.001)


def test_it_is_asked_again_in_a_while_and_once_for_many_that_wait() -> None:
    async def scenario() -> None:
        asked = Asked()
        quiet, began = Silence(asked), asyncio.get_running_loop().time()
        for _ in range(3):
            quiet.met()
        assert asked.at == []
        await asked.reach(1)
        assert asked.at[0] - began >= 0.01
        await asyncio.sleep(0.1)  # longer than the longest pause
        assert len(asked.at) == 1

    asyncio.run(scenario())


def test_the_pauses_grow_and_begin_anew_after_an_answer() -> None:
    async def scenario() -> None:
        asked, loop = Asked(), asyncio.get_running_loop()
        quiet, began = Silence(asked), 0.0
        for times in range(1, 6):
            began = loop.time()
            quiet.met()
            await asked.reach(times)
        assert asked.at[-1] - began >= 0.04, "half of the longest, at least"
        quiet.broken()
        assert len(asked.at) == 6, "at once"
        quiet.met()
        assert quiet._asking is not None
        assert quiet._asking.when() - loop.time() <= 0.02
        quiet.end()

    asyncio.run(scenario())


def test_a_question_that_the_disk_does_not_take_is_tried_until_it_does() -> None:
    async def scenario() -> None:
        asked = Asked(refuses=2)
        Silence(asked).broken()
        assert len(asked.at) == 1
        await asked.reach(3)
        await asyncio.sleep(0.1)
        assert len(asked.at) == 3

    asyncio.run(scenario())


def test_an_answer_takes_the_place_of_the_question_that_waits_and_the_end_of_all() -> None:
    async def scenario() -> None:
        asked = Asked()
        quiet = Silence(asked)
        quiet.met()
        quiet.broken()
        await asyncio.sleep(0.1)
        assert len(asked.at) == 1
        quiet.met()
        quiet.end()
        quiet.met()
        await asyncio.sleep(0.1)
        assert len(asked.at) == 1

    asyncio.run(scenario())
