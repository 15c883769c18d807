"""Databases copied while their services write on, and looked through: what is damaged is never kept as good."""

from __future__ import annotations

import errno
import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from backup.faults import Busy, cancelled, staging_full
from backup.manifest import Part
from mocban.clock import Clock
from mocban.errors import ConfigError, MocbanError, StorageError
from mocban.findings import read_only

PATIENCE = 20.0
"""Seconds a database may be locked by its service before we give up."""
SPARE = 16 * 1024 * 1024
"""Bytes that must stay free in the staging folder."""
STEPS = 20_000
"""SQLite's instructions between two looks whether to stop."""
CHUNK = 1024 * 1024
_SAID = 3  # faults of a damaged database that are quoted
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Source:
    """The database of one app."""

    app: str
    path: Path

    @property
    def name(self) -> str:
        """Its file's name in a backup."""
        return f"{self.app}.db"


def locate(data_dir: Path, apps: Iterable[str]) -> list[Source]:
    """The databases of ``apps``. ConfigError (code ``no-source``) for the first that is missing."""
    found = [Source(app, data_dir / app / f"{app}.db") for app in dict.fromkeys(apps)]
    for source in found:
        try:
            there = source.path.is_file()
        except OSError:
            there = False
        if not there:
            raise ConfigError(
                f"there is no database {source.path}",
                f"correct data_dir or sources, or start {source.app} once",
                code="no-source",
            )
    return found


def room(sources: Iterable[Source], folder: Path) -> None:
    """StorageError (code ``staging-full``) if ``folder`` has no room for copies of ``sources``."""
    try:
        need = sum(_size(source.path) for source in sources) + SPARE
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be looked at: {error.strerror}",
            "run the backup as a user who may read data_dir",
            code="refused",
        ) from error
    if free < need:
        raise staging_full(
            folder, f"{need // 1_000_000 + 1} MB are needed, {free // 1_000_000} are free"
        )


def stage(source: Source, folder: Path, clock: Clock, stopped: Callable[[], bool]) -> Part:
    """Copy ``source`` into ``folder`` as one file at one moment, look through it, and say what it is.

    StorageError (``source-damaged``, ``staging-full``), Busy (``source-locked``, ``cancelled``).
    """
    target = folder / source.name
    for _ in range(_TRIES):
        if _copy(source, target, clock, stopped):
            break
    else:
        raise _locked(source.path)
    versions, rows = examine(target, stopped, named=source.path)
    size, digest = hashed(target, stopped)
    return Part(
        name=source.name, app=source.app, bytes=size, sha256=digest, versions=versions, rows=rows
    )


def examine(
    file: Path, stopped: Callable[[], bool], *, named: Path | None = None
) -> tuple[dict[str, int], dict[str, int]]:
    """Read every page of the database ``file``: its components' migrations, and the rows of its tables.

    StorageError (code ``source-damaged``) if SQLite finds anything wrong, or if it is no database of ours; the
    sentence calls it ``named``.
    """
    named = named or file
    db = None
    try:
        db = read_only(file)
        db.set_progress_handler(lambda: int(stopped()), STEPS)
        faults = [str(row[0]) for row in db.execute("PRAGMA integrity_check(20)")]
        if faults != ["ok"]:
            raise broken(named, "; ".join(" ".join(one.split())[:120] for one in faults[:_SAID]))
        tables = [
            str(row[0])
            for row in db.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
            )
            if not str(row[0]).startswith("sqlite_")
        ]
        if "migration" not in tables:
            raise broken(named, "it is no database of mocban")
        versions = {
            str(component): int(version)
            for component, version in db.execute(
                "SELECT component, max(version) FROM migration GROUP BY component ORDER BY component"
            )
        }
        return versions, {table: _count(db, table) for table in tables}
    except sqlite3.Error as error:
        if stopped():
            raise cancelled() from None
        raise broken(named, str(error)) from error
    finally:
        if db is not None:
            db.close()


def hashed(file: Path, stopped: Callable[[], bool]) -> tuple[int, str]:
    """Size and SHA-256 of ``file``. StorageError if it cannot be read."""
    digest, size = hashlib.sha256(), 0
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                if stopped():
                    raise cancelled()
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise StorageError(
            f"{file} cannot be read: {error.strerror}", "look at its disk"
        ) from error
    return size, digest.hexdigest()


def broken(file: Path, why: str) -> StorageError:
    """What is said of a damaged database."""
    return StorageError(
        f"the database {file} is damaged ({why})",
        "stop its service and bring back the last good backup: mocban backup restore --to FOLDER",
        code="source-damaged",
    )


def _copy(source: Source, target: Path, clock: Clock, stopped: Callable[[], bool]) -> bool:
    """SQLite's backup in one step: a writer is not held up, and the copy is of one moment.

    False if a service came while we looked at a database nobody had open: then the copy proves nothing.
    """
    log = source.path.with_name(f"{source.path.name}-wal")
    quiet = not log.exists()
    began = clock.mono()

    def watch(status: int, _left: int, _all: int) -> None:
        if stopped():
            raise cancelled()
        if (
            status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            and clock.mono() > began + PATIENCE
        ):
            raise _locked(source.path)

    try:
        target.unlink(missing_ok=True)
        target.touch(mode=0o600)
    except OSError as error:
        raise written(target.parent, error) from error
    db = out = None
    try:
        db = read_only(source.path)
        out = sqlite3.connect(target, isolation_level=None)
        db.backup(out, pages=-1, progress=watch, sleep=0.05)
        out.execute("PRAGMA journal_mode=DELETE").fetchall()  # one file, without a log beside it
    except sqlite3.Error as error:
        raise _refused(error, source.path, target.parent) from error
    finally:
        for each in (out, db):
            if each is not None:
                each.close()
    return not (quiet and log.exists())


def _refused(error: sqlite3.Error, path: Path, folder: Path) -> MocbanError:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return staging_full(folder, "the copy did not fit")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return broken(path, str(error))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return _locked(path)
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_READONLY:
            return ConfigError(
                f"{path} cannot be opened: {error}", "run the backup as its service's user, or as root",
                code="refused",
            )  # fmt: skip
        case _:
            return StorageError(
                f"{path} cannot be copied: {error}", f"look at its disk and that of {folder}"
            )


def written(folder: Path, error: OSError) -> MocbanError:
    """What is said when something else than a database cannot be written to ``folder``."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return staging_full(folder, "nothing more fits")
    return ConfigError(
        f"{folder} cannot be written: {error.strerror}",
        "set staging to a folder the backup's user may write",
        code="refused",
    )


def _locked(path: Path) -> Busy:
    return Busy(
        f"the database {path} is locked",
        "see what its service does, and try again",
        code="source-locked",
    )


def _count(db: sqlite3.Connection, table: str) -> int:
    name = table.replace('"', '""')
    return int(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])


def _size(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)
