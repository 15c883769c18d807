"""How often a tag write is tried: tags at the edge of a field fail for a while, and then do not.

Five times, thirty milliseconds apart; then the field is switched off and on and it begins once more. Whether it worked
is never the reader's word but what the same tag says afterwards: a status can be lost, and it can lie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

TRIES = 5
PAUSE = 0.03
"""Seconds between two tries."""
_GONE = 2  # times without an answer in a row: nobody is there

T = TypeVar("T")


async def persist(
    write: Callable[[], Awaitable[object]],
    holds: Callable[[], Awaitable[bool | None]],
    reset: Callable[[], Awaitable[object]],
) -> bool:
    """Try ``write`` until ``holds``; ``reset`` switches the field off and on. False when the ladder has ended.

    Twice in a row no answer to ``holds`` (None), on both sides of a reset: the tag is gone, and nothing more is tried.
    """
    for again in (False, True):
        if again:
            await reset()
        silent = 0
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE)
            await write()
            held = await holds()
            if held:
                return True
            silent = silent + 1 if held is None else 0
            if silent == _GONE:
                break
    return False


async def holds(asked: Awaitable[T | None], wanted: T) -> bool | None:
    """For ``persist``: whether what the tag was ``asked`` for is ``wanted``; None if it did not answer."""
    now = await asked
    return None if now is None else now == wanted
