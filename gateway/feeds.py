"""Feeds for stations, built from committed facts: nobody else may say what a gate lets go, or which tags are mended.

There is no registry of units yet: every station of the tenant gets all of it, as if the house were one unit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

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


NAMES: dict[str, tuple[feeds.Name, ...]] = {"gate": feeds.NAMES, "kiosk": ("pending-security",)}
"""What each app is given."""

_Place = tuple[str, feeds.Name]
_Entries = tuple[feeds.Entry, ...]
_Wanted = dict[feeds.Name, _Entries]


@dataclass(frozen=True, slots=True)
class Spans:
    """How long a feed is believed, a loan is recent, and a tag's wrong state is known; and what is always allowed."""

    feed: timedelta
    recent: timedelta
    pending: timedelta
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Out:
    """What a station was last given."""

    entries: _Entries
    payload: bytes
    issued: datetime


class Shelf:
    """What is lent, and which tags are in the wrong state: the latest word counts, however words arrive. Pure."""

    def __init__(self) -> None:
        self._words: dict[str, Lending] = {}
        self._items_back: dict[str, datetime] = {}  # returns told without a tag
        self._mended: dict[str, dict[str, Lending]] = {}  # by tag, then by what was mended
        self._armed: dict[str, Lending] = {}  # as gates last met them

    def take(self, word: Lending) -> None:
        """One word; taking it twice is taking it once."""
        match word.what:
            case "lent" | "back" if word.uid:
                _later(self._words, word)
            case "back":
                back = self._items_back.get(word.item, word.at)
                self._items_back[word.item] = max(back, word.at)
            case "mended":
                self._mended.setdefault(word.uid, {})[word.ref] = word
            case "armed" if word.uid:
                _later(self._armed, word)
            case "lent" | "armed":
                return
            case _:
                assert_never(word.what)

    def forget(self, before: datetime) -> None:
        """Drop what is too old to matter."""
        self._words = {uid: word for uid, word in self._words.items() if word.at >= before}
        self._items_back = {item: at for item, at in self._items_back.items() if at >= before}
        self._armed = {uid: word for uid, word in self._armed.items() if word.at >= before}
        # By its arrival: a clock that stands wrong must not bring back what was mended.
        fresh = (
            (uid, {ref: word for ref, word in words.items() if word.rx >= before})
            for uid, words in self._mended.items()
        )
        self._mended = {uid: words for uid, words in fresh if words}

    def lent(self, since: datetime) -> list[Lending]:
        """Loans since ``since`` that may leave the house and are not returned, newest first."""
        return _newest(
            word
            for word in self._words.values()
            if word.what == "lent"
            and not word.stays
            and word.at >= since
            and not self._is_back(word)
        )

    def pending(self, since: datetime) -> list[Lending]:
        """The words since ``since`` that left a tag in the wrong state, newest first.

        Of a tag that was opened by all accounts and met armed by a gate since, that is the gate's word.
        """
        found = (self._wrong(word) for word in self._words.values() if word.at >= since)
        return _newest(word for word in found if word is not None)

    def _wrong(self, word: Lending) -> Lending | None:
        if word.what == "lent" and self._is_back(word):
            return None
        mended, met = self._mended.get(word.uid, {}), self._armed.get(word.uid)
        opened = word.what == "lent" and not word.stays
        if met is not None and met.at > word.at and opened:
            last = max([word.at, *(one.at for one in mended.values())])
            if met.ref in mended:
                return None
            if met.at > last:
                return replace(met, what="lent", item=word.item, pending=True)
        return word if word.pending and word.ref not in mended else None

    def _is_back(self, word: Lending) -> bool:
        back = self._items_back.get(word.item)
        return back is not None and back >= word.at


class Feeds:
    """Keeps every station's feeds on the broker. The loop of ``run`` owns it."""

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
        self._again: set[str] = (
            set()
        )  # stations that are to be told even what they were told before
        self._all_again = False
        self._wake = asyncio.Event()

    def on_outcome(self, outcome: Outcome) -> None:
        """Facts were committed, or stations were born."""
        born = {birth.device for birth in outcome.births if birth.online and birth.app in NAMES}
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
        """Read what is new, then bring every station up to date."""
        now = self._clock.now()
        self._read(now)
        if not self._connected():
            self._all_again = True  # on_ready wakes us
            return
        wanted = self._wanted(now)
        places = dict.fromkeys(
            (device, name) for device, app in self._lending.stations() for name in NAMES[app]
        )
        self._renew([at for at in places if self._is_stale(at, wanted[at[1]], now)], wanted, now)
        for device, name in places:
            given = self._given[device, name]
            if all_again or device in again or given.issued == now:
                self._post.feed(device, name, given.payload)

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
            "pending-security": _debts(shelf.pending(now - spans.pending), spans.pending),
            "recent-loans": _entries(shelf.lent(now - spans.recent), spans.recent),
            "allow-list": tuple(feeds.Entry(uid=uid) for uid in spans.allowed[: feeds.ENTRIES_MAX]),
        }  # fmt: skip

    def _is_stale(self, at: _Place, entries: _Entries, now: datetime) -> bool:
        """The station has none from this process, another one, or one that is half over."""
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
        self, device: str, name: feeds.Name, entries: _Entries, version: int, now: datetime
    ) -> bytes:  # fmt: skip
        """The signed feed; the oldest entries go if it would be too long for a broker, and that is logged."""
        whole = len(entries)
        while True:
            payload = feeds.sign(
                self._key, self._tenant, device, name,
                version=version, issued=now, expires=now + self._spans.feed, entries=entries,
            )  # fmt: skip
            if len(payload) <= feeds.FEED_MAX:
                if len(entries) < whole:
                    _log.warning(
                        "feeds.cut", station=device, feed=name, kept=len(entries), of=whole
                    )
                return payload
            entries = entries[: len(entries) * 9 // 10]


def _entries(words: Iterable[Lending], span: timedelta) -> _Entries:
    return tuple(feeds.Entry(uid=word.uid, item=word.item, until=word.at + span) for word in words)[
        : feeds.ENTRIES_MAX
    ]


def _debts(words: Iterable[Lending], span: timedelta) -> _Entries:
    found = (
        feeds.Entry(
            uid=word.uid, item=word.item, until=word.at + span, want=_want(word), since=word.at, ref=word.ref,
        )
        for word in words
    )  # fmt: skip
    return tuple(found)[: feeds.ENTRIES_MAX]


def _want(word: Lending) -> feeds.Want:
    return "off" if word.what == "lent" and not word.stays else "on"


def _later(words: dict[str, Lending], word: Lending) -> None:
    """Keep ``word`` if none later is known of its tag."""
    known = words.get(word.uid)
    if known is None or (word.at, word.cursor) >= (known.at, known.cursor):
        words[word.uid] = word


def _newest(words: Iterable[Lending]) -> list[Lending]:
    return sorted(words, key=lambda word: (word.at, word.cursor), reverse=True)
