"""What an outbox holds on disk: rows kept and rows waiting, contiguous, and how each is told on the wire.

``seq`` in the table only grows; on the wire it is less by ``shift``, so that a new epoch is one row's change.
Under one epoch a row is always told in the same bytes. Callers hold the outbox's lock.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from mocban.errors import StorageError
from mocban.events import CHAIN_0, FactShed, Shed, chain
from mocban.ids import new_epoch
from mocban.migrate import after_full, transaction

TOLD_KEPT = 10_000
"""How many ids of delivered facts are remembered, to drop a second telling."""
KEPT = 10_000
"""How many delivered facts are kept at most for a gateway that comes back older; in bytes, an eighth of the cap."""
SHED_AT_ONCE = 64
"""How many facts one new fact may push out, so that putting ends soon."""
GONE = 3
"""The class of a row that was given up; its payload is a stub."""


@dataclass(frozen=True, slots=True)
class Row:
    """One waiting fact; ``payload`` is the envelope as it goes on the wire."""

    seq: int
    kind: str
    payload: bytes


@dataclass(slots=True)
class Marks:
    """Table ``outbox_self``, in the table's own numbers. ``sent``: up to here bytes may be out and stay as they are."""

    epoch: str
    next: int
    upto: int
    shift: int
    old: int
    floor: int
    sent: int
    waiting: int
    kept: int
    base: bytes | None
    mark: bytes | None
    fingerprint: str
    given_up: int = 0  # since the start, not stored

    def renew(self) -> None:
        """A new epoch: all that is held waits, from seq 1."""
        self.epoch, self.shift, self.old = new_epoch(), self.floor - 1, self.next - 1
        self.upto, self.sent = self.floor - 1, 0
        self.waiting, self.kept = self.waiting + self.kept, 0
        self.base = self.mark = CHAIN_0


SHEDDABLE = (
    "SELECT seq, payload FROM outbox"
    " WHERE class < 2 AND class = {level:d} AND seq > ? ORDER BY seq LIMIT ?"
)
"""``class < 2`` names the partial index ``outbox_sheddable``; without that index it is slower, not refused."""

_COLUMNS = [field.name for field in fields(Marks) if field.name != "given_up"]
_READ = f"SELECT {', '.join(_COLUMNS)} FROM outbox_self"
_SAVE = f"UPDATE outbox_self SET {', '.join(f'{name} = ?' for name in _COLUMNS)}"
_values = attrgetter(*_COLUMNS)


