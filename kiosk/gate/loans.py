"""What a kiosk on this same computer lent a moment ago: its outbox is read, never written.

A patron borrows at the kiosk and walks to the gate in ten seconds; no feed is that quick, and none comes while the
network is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

from mocban import log

EVERY = 0.5
"""Seconds between two looks."""
MOST = 5000
"""Tags remembered; those lent first go first."""
OWN = "own-kiosk"
"""What this list calls itself beside the feeds."""

_QUERY = (
    "SELECT seq, kind, payload FROM outbox WHERE seq > ? AND kind IN ('loan-made', 'return-made')"
    " ORDER BY seq LIMIT 1000"
)
_log = log.get("kiosk.gates")


class Loans:
    """Tags lent and not returned by the kiosk whose database is ``path``; without one, none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._after = 0
        self._lent: dict[str, None] = {}
        self._ok = True

    def excused(self, uid: str) -> str:
        """``OWN`` if the kiosk lent this tag, else nothing."""
        return OWN if uid in self._lent else ""

    def look(self) -> None:
        """Read on. A kiosk that is not there, or has not begun, lent nothing."""
        if self._path is None or not self._path.exists():
            return
        try:
            with contextlib.closing(
                sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)
            ) as db:
                last = db.execute("SELECT next - 1 FROM outbox_self").fetchone()[0]
                if last < self._after:  # another database took its place
                    self._after, self._lent = 0, {}
                for seq, kind, payload in db.execute(_QUERY, (self._after,)):
                    self._take(kind, payload)
                    self._after = seq
            self._ok = True
        except (sqlite3.Error, TypeError, ValueError) as error:
            if self._ok:
                _log.warning("gate.kiosk-unread", why=type(error).__name__)
            self._ok = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``: look again and again, away from the loop that cries."""
        while self._path is not None and not stop.is_set():
            await asyncio.to_thread(self.look)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY)
        await stop.wait()

    def _take(self, kind: str, payload: bytes) -> None:
        data = json.loads(payload).get("data", {})
        uid = data.get("uid", "")
        self._lent.pop(uid, None)
        if kind == "loan-made" and uid and not data.get("stays", False):
            self._lent[uid] = None
            while len(self._lent) > MOST:
                del self._lent[next(iter(self._lent))]
