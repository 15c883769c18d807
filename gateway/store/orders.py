"""Orders on disk. What devices say of them is written in the transaction that stores their letters."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, Literal, get_args

from mocban.clock import rfc3339
from mocban.errors import StorageError
from mocban.events import CommandAnswered
from mocban.migrate import open_db, transaction

State = Literal["queued", "sent", "received", "done", "refused", "failed", "expired"]
STATES: tuple[State, ...] = get_args(State)
RENEWED = "device-renewed"
"""Reason of an order whose addressee began a new outbox after it had received it."""

_COLUMNS = (
    "no, id, digest, request, approvals, persons, asker, device, app, name, expires, state, epoch, seq, payload,"
    " reason, result, asked, sent, received, answered"
)


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One order as it stands."""

    no: int
    id: str
    digest: bytes
    request: str
    approvals: str
    persons: str
    asker: str
    device: str
    app: str
    name: str
    expires: str
    state: State
    epoch: str
    seq: int
    payload: bytes | None
    reason: str
    result: str
    asked: str
    sent: str
    received: str
    answered: str


@dataclass(frozen=True, slots=True)
class Asked:
    """An order as somebody asked for it."""

    id: str
    digest: bytes
    request: str
    approvals: str
    persons: str
    asker: str
    device: str
    app: str
    name: str
    expires: str
    at: str


@dataclass(frozen=True, slots=True)
class Owed:
    """Something that happened to an order and is to be audited."""

    no: int
    action: str
    outcome: Literal["done", "refused", "failed"]
    reason: str
    order: OrderRow


def received(db: sqlite3.Connection, device: str, app: str, order: str, rx: datetime) -> bool:
    """Within the caller's transaction: ``device`` holds ``order``. False if that says nothing new."""
    return bool(
        db.execute(
            "UPDATE orders SET state = 'received', received = ? WHERE id = ? AND device = ? AND app = ?"
            " AND received = '' AND state IN ('queued', 'sent')",
            (rfc3339(rx), order, device, app),
        ).rowcount
    )


def answered(db: sqlite3.Connection, device: str, fact: CommandAnswered, rx: datetime) -> bool:
    """Within the caller's transaction: what became of an order; only its addressee's first word counts.

    It also counts after we gave the order up: the device knows better.
    """
    order = str(fact.order)
    changed = db.execute(
        "UPDATE orders SET state = ?, reason = ?, result = ?, answered = ?"
        " WHERE id = ? AND device = ? AND app = ? AND answered = '' AND sent <> ''",
        (
            fact.outcome, fact.reason, json.dumps(fact.result), rfc3339(rx), order, device, fact.app,
        ),
    ).rowcount  # fmt: skip
    if changed:
        _owe(db, order, "order-answered", fact.outcome, fact.reason)
    return bool(changed)


def _owe(db: sqlite3.Connection, order: str, action: str, outcome: str, reason: str) -> None:
    db.execute(
        "INSERT INTO order_audit (id, action, outcome, reason) VALUES (?, ?, ?, ?)",
        (order, action, outcome, reason[:255]),
    )


