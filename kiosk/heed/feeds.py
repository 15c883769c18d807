"""Which tags a gate lets go and which ones any station mends, because the centre said so."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import Counter

from mocban import feeds, log
from mocban.clock import Clock
from mocban.errors import RemoteProtocolError, StorageError
from mocban.feeds import Entry, Feed, Want
from mocban.identity import Identity
from mocban.migrate import open_db

EVERY = 5.0
"""Seconds between two looks at whether a feed ran out, or one that the disk refused can be taken."""

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_log = log.get("kiosk.feeds")
_feeds = Counter("mocban_feeds_total", "Feeds that came, by what became of them", ["outcome"])


@dataclass(frozen=True, slots=True)
class Debt:
    """One tag to be mended. ``want``: the state it should be in; ``ref``: the fact that left it otherwise."""

    uid: str
    item: str
    want: Want
    since: datetime
    ref: str


class Heed:
    """The feeds in force at one station, in a database it may share. Without any, the tag alone decides."""

    def __init__(self, path: Path, identity: Identity, pinned: Iterable[str], clock: Clock) -> None:
        self._path = path
        self._identity = identity
        self._pinned = tuple(pinned)
        self._clock = clock
        self._db = open_db(path, "heed", "kiosk.heed")
        self._feeds: dict[str, Feed] = {}
        self._entries: dict[str, dict[str, Entry]] = {}
        self._items: dict[str, dict[str, tuple[str, ...]]] = {}  # UIDs by item, of each feed
        self._versions: dict[str, int] = {}
        self._untaken: dict[str, tuple[int, bytes]] = {}  # the disk refused it: version and payload
        try:
            rows = self._db.execute("SELECT name, version, payload FROM heed_feed").fetchall()
        except sqlite3.Error as error:
            self._db.close()
            raise self._refused(error) from error
        for name, version, payload in rows:
            self._versions[name] = version
            try:
                self._put(feeds.parse(payload, self._pinned))
            except RemoteProtocolError as error:  # its key is not pinned any more
                _log.warning("feed.dropped", feed=name, code=error.code)

    def take(self, name: str, payload: bytes) -> bool:
        """A feed came on ``feed/{name}``; True if it is a new one and in force now. Raises nothing.

        What the disk refuses waits for ``again``: the gateway would not tell it a second time on this connection.
        """
        try:
            feed = feeds.parse(payload, self._pinned)
            if self._judge(name, feed):
                self._store(feed, payload)
                self._put(feed)
                _feeds.labels("taken").inc()
                _log.info("feed.taken", feed=name, version=feed.version, entries=len(feed.entries))
                return True
            _feeds.labels("again").inc()
        except RemoteProtocolError as error:
            _feeds.labels("refused").inc()
            _log.warning("feed.refused", feed=name, code=error.code)
        except StorageError as error:
            _feeds.labels("untaken").inc()
            _log.error("feed.untaken", say=error.say)
        return False

    def again(self) -> None:
        """Take what the disk refused, if it does not any more."""
        untaken, self._untaken = self._untaken, {}
        for name, (_, payload) in untaken.items():
            self.take(name, payload)

    def excused(self, uid: str, item: str = "") -> str:
        """Name of the feed that lets the tag go now; empty if none does.

        ``item``: of a tag that the gate knows by another name than the station that lent it, as UHF tags are.
        """
        for name in self._entries:
            uids = (uid, *self._items[name].get(item, ())) if item else (uid,)
            entries = (self._entry(name, one) for one in uids)
            if any(entry is not None and entry.excuses for entry in entries):
                return name
        return ""

    def wanted(self, uid: str) -> Debt | None:
        """What ``pending-security`` wants of this tag now, if anything; and if it says all that mending needs."""
        entry = self._entry("pending-security", uid)
        if entry is None or entry.want is None or entry.since is None or entry.ref is None:
            return None
        return Debt(uid, entry.item, entry.want, entry.since, entry.ref)

    def now(self) -> datetime:
        """The time, but no earlier than a feed was issued: a clock that stands in the past makes none valid again."""
        return max(self._clock.now(), *(feed.issued for feed in self._feeds.values()), _EVER)

    @property
    def versions(self) -> dict[str, int]:
        """Version of each feed that is in force now."""
        now = self.now()
        return {name: feed.version for name, feed in self._feeds.items() if now < feed.expires}

    @property
    def said(self) -> str:
        """The same in words, for a self-test."""
        return (
            ", ".join(f"{name} {version}" for name, version in sorted(self.versions.items()))
            or "none"
        )

    def forget(self) -> None:
        """Let go of everything but the versions, which only grow. StorageError when the disk refuses."""
        self._feeds, self._entries, self._items, self._untaken = {}, {}, {}, {}
        try:
            self._db.execute("UPDATE heed_feed SET payload = x''")
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _judge(self, name: str, feed: Feed) -> bool:
        """Whether it is new; RemoteProtocolError if it is not to be believed here."""
        if (feed.tenant, feed.device) != (self._identity.tenant, self._identity.device):
            raise RemoteProtocolError("it is for another device", code="wrong-device")
        if feed.name != name:
            raise RemoteProtocolError("it came on another feed's topic", code="wrong-topic")
        known = self._versions.get(name, -1)
        if feed.version < known:
            raise RemoteProtocolError("it is older than the one in force", code="old-version")
        if feed.version == known:  # retained: it comes with every connection
            return False
        if feed.expires <= max(self.now(), feed.issued):
            raise RemoteProtocolError("it is too late for it", code="expired")
        return True

    def _put(self, feed: Feed) -> None:
        self._feeds[feed.name] = feed
        self._versions[feed.name] = feed.version
        self._entries[feed.name] = {one.uid: one for one in feed.entries if one.uid}
        items: dict[str, tuple[str, ...]] = {}
        for one in feed.entries:
            if one.uid and one.item:
                items[one.item] = (*items.get(one.item, ()), one.uid)
        self._items[feed.name] = items

    def _entry(self, name: str, uid: str) -> Entry | None:
        """The feed's word on the tag, while it counts."""
        entry = self._entries.get(name, {}).get(uid)
        if entry is None:
            return None
        expires = self._feeds[name].expires
        return entry if self.now() < min(entry.until or expires, expires) else None

    def _store(self, feed: Feed, payload: bytes) -> None:
        try:
            self._db.execute(
                "INSERT INTO heed_feed VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
                " SET version = excluded.version, payload = excluded.payload",
                (feed.name, feed.version, payload),
            )
        except sqlite3.Error as error:
            if feed.version > self._untaken.get(feed.name, (-1, b""))[0]:
                self._untaken[feed.name] = feed.version, payload
            raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"{self._path}: the feeds cannot be used: {error}",
            "free space on the disk, or check it",
        )


async def keep(heed: Heed, changed: Callable[[], None], stop: asyncio.Event) -> None:
    """Until ``stop``: take what the disk refused; ``changed`` hears that a feed came into force so, or ran out."""
    known: dict[str, int] = {}
    while not stop.is_set():
        heed.again()
        if heed.versions != known:
            known = heed.versions
            changed()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY)
