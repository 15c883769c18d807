"""What became of each run: on record here first, then told as a fact, by this run or by a later one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from mocban import log
from mocban.clock import Clock, parse_rfc3339, rfc3339
from mocban.config import Config
from mocban.errors import MocbanError, StorageError
from mocban.events import Audited
from mocban.findings import reach, read_only
from mocban.migrate import open_db, transaction
from mocban.outbox import Outbox

KEPT = 1000
"""Runs remembered."""
TELL_SECONDS = 8.0
"""Longest wait for the gateway to take what a run has to tell, while a broker is there."""
CUT_OFF = "cut-off"
"""Reason of a run that was killed, or whose machine was."""
POLL = 0.05
"""Seconds between two looks whether all is told."""
_log = log.get("backup.report")
_COLUMNS = "id, began, ended, outcome, reason, repository, snapshot, bytes"


@dataclass(frozen=True, slots=True)
class Run:
    """One run. ``outcome`` is None while it lasts, or if it was cut off and none came after it."""

    id: str
    began: datetime
    ended: datetime | None
    outcome: str | None
    reason: str
    repository: str
    snapshot: str
    bytes: int

    def fact(self) -> Audited:
        """What the gateway is told of it."""
        return Audited(
            ref=self.id, actor="app:backup", action="backup-run", object=self.snapshot,
            outcome="done" if self.outcome == "done" else "failed", reason=self.reason,
        )  # fmt: skip


class Record:
    """The runs in ``path``, a database shared with the outbox. StorageError when the disk refuses."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._db = open_db(path, "backup", "backup")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def begin(self, run: str) -> None:
        """A run begins; whatever was on record as unfinished was cut off."""
        now = rfc3339(self._clock.now())
        with self._writing():
            self._db.execute(
                "UPDATE run SET ended = ?, outcome = 'failed', reason = ? WHERE outcome IS NULL",
                (now, CUT_OFF),
            )
            self._db.execute("INSERT INTO run (id, began) VALUES (?, ?)", (run, now))
            self._db.execute(
                "DELETE FROM run WHERE told AND id NOT IN (SELECT id FROM run ORDER BY began DESC LIMIT ?)"
                " AND id NOT IN (SELECT id FROM run WHERE outcome = 'done' ORDER BY began DESC LIMIT 1)",
                (KEPT,),
            )

    def end(
        self, run: str, reason: str = "", *, repository: str = "", snapshot: str = "", size: int = 0
    ) -> None:
        """It ended: well without a ``reason``."""
        with self._writing():
            self._db.execute(
                "UPDATE run SET ended = ?, outcome = ?, reason = ?, repository = ?, snapshot = ?, bytes = ?"
                " WHERE id = ?",
                (
                    rfc3339(self._clock.now()), "failed" if reason else "done", reason, repository, snapshot,
                    size, run,
                ),
            )  # fmt: skip

    def untold(self) -> list[Run]:
        """Ended runs whose fact is not in the outbox yet, oldest first."""
        with _named():
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM run WHERE outcome IS NOT NULL AND NOT told ORDER BY began"
            ).fetchall()
        return [_run(row) for row in rows]

    def told(self, run: str) -> None:
        """The outbox has its fact."""
        with self._writing():
            self._db.execute("UPDATE run SET told = 1 WHERE id = ?", (run,))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _named(), transaction(self._db):
            yield


def history(path: Path, limit: int = 50) -> list[Run]:
    """The last runs on record in ``path``, newest first; none if there is no file. It writes nothing."""
    if not path.exists():
        return []
    try:
        db = read_only(path)
        try:
            if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'run'").fetchone():
                return []
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM run ORDER BY began DESC LIMIT ?", (limit,)
            ).fetchall()
            good = db.execute(
                f"SELECT {_COLUMNS} FROM run WHERE outcome = 'done' ORDER BY began DESC LIMIT 1"
            ).fetchall()
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StorageError(
            f"{path} cannot be read: {error}", "run this as the backup's user, or as root"
        ) from error
    return [_run(row) for row in rows + [row for row in good if row not in rows]]


def tell(
    config: Config[Any], record: Record, clock: Clock, stopped: Callable[[], bool], seconds: float = TELL_SECONDS
) -> int:  # fmt: skip
    """Put what is untold into the outbox and let it drain for ``seconds``. How many facts wait still.

    Raises nothing of ours: a backup is as good if nobody heard of it. What waits is told by the next run.
    """
    try:
        outbox = Outbox(
            config.database, config.identity.device, clock, cap=config.outbox_mib * 1024 * 1024
        )
    except MocbanError as error:
        _log.warning("report.untold", say=error.say)
        return -1
    try:
        for run in record.untold():
            outbox.put(run.fact())
            record.told(run.id)
        if outbox.depth:
            asyncio.run(_drain(config, outbox, stopped, seconds))
    except MocbanError as error:
        _log.warning("report.untold", say=error.say)
    finally:
        waiting = outbox.depth
        outbox.close()
    return waiting


async def _drain(
    config: Config[Any], outbox: Outbox, stopped: Callable[[], bool], seconds: float
) -> None:
    from mocban.bus import Bus

    parts = urlsplit(config.mqtt)
    try:  # nobody there: then there is nothing to wait for
        await asyncio.to_thread(
            reach, parts.hostname or "", parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        )
    except OSError:
        return
    stop = asyncio.Event()
    bus = Bus(
        config.mqtt, config.identity, outbox, ca_file=config.ca_file, password=config.broker_password,
    )  # fmt: skip
    session = asyncio.create_task(bus.run(stop))
    try:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while outbox.depth and loop.time() < end and not stopped() and not session.done():
            await asyncio.wait({session}, timeout=POLL)
    finally:
        stop.set()
        await session


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            f"the record of backups cannot be kept: {error}", "free space on the disk of data_dir"
        ) from error


def _run(row: tuple[Any, ...]) -> Run:
    ident, began, ended, outcome, reason, repository, snapshot, size = row
    return Run(
        ident, parse_rfc3339(began), parse_rfc3339(ended) if ended else None, outcome, reason, repository,
        snapshot, size,
    )  # fmt: skip
