"""Which life of the store a cursor belongs to.

A store put back from an older copy gives numbers a second time, for other facts. So each life has a random name, and a
cursor reads ``gen.n``. A new life begins when the file is another one (its fingerprint), or holds less than the mark
beside it says was committed.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.store.port import CursorGone
from mocban.clock import Clock
from mocban.ids import new_epoch

MARK_EVERY = 1.0
"""Seconds between two writings of the mark."""
_CURSOR = re.compile(r"(?:([0-9a-f]{16})\.)?([0-9]{1,19})")
_BEGIN = "the reader begins at 0 and drops by fact id what it has already"


@dataclass(frozen=True, slots=True)
class Generation:
    """One life; ``since``: the highest cursor when it began."""

    gen: str
    since: int


def begin(
    db: sqlite3.Connection, path: Path, print_of: Callable[[Path], str]
) -> tuple[Generation, bool]:
    """The present generation of the store just opened; True if one went before, of another file or a longer one."""
    now, top, marked = print_of(path), highest(db), _marked(path)
    db.execute("BEGIN IMMEDIATE")
    try:
        known = history(db)
        row = db.execute("SELECT print FROM generation ORDER BY no DESC LIMIT 1").fetchone()
        if row is not None and row[0] == now and not _is_older(known, top, marked):
            return known[-1], False
        fresh = Generation(new_epoch(), top)
        db.execute(
            "INSERT INTO generation (gen, since, print) VALUES (?, ?, ?)",
            (fresh.gen, fresh.since, now),
        )
        return fresh, row is not None or marked is not None
    finally:
        db.execute("COMMIT")


def history(db: sqlite3.Connection) -> list[Generation]:
    """Every generation, the present one last."""
    return [Generation(*row) for row in db.execute("SELECT gen, since FROM generation ORDER BY no")]


def highest(db: sqlite3.Connection) -> int:
    """The cursor of the last committed fact."""
    return int(db.execute("SELECT coalesce(max(cursor), 0) FROM facts").fetchone()[0])


def place(cursor: str, known: Sequence[Generation], top: int) -> int:
    """The number that ``cursor`` continues from; CursorGone if it says nothing about this store."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise CursorGone("that is no cursor of this gateway", _BEGIN)
    gen, n = match[1] or known[-1].gen, int(match[2])
    names = [generation.gen for generation in known]
    if gen not in names:
        raise CursorGone("the cursor belongs to a store that was replaced", _BEGIN)
    at = names.index(gen)
    if at + 1 < len(known):
        return min(n, known[at + 1].since)  # what that life told beyond it is not here
    if n > top:
        raise CursorGone("the cursor is beyond everything committed", _BEGIN)
    return n


class Mark:
    """The file beside the database that says how far it was; lazily written, and never a reason to stop."""

    def __init__(self, path: Path, gen: str, clock: Clock) -> None:
        self._path = _beside(path)
        self._gen = gen
        self._clock = clock
        self._next = clock.mono()
        self._top = self._written = -1

    def reach(self, cursor: int) -> None:
        """``cursor`` is committed."""
        self._top = max(self._top, cursor)
        if self._clock.mono() >= self._next:
            self.write()

    def write(self) -> None:
        """Bring the file up to date."""
        if self._top == self._written:
            return
        fresh = self._path.with_name(self._path.name + ".new")
        with suppress(OSError):  # a full disk: an older mark only notices less
            fresh.write_text(f"{self._gen}.{self._top}\n")
            os.replace(fresh, self._path)
            self._written = self._top
        self._next = self._clock.mono() + MARK_EVERY


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".mark")


def _marked(path: Path) -> tuple[str, int] | None:
    """What the mark says; None without one, or if it was torn."""
    try:
        match = _CURSOR.fullmatch(_beside(path).read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        return None
    return (match[1], int(match[2])) if match and match[1] else None


def _is_older(known: Sequence[Generation], top: int, marked: tuple[str, int] | None) -> bool:
    if marked is None:
        return False
    gen, n = marked
    if gen == known[-1].gen:
        return n > top
    return all(gen != generation.gen for generation in known)
