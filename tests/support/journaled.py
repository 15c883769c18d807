"""A borrow as the journal holds it, for its tests."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kiosk.journal import Journal
from kiosk.session.events import (
    CardSeen,
    Event,
    IlsGranted,
    PatronKnown,
    TagOpened,
    TagSeen,
    Told,
    Woke,
)
from kiosk.session.state import Item, Rules, Visit
from kiosk.session.step import step

AT = datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC)
ITEM, OTHER = Item("BG00012345", "E004010012345678"), Item("11223344", "E004010012345679")
CARD = "TV2400001"


def a_borrow(visit: str = "v1") -> list[Event]:
    return [
        Woke(AT, Rules(3, 90)),
        CardSeen(AT, CARD, visit),
        PatronKnown(AT, visit, 5),
        TagSeen(AT, ITEM),
        IlsGranted(AT, visit, 1, "Dế Mèn phiêu lưu ký", AT + timedelta(days=14)),
        TagOpened(AT, visit, 1),
        Told(AT, visit, 1),
    ]


def fold(events: list[Event]) -> Visit:
    visit = Visit()
    for event in events:
        visit, _ = step(visit, event)
    return visit


def write(journal: Journal, events: list[Event]) -> None:
    for event in events:
        journal.append(event)


def on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if file.is_file())


def keys(path: Path) -> set[str]:
    """Visits whose keys stand in the file."""
    with closing(sqlite3.connect(path)) as db:
        return {session for (session,) in db.execute("SELECT session FROM seal")}
