"""How often a tag write is tried: tags at the edge of a field fail for a while, and then do not.

Five times, thirty milliseconds apart; then the field is switched off and on and it begins once more. Whether it worked
is never the reader's word but what the same tag says afterwards: a status can be lost, and it can lie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

TRIES = 5
PAUSE = 0.03
"""Seconds between two tries."""


async def persist(
    write: Callable[[], Awaitable[object]],
    holds: Callable[[], Awaitable[bool | None]],
    reset: Callable[[], Awaitable[object]],
) -> bool:
    """Try ``write`` until ``holds``; ``reset`` switches the field off and on. False when the ladder has ended.

    Twice in a row no answer to ``holds`` (None), with a reset between: the tag is gone, and nothing more is tried.
    """
    for rung in range(2):
        if rung:
            await reset()
        silent = 0
        for _ in range(TRIES):
            await write()
            held = await holds()
            if held:
                return True
            silent = silent + 1 if held is None else 0
            if silent >= 2:
                break
            await asyncio.sleep(PAUSE)
        if rung and silent:
            return False
    return False
