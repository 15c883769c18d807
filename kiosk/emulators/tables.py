"""The tables of the world's file, made and grown, and a row of them as a tag."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kiosk.emulators.things import WorldTag

TAG = "uid, name, label, kind, afi, dsfid, data, block_size, place, eas, locks"
"""The columns that ``tag_of`` takes, in its order."""

_SCHEMA = Path(__file__).with_name("worlds") / "schema.sql"
_LATER = {
    "tag": ("eas INTEGER NOT NULL DEFAULT 0", "locks TEXT NOT NULL DEFAULT ''"),
    "carried": ("eas INTEGER NOT NULL DEFAULT 0",),
}  # columns that a world of an earlier day lacks


def build(path: Path | str) -> None:
    """The tables in the file ``path``, which is made if there is none; rows that stand are kept."""
    db = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(_SCHEMA.read_text(encoding="utf-8"))
        for table, columns in _LATER.items():
            have = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
            for column in columns:
                if column.split()[0] not in have:
                    db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    finally:
        db.close()


def tag_of(row: Sequence[Any]) -> WorldTag:
    """A row of ``TAG`` as a value."""
    uid, name, label, kind, afi, dsfid, data, block_size, place, eas, locks = row
    locked = frozenset(locks.split())
    return WorldTag(
        uid,
        name,
        json.loads(label),
        kind,
        afi,
        dsfid,
        bytes(data),
        block_size,
        place,
        bool(eas),
        locked,
    )
