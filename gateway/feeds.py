"""Feeds for gates, built from committed loans and returns: nobody else may say what a gate does not cry for.

There is no registry of units yet: every gate of the tenant gets all of it, as if the house were one unit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.post import Post
from gateway.store.lending import PAGE, Lending, SqliteLending
from gateway.store.port import Outcome
from mocban import feeds, identity, log
from mocban.clock import Clock
from mocban.errors import StorageError

DEBOUNCE = 1.0
"""Seconds a change waits for the next one."""
LOOK = 30.0
"""Seconds after which it is looked whether a feed is half over."""
_log = log.get("gateway.feeds")


_Place = tuple[str, feeds.Name]
_Entries = tuple[feeds.Entry, ...]
_Wanted = dict[feeds.Name, _Entries]


@dataclass(frozen=True, slots=True)
class Spans:
    """How long a feed is believed, a loan is recent, and an unopened tag is excused; and what is always allowed."""

    feed: timedelta
    recent: timedelta
    pending: timedelta
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Out:
    """What a gate was last given."""

    entries: _Entries
    payload: bytes
    issued: datetime


class Shelf:
    """What is lent, by tag: the latest word on each counts, in whatever order words arrive. Pure."""

    def __init__(self) -> None:
        self._words: dict[str, Lending] = {}
        self._items_back: dict[str, datetime] = {}  # returns told without a tag

    def take(self, word: Lending) -> None:
        """One loan or return."""
        if word.uid:
            known = self._words.get(word.uid)
            if known is None or word.at >= known.at:
                self._words[word.uid] = word
        elif not word.lent:
            back = self._items_back.get(word.item, word.at)
            self._items_back[word.item] = max(back, word.at)

    def forget(self, before: datetime) -> None:
        """Drop what is too old to matter."""
        self._words = {uid: word for uid, word in self._words.items() if word.at >= before}
        self._items_back = {item: at for item, at in self._items_back.items() if at >= before}

    def lent(self, since: datetime, *, pending: bool | None = None) -> list[Lending]:
        """Loans since ``since`` that are not returned, newest first; ``pending``: only with the tag left closed."""
        found = [
            word
            for word in self._words.values()
            if word.lent and word.at >= since and not self._is_back(word)
            and (pending is None or word.pending == pending)
        ]  # fmt: skip
        return sorted(found, key=lambda word: (word.at, word.cursor), reverse=True)

    def _is_back(self, word: Lending) -> bool:
        back = self._items_back.get(word.item)
        return back is not None and back >= word.at


class Feeds:
    """Keeps every gate's feeds on the broker. The loop of ``run`` owns it."""

    def __init__(
        self, tenant: str, key: identity.SigningKey, lending: SqliteLending, post: Post, clock: Clock,
        spans: Spans, connected: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._tenant = tenant
        self._key = key
        self._lending = lending
        self._post = post
        self._clock = clock
        self._spans = spans
        self._connected = connected
        self._shelf = Shelf()
        self._cursor = 0
        self._given: dict[_Place, _Out] = {}
        self._again: set[str] = set()  # gates that are to be told even what they were told before
        self._all_again = False
        self._wake = asyncio.Event()

    def on_outcome(self, outcome: Outcome) -> None:
        """Facts were committed, or gates were born."""
        born = {birth.device for birth in outcome.births if birth.online and birth.app == "gate"}
        self._again |= born
        if outcome.new or born:
            self._wake.set()

    def on_ready(self) -> None:
        """The broker is there, perhaps another one that retains nothing."""
        self._all_again = True
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish what changed, until ``stop``."""
        while not stop.is_set():
            self._wake.clear()
            again, all_again = self._again, self._all_again
            self._again, self._all_again = set(), False
            try:
                await asyncio.to_thread(self._turn, again, all_again)
            except StorageError as error:
                self._again |= again
                self._all_again |= all_again
                _log.error("feeds.failed", say=error.say, do=error.do)
            await self._pause(stop)

    async def _pause(self, stop: asyncio.Event) -> None:
        """Until something happened, but no sooner than ``DEBOUNCE``; or until it is time to look."""
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), DEBOUNCE)
        waits = [asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(stop.wait())]
        await asyncio.wait(waits, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    def _turn(self, again: set[str], all_again: bool) -> None:
        """Read what is new, then bring every gate up to date."""
        now = self._clock.now()
        self._read(now)
        if not self._connected():
            self._all_again = True  # on_ready wakes us
            return
        wanted = self._wanted(now)
        places = [(gate, name) for gate in self._lending.gates() for name in feeds.NAMES]
        self._renew([at for at in places if self._is_stale(at, wanted[at[1]], now)], wanted, now)
        for gate, name in places:
            given = self._given[gate, name]
            if all_again or gate in again or given.issued == now:
                self._post.feed(gate, name, given.payload)

    def _read(self, now: datetime) -> None:
        oldest = now - max(self._spans.recent, self._spans.pending)
        while words := self._lending.after(self._cursor, oldest):
            for word in words:
                self._shelf.take(word)
            self._cursor = words[-1].cursor
            if len(words) < PAGE:
                break
        self._shelf.forget(oldest)

    def _wanted(self, now: datetime) -> _Wanted:
        spans, shelf = self._spans, self._shelf
        return {
            "pending-security": _entries(shelf.lent(now - spans.pending, pending=True), spans.pending),
            "recent-loans": _entries(shelf.lent(now - spans.recent), spans.recent),
            "allow-list": tuple(feeds.Entry(uid=uid) for uid in spans.allowed[: feeds.ENTRIES_MAX]),
        }  # fmt: skip

    def _is_stale(self, at: _Place, entries: _Entries, now: datetime) -> bool:
        """The gate has none from this process, another one, or one that is half over."""
        given = self._given.get(at)
        return (
            given is None or given.entries != entries or now - given.issued > self._spans.feed / 2
        )

    def _renew(self, stale: list[_Place], wanted: _Wanted, now: datetime) -> None:
        if stale:
            versions = self._lending.versions(stale, int(now.timestamp() * 1000))
            for at in stale:
                entries = wanted[at[1]]
                payload = self._sign(*at, entries, versions[at], now)
                self._given[at] = _Out(entries, payload, now)

    def _sign(
        self, gate: str, name: feeds.Name, entries: _Entries, version: int, now: datetime
    ) -> bytes:  # fmt: skip
        """The signed feed; the oldest entries go if it would be too long for a broker."""
        while True:
            payload = feeds.sign(
                self._key, self._tenant, gate, name,
                version=version, issued=now, expires=now + self._spans.feed, entries=entries,
            )  # fmt: skip
            if len(payload) <= feeds.FEED_MAX:
                return payload
            entries = entries[: len(entries) * 9 // 10]


def _entries(words: Iterable[Lending], span: timedelta) -> _Entries:
    return tuple(feeds.Entry(uid=word.uid, item=word.item, until=word.at + span) for word in words)[
        : feeds.ENTRIES_MAX
    ]
