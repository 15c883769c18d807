"""What happened to each execution, on disk before anything is done about it. Events only; the state is their fold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path
from threading import RLock
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mocban.errors import StorageError
from mocban.migrate import after_full, open_db, transaction
from mocban.record import Record
from ops.runbooks.happenings import KINDS, Begun, Event
from ops.runbooks.model import Playbook
from ops.runbooks.plan import begin, step
from ops.runbooks.state import Run

BODY_MAX = 512 * 1024
"""Longest event, in bytes."""
KEPT = 2_000
"""Most executions kept; the oldest that are over go first."""
RECORD: Record[Event] = Record(KINDS.values())
"""How events stand in it."""
_DO = "check the disk, or restore it from a backup"


@dataclass(frozen=True, slots=True)
class Row:
    """One execution without its happenings."""

    no: int
    id: str
    state: str
    told: int


class Journal:
    """The executions in ``path``, a file it may share. Thread-safe. StorageError: nothing of it was stored."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = RLock()
        self._db = open_db(path, "runbooks", "ops.runbooks")

    def open(self, playbook: Playbook, event: Begun, digest: str) -> str:
        """Store a new execution; the ``digest`` it is stored under, another one if its id was there before."""
        with self._writing() as db:
            row = db.execute("SELECT digest FROM execution WHERE id = ?", (event.id,)).fetchone()
            if row is not None:
                return str(row[0])
            db.execute(
                "INSERT INTO execution (id, digest, playbook, state, over, told) VALUES (?, ?, ?, 'running', 0, 0)",
                (event.id, digest, _dumped(playbook)),
            )
            self._insert(event.id, 1, event)
            db.execute(
                "DELETE FROM happening WHERE execution IN (SELECT id FROM execution WHERE over = 1"
                " ORDER BY no DESC LIMIT -1 OFFSET ?)", (KEPT,),
            )  # fmt: skip
            db.execute(
                "DELETE FROM execution WHERE over = 1 AND no NOT IN (SELECT no FROM execution WHERE over = 1"
                " ORDER BY no DESC LIMIT ?)", (KEPT,),
            )  # fmt: skip
        return digest

    def append(self, execution: str, no: int, event: Event, after: Run) -> None:
        """Store ``event`` as happening ``no`` of ``execution``, which stands as ``after`` then."""
        with self._writing() as db:
            self._insert(execution, no, event)
            db.execute(
                "UPDATE execution SET state = ?, over = ? WHERE id = ?",
                (after.word, after.stage == "over", execution),
            )

    def told(self, execution: str, no: int) -> None:
        """Happenings up to ``no`` are told."""
        with self._writing() as db:
            db.execute("UPDATE execution SET told = ? WHERE id = ?", (no, execution))

    def going(self) -> list[str]:
        """Ids of executions that are not over, or not told of to the end, oldest first."""
        sql = (
            "SELECT id FROM execution WHERE over = 0 OR told <"
            " (SELECT max(no) FROM happening WHERE execution = execution.id) ORDER BY no"
        )
        return [str(row[0]) for row in self._ask(sql)]

    def rows(self, state: str | None = None, limit: int = 100) -> list[Row]:
        """Executions, newest first; ``open`` means not over."""
        where, values = {None: ("1", ()), "open": ("over = 0", ())}.get(
            state, ("state = ?", (state,))
        )
        sql = f"SELECT no, id, state, told FROM execution WHERE {where} ORDER BY no DESC LIMIT ?"
        return [Row(*row) for row in self._ask(sql, *values, limit)]

    def row(self, execution: str) -> Row | None:
        """One execution."""
        rows = self._ask("SELECT no, id, state, told FROM execution WHERE id = ?", execution)
        return Row(*rows[0]) if rows else None

    def digest(self, execution: str) -> str:
        """Of what was asked for when it was begun; "" if it is not there."""
        rows = self._ask("SELECT digest FROM execution WHERE id = ?", execution)
        return str(rows[0][0]) if rows else ""

    def events(self, execution: str) -> list[Event]:
        """All that happened to it, in order. StorageError for a row that cannot be read: nothing is guessed."""
        sql = "SELECT no, kind, body FROM happening WHERE execution = ? ORDER BY no"
        return [
            RECORD.read(kind, body, f"{self._path}: event {no} of an execution", _DO)
            for no, kind, body in self._ask(sql, execution)
        ]

    def playbook(self, execution: str) -> Playbook:
        """The copy of the playbook it goes by."""
        rows = self._ask("SELECT playbook FROM execution WHERE id = ?", execution)
        try:
            playbook = _playbooks().validate_json(rows[0][0])
        except (ValidationError, IndexError):
            raise StorageError(
                f"{self._path}: the playbook of {execution} cannot be read", _DO
            ) from None
        return playbook

    def replay(self, execution: str) -> Run:
        """How it stands after everything stored."""
        return fold(self.playbook(execution), self.events(execution))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _insert(self, execution: str, no: int, event: Event) -> None:
        kind, body = RECORD.write(event)
        if len(body.encode()) > BODY_MAX:
            raise ValueError(f"an event of {len(body)} bytes")  # what comes in is bounded before
        self._db.execute("INSERT INTO happening VALUES (?, ?, ?, ?)", (execution, no, kind, body))  # fmt: skip

    def _ask(self, sql: str, *values: object) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._refused(error) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with transaction(self._db):
                    yield self._db
            except sqlite3.Error as error:
                after_full(self._db, error)
                raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"{self._path}: executions cannot be stored: {error}",
            "free space on the disk, or check it",
        )


def fold(playbook: Playbook, events: Iterable[Event]) -> Run:
    """How an execution stands after ``events``, the first of which began it."""
    first, *rest = events
    assert isinstance(first, Begun)
    return reduce(lambda run, event: step(run, event)[0], rest, begin(playbook, first)[0])


@cache
def _playbooks() -> TypeAdapter[Playbook]:
    return TypeAdapter(Playbook)


def _dumped(playbook: Playbook) -> str:
    return _playbooks().dump_json(playbook, exclude={"body", "drill"}).decode()
