"""A transaction on SQLite: all of it or nothing, and what went wrong comes out as it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mocban.migrate import open_db, transaction


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_db(path, "outbox", "mocban", patience=0.01)) as opened:
        opened.execute("CREATE TABLE book (id TEXT PRIMARY KEY)")
        yield opened


def books(db: sqlite3.Connection) -> list[str]:
    return [book for (book,) in db.execute("SELECT id FROM book ORDER BY id")]


def test_what_is_done_inside_is_stored_together(db: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        with transaction(db):
            db.execute("INSERT INTO book VALUES ('a')")
            db.execute("INSERT INTO book VALUES ('b')")
            assert books(other) == []
        assert books(other) == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, sqlite3.OperationalError])
def test_whatever_goes_wrong_leaves_nothing_behind(
    db: sqlite3.Connection, error: type[BaseException]
) -> None:
    with pytest.raises(error) as caught, transaction(db):
        db.execute("INSERT INTO book VALUES ('a')")
        raise error("this one")
    assert str(caught.value) == "this one"
    assert (books(db), db.in_transaction) == ([], False)


def test_who_holds_the_file_is_met_at_the_beginning(db: sqlite3.Connection, path: Path) -> None:
    begun = False
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"), transaction(db):
            begun = True
        other.execute("ROLLBACK")
    assert not begun
    with transaction(db):
        db.execute("INSERT INTO book VALUES ('a')")
    assert books(db) == ["a"]


def test_a_full_disk_is_named_although_sqlite_has_rolled_back_itself(
    db: sqlite3.Connection,
) -> None:
    db.execute("PRAGMA max_page_count=1").fetchall()
    with pytest.raises(sqlite3.OperationalError, match="full"), transaction(db):
        for number in range(10_000):
            db.execute("INSERT INTO book VALUES (?)", (f"{number:0100}",))
    assert (books(db), db.in_transaction) == ([], False)


def test_a_file_that_was_closed_is_said_so(db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.ProgrammingError, match="closed"), transaction(db):
        db.close()
        db.execute("INSERT INTO book VALUES ('a')")
