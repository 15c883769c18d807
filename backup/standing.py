"""How we stand: the last good backup and its age, what the repository holds, what the last try met."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from backup import report, restic
from backup.engine import engine
from backup.report import Run
from backup.settings import BackupSettings
from mocban.clock import Clock
from mocban.config import Config

AHEAD = timedelta(hours=1)
"""A backup may be so much younger than now: clocks are put right."""


@dataclass(frozen=True, slots=True)
class Standing:
    """``good``: the last run that was read back and whose snapshot is there still; ``taken``: when.

    ``latest``: the last run on record, whatever came of it. ``damaged``: snapshots that cannot be read. ``size``: bytes
    of the repository on its disk.
    """

    good: Run | None
    taken: datetime | None
    age: timedelta | None
    fresh: bool
    latest: Run | None
    snapshots: tuple[restic.Snapshot, ...]
    damaged: int
    size: int


def look(
    config: Config[BackupSettings], clock: Clock, stopped: Callable[[], bool] = lambda: False,
    *, deadline: float | None = None, measure: bool = True,
) -> Standing:  # fmt: skip
    """Open the repository and compare it with what is on record here. It writes nothing. Errors as ``Engine.ready``.

    A backup counts as good if it is on record here as read back, and is in the repository: nothing less.
    """
    restic_ = engine(config.app, clock, stopped, deadline=deadline)
    repository = restic_.ready()
    found, damaged = restic_.snapshots()
    runs = report.history(config.database)
    good, snapshot = _good(runs, found, repository)
    now = clock.now()
    age = now - snapshot.taken if snapshot is not None else None
    return Standing(
        good, snapshot.taken if snapshot else None, age,
        # One from the future proves that a clock is wrong, not that it is new.
        age is not None and -AHEAD <= age <= timedelta(hours=config.app.max_age_hours),
        runs[0] if runs else None, tuple(found), damaged, weight(restic_.repository) if measure else 0,
    )  # fmt: skip


def _good(
    runs: list[Run], found: list[restic.Snapshot], repository: str
) -> tuple[Run | None, restic.Snapshot | None]:
    for run in runs:
        if run.outcome == "done" and run.repository == repository and run.snapshot:
            for snapshot in found:
                if snapshot.id.startswith(run.snapshot):
                    return run, snapshot
    return None, None


def weight(folder: Path) -> int:
    """Bytes of all files below ``folder``; what goes while we count is not counted."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(at, name)).st_size
    return total