class Held:
    """The tables of one outbox. What is known in memory (``marks``) changes only after it is committed."""

    def __init__(self, db: sqlite3.Connection, device: str, cap: int, fingerprint: str) -> None:
        self._db = db
        self._device = device
        self._cap = cap
        db.execute(
            "INSERT OR IGNORE INTO outbox_self (one, epoch, next, base, mark, fingerprint)"
            " VALUES (1, ?, 1, ?, ?, ?)",
            (new_epoch(), CHAIN_0, CHAIN_0, fingerprint),
        )
        self.marks = Marks(*db.execute(_READ).fetchone())

    @contextmanager
    def change(self, what: str) -> Iterator[Marks]:
        """One transaction on a copy of the marks. StorageError (``what``): nothing has changed."""
        marks = replace(self.marks)
        try:
            with named(what), transaction(self._db):
                yield marks
                self._db.execute(_SAVE, _values(marks))
        except BaseException as error:
            with suppress(sqlite3.Error):
                if not self._db.in_transaction:  # what was not taken back is not what is stored
                    self._look_again()
            after_full(self._db, error.__cause__)
            raise
        self.marks = marks

    def _look_again(self) -> None:
        """A COMMIT that failed may yet have happened."""
        before, now = self.marks, Marks(*self._db.execute(_READ).fetchone())
        now.given_up = before.given_up
        if now.epoch == before.epoch:
            now.sent = max(now.sent, before.sent)
        self.marks = now

    def knows(self, ident: str) -> bool:
        """Whether this id was put before."""
        found = self._db.execute("SELECT 1 FROM outbox_told WHERE id = ?", (ident,))
        return found.fetchone() is not None

    def add(self, marks: Marks, ident: str, kind: str, shed: Shed, payload: bytes) -> None:
        """A new row; in a full outbox one that may be shed is given up at once."""
        level = int(shed)
        if shed is not Shed.NEVER and self._tight(marks, len(payload)):
            payload, level = _stub(payload, marks.epoch, marks.next - marks.shift), GONE
            marks.given_up += 1
        self._db.execute(
            "INSERT INTO outbox (seq, id, kind, class, payload) VALUES (?, ?, ?, ?, ?)",
            (marks.next, ident, kind, level, payload),
        )
        self._db.execute("INSERT INTO outbox_told VALUES (?, ?)", (ident, marks.next))
        marks.next, marks.waiting = marks.next + 1, marks.waiting + len(payload)
        self._forget(marks)

    def make_room(self, marks: Marks, more: int, shed: Shed) -> None:
        """Give up facts of class ``shed`` and lower that never left, oldest first, to fit ``more`` bytes."""
        left = SHED_AT_ONCE
        for level in (Shed.FIRST, Shed.LATER):
            if level > shed:
                return
            for seq, payload in self._db.execute(
                SHEDDABLE.format(level=int(level)),
                (max(marks.upto, marks.sent), left if self._tight(marks, more) else 0),
            ).fetchall():
                if not self._tight(marks, more):
                    return
                stub = _stub(payload, marks.epoch, seq - marks.shift)
                self._db.execute(
                    "UPDATE outbox SET class = ?, payload = ? WHERE seq = ?", (GONE, stub, seq)
                )
                marks.waiting += len(stub) - len(payload)
                marks.given_up, left = marks.given_up + 1, left - 1

    def move(self, marks: Marks, seq: int, after: bytes) -> None:
        """The watermark goes to ``seq``, forth or back."""
        size = self._db.execute(
            "SELECT coalesce(sum(length(payload)), 0) FROM outbox WHERE seq > ? AND seq <= ?",
            (min(seq, marks.upto), max(seq, marks.upto)),
        ).fetchone()[0]
        size = size if seq > marks.upto else -size
        marks.waiting, marks.kept = marks.waiting - size, marks.kept + size
        marks.upto, marks.mark = seq, after
        self._db.execute("DELETE FROM outbox_told WHERE seq <= ?", (seq - TOLD_KEPT,))
        self._forget(marks)

    def after(self, seq: int) -> bytes:
        """The chain value after ``seq``, which is not below ``floor`` - 1."""
        marks = self.marks
        forth = seq >= marks.upto
        value = (marks.mark if forth else marks.base) or CHAIN_0
        for row in self._db.execute(
            "SELECT seq, kind, class, payload FROM outbox WHERE seq > ? AND seq <= ? ORDER BY seq",
            (marks.upto if forth else marks.floor - 1, seq),
        ):
            value = chain(value, self._row(marks, *row).payload)
        return value

    def waiting(self, after: int, limit: int) -> list[Row]:
        """Up to ``limit`` waiting rows above ``after`` (as on the wire). Their bytes stay as they are from now on."""
        marks = self.marks
        found = self._db.execute(
            "SELECT seq, kind, class, payload FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?",
            (max(after + marks.shift, marks.upto), limit),
        ).fetchall()
        if found:
            marks.sent = max(marks.sent, found[-1][0])
        return [self._row(marks, *row) for row in found]

    def _tight(self, marks: Marks, more: int) -> bool:
        return (marks.waiting + more) * 5 > self._cap * 4

    def _forget(self, marks: Marks) -> None:
        """Kept rows go, oldest first, when they are too many or space is needed."""
        room = min(self._cap // 8, max(0, self._cap - marks.waiting))
        first = marks.floor
        while _too_much(marks, room):
            for row in self._db.execute(
                "SELECT seq, kind, class, payload FROM outbox WHERE seq >= ? ORDER BY seq LIMIT 64",
                (marks.floor,),
            ).fetchall():
                if not _too_much(marks, room):
                    break
                marks.base = chain(marks.base or CHAIN_0, self._row(marks, *row).payload)
                marks.kept -= len(row[3])
                marks.floor += 1
        if marks.floor > first:
            self._db.execute("DELETE FROM outbox WHERE seq < ?", (marks.floor,))

    def _row(self, marks: Marks, seq: int, kind: str, level: int, payload: bytes) -> Row:
        place = seq - marks.shift
        if level == GONE:
            told = _tombstone(payload, self._device, kind, marks.epoch, place)
            return Row(place, FactShed.kind, told)
        if seq <= marks.old:
            payload = _again(payload, marks.epoch, place)
        return Row(place, kind, payload)


@contextmanager
def named(what: str) -> Iterator[None]:
    """SQLite's complaint as a StorageError that begins with ``what``."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"{what}: {error}", "free space on the disk") from error


def _too_much(marks: Marks, room: int) -> bool:
    too_many = marks.upto - marks.floor >= KEPT
    return marks.floor <= marks.upto and (marks.kept > room or too_many)


def _again(payload: bytes, epoch: str, seq: int) -> bytes:
    """The envelope ``payload`` under another epoch: all but ``epoch`` and ``seq`` stays."""
    return _json(json.loads(payload) | {"epoch": epoch, "seq": seq})


def _stub(payload: bytes, epoch: str, seq: int) -> bytes:
    """What is stored of a fact given up at this place: about 45 bytes; the tombstone is made from it."""
    return f"{epoch} {seq} {json.loads(payload)['ts']}".encode()


def _tombstone(stub: bytes, device: str, what: str, epoch: str, seq: int) -> bytes:
    """The ``FactShed`` envelope for ``stub``. It names the place of giving up, ``epoch`` and ``seq`` that of telling.

    Its time is the lost fact's; monotonic time and boot are not kept.
    """
    at_epoch, at_seq, ts = stub.decode().split(" ")
    fact = FactShed(epoch=at_epoch, seq=int(at_seq), what=what)
    return _json({
        "v": 1, "id": str(fact.id_at(device)), "epoch": epoch, "seq": seq, "ts": ts, "mono": 0.0, "boot": "0" * 32,
        "kind": fact.kind, "kv": fact.kv, "data": fact.model_dump(),
    })  # fmt: skip


def _json(body: dict[str, Any]) -> bytes:
    """As ``Envelope.encode``."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
