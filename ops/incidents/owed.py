"""What an incident leaves to do, as rows of SQLite: facts to tell, playbooks to begin. Within a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from mocban.events import Audited
from ops.incidents.model import Incident, execution_id

PAGE = 100
"""Rows read at a time."""


@dataclass(frozen=True, slots=True)
class Due:
    """A playbook to begin because of an incident."""

    execution: str
    incident: int
    playbook: str


def plan(db: sqlite3.Connection, one: Incident, playbook: str) -> None:
    """``playbook`` is to begin because ``one`` is what it is; once for each kind it has been."""
    db.execute(
        "INSERT OR IGNORE INTO due VALUES (?, ?, ?)",
        (execution_id(one.id, one.kind), one.no, playbook),
    )


def audit(db: sqlite3.Connection, action: str, actor: str, one: Incident, ref: str = "") -> None:
    """The fact that ``actor`` did ``action`` is to be told. ``ref``: the incident's id, unless it can happen again."""
    what = f"{one.no} {one.kind} {one.device}".strip()
    fact = Audited(ref=ref or one.id, actor=actor, action=action, object=what)
    db.execute("INSERT INTO untold (fact) VALUES (?)", (json.dumps(fact.model_dump(mode="json")),))


def due(db: sqlite3.Connection) -> list[Due]:
    """Playbooks to begin, the oldest first."""
    sql = "SELECT execution, incident, playbook FROM due ORDER BY rowid LIMIT ?"
    return [Due(*row) for row in db.execute(sql, (PAGE,)).fetchall()]


def untold(db: sqlite3.Connection) -> list[tuple[int, Audited]]:
    """Facts to tell, the oldest first."""
    found = db.execute("SELECT no, fact FROM untold ORDER BY no LIMIT ?", (PAGE,)).fetchall()
    return [(no, Audited.model_validate_json(fact)) for no, fact in found]


def settled(db: sqlite3.Connection, due: Due) -> None:
    """It has begun, or never will."""
    db.execute("DELETE FROM due WHERE execution = ?", (due.execution,))


def told(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """The outbox has these."""
    db.executemany("DELETE FROM untold WHERE no = ?", [(no,) for no in numbers])
