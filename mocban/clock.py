"""Injected time. Nothing else in the house reads a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and the boot they belong to."""

    def now(self) -> datetime:
        """Wall time in UTC; may jump."""
        ...

    def mono(self) -> float:
        """Seconds since boot; never goes back."""
        ...

    @property
    def boot(self) -> str:
        """The boot ``mono`` counts from, as 32 hex digits."""
        ...


class SystemClock:
    """The machine's own clock."""

    def __init__(self) -> None:
        boot_id = Path("/proc/sys/kernel/random/boot_id")
        self._boot = boot_id.read_text().strip().replace("-", "") if boot_id.exists() else "0" * 32

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)

    def mono(self) -> float:
        return time.monotonic()

    @property
    def boot(self) -> str:
        return self._boot


class SetClock:
    """A clock that a test or a replay moves by hand."""

    def __init__(self, now: datetime = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)) -> None:
        self._now = now
        self._mono = 0.0

    def now(self) -> datetime:
        return self._now

    def mono(self) -> float:
        return self._mono

    @property
    def boot(self) -> str:
        return "5e" * 16

    def advance(self, seconds: float) -> None:
        """Move both times forward by ``seconds``."""
        self._mono += seconds
        self._now += timedelta(seconds=seconds)


def rfc3339(at: datetime) -> str:
    """UTC RFC 3339 with milliseconds and ``Z``, the only form of time on our wires."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def parse_rfc3339(text: str) -> datetime:
    """The moment ``text`` names, in UTC; ValueError if it names none or has no zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC)
