"""What feeds are built from: words on tags as committed, the stations, and the versions given out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from gateway.store.sqlite import COMPONENT, PACKAGE
from mocban.clock import parse_rfc3339, rfc3339
from mocban.errors import StorageError
from mocban.events import ref
from mocban.migrate import open_db

_VERSION = (
    "INSERT INTO feed VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
    " SET version = max(version + 1, excluded.version) RETURNING version"
)
PAGE = 5000
"""Most facts in one answer."""


What = Literal["lent", "back", "mended", "armed"]
"""Lent; returned; its tag was put right; a gate met it lent, but armed."""
_WHATS: dict[str, What] = {
    "loan-made": "lent", "return-made": "back", "security-mended": "mended", "still-armed": "armed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lending:
    """One word on one tag. ``at``: the device's time, but never later than ``rx``, its arrival.

    ``ref`` names the fact itself; of a mending, the fact that it mended. ``pending``: its tag was left in the wrong
    state. ``stays``: it was lent for use in the house.
    """

    cursor: int
    what: What
    at: datetime
    rx: datetime
    uid: str
    item: str
    ref: str
    pending: bool = False
    stays: bool = False


class SqliteLending:
    """Answers from ``path``, on a connection of its own. Thread-safe; StorageError if the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._db = open_db(path, COMPONENT, PACKAGE, patience=0.2)
        self._lock = Lock()

    def after(self, cursor: int, since: datetime) -> list[Lending]:
        """Words that arrived after ``since`` and ``cursor``, at most ``PAGE``, in the order of commit."""
        rows = self._ask(
            "SELECT cursor, id, kind, ts, rx, payload FROM facts"
            " WHERE kind IN ('loan-made', 'return-made', 'security-mended', 'still-armed')"
            " AND rx >= ? AND cursor > ? ORDER BY cursor LIMIT ?",
            rfc3339(since), cursor, PAGE,
        )  # fmt: skip
        return [_lending(*row) for row in rows]

    def stations(self) -> list[tuple[str, str]]:
        """Device and app of every gate and every kiosk that ever said that it is there."""
        rows = self._ask(
            "SELECT device, app FROM device_state WHERE app IN ('gate', 'kiosk') ORDER BY device, app"
        )
        return [(device, app) for device, app in rows]

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


def _lending(cursor: int, ident: str, kind: str, ts: str, rx: str, payload: bytes) -> Lending:
    data = json.loads(payload)["data"]
    what, came = _WHATS[kind], parse_rfc3339(rx)
    security = data.get("security")
    return Lending(
        cursor, what, min(parse_rfc3339(ts), came), came, data.get("uid", ""), data.get("item", ""),
        data["mended"] if what == "mended" else ref(ident),
        pending=what in {"lent", "back"} and security == "pending",
        # Before a loan could say so, ``none`` meant it.
        stays=what == "lent" and bool(data.get("stays", security == "none")),
    )  # fmt: skip
