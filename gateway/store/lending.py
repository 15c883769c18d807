"""What feeds are built from: loans and returns as committed, the gates, and the versions given out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from gateway.store.sqlite import COMPONENT, PACKAGE
from mocban.clock import parse_rfc3339, rfc3339
from mocban.errors import StorageError
from mocban.migrate import open_db

_VERSION = (
    "INSERT INTO feed VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
    " SET version = max(version + 1, excluded.version) RETURNING version"
)
PAGE = 5000
"""Most facts in one answer."""


@dataclass(frozen=True, slots=True)
class Lending:
    """One loan or return. ``at``: the device's time, but never later than its arrival."""

    cursor: int
    lent: bool
    at: datetime
    uid: str
    item: str
    pending: bool


class SqliteLending:
    """Answers from ``path``, on a connection of its own. Thread-safe; StorageError if the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._db = open_db(path, COMPONENT, PACKAGE, patience=0.2)
        self._lock = Lock()

    def after(self, cursor: int, since: datetime) -> list[Lending]:
        """Loans and returns that arrived after ``since`` and ``cursor``, at most ``PAGE``, in the order of commit."""
        rows = self._ask(
            "SELECT cursor, kind, ts, rx, payload FROM facts WHERE kind IN ('loan-made', 'return-made')"
            " AND rx >= ? AND cursor > ? ORDER BY cursor LIMIT ?",
            rfc3339(since), cursor, PAGE,
        )  # fmt: skip
        return [_lending(*row) for row in rows]

    def gates(self) -> list[str]:
        """Every device on which a gate ever said that it is there."""
        rows = self._ask("SELECT device FROM device_state WHERE app = 'gate' ORDER BY device")
        return [device for (device,) in rows]

    def versions(
        self, feeds: Iterable[tuple[str, str]], at_least: int
    ) -> dict[tuple[str, str], int]:
        """The next version of each feed (device, name), greater than any before and no less than ``at_least``."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                found = {
                    one: int(self._db.execute(_VERSION, (*one, at_least)).fetchone()[0])
                    for one in feeds
                }
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise StorageError(
                    f"versions of feeds cannot be stored: {error}", "look at the gateway's disk"
                ) from error
        return found

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._db.close()

    def _ask(self, sql: str, *values: object) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(
                f"loans cannot be read: {error}", "look at the gateway's disk"
            ) from error


def _lending(cursor: int, kind: str, ts: str, rx: str, payload: bytes) -> Lending:
    data = json.loads(payload)["data"]
    return Lending(
        cursor, kind == "loan-made", min(parse_rfc3339(ts), parse_rfc3339(rx)),
        data.get("uid", ""), data["item"], kind == "loan-made" and data.get("security") == "pending",
    )  # fmt: skip
