"""The store in one SQLite file: the writer."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from gateway.store.port import (
    DEAD_BYTES,
    Birth,
    Counts,
    Dead,
    Letter,
    Outcome,
    Project,
    Received,
    Told,
    Watermark,
)
from mocban.clock import rfc3339
from mocban.errors import StorageError
from mocban.migrate import open_db

COMPONENT, PACKAGE = "gateway", "gateway.store"
Verdict = str
"""``new``, ``duplicate`` or ``dead:<reason>``: the names of table ``tally``."""

_OCCUPIED = """
WITH place (device, epoch, seq) AS (VALUES (?, ?, ?))
SELECT EXISTS (SELECT 1 FROM facts JOIN place USING (device, epoch, seq))
    OR EXISTS (SELECT 1 FROM dead JOIN place USING (device, epoch, seq))
    OR EXISTS (SELECT 1 FROM retold JOIN place USING (device, epoch, seq))
"""
_AT_PLACE = """
WITH place (device, epoch, seq) AS (VALUES (?, ?, ?))
SELECT id FROM facts JOIN place USING (device, epoch, seq)
UNION ALL SELECT id FROM retold JOIN place USING (device, epoch, seq)
"""


class SqliteStore:
    """The one writer of ``path``. Call it from one thread at a time."""

    def __init__(self, path: Path, project: Project, stray_letters: int = 1000) -> None:
        self._db = open_db(path, COMPONENT, PACKAGE)
        # The only writer waits for nobody long: whoever feeds it tries again, and must be able to stop.
        self._db.execute("PRAGMA busy_timeout = 200")
        self._project = project
        self._stray_letters = stray_letters

    def append(self, batch: Sequence[Letter]) -> Outcome:
        """Store ``batch`` in one transaction. StorageError: nothing of it is stored, ask again later."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcome = _Append(self._db, self._project, self._stray_letters).run(batch)
            self._db.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise StorageError(
                    f"facts cannot be stored: {error}", "free space on the gateway's disk"
                ) from error
            raise
        return outcome

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error:
                return  # SQLite has rolled back by itself: disk full, I/O error


