"""Tags in the wrong state, as far as this kiosk knows: by what it told itself, and by the centre's feed.

Its own word needs no network. On each tag the later word counts, as it does at the gateway once it has heard both: so a
feed that has not heard of a loan made here cannot undo that loan's mark.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Protocol

from kiosk.heed.feeds import Debt
from mocban import events
from mocban.clock import parse_rfc3339, rfc3339
from mocban.errors import StorageError
from mocban.events import Fact, LoanMade, ReturnMade
from mocban.migrate import open_db

WORDS_MAX = 10_000
"""Tags whose last word is kept; the oldest go. A feed that could contradict an older one has expired."""


class Feed(Protocol):
    """What the centre says; ``kiosk.heed.feeds.Heed`` is one."""

    def wanted(self, uid: str) -> Debt | None:
        """What it wants of this tag."""
        ...

    def now(self) -> datetime:
        """The time, no earlier than the centre's last word."""
        ...


class Pending:
    """The last words in ``path``, a database it may share. Methods raise StorageError when the disk refuses."""

    def __init__(self, path: Path, device: str, feed: Feed) -> None:
        self._path = path
        self._device = device
        self._feed = feed
        self._db = open_db(path, "journal", "kiosk")

    def heard(self, fact: Fact) -> None:
        """A fact of this kiosk was told: the last word on its tag, if it is about one. Hearing it twice is once."""
        match fact:
            case LoanMade() | ReturnMade() if fact.uid:
                opened = isinstance(fact, LoanMade) and not fact.stays
                want = ("off" if opened else "on") if fact.security == "pending" else ""
                ref = events.ref(fact.id_at(self._device))
                self._write(fact.uid, self._feed.now(), want, fact.item * bool(want), ref)
            case _:
                return

    def wanted(self, uid: str) -> Debt | None:
        """What is to be done about this tag, if anything."""
        try:
            row = self._db.execute(
                "SELECT at, want, item, ref FROM pending WHERE uid = ?", (uid,)
            ).fetchone()
        except sqlite3.Error as error:
            raise self._refused(error) from error
        told = self._feed.wanted(uid)
        if told is not None and (row is None or parse_rfc3339(row[0]) < told.since):
            return told
        if row is None or not row[1]:
            return None
        return Debt(uid, row[2], row[1], parse_rfc3339(row[0]), row[3])

    def mended(self, debt: Debt) -> None:
        """It was done, and told: nothing is to be done about this tag until there is a later word on it."""
        self._write(debt.uid, max(self._feed.now(), debt.since), "", "", debt.ref)

    def forget(self) -> None:
        """Let go of all of it."""
        try:
            self._db.execute("DELETE FROM pending")
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _write(self, uid: str, at: datetime, want: str, item: str, ref: str) -> None:
        try:
            known = self._db.execute(
                "SELECT want, ref FROM pending WHERE uid = ?", (uid,)
            ).fetchone()
            if known is not None and known[1] == ref and (not known[0] or known[0] == want):
                return  # it was written before a crash, or mended since
            no = self._db.execute(
                "INSERT OR REPLACE INTO pending (uid, at, want, item, ref) VALUES (?, ?, ?, ?, ?)",
                (uid, rfc3339(at), want, item, ref),
            ).lastrowid
            self._db.execute("DELETE FROM pending WHERE no <= ?", ((no or 0) - WORDS_MAX,))
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"{self._path}: what is pending cannot be used: {error}",
            "free space on the disk, or check it",
        )
