"""SQLite files: opened the one safe way, brought up to date by numbered plain SQL files, forward only.

Several components may share one file; each keeps its own numbering in table ``migration``.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path

from mocban.errors import ConfigError, StorageError

_TABLE = (
    "CREATE TABLE IF NOT EXISTS migration"
    " (component TEXT, version INTEGER, checksum TEXT, PRIMARY KEY (component, version)) STRICT"
)

WAL_PAGES = 200
"""Pages in the write-ahead log (0.8 MB) before they are copied into the file: a small disk must have room for both."""


def open_db(path: Path, component: str, package: str, patience: float = 5.0) -> sqlite3.Connection:
    """A connection to ``path`` with every ``package``/migrations/NNN_*.sql of ``component`` applied.

    WAL, synchronous=FULL (what is committed survives a power cut), explicit transactions. Afterwards it waits up to
    ``patience`` seconds for another writer.
    ConfigError if the folder cannot be written, StorageError if the file is damaged or from a newer release.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    try:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=5000",
            f"wal_autocheckpoint={WAL_PAGES}",
            f"journal_size_limit={WAL_PAGES * 4120}",
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
        _apply(db, path, component, package)
        db.execute(f"PRAGMA busy_timeout={int(patience * 1000)}").fetchall()
    except sqlite3.Error as error:
        db.close()
        raise _unusable(path, error) from error
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that is done inside is stored, or nothing of it. Whatever goes wrong comes out as it is.

    The write lock comes first: what began as a read cannot always be made a write later on.
    """
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # what went wrong first is what counts
            if db.in_transaction:  # a full disk makes SQLite roll back by itself
                db.execute("ROLLBACK")
        raise


def after_full(db: sqlite3.Connection, error: BaseException | None) -> None:
    """After ``error`` "disk is full": copy the write-ahead log back, so that the next try may write over it.

    Nothing else does it then: SQLite copies after a commit, and no commit comes any more.
    """
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        with suppress(sqlite3.Error):  # the file has to grow, and cannot
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _apply(db: sqlite3.Connection, path: Path, component: str, package: str) -> None:
    files = sorted(
        (f for f in (resources.files(package) / "migrations").iterdir() if f.name.endswith(".sql")),
        key=lambda f: f.name,
    )
    db.execute(_TABLE)
    with transaction(db):  # two processes opening one new file must not both create it
        done = dict(
            db.execute("SELECT version, checksum FROM migration WHERE component = ?", (component,))
        )
        known = {int(f.name[:3]) for f in files}
        if set(done) - known:
            raise StorageError(
                f"{path} was written by a newer release ({component} {max(done)})",
                "install that release again, or restore the file from before the upgrade",
            )
        for file in files:
            version, sql = int(file.name[:3]), file.read_text(encoding="utf-8")
            checksum = hashlib.sha256(sql.encode()).hexdigest()[:16]
            if version not in done:
                for statement in _statements(sql):
                    db.execute(statement)
                db.execute("INSERT INTO migration VALUES (?, ?, ?)", (component, version, checksum))
            elif done[version] != checksum:
                raise StorageError(
                    f"{path}: migration {component} {version} is not the one applied here"
                )


def _statements(sql: str) -> list[str]:
    """The single statements of a file; executescript would commit in between."""
    found, rest = [], ""
    for line in sql.splitlines():
        rest += line + "\n"
        if sqlite3.complete_statement(rest):
            found.append(rest)
            rest = ""
    return found


def _unusable(path: Path, error: Exception) -> ConfigError | StorageError:
    if isinstance(error, sqlite3.DatabaseError) and "unable to open" not in str(error):
        if "readonly" in str(error) or "read-only" in str(error):
            return ConfigError(
                f"{path} cannot be written", "give the service's user the right to write it"
            )
        return StorageError(
            f"{path} cannot be used: {error}", "free space on the disk, or restore it from a backup"
        )
    return ConfigError(
        f"{path.parent} cannot be written", "set data_dir to a folder this user may write"
    )
