"""What lies on the pad: the pad kept open, its rounds compared, and what came or went told as events."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol, assert_never

from kiosk.devices.base import Pad, Tag
from kiosk.devices.noise import Noise
from kiosk.session.events import CardSeen, TagGone, TagOdd, TagSeen
from kiosk.session.state import Item
from kiosk.wire.content import Blank, CardTag, Damaged, Foreign, ItemTag
from kiosk.wire.tag import decode
from mocban import log
from mocban.errors import RemoteFault
from mocban.ids import jitter, new_id

Change = TagSeen | TagOdd | TagGone | CardSeen

MISSES = 2
"""Rounds in a row without a tag until it counts as gone: a stack shadows its own tags."""
PAUSE = 0.1
"""Seconds between two rounds."""
BACKOFF = (0.2, 5.0)
"""First and longest pause before a lost pad is opened again, seconds."""
ID_MAX = 64
"""Longest item or card id that a fact and a SIP2 field can carry."""

_log = log.get("kiosk.inventory")


class Rounds:
    """Compares a round with what is known to lie there. Cards are known here alone: they are in no state."""

    def __init__(self) -> None:
        self._missed: Counter[str] = Counter()
        self._cards: set[str] = set()
        self._first = True

    def compare(self, tags: Iterable[Tag], known: frozenset[str], at: datetime) -> list[Change]:
        """What changed; ``known``: uids of items and odd tags the state holds to lie there.

        A card in the very first round was left there before the kiosk started: it must be laid anew.
        """
        here = {tag.uid: tag for tag in tags}
        changes: list[Change] = []
        for uid in sorted((known | self._cards) - here.keys()):
            self._missed[uid] += 1
            if self._missed[uid] >= MISSES:
                del self._missed[uid]
                if uid in self._cards:
                    self._cards.discard(uid)
                else:
                    changes.append(TagGone(at, uid))
        for uid, tag in here.items():
            self._missed.pop(uid, None)
            if uid not in known and uid not in self._cards and (tag.data or tag.epc):
                change = _seen(tag, at)
                if isinstance(change, CardSeen):
                    self._cards.add(uid)
                    if self._first:
                        continue
                changes.append(change)
        self._first = False
        return changes


class Heard(Protocol):
    """Whoever wants to know what lies on the pad."""

    def lies(self, tags: list[Tag]) -> None:
        """One round."""
        ...

    def reader(self, *, ok: bool, why: str = "") -> None:
        """The pad came up or was lost."""
        ...


class Inventory:
    """Keeps the pad open and asks it round after round; lost, it is opened again with a jittered back-off."""

    def __init__(self, pad: Pad, turn: asyncio.Lock) -> None:
        self._pad = pad
        self._turn = turn
        self.up = asyncio.Event()
        self._noise = Noise("pad")

    async def run(self, heard: Heard, stop: asyncio.Event) -> None:
        """Until ``stop``. A pad that cannot be had for a reason of our own raises."""
        pause = BACKOFF[0]
        while not stop.is_set():
            try:
                async with self._turn:
                    version = await self._pad.open()
                    tags = await self._pad.tags()
                _log.info("pad.open", version=version)
                heard.lies(tags)
                self.up.set()
                heard.reader(ok=True)
                pause = BACKOFF[0]
                await self._rounds(heard.lies, stop)
            except RemoteFault as error:
                self.up.clear()
                heard.reader(ok=False, why=error.say)
            finally:
                self.up.clear()
                await self._pad.close()
            await _wait(stop, jitter(pause))
            pause = min(pause * 2, BACKOFF[1])

    async def _rounds(self, lies: Callable[[list[Tag]], None], stop: asyncio.Event) -> None:
        while not stop.is_set():
            await _wait(stop, PAUSE)
            async with self._turn:
                tags = await self._pad.tags()
            self._noise.heard(self._pad.noise)
            lies(tags)


def _seen(tag: Tag, at: datetime) -> TagSeen | TagOdd | CardSeen:
    content = decode(tag.data, afi=tag.afi, dsfid=tag.dsfid, epc=tag.epc)
    match content:
        case ItemTag():
            if not _speakable(content.id):
                return TagOdd(at, tag.uid, "damaged")
            parts = max(content.parts, 1)
            return TagSeen(at, Item(content.id, tag.uid, parts, min(max(content.part, 1), parts)))
        case CardTag():
            return (
                CardSeen(at, content.id, new_id())
                if _speakable(content.id)
                else TagOdd(at, tag.uid, "damaged")
            )
        case Blank():
            return TagOdd(at, tag.uid, "blank")
        case Foreign():
            return TagOdd(at, tag.uid, "foreign")
        case Damaged():
            return TagOdd(at, tag.uid, "damaged")
        case _:
            assert_never(content)


def _speakable(ident: str) -> bool:
    """Whether an id can travel by SIP2, where ``|`` ends a field, and in a fact."""
    return 0 < len(ident) <= ID_MAX and ident.isprintable() and "|" not in ident


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
