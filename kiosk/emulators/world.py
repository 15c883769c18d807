"""The demo branch's truth in one SQLite file, shared by the emulators' processes.

Every change is one short transaction (BEGIN IMMEDIATE) that also moves ``version``.
Nothing here reads a clock.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, cast

from kiosk.emulators.tables import TAG, build, tag_of
from kiosk.emulators.things import (
    COUNTERS,
    DEMO,
    IN_STOCK,
    ON_LOAN,
    PLACES,
    READERS,
    Direction,
    Place,
    WorldLoan,
    WorldPassage,
    WorldPatron,
    WorldRecord,
    WorldTag,
    check_fault,
    check_seed,
)

__all__ = ["DEMO", "World"]

_KEPT = 10_000  # passages; a bench may walk all night


class World:
    """One process's view of the branch. Safe to use from several threads of that process."""

    def __init__(self, path: Path | str) -> None:
        """Open an existing world; FileNotFoundError if there is none."""
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f"no world at {self.path}")
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            self.path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA foreign_keys=ON")

    @classmethod
    def create(cls, path: Path | str, seed: dict[str, Any]) -> Self:
        """A world holding ``seed`` (parsed TOML); one that stands already is started afresh."""
        check_seed(seed)
        build(path)
        world = cls(path)
        with world._change():
            world._db.execute("INSERT OR REPLACE INTO seed VALUES (1, ?)", (json.dumps(seed),))
            world._sow()
        return world

    def close(self) -> None:
        """Release the file; safe to call twice."""
        self._db.close()

    def version(self) -> int:
        """A number that grows with every change by any process; one indexed read."""
        return self._number("version")

    def reset(self) -> None:
        """Back to the seed. Passage numbers go on, so that a cursor over them stays true."""
        with self._change():
            self._sow()

    # -- things --

    def tags(self, place: str | None = None) -> list[WorldTag]:
        """All tags, or those at one place, in the seed's order."""
        where, values = ("WHERE place = ?", (place,)) if place else ("", ())
        rows = self._rows(f"SELECT {TAG} FROM tag {where} ORDER BY ord", *values)
        return [tag_of(row) for row in rows]

    def tag(self, uid_or_name: str) -> WorldTag:
        """One tag by UID or name; KeyError if there is none."""
        rows = self._rows(f"SELECT {TAG} FROM tag WHERE ? IN (uid, name)", uid_or_name)
        if not rows:
            raise KeyError("no such tag")
        return tag_of(rows[0])

    def put(self, uid_or_name: str, place: Place) -> None:
        """Move a tag to the shelf, the pad, the reader's hand, or for good into the gate's field."""
        if place not in PLACES:
            raise ValueError("a place is shelf, pad, hand or gate")
        with self._change():
            self._db.execute(
                "UPDATE tag SET place = ? WHERE uid = ?", (place, self.tag(uid_or_name).uid)
            )

    def lay(self, uid_or_name: str) -> None:
        """Lay a tag on the pad."""
        self.put(uid_or_name, "pad")

    def lift(self, uid_or_name: str) -> None:
        """Take a tag back into the hand."""
        self.put(uid_or_name, "hand")

    def show_card(self, uid_or_name: str | None) -> None:
        """Lay this card on the pad and lift every other; None lifts all. ValueError: no card."""
        with self._change():
            self._db.execute("UPDATE tag SET place = 'hand' WHERE kind = 'card' AND place = 'pad'")
            if uid_or_name is not None:
                tag = self.tag(uid_or_name)
                if tag.kind != "card":
                    raise ValueError("that tag is not a card")
                self._db.execute("UPDATE tag SET place = 'pad' WHERE uid = ?", (tag.uid,))

    def write_afi(self, uid: str, afi: int) -> None:
        """Write a tag's AFI (0..255); counts a change between in stock and on loan."""
        if not 0 <= afi <= 255:
            raise ValueError("an AFI is one byte")
        with self._change():
            tag = self.tag(uid)
            self._db.execute("UPDATE tag SET afi = ? WHERE uid = ?", (afi, tag.uid))
            if (tag.afi, afi) == (IN_STOCK, ON_LOAN):
                self._add("tags_disarmed")
            elif (tag.afi, afi) == (ON_LOAN, IN_STOCK):
                self._add("tags_armed")

    def write_dsfid(self, uid: str, dsfid: int) -> None:
        """Write a tag's DSFID (0..255)."""
        if not 0 <= dsfid <= 255:
            raise ValueError("a DSFID is one byte")
        with self._change():
            self._db.execute("UPDATE tag SET dsfid = ? WHERE uid = ?", (dsfid, self.tag(uid).uid))

    def write_eas(self, uid: str, *, armed: bool) -> None:
        """Switch a tag's EAS bit; a change counts as armed or disarmed."""
        with self._change():
            tag = self.tag(uid)
            self._db.execute("UPDATE tag SET eas = ? WHERE uid = ?", (armed, tag.uid))
            if tag.eas != armed:
                self._add("tags_armed" if armed else "tags_disarmed")

    def lock(self, uid: str, *whats: str) -> None:
        """Lock for ever: afi, dsfid, eas or the number of a block. Who writes asks ``locks`` first."""
        with self._change():
            tag = self.tag(uid)
            locks = " ".join(sorted(tag.locks.union(whats)))
            self._db.execute("UPDATE tag SET locks = ? WHERE uid = ?", (locks, tag.uid))

    def write_block(self, uid: str, block: int, data: bytes) -> None:
        """Write one block (0-based); ValueError: no such block, or not one block of data."""
        with self._change():
            tag = self.tag(uid)
            size = tag.block_size
            if len(data) != size or not 0 <= block < len(tag.data) // size:
                raise ValueError("no such block, or data is not one block long")
            at = block * size
            whole = tag.data[:at] + data + tag.data[at + size :]
            self._db.execute("UPDATE tag SET data = ? WHERE uid = ?", (whole, tag.uid))

    # -- gate --

    def walk(self, uids_or_names: Sequence[str], direction: str) -> int:
        """A person walks in or out carrying these; returns the passage's number (from 1)."""
        if direction not in ("in", "out"):
            raise ValueError("a direction is in or out")
        with self._change():
            tags = {tag.uid: tag for tag in map(self.tag, uids_or_names)}
            no = self._add("passages")
            self._db.execute("INSERT INTO passage(no, direction) VALUES (?, ?)", (no, direction))
            for pos, tag in enumerate(tags.values()):
                self._db.execute(
                    "INSERT INTO carried VALUES (?, ?, ?, ?, ?, ?)",
                    (no, pos, tag.uid, tag.afi, tag.data, tag.eas),
                )
                self._db.execute("UPDATE tag SET place = 'hand' WHERE uid = ?", (tag.uid,))
            self._add("entered" if direction == "in" else "left")
            self._db.execute("DELETE FROM passage WHERE no <= ?", (no - _KEPT,))
        return no

    def passages(self, after: int) -> list[WorldPassage]:
        """Passages with a number greater than ``after``, oldest first; the last 10,000 are kept."""
        with self._lock:
            people = self._rows(
                "SELECT no, direction, cried FROM passage WHERE no > ? ORDER BY no", after
            )
            carried: dict[int, list[WorldTag]] = {row[0]: [] for row in people}
            for no, *row in self._rows(
                "SELECT c.no, c.uid, name, label, kind, c.afi, dsfid, c.data, block_size, place,"
                " c.eas, locks FROM carried c JOIN tag USING (uid) WHERE c.no > ? ORDER BY c.no, c.pos",
                after,
            ):
                if no in carried:  # a passage of this very moment comes with the next call
                    carried[no].append(tag_of(row))
        return [
            WorldPassage(no, cast(Direction, direction), tuple(carried[no]), bool(cried))
            for no, direction, cried in people
        ]

    def last_passage(self) -> int:
        """The number of the latest passage, 0 before the first."""
        return self._number("passages")

    def people(self) -> tuple[int, int]:
        """People counted: entered, left."""
        return self._number("entered"), self._number("left")

    def siren(self, seconds: float) -> None:
        """The gate was told to cry for ``seconds``; the latest passage is marked."""
        if not 0 <= seconds <= 600:
            raise ValueError("a siren cries 0 to 600 seconds")
        with self._change():
            self._add("siren_frames")
            self._db.execute(
                "UPDATE passage SET cried = 1 WHERE no = (SELECT max(no) FROM passage)"
            )

    def sirens(self) -> int:
        """How many siren frames the gate was sent."""
        return self._number("siren_frames")

    # -- library system --

    def patron(self, card: str) -> WorldPatron | None:
        """The patron of a card."""
        rows = self._rows(
            "SELECT card, name, blocked, borrow_limit FROM patron WHERE card = ?", card
        )
        return WorldPatron(rows[0][0], rows[0][1], bool(rows[0][2]), rows[0][3]) if rows else None

    def record(self, item: str) -> WorldRecord | None:
        """The record of an item."""
        rows = self._rows(
            "SELECT item, title, author, on_hold_for, reference FROM record WHERE item = ?", item
        )
        if not rows:
            return None
        item, title, author, on_hold_for, reference = rows[0]
        return WorldRecord(item, title, author, on_hold_for, bool(reference))

    def loan(self, item: str) -> WorldLoan | None:
        """The loan an item is out on, if any."""
        rows = self._rows("SELECT item, card, due FROM loan WHERE item = ?", item)
        return WorldLoan(*rows[0]) if rows else None

    def loans(self) -> list[WorldLoan]:
        """Every loan, by item."""
        return [
            WorldLoan(*row) for row in self._rows("SELECT item, card, due FROM loan ORDER BY item")
        ]

    def loans_of(self, card: str) -> list[WorldLoan]:
        """What a card has on loan, by item."""
        rows = self._rows("SELECT item, card, due FROM loan WHERE card = ? ORDER BY item", card)
        return [WorldLoan(*row) for row in rows]

    def lend(self, item: str, card: str, due: str) -> None:
        """Lend an item until ``due`` (RFC 3339). Again to the same card only moves ``due``.

        KeyError if item or card is unknown; ValueError if another card has it.
        """
        with self._change():
            if self.record(item) is None or self.patron(card) is None:
                raise KeyError("no such item or card")
            before = self.loan(item)
            if before is not None and before.card != card:
                raise ValueError("the item is on loan to another reader")
            self._db.execute("INSERT OR REPLACE INTO loan VALUES (?, ?, ?)", (item, card, due))
            if before is None:
                self._add("loans_in_ils")

    def give_back(self, item: str, cancel: bool = False) -> bool:
        """End an item's loan (``cancel``: undo it); False, and nothing counted, if it had none."""
        with self._change():
            done = self._db.execute("DELETE FROM loan WHERE item = ?", (item,)).rowcount == 1
            if done:
                self._add("undone_in_ils" if cancel else "returns_in_ils")
        return done

    # -- the pad's reader --

    def reader(self) -> str:
        """Which reader the pad is, as somebody chose (of ``READERS``); "" if nobody can choose."""
        rows = self._rows("SELECT driver FROM reader")
        return str(rows[0][0]) if rows else ""

    def choose(self, driver: str) -> None:
        """Make the pad another reader; "" ends the choosing. It stands on the desk: a reset leaves it there."""
        if driver not in ("", *READERS):
            raise ValueError(f"no reader is called that; readers are {', '.join(READERS)}")
        with self._change():
            self._db.execute("INSERT OR REPLACE INTO reader VALUES (1, ?)", (driver,))

    # -- faults and counters --

    def fault(self, name: str) -> str:
        """A fault's value, "" when off."""
        return self.faults().get(name, "")

    def faults(self) -> dict[str, str]:
        """The faults that are on."""
        return dict(self._rows("SELECT name, value FROM fault ORDER BY name"))

    def set_fault(self, name: str, value: str) -> None:
        """Switch a fault on, or off with ""; ValueError if there is no such fault or value."""
        check_fault(name, value)
        with self._change():
            self._db.execute("DELETE FROM fault WHERE name = ?", (name,))
            if value:
                self._db.execute("INSERT INTO fault VALUES (?, ?)", (name, value))

    def spend(self, name: str) -> str:
        """What fault ``name`` is worth now: a number counts down to off, a tag leaves only once."""
        with self._lock:
            value = self.fault(name)
            if value and (value != "on" or name == "tag-leaves"):
                left = int(value) - 1 if value.isdigit() else 0
                self.set_fault(name, str(left) if left else "")
        return value

    def counters(self) -> dict[str, int]:
        """What has happened since the seed, by name."""
        known = dict(self._rows("SELECT name, number FROM meta"))
        return {name: known.get(name, 0) for name in COUNTERS}

    # -- private --

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._add("version")
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def _sow(self) -> None:
        seed = check_seed(json.loads(self._rows("SELECT json FROM seed")[0][0]))
        for table in ("tag", "passage", "patron", "record", "loan", "fault"):
            self._db.execute(f"DELETE FROM {table}")
        self._db.execute("DELETE FROM meta WHERE name NOT IN ('version', 'passages')")
        for table, rows in seed.rows():
            if not rows:
                continue
            marks = ", ".join("?" * len(rows[0]))
            self._db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)

    def _rows(self, sql: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _number(self, name: str) -> int:
        rows = self._rows("SELECT number FROM meta WHERE name = ?", name)
        return int(rows[0][0]) if rows else 0

    def _set(self, name: str, number: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, number))

    def _add(self, name: str) -> int:
        number = self._number(name) + 1
        self._set(name, number)
        return number
