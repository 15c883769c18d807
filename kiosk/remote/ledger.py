"""What became of each order, on disk before anything is done about it: taken, begun, answered.

An order's outcome is stored before it is told; telling is repeated until the outbox has it, acting is not.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from mocban.clock import parse_rfc3339, rfc3339
from mocban.commands import Order
from mocban.errors import StorageError
from mocban.migrate import open_db, transaction

KEPT = timedelta(hours=24)
"""How long an answered order is remembered."""
ROWS_MAX = 1000
"""Most orders remembered; the oldest answered ones go first."""

Outcome = Literal["done", "refused", "failed"]
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One order. ``outcome`` is None until it is known; ``begun``: acting on it has begun, before a crash maybe."""

    id: str
    epoch: str
    seq: int
    name: str
    nv: int
    args: dict[str, Any]
    asker: str
    persons: str
    expires: datetime
    begun: bool
    outcome: Outcome | None
    reason: str
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """The app's mode: seconds left until it is open again (None: it stays), and the order that set it."""

    mode: str
    left: float | None
    by: str


class Ledger:
    """The ledger in ``path``, a database it may share. Methods raise StorageError when the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = open_db(path, "remote", "kiosk.remote")
        with self._writing():
            self._db.execute("INSERT OR IGNORE INTO remote_self (one) VALUES (1)")

    def known(self, order: str) -> Outcome | Literal["taken"] | None:
        """What is known of the order with this id: its outcome, ``taken`` before there is one, or None."""
        row = self._one("SELECT outcome FROM remote_order WHERE id = ?", (order,))
        return None if row is None else row[0] or "taken"

    def last(self, epoch: str) -> int:
        """Seq of the last order taken under ``epoch``; another epoch's orders are refused by that alone."""
        row = self._one("SELECT epoch, seq FROM remote_self")
        return int(row[1]) if row is not None and row[0] == epoch else 0

    @property
    def believed(self) -> datetime:
        """The latest time an order that was believed was issued at: it is not earlier than that."""
        row = self._one("SELECT issued FROM remote_self")
        return parse_rfc3339(row[0]) if row is not None and row[0] else _EVER

    def take(self, order: Order, persons: Iterable[str], now: datetime) -> None:
        """Remember ``order`` as one to act on."""
        with self._writing():
            self._insert(order, " ".join(sorted(persons)), now, "taken", None, "", {})
            self._db.execute(
                "UPDATE remote_self SET epoch = ?, seq = ?, issued = max(issued, ?)",
                (order.epoch, order.seq, rfc3339(order.issued)),
            )
            self._prune(now)

    def refuse(self, order: Order, code: str, result: Mapping[str, Any], now: datetime) -> None:
        """Remember ``order`` as refused and not told yet."""
        with self._writing():
            self._insert(order, "", now, "begun", "refused", code, result)
            self._prune(now)

    def due(self) -> Entry | None:
        """The oldest order that is not answered."""
        row = self._one(
            "SELECT id, epoch, seq, name, nv, args, asker, persons, expires, state, outcome, reason, result"
            " FROM remote_order WHERE state != 'answered' ORDER BY no LIMIT 1"
        )
        if row is None:
            return None
        (
            ident,
            epoch,
            seq,
            name,
            nv,
            args,
            asker,
            persons,
            expires,
            state,
            outcome,
            reason,
            result,
        ) = row
        try:
            return Entry(
                ident, epoch, seq, name, nv, json.loads(args), asker, persons, parse_rfc3339(expires), state == "begun",
                outcome, reason, json.loads(result),
            )  # fmt: skip
        except ValueError as error:
            raise self._refused(error) from error

    def begin(self, order: str) -> None:
        """Acting on it begins."""
        self._set("UPDATE remote_order SET state = 'begun' WHERE id = ?", (order,))

    def end(self, order: str, outcome: Outcome, reason: str, result: Mapping[str, Any]) -> None:
        """It came to this, which is to be told."""
        self._set(
            "UPDATE remote_order SET outcome = ?, reason = ?, result = ?, args = '{}' WHERE id = ?",
            (outcome, reason, json.dumps(dict(result), ensure_ascii=False), order),
        )

    def answered(self, order: str) -> None:
        """It was told."""
        self._set("UPDATE remote_order SET state = 'answered' WHERE id = ?", (order,))

    @property
    def standing(self) -> Standing:
        """The app's mode as stored."""
        row = self._one("SELECT mode, mode_left, mode_by FROM remote_self")
        return Standing(*row) if row is not None else Standing("open", None, "")

    def stand(self, standing: Standing) -> None:
        """Store the app's mode."""
        self._set(
            "UPDATE remote_self SET mode = ?, mode_left = ?, mode_by = ?",
            (standing.mode, standing.left, standing.by),
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _insert(
        self, order: Order, persons: str, now: datetime, state: str, outcome: Outcome | None,
        reason: str, result: Mapping[str, Any],
    ) -> None:  # fmt: skip
        args = json.dumps(order.args if outcome is None else {}, ensure_ascii=False)
        self._db.execute(
            "INSERT INTO remote_order (id, epoch, seq, name, nv, args, asker, persons, expires, taken, state,"
            " outcome, reason, result) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                str(order.id), order.epoch, order.seq, order.name, order.nv, args, order.by, persons,
                rfc3339(order.expires), rfc3339(now), state, outcome, reason, json.dumps(dict(result)),
            ),
        )  # fmt: skip

    def _prune(self, now: datetime) -> None:
        self._db.execute(
            "DELETE FROM remote_order WHERE state = 'answered' AND (taken < ? OR no <="
            " (SELECT max(no) FROM remote_order) - ?)",
            (rfc3339(max(now - KEPT, _EVER)), ROWS_MAX),
        )

    def _one(self, sql: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
        try:
            row: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise self._refused(error) from error
        return row

    def _set(self, sql: str, values: tuple[Any, ...]) -> None:
        with self._writing():
            self._db.execute(sql, values)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with transaction(self._db):
                yield
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> StorageError:
        return StorageError(
            f"{self._path}: the ledger of orders cannot be used: {error}",
            "free space on the disk, or check it",
        )
