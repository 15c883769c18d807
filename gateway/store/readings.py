"""The store in one SQLite file: the readers' side, on a connection of its own that cannot write."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Lock
from typing import Any

from gateway.store import generation
from gateway.store.port import MEASURES, DeviceRow, Hour, Measure, StoredDead, StoredFact
from gateway.store.sqlite import COMPONENT, PACKAGE
from mocban.errors import StorageError
from mocban.migrate import open_db

_FACT = "SELECT cursor, device, epoch, seq, id, kind, kv, ts, rx, payload FROM facts"
_DEVICES = """
SELECT n.device, coalesce(s.app, ''), s.online, coalesce(s.version, ''), coalesce(s.since, ''),
       coalesce(d.facts, 0), coalesce(d.kind, ''), coalesce(d.ts, ''), coalesce(d.rx, '')
FROM (SELECT device FROM device UNION SELECT device FROM device_state) AS n
LEFT JOIN device AS d ON d.device = n.device
LEFT JOIN device_state AS s ON s.device = n.device
ORDER BY n.device, s.app
"""


class SqliteReadings:
    """Answers from ``path`` about what is committed. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._db = open_db(path, COMPONENT, PACKAGE)
        self._db.execute("PRAGMA query_only = ON")
        self._lock = Lock()
        self._lives: list[generation.Generation] = []

    def facts(self, after: int, limit: int) -> list[StoredFact]:
        """Up to ``limit`` facts with a cursor greater than ``after``, in order."""
        rows = self._ask(f"{_FACT} WHERE cursor > ? ORDER BY cursor LIMIT ?", after, limit)
        return [StoredFact(*row) for row in rows]

    def place(self, cursor: str) -> int:
        """The number that ``cursor`` continues from; CursorGone if it says nothing about this store."""
        return generation.place(cursor, self._generations(), self._top())

    def cursor(self, n: int | None = None) -> str:
        """``gen.n`` of the present generation; without ``n``, of the last committed fact."""
        return f"{self._generations()[-1].gen}.{self._top() if n is None else n}"

    def newest(self, limit: int) -> list[StoredFact]:
        """The last ``limit`` facts, newest first."""
        return [
            StoredFact(*row) for row in self._ask(f"{_FACT} ORDER BY cursor DESC LIMIT ?", limit)
        ]

    def days(self, first: str, last: str) -> dict[str, dict[Measure, int]]:
        """Counters by local day (ISO) within [first, last]; days without facts are missing."""
        found: dict[str, dict[Measure, int]] = {}
        for day, measure, amount in self._ask(
            "SELECT day, measure, sum(amount) FROM counter WHERE day BETWEEN ? AND ? GROUP BY 1, 2",
            first,
            last,
        ):
            found.setdefault(day, dict.fromkeys(MEASURES, 0))[measure] = amount
        return found

    def hours(self, first: Hour, last: Hour) -> dict[Hour, dict[Measure, int]]:
        """Counters by local hour within [first, last]; hours without facts are missing."""
        found: dict[Hour, dict[Measure, int]] = {}
        for day, hour, measure, amount in self._ask(
            "SELECT day, hour, measure, sum(amount) FROM counter"
            " WHERE (day, hour) >= (?, ?) AND (day, hour) <= (?, ?) GROUP BY 1, 2, 3",
            *first, *last,
        ):  # fmt: skip
            found.setdefault(Hour(day, hour), dict.fromkeys(MEASURES, 0))[measure] = amount
        return found

    def totals(self) -> dict[Measure, int]:
        """Counters over all days, every measure present."""
        rows = dict(self._ask("SELECT measure, sum(amount) FROM counter GROUP BY 1"))
        return {measure: rows.get(measure, 0) for measure in MEASURES}

    def by_device(self, measure: Measure) -> dict[str, int]:
        """The counter ``measure`` over all days of each device that has one."""
        return dict(
            self._ask(
                "SELECT device, sum(amount) FROM counter WHERE measure = ? GROUP BY 1", measure
            )
        )

    def devices(self) -> list[DeviceRow]:
        """Every app of every device that ever spoke, by name."""
        return [
            DeviceRow(device, app, None if online is None else bool(online), *rest)
            for device, app, online, *rest in self._ask(_DEVICES)
        ]

    def dead(self, limit: int) -> list[StoredDead]:
        """The last ``limit`` dead letters, newest first."""
        rows = self._ask(
            "SELECT no, device, epoch, seq, topic, reason, rx, size, times FROM dead ORDER BY no DESC LIMIT ?",
            limit,
        )
        return [StoredDead(*row) for row in rows]

    def clones(self) -> dict[tuple[str, str], int]:
        """Other facts told at a place already taken, by (device, epoch)."""
        rows = self._ask(
            "SELECT device, epoch, count(*) FROM dead WHERE reason = 'seq-reuse' GROUP BY 1, 2"
        )
        return {(device, epoch): times for device, epoch, times in rows}

    def tally(self) -> dict[str, int]:
        """How often it happened, ever: ``new``, ``duplicate``, ``dead:<reason>``, ``revived:<reason>``."""
        return dict(self._ask("SELECT name, amount FROM tally"))

    def lag(self) -> int:
        """How many sequence numbers are missing below the highest seen, over all epochs."""
        return int(self._ask("SELECT coalesce(sum(top - upto), 0) FROM watermark")[0][0])

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._db.close()

    def _generations(self) -> list[generation.Generation]:
        """Read once: another one begins only when the writer opens, and that is before us."""
        if not self._lives:
            rows = self._ask("SELECT gen, since FROM generation ORDER BY no")
            self._lives = [generation.Generation(*row) for row in rows]
        return self._lives

    def _top(self) -> int:
        return int(self._ask("SELECT coalesce(max(cursor), 0) FROM facts")[0][0])

    def _ask(self, sql: str, *values: object) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(
                f"facts cannot be read: {error}", "look at the gateway's disk"
            ) from error
