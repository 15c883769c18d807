"""Durable store-and-forward: facts wait in SQLite until the gateway says they are committed there.

One outbox per process, each with its own random epoch. ``seq`` is given inside the transaction and is gapless.
A row is deleted only by the gateway's contiguous watermark, never by a broker's PUBACK.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from prometheus_client import Gauge

from mocban.clock import Clock
from mocban.errors import LocalProtocolError, StorageError
from mocban.events import ENVELOPE_MAX, Envelope, Fact
from mocban.ids import new_epoch
from mocban.migrate import open_db

TOLD_KEPT = 10_000
"""How many ids of delivered facts are remembered, to drop a second telling."""

_depth = Gauge("mocban_outbox_facts", "Facts waiting for the gateway's watermark", ["device"])
_told = Gauge("mocban_outbox_told", "Facts put into this outbox under its epoch", ["device"])


@dataclass(frozen=True, slots=True)
class Row:
    """One waiting fact; ``payload`` is the envelope as it goes on the wire."""

    seq: int
    kind: str
    payload: bytes


class Outbox:
    """The outbox in ``path`` (a database it may share with its app). Thread-safe."""

    def __init__(self, path: Path, device: str, clock: Clock) -> None:
        self._db = open_db(path, "outbox", "mocban")
        self._lock = Lock()
        self._device = device
        self._clock = clock
        self.on_put: Callable[[], None] = lambda: None
        self._db.execute(
            "INSERT OR IGNORE INTO outbox_self (one, epoch, next) VALUES (1, ?, 1)", (new_epoch(),)
        )
        self.epoch: str = self._db.execute("SELECT epoch FROM outbox_self").fetchone()[0]
        self._gauge = _depth.labels(device)
        self._gauge.set(self.depth)
        _told.labels(device).set(self.told)

    @property
    def depth(self) -> int:
        """How many facts wait."""
        return int(self._db.execute("SELECT count(*) FROM outbox").fetchone()[0])

    @property
    def told(self) -> int:
        """How many facts were ever put under this epoch."""
        return int(self._db.execute("SELECT next - 1 FROM outbox_self").fetchone()[0])

    def put(self, fact: Fact) -> bool:
        """Store ``fact`` durably; False if its id was put before. StorageError if the disk refuses."""
        ident = str(fact.id_at(self._device))
        with self._lock:
            try:
                new = self._put(ident, fact)
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise StorageError(
                    f"a fact cannot be stored: {error}", "free space on the disk"
                ) from error
        if new:
            self._gauge.inc()
            _told.labels(self._device).inc()
            self.on_put()
        return new

    def _put(self, ident: str, fact: Fact) -> bool:
        self._db.execute("BEGIN IMMEDIATE")
        if self._db.execute("SELECT 1 FROM outbox_told WHERE id = ?", (ident,)).fetchone():
            self._db.execute("ROLLBACK")
            return False
        seq = int(self._db.execute("SELECT next FROM outbox_self").fetchone()[0])
        payload = Envelope(
            id=fact.id_at(self._device), epoch=self.epoch, seq=seq, ts=self._clock.now(), mono=self._clock.mono(),
            boot=self._clock.boot, kind=fact.kind, kv=fact.kv, data=fact.model_dump(mode="json"),
        ).encode()  # fmt: skip
        if len(payload) > ENVELOPE_MAX:
            self._db.execute("ROLLBACK")
            raise LocalProtocolError(f"a {fact.kind} of {len(payload)} bytes")
        self._db.execute("INSERT INTO outbox VALUES (?, ?, ?, ?)", (seq, ident, fact.kind, payload))
        self._db.execute("INSERT INTO outbox_told VALUES (?, ?)", (ident, seq))
        self._db.execute("UPDATE outbox_self SET next = ?", (seq + 1,))
        self._db.execute("COMMIT")
        return True

    def rows(self, after: int, limit: int) -> list[Row]:
        """Up to ``limit`` waiting facts with seq > ``after``, in order."""
        found = self._db.execute(
            "SELECT seq, kind, payload FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        return [Row(*row) for row in found.fetchall()]

    def acked(self, epoch: str, upto: int) -> int:
        """The gateway has everything up to ``upto``: forget it. Returns how many rows went.

        A watermark of another epoch, one that goes back, or one past what we ever sent is ignored.
        """
        with self._lock:
            if epoch != self.epoch or not 0 < upto <= self.told:
                return 0
            self._db.execute("BEGIN IMMEDIATE")
            gone = self._db.execute("DELETE FROM outbox WHERE seq <= ?", (upto,)).rowcount
            self._db.execute("UPDATE outbox_self SET upto = max(upto, ?)", (upto,))
            self._db.execute("DELETE FROM outbox_told WHERE seq <= ?", (upto - TOLD_KEPT,))
            self._db.execute("COMMIT")
        self._gauge.dec(gone)
        return gone

    def close(self) -> None:
        """Close the file."""
        self._db.close()
