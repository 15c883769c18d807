"""The store in one SQLite file: the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TypeVar

from gateway.store import generation
from gateway.store.batch import Batch
from gateway.store.port import Letter, Outcome, Project, Reread, Revived
from mocban.clock import Clock, SystemClock
from mocban.errors import StorageError
from mocban.fingerprint import fingerprint
from mocban.migrate import open_db, transaction

COMPONENT, PACKAGE = "gateway", "gateway.store"
T = TypeVar("T")


class SqliteStore:
    """The one writer of ``path``. Thread-safe: each call waits for its turn.

    ``renewed``: this opening began a generation, since the file is another one than it was, or older.
    """

    def __init__(
        self, path: Path, project: Project, stray_letters: int = 1000,
        print_of: Callable[[Path], str] = fingerprint, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        # The only writer waits for nobody long: whoever feeds it tries again, and must be able to stop.
        self._db = open_db(path, COMPONENT, PACKAGE, patience=0.2)
        self._lock = Lock()
        try:
            self.generation, self.renewed = generation.begin(self._db, path, print_of)
            self._mark = generation.Mark(path, self.generation.gen, clock or SystemClock())
            self._mark.reach(generation.highest(self._db))
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.Error):
                raise StorageError(
                    f"the store cannot be opened: {error}", "free space on the gateway's disk"
                ) from error
            raise
        self._project = project
        self._stray_letters = stray_letters

    def append(self, batch: Sequence[Letter]) -> Outcome:
        """Store ``batch`` in one transaction. StorageError: nothing of it is stored, ask again later."""
        return self._in_one_transaction(lambda work: work.run(batch))

    def revive(self, reread: Reread, limit: int, after: int = 0) -> Revived:
        """Judge a page of dead letters anew, in one transaction."""
        return self._in_one_transaction(lambda work: work.revive(reread, limit, after))

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._mark.write()
            self._db.close()

    def _in_one_transaction(self, do: Callable[[Batch], T]) -> T:
        with self._lock:
            work = Batch(self._db, self._project, self._stray_letters)
            try:
                with transaction(self._db):
                    done = do(work)
            except sqlite3.Error as error:
                raise StorageError(
                    f"facts cannot be stored: {error}", "free space on the gateway's disk"
                ) from error
            self._mark.reach(work.cursor)
            return done
