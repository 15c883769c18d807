"""Tags a gate does not cry for, because the centre said so: signed feeds, kept over a start without the network."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import Counter

from mocban import feeds, log
from mocban.clock import Clock
from mocban.errors import RemoteProtocolError, StorageError
from mocban.feeds import Feed
from mocban.identity import Identity
from mocban.migrate import open_db

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_log = log.get("kiosk.feeds")
_feeds = Counter("mocban_feeds_total", "Feeds that came, by what became of them", ["outcome"])


class Excuses:
    """The feeds in force at one gate, in a database it may share. Without any, the tag alone decides."""

    def __init__(self, path: Path, identity: Identity, pinned: Iterable[str], clock: Clock) -> None:
        self._path = path
        self._identity = identity
        self._pinned = tuple(pinned)
        self._clock = clock
        self._db = open_db(path, "gate", "kiosk.gate")
        self._feeds: dict[str, Feed] = {}
        self._until: dict[str, dict[str, datetime]] = {}
        self._versions: dict[str, int] = {}
        self._untaken: dict[str, tuple[int, bytes]] = {}  # the disk refused it: version and payload
        try:
            rows = self._db.execute("SELECT name, version, payload FROM gate_feed").fetchall()
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

    def excused(self, uid: str) -> str:
        """Name of the feed that excuses the tag now; empty if none does."""
        now = self._now()
        for name, until in self._until.items():
            if uid in until and now < min(until[uid], self._feeds[name].expires):
                return name
        return ""

    @property
    def versions(self) -> dict[str, int]:
        """Version of each feed that is in force now."""
        now = self._now()
        return {name: feed.version for name, feed in self._feeds.items() if now < feed.expires}

    def forget(self) -> None:
        """Let go of everything but the versions, which only grow. StorageError when the disk refuses."""
        self._feeds, self._until, self._untaken = {}, {}, {}
        try:
            self._db.execute("UPDATE gate_feed SET payload = x''")
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
        if feed.expires <= max(self._now(), feed.issued):
            raise RemoteProtocolError("it is too late for it", code="expired")
        return True

    def _put(self, feed: Feed) -> None:
        self._feeds[feed.name] = feed
        self._versions[feed.name] = feed.version
        self._until[feed.name] = {
            one.uid: one.until or feed.expires for one in feed.entries if one.uid
        }

    def _now(self) -> datetime:
        """A clock that stands in the past makes no feed valid again."""
        return max(self._clock.now(), *(feed.issued for feed in self._feeds.values()), _EVER)

    def _store(self, feed: Feed, payload: bytes) -> None:
        try:
            self._db.execute(
                "INSERT INTO gate_feed VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
                " SET version = excluded.version, payload = excluded.payload",
                (feed.name, feed.version, payload),
            )
        except sqlite3.Error as error:
            if feed.version > self._untaken.get(feed.name, (-1, b""))[0]:
                self._untaken[feed.name] = feed.version, payload
            raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"{self._path}: the gate's feeds cannot be used: {error}",
            "free space on the disk, or check it",
        )
