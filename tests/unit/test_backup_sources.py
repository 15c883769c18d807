"""Databases are copied whole while they are written, and what is damaged is never kept as good."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backup import sources
from backup.faults import Busy
from backup.sources import Source
from mocban.clock import SetClock, SystemClock
from mocban.errors import ConfigError, StorageError
from mocban.migrate import open_db

CLOCK = SystemClock()


def never() -> bool:
    return False


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A database of ours with 1,000 pairs, which always add up to 0."""
    path = tmp_path / "gateway" / "gateway.db"
    db = open_db(path, "outbox", "mocban")
    db.execute("CREATE TABLE pair (a INTEGER, b INTEGER)")
    db.execute("BEGIN")
    db.executemany("INSERT INTO pair VALUES (?, ?)", [(n, -n) for n in range(1000)])
    db.execute("COMMIT")
    db.close()
    return Source("gateway", path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "staging"
    made.mkdir()
    return made


def test_a_copy_says_what_it_is(source: Source, folder: Path) -> None:
    part = sources.stage(source, folder, CLOCK, never)
    assert (part.name, part.app) == ("gateway.db", "gateway")
    assert part.rows["pair"] == 1000
    assert part.versions == {"outbox": 2}
    assert (part.bytes, part.sha256) == sources.hashed(folder / "gateway.db", never)
    assert part.bytes == (folder / "gateway.db").stat().st_size
    assert os.listdir(folder) == ["gateway.db"], "no log beside it"


def test_a_copy_is_of_one_moment_while_its_service_writes(source: Source, folder: Path) -> None:
    stop = threading.Event()
    writes: list[int] = []

    def write() -> None:
        db = sqlite3.connect(source.path, isolation_level=None, timeout=10)
        while not stop.is_set():
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO pair VALUES (?, 0)", (n := len(writes) + 1,))
            db.execute("INSERT INTO pair VALUES (0, ?)", (-n,))
            db.execute("COMMIT")
            writes.append(n)
        db.close()

    service = threading.Thread(target=write)
    service.start()
    try:
        for _ in range(20):
            before = len(writes)
            part = sources.stage(source, folder, CLOCK, never)
            copy = sqlite3.connect(folder / "gateway.db")
            total, rows = copy.execute("SELECT sum(a) + sum(b), count(*) FROM pair").fetchone()
            copy.close()
            assert total == 0, "half a transaction was copied"
            assert rows == part.rows["pair"] >= 1000 + 2 * before, "something committed is missing"
    finally:
        stop.set()
        service.join()
    assert writes


def test_what_a_killed_service_left_in_its_log_is_taken(source: Source, folder: Path) -> None:
    code = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('INSERT INTO pair VALUES (5, -5)'); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(source.path)], check=False)
    assert killed.returncode == -9
    assert source.path.with_name("gateway.db-wal").stat().st_size
    assert sources.stage(source, folder, CLOCK, never).rows["pair"] == 1001


def test_a_missing_database_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        sources.locate(tmp_path, ["gateway", "gateway"])
    assert told.value.code == "no-source"
    assert str(tmp_path / "gateway" / "gateway.db") in told.value.say
    (tmp_path / "gateway" / "gateway.db").mkdir(parents=True)
    with pytest.raises(ConfigError):
        sources.locate(tmp_path, ["gateway"])


def corrupt(path: Path, at: int, what: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(what)


@pytest.mark.parametrize("how", ["no-sqlite", "header", "page", "empty", "cut", "foreign"])
def test_a_damaged_database_is_never_kept_as_good(how: str, source: Source, folder: Path) -> None:
    match how:
        case "no-sqlite":
            source.path.write_text("Sổ mượn sách\n" * 1000, encoding="utf-8")
        case "header":
            corrupt(source.path, 0, b"not SQLite")
        case "page":
            # The root page of a table, which SQLite copies without looking into it.
            db = sqlite3.connect(source.path)
            root, size = (
                db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'pair'").fetchone()[0],
                db.execute("PRAGMA page_size").fetchone()[0],
            )
            db.close()
            corrupt(source.path, (root - 1) * size, b"\xee" * 64)
        case "empty":
            source.path.write_bytes(b"")
        case "cut":
            os.truncate(source.path, source.path.stat().st_size - 4096)
        case _:
            source.path.unlink()
            db = sqlite3.connect(source.path)
            db.execute("CREATE TABLE other (x)")
            db.close()
    with pytest.raises(StorageError) as told:
        sources.stage(source, folder, CLOCK, never)
    assert told.value.code == "source-damaged"
    assert str(source.path) in told.value.say
    assert len(told.value.say) < 600
    assert "mocban backup restore" in told.value.do


def test_a_database_its_service_locks_is_not_waited_for_without_end(
    source: Source, folder: Path
) -> None:
    class Fast(SetClock):
        def mono(self) -> float:
            self.advance(sources.PATIENCE / 3)
            return super().mono()

    holder = sqlite3.connect(source.path, isolation_level=None)
    holder.execute("PRAGMA journal_mode=DELETE").fetchall()
    holder.execute("BEGIN EXCLUSIVE")
    # Somebody has it open, so that we do not take it for one at rest.
    source.path.with_name("gateway.db-wal").touch()
    try:
        with pytest.raises(Busy) as told:
            sources.stage(source, folder, Fast(), never)
    finally:
        holder.close()
    assert told.value.code == "source-locked"


def test_a_service_that_starts_while_its_database_is_copied_makes_us_copy_again(
    source: Source, folder: Path
) -> None:
    looks: list[int] = []
    opened: list[sqlite3.Connection] = []

    def starts() -> bool:
        looks.append(1)
        if len(looks) == 1:  # asked while SQLite copies
            db = sqlite3.connect(source.path, isolation_level=None, check_same_thread=False)
            db.execute("INSERT INTO pair VALUES (7, -7)")
            opened.append(db)
        return False

    part = sources.stage(source, folder, CLOCK, starts)
    opened[0].close()
    assert part.rows["pair"] == 1001


def test_asked_to_stop_it_stops(source: Source, folder: Path) -> None:
    with pytest.raises(Busy) as told:
        sources.stage(source, folder, CLOCK, lambda: True)
    assert told.value.code == "cancelled"


def test_without_room_nothing_begins(source: Source, folder: Path) -> None:
    sources.room([source], folder)
    with source.path.open("r+b") as file:
        file.truncate(1 << 43)  # a hole: no disk is needed
    with pytest.raises(StorageError) as told:
        sources.room([source], folder)
    assert told.value.code == "staging-full"
    assert str(folder) in told.value.say