class _Append:
    """One transaction under way."""

    def __init__(self, db: sqlite3.Connection, project: Project, stray_letters: int) -> None:
        self._db = db
        self._project = project
        self._stray_letters = stray_letters
        self._tally: Counter[Verdict] = Counter()
        self._counts: Counts = {}
        self._touched: dict[
            tuple[str, str], tuple[int, str]
        ] = {}  # (device, epoch) -> highest seq, arrival
        self._last: dict[str, tuple[int, Told]] = {}  # device -> facts added, the last of them
        self._births = False
        self._orders: list[str] = []

    def run(self, batch: Sequence[Letter]) -> Outcome:
        """Take in every letter, then write what follows from all of them."""
        for letter in batch:
            match letter:
                case Told():
                    self._tally[self._tell(letter)] += 1
                    self._touch(letter.device, letter.epoch, letter.seq, letter)
                case Dead():
                    self._tally[self._bury(letter)] += 1
                    if letter.seq is not None:
                        self._touch(letter.device, letter.epoch, letter.seq, letter)
                case Birth():
                    self._births |= self._bear(letter)
                case Received():
                    self._orders.append(letter.order)
                case _:
                    assert_never(letter)
        watermarks = tuple(self._advance(*place, *seen) for place, seen in self._touched.items())
        self._write_projections()
        dead = {
            name.removeprefix("dead:"): n
            for name, n in self._tally.items()
            if name.startswith("dead:")
        }
        return Outcome(
            watermarks, self._tally["new"], self._tally["duplicate"], dead,
            changed=bool(self._tally["new"] or dead or self._births), orders=tuple(self._orders),
        )  # fmt: skip

    def _touch(self, device: str, epoch: str, seq: int, letter: Told | Dead) -> None:
        top, _ = self._touched.get((device, epoch), (0, ""))
        self._touched[device, epoch] = (max(top, seq), rfc3339(letter.rx))

    def _tell(self, told: Told) -> Verdict:
        """Judge one fact by its place first (a clone writes other things at the same place), then by its id."""
        place = (told.device, told.epoch, told.seq)
        same = self._db.execute("SELECT digest FROM facts WHERE id = ?", (told.id,)).fetchone()
        holder = self._db.execute(_AT_PLACE, place).fetchone()
        if holder is not None:
            is_same = holder[0] == told.id and same is not None and same[0] == told.digest
            return "duplicate" if is_same else self._bury(_killed(told, "seq-reuse"))
        if self._db.execute(_OCCUPIED, place).fetchone()[0]:
            return self._bury(
                _killed(told, "seq-reuse")
            )  # the very bytes that died there are a duplicate
        if same is not None:
            if same[0] != told.digest:
                return self._bury(_killed(told, "id-reuse"))
            self._db.execute("INSERT INTO retold VALUES (?, ?, ?, ?)", (*place, told.id))
            return "duplicate"
        self._insert(told)
        return "new"

    def _insert(self, told: Told) -> None:
        self._db.execute(
            "INSERT INTO facts (id, device, epoch, seq, kind, kv, ts, rx, digest, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                told.id, told.device, told.epoch, told.seq, told.kind, told.kv,
                rfc3339(told.ts), rfc3339(told.rx), told.digest, told.payload,
            ),
        )  # fmt: skip
        self._counts = self._project(self._counts, told.fact, told.device, told.hour)
        added, _ = self._last.get(told.device, (0, told))
        self._last[told.device] = (added + 1, told)

    def _bury(self, dead: Dead) -> Verdict:
        """Keep a dead letter once; the same bytes at the same place only count up."""
        digest = hashlib.blake2b(dead.payload, digest_size=16).digest()
        where, values = (
            (
                "device = ? AND topic = ? AND digest = ? AND seq IS NULL",
                (dead.device, dead.topic, digest),
            )
            if dead.seq is None
            else (
                "device = ? AND epoch = ? AND seq = ? AND digest = ?",
                (dead.device, dead.epoch, dead.seq, digest),
            )
        )
        if self._db.execute(f"UPDATE dead SET times = times + 1 WHERE {where}", values).rowcount:
            return "duplicate"
        self._db.execute(
            "INSERT INTO dead (device, epoch, seq, topic, reason, rx, size, digest, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                dead.device, dead.epoch, dead.seq, dead.topic, dead.reason, rfc3339(dead.rx),
                len(dead.payload), digest, dead.payload[:DEAD_BYTES],
            ),
        )  # fmt: skip
        if dead.seq is None:
            self._forget_strays(dead.device)
        return f"dead:{dead.reason}"

    def _forget_strays(self, device: str) -> None:
        """A device that babbles may not fill the disk."""
        self._db.execute(
            "DELETE FROM dead WHERE device = ? AND seq IS NULL AND no <="
            " (SELECT no FROM dead WHERE device = ? AND seq IS NULL ORDER BY no DESC LIMIT 1 OFFSET ?)",
            (device, device, self._stray_letters),
        )

    def _bear(self, birth: Birth) -> bool:
        """True if a reader sees a difference. A will of an older session may not put out the present one."""
        row = self._db.execute(
            "SELECT online, epoch, version FROM device_state WHERE device = ? AND app = ?",
            (birth.device, birth.app),
        ).fetchone()
        if row is not None:
            late_will = not birth.online and bool(row[0]) and row[1] != birth.epoch
            if late_will or (bool(row[0]), row[1], row[2]) == (
                birth.online,
                birth.epoch,
                birth.version,
            ):
                return False
        self._db.execute(
            "INSERT OR REPLACE INTO device_state VALUES (?, ?, ?, ?, ?, ?)",
            (birth.device, birth.app, birth.online, birth.epoch, birth.version, rfc3339(birth.rx)),
        )
        return True

    def _advance(self, device: str, epoch: str, top: int, rx: str) -> Watermark:
        """Move the watermark to the last seq before the first gap."""
        row = self._db.execute(
            "SELECT upto, top FROM watermark WHERE device = ? AND epoch = ?", (device, epoch)
        ).fetchone()
        upto, old_top = row or (0, 0)
        top = max(top, old_top)
        while upto < top and self._db.execute(_OCCUPIED, (device, epoch, upto + 1)).fetchone()[0]:
            upto += 1
        self._db.execute(
            "INSERT OR REPLACE INTO watermark VALUES (?, ?, ?, ?, ?)",
            (device, epoch, upto, top, rx),
        )
        return Watermark(device, epoch, upto)

    def _write_projections(self) -> None:
        self._db.executemany(
            "INSERT INTO counter VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            [(*key, amount) for key, amount in self._counts.items()],
        )
        self._db.executemany(
            "INSERT INTO tally VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            list(self._tally.items()),
        )
        self._db.executemany(
            "INSERT INTO device VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET facts = facts + excluded.facts,"
            " kind = excluded.kind, ts = excluded.ts, rx = excluded.rx",
            [
                (d, n, told.kind, rfc3339(told.ts), rfc3339(told.rx))
                for d, (n, told) in self._last.items()
            ],
        )


def _killed(told: Told, reason: str) -> Dead:
    topic = f"evt/{told.kind}"
    return Dead(told.device, told.epoch, told.seq, topic, reason, told.rx, told.payload)