class SqliteOrders:
    """The orders in ``path``, on a connection of their own. Thread-safe; StorageError if the disk refuses."""

    def __init__(self, path: Path) -> None:
        from gateway.store.sqlite import COMPONENT, PACKAGE  # which calls the functions above

        self._db = open_db(path, COMPONENT, PACKAGE, patience=0.2)
        self._lock = Lock()

    def ask(self, asked: Asked) -> None:
        """Store a new order, and owe its audit."""
        with self._writing() as db:
            db.execute(
                "INSERT INTO orders (id, digest, request, approvals, persons, asker, device, app, name, expires,"
                " asked, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued')",
                (
                    asked.id, asked.digest, asked.request, asked.approvals, asked.persons, asked.asker,
                    asked.device, asked.app, asked.name, asked.expires, asked.at,
                ),
            )  # fmt: skip
            _owe(db, asked.id, "order-asked", "done", asked.persons)

    def get(self, order: str) -> OrderRow | None:
        """One order."""
        rows = self._ask(f"SELECT {_COLUMNS} FROM orders WHERE id = ?", order)
        return OrderRow(*rows[0]) if rows else None

    def newest(self, limit: int, state: State | None = None) -> list[OrderRow]:
        """The last ``limit`` orders (in ``state``), newest first."""
        where = "WHERE state = ?" if state else "WHERE ? IS NULL"
        sql = f"SELECT {_COLUMNS} FROM orders {where} ORDER BY no DESC LIMIT ?"
        return [OrderRow(*row) for row in self._ask(sql, state, limit)]

    def open(self) -> list[OrderRow]:
        """Every order that is not over, in the order of asking."""
        sql = f"SELECT {_COLUMNS} FROM orders WHERE state IN ('queued', 'sent', 'received') ORDER BY no"
        return [OrderRow(*row) for row in self._ask(sql)]

    def waiting(self, device: str, app: str) -> int:
        """How many orders of ``device`` and ``app`` it has not received."""
        sql = "SELECT count(*) FROM orders WHERE state IN ('queued', 'sent') AND device = ? AND app = ?"
        return int(self._ask(sql, device, app)[0][0])

    def epochs(self) -> dict[tuple[str, str], str]:
        """The present outbox epoch of every (device, app) that ever said."""
        rows = self._ask("SELECT device, app, epoch FROM device_state")
        return {(device, app): epoch for device, app, epoch in rows}

    def number(self, device: str, app: str, at_least: int) -> int:
        """The next seq of (device, app): used up even if nothing comes of it."""
        with self._writing() as db:
            return int(
                db.execute(
                    "INSERT INTO order_seq VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET last = max(last + 1, excluded.last) RETURNING last",
                    (device, app, at_least),
                ).fetchone()[0]
            )

    def signed(self, order: str, epoch: str, seq: int, payload: bytes, at: datetime) -> bool:
        """Keep the signed form before it goes out; False if the order is received or over by now."""
        with self._writing() as db:
            return bool(
                db.execute(
                    "UPDATE orders SET state = 'sent', epoch = ?, seq = ?, payload = ?,"
                    " sent = iif(sent = '', ?, sent) WHERE id = ? AND state IN ('queued', 'sent')",
                    (epoch, seq, payload, rfc3339(at), order),
                ).rowcount
            )

    def give_up(self, order: OrderRow, state: Literal["expired", "failed"], reason: str) -> None:
        """The order is over without its addressee's word, unless that came meanwhile."""
        with self._writing() as db:
            if db.execute(
                "UPDATE orders SET state = ?, reason = ? WHERE id = ? AND state = ?",
                (state, reason, order.id, order.state),
            ).rowcount:
                action = "order-expired" if state == "expired" else "order-renewed"
                _owe(db, order.id, action, "failed", reason)

    def owed(self, limit: int = 200) -> list[Owed]:
        """What is still to be audited, oldest first."""
        found = []
        for no, order, action, outcome, reason in self._ask(
            "SELECT no, id, action, outcome, reason FROM order_audit ORDER BY no LIMIT ?", limit
        ):
            row = self.get(order)
            if row is not None:
                found.append(Owed(no, action, outcome, reason, row))
        return found

    def audited(self, no: int) -> None:
        """It stands among our own facts."""
        with self._writing() as db:
            db.execute("DELETE FROM order_audit WHERE no = ?", (no,))

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._db.close()

    def _ask(self, sql: str, *values: object) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _refused(error) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with transaction(self._db):
                    yield self._db
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as error:
                raise _refused(error) from error


def _refused(error: sqlite3.Error) -> StorageError:
    return StorageError(f"orders cannot be stored: {error}", "look at the gateway's disk")
