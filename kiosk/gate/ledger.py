"""What a gate has counted and told: numbers that never repeat, counts neither lost nor doubled by a crash.

Number, counters and the untold fact are stored in one transaction; then the fact goes into the outbox, where its number
makes telling it twice telling it once; then it is struck off here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kiosk.devices.base import People
from mocban.errors import StorageError
from mocban.events import EventsLost, Fact, GateAlarmed, PassageFact, PeopleCounted, StillArmed
from mocban.migrate import open_db, transaction

MOST = 100_000
"""A difference above this is no crowd but a fault of the counter; it is not told."""
_WRAP = 16
"""A counter that went back began anew at 0 by itself if so no more than this part of its range lies between."""

_KINDS: dict[str, type[PassageFact]] = {
    kind.__name__: kind for kind in (GateAlarmed, StillArmed, EventsLost, PeopleCounted)
}


@dataclass(frozen=True, slots=True)
class Note:
    """What happened at the gate and is to be told: the kind of its fact and the fact's fields but its number."""

    kind: type[PassageFact]
    body: dict[str, str] = field(default_factory=dict)


def since(before: int, now: int, bits: int) -> int:
    """How many people between two readings of a counter of ``bits``.

    One that went back ran over if that is a short way, else it was reset and counts from 0. Never negative, and never a
    crowd that no gate sees.
    """
    size = 1 << bits
    if now >= before:
        more = now - before
    else:
        over = (now - before) % size
        more = over if over <= min(MOST, size // _WRAP) else now
    return more if more <= min(MOST, size // 2) else 0


class Facts(Protocol):
    """Where facts are told; ``mocban.outbox.Outbox`` is one."""

    def put(self, fact: Fact) -> bool:
        """Store it durably; False if it was told before."""
        ...


class Ledger:
    """The ledger in ``path``, a database it may share. Methods raise StorageError when the disk refuses."""

    def __init__(self, path: Path, facts: Facts) -> None:
        self._path = path
        self._facts = facts
        self._untold = True  # maybe, from before
        self._first: People | None = None  # the first reading ever, until the disk has it
        self._db = open_db(path, "gate", "kiosk.gate")
        try:
            self._db.execute("INSERT OR IGNORE INTO gate_self (one, next) VALUES (1, 1)")
        except sqlite3.Error as error:
            self._db.close()
            raise self._refused(error) from error

    def note(self, note: Note) -> None:
        """Record what happened."""
        self._record(dict(note.body), note.kind, None)

    def counted(self, now: People) -> None:
        """Record that the gate's counters read ``now``. The first reading ever is where counting begins,

        also when the disk refuses it: who passes until it takes one is counted then.
        """
        try:
            before = self._db.execute('SELECT entered, "left" FROM gate_self').fetchone()
        except sqlite3.Error as error:
            raise self._refused(error) from error
        if before == (now.entered, now.left):
            return
        if before[0] is None:
            self._first = self._first or now
            before = (self._first.entered, self._first.left)
        came = since(before[0], now.entered, now.bits)
        went = since(before[1], now.left, now.bits)
        self._record({"entered": came, "left": went}, PeopleCounted, now)

    def settle(self) -> None:
        """Tell everything recorded and not told yet, also what a crash or a full disk left."""
        if not self._untold:
            return
        try:
            rows = self._db.execute(
                "SELECT passage, kind, body FROM gate_untold ORDER BY passage"
            ).fetchall()
            for passage, kind, body in rows:
                self._facts.put(_KINDS[kind].model_validate_json(body))
                self._db.execute("DELETE FROM gate_untold WHERE passage = ?", (passage,))
            self._untold = False
        except (sqlite3.Error, KeyError, ValueError) as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _record(
        self, body: Mapping[str, str | int], kind: type[PassageFact], people: People | None
    ) -> None:
        try:
            with transaction(self._db):
                number = int(self._db.execute("SELECT next FROM gate_self").fetchone()[0])
                if people is not None:
                    self._db.execute(
                        'UPDATE gate_self SET entered = ?, "left" = ?',
                        (people.entered, people.left),
                    )
                if people is None or body["entered"] or body["left"]:
                    fact = kind.model_validate({"passage": number, **body})
                    self._db.execute("UPDATE gate_self SET next = ?", (number + 1,))
                    self._db.execute(
                        "INSERT INTO gate_untold VALUES (?, ?, ?)",
                        (number, kind.__name__, fact.model_dump_json()),
                    )
        except sqlite3.Error as error:
            raise self._refused(error) from error
        self._untold = True

    def _refused(self, error: Exception) -> StorageError:
        return StorageError(
            f"{self._path}: the gate's ledger cannot be used: {error}",
            "free space on the disk, or check it",
        )
