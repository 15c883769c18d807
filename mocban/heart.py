"""How this process is, as its heartbeat says it: what ``/healthz`` and the outbox know, in one small message."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from math import inf
from pathlib import Path

from mocban.clock import Clock, parse_rfc3339
from mocban.errors import StorageError
from mocban.health import Health
from mocban.messages import PARTS_MAX, Heartbeat
from mocban.outbox import Outbox

SOON = 1.0
"""Seconds that two heartbeats are apart at least, however often something changes."""


class Heart:
    """Beats for ``app`` every ``every`` seconds, and soon after a check of ``health`` changed.

    ``folder`` lies on the disk that must not fill up.
    """

    def __init__(
        self, app: str, health: Health, outbox: Outbox, clock: Clock, folder: Path, every: int
    ) -> None:
        self._every = every
        self._app = app
        self._health = health
        self._outbox = outbox
        self._clock = clock
        self._folder = folder
        self._began = clock.mono()
        self._last = -inf
        self._early = False
        self.next = -inf
        """When the next one is due, by the clock that ``turn`` is told."""
        self._wake: Callable[[], None] = lambda: None
        health.on_change = self.soon

    def begin(self, wake: Callable[[], None]) -> None:
        """A new connection: it hears one at once. ``wake``, from any thread: the next is due sooner than was said."""
        self._wake = wake
        self.next = self._last = -inf

    def soon(self) -> None:
        """Something changed; from any thread."""
        self._early = True
        self._wake()

    def turn(self, now: float, mode: str) -> bytes | None:
        """The heartbeat that is due ``now``, if one is."""
        if self._early:
            self._early, self.next = False, min(self.next, self._last + SOON)
        if now < self.next:
            return None
        self._last, self.next = now, now + self._every
        return self.beat(mode)

    def beat(self, mode: str) -> bytes:
        """A heartbeat, made now. What cannot be read is left out."""
        checks = self._health.as_json()["checks"]
        return Heartbeat(
            app=self._app, epoch=self._outbox.epoch, every=self._every, clock=self._clock.now(),
            uptime=round(self._clock.mono() - self._began, 1), mode=mode, version=version("mocban"),
            parts={name: "ok" if checks[name]["ok"] else "lost" for name in sorted(checks)[:PARTS_MAX]},
            waiting=self._outbox.depth, oldest=self._oldest(), disk_free=self._free(),
        ).encode()  # fmt: skip

    def _oldest(self) -> datetime | None:
        with suppress(StorageError, ValueError):  # the disk is sick: that is another check's word
            rows = self._outbox.rows(0, 1)
            return parse_rfc3339(json.loads(rows[0].payload)["ts"]) if rows else None
        return None

    def _free(self) -> int | None:
        with suppress(OSError):
            return shutil.disk_usage(self._folder).free
        return None
