"""What happened, on disk before anything is done about it. The journal keeps events only; the state is their fold.

It is compacted to one ``Rested`` row whenever the kiosk comes to rest, so it stays small and holds no card longer than
a transaction needs it: freed pages are overwritten (secure_delete) and the write-ahead log is cut off. Until then cards
stand in it sealed, each under a key of its visit; compacting destroys the keys of all visits that are over.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from kiosk import sealing
from kiosk.session.events import Event, Rested, type_names
from kiosk.session.state import Visit
from kiosk.session.step import step
from mocban.errors import StorageError
from mocban.migrate import after_full, open_db, transaction
from mocban.record import Record
from mocban.seal import SealBroken, Seals, seal_key

RECORD: Record[Event] = Record(type_names)
"""How events stand in it."""
_DO = "check the disk; then move the file away, start again, and settle open loans at the desk"


class Journal:
    """The journal in ``path``, a database it may share. Methods raise StorageError when the disk refuses.

    ``key_file`` wraps the keys of the visits; without it, ``keys/seal.key`` beside ``path``. ``lost``: visits that the
    last replay had to give up, because what they hold cannot be opened here, and their items that are not settled.
    """

    def __init__(self, path: Path, key_file: Path | None = None) -> None:
        self._path = path
        self._db = open_db(path, "journal", "kiosk")
        self._uncut = True  # the write-ahead log may still hold pages that were overwritten
        self.lost: dict[str, tuple[str, ...]] = {}
        try:
            self._seals = Seals(self._db, seal_key(key_file or path.parent / "keys" / "seal.key"))
            self._db.execute("PRAGMA secure_delete=ON").fetchall()
            self.rows = int(self._db.execute("SELECT count(*) FROM journal").fetchone()[0])
        except sqlite3.Error as error:
            self._db.close()
            raise self._refused(error) from error
        except BaseException:
            self._db.close()
            raise

    def append(self, event: Event) -> None:
        """Store ``event`` durably, and with it the key of what it holds."""
        try:
            if sealing.secret(event):
                with self._together():
                    self._store(event)
            else:
                self._store(event)
        except sqlite3.Error as error:
            after_full(self._db, error)
            raise self._refused(error) from error
        self.rows += 1

    def replay(self) -> Visit:
        """The state after everything stored. StorageError for a row that cannot be read: nothing is guessed.

        What cannot be opened makes no row unreadable: that visit stands in ``lost`` and is left out of the state, which
        must be compacted before anything is appended.
        """
        visit = Visit()
        broken: set[str] = set()
        try:
            for no, kind, body, sealed in self._db.execute(
                "SELECT no, kind, body, sealed FROM journal ORDER BY no"
            ).fetchall():
                event = RECORD.read(kind, body, f"{self._path}: row {no} of the journal", _DO)
                visit, _ = step(visit, self._opened(event, broken) if sealed else event)
        except sqlite3.Error as error:
            raise self._refused(error) from error
        visit, self.lost = sealing.without(visit, broken)
        return visit

    def compact(self, rested: Rested) -> None:
        """Put the state as it stands in place of everything before, and leave no trace of that."""
        try:
            with self._together():
                self._db.execute("DELETE FROM journal")
                self._store(rested)
                self._seals.keep(sealing.holders(rested.visit))
        except sqlite3.Error as error:
            raise self._refused(error) from error
        self.rows = 1
        self._uncut = True
        self.cut()

    def cut(self) -> bool:
        """Cut the write-ahead log off, if that is due; False while a reader of the file stands in the way."""
        if self._uncut:
            try:
                # Somebody who reads this file must not hold up the kiosk; it is tried again.
                self._db.execute("PRAGMA busy_timeout=20").fetchall()
                busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                self._db.execute("PRAGMA busy_timeout=5000").fetchall()
            except sqlite3.Error as error:
                raise self._refused(error) from error
            self._uncut = bool(busy)
        return not self._uncut

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _together(self) -> AbstractContextManager[None]:
        """All of it is stored or nothing; within somebody's transaction, with the rest of that."""
        return nullcontext() if self._db.in_transaction else transaction(self._db)

    def _store(self, event: Event) -> None:
        sealed = sealing.secret(event)
        if sealed:
            event = sealing.turned(event, self._seals.seal, self._seals.seal)
        self._db.execute(
            "INSERT INTO journal (kind, body, sealed) VALUES (?, ?, ?)",
            (*RECORD.write(event), sealed),
        )

    def _opened(self, event: Event, broken: set[str]) -> Event:
        """``event`` with what it holds. A visit whose card is lost goes on in the fold without one, to the end."""

        def card(visit: str, token: str) -> str:
            try:
                return self._seals.open(visit, token)
            except SealBroken:
                broken.add(visit)
                return ""

        def say(visit: str, token: str) -> str:
            try:
                return self._seals.open(visit, token)
            except SealBroken:
                return ""  # nothing is settled by it

        return sealing.turned(event, card, say)

    def _refused(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"{self._path}: the journal cannot be used: {error}",
            "free space on the disk, or check it",
        )
