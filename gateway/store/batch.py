"""One transaction of the store in SQLite: letters in, what follows from all of them, an outcome out."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import assert_never

from gateway.store import orders
from gateway.store.port import (
    DEAD_BYTES,
    Birth,
    Counts,
    Dead,
    Letter,
    Outcome,
    Project,
    Received,
    Reread,
    Revived,
    Told,
    Watermark,
)
from mocban.clock import parse_rfc3339, rfc3339
from mocban.events import CHAIN_0, CommandAnswered, FactShed, chain_hash

Verdict = str
"""``new``, ``duplicate`` or ``dead:<reason>``: the names of table ``tally``."""

_OCCUPIED = """
WITH place (device, epoch, seq) AS (VALUES (?, ?, ?))
SELECT EXISTS (SELECT 1 FROM facts JOIN place USING (device, epoch, seq))
    OR EXISTS (SELECT 1 FROM dead JOIN place USING (device, epoch, seq))
    OR EXISTS (SELECT 1 FROM retold JOIN place USING (device, epoch, seq))
"""
_AT_PLACE = """
WITH place (device, epoch, seq) AS (VALUES (?, ?, ?))
SELECT id FROM facts JOIN place USING (device, epoch, seq)
UNION ALL SELECT id FROM retold JOIN place USING (device, epoch, seq)
"""
_FIRST = """
WITH place (device, epoch, seq) AS (VALUES (?, ?, ?))
SELECT 0, payload, NULL, length(payload) FROM facts JOIN place USING (device, epoch, seq)
UNION ALL SELECT 0, NULL, sha, 1 FROM retold JOIN place USING (device, epoch, seq)
UNION ALL SELECT no, payload, sha, size FROM dead JOIN place USING (device, epoch, seq)
ORDER BY 1 LIMIT 1
"""
"""What came first at a place: a fact, or the oldest of the dead, which kept facts away."""


class Batch:
    """One transaction under way; whoever began it commits it."""

    def __init__(self, db: sqlite3.Connection, project: Project, stray_letters: int) -> None:
        self._db = db
        self._project = project
        self._stray_letters = stray_letters
        self._tally: Counter[Verdict] = Counter()
        self._counts: Counts = {}
        self._touched: dict[
            tuple[str, str], tuple[int, str]
        ] = {}  # (device, epoch) -> highest seq, arrival
        self._last: dict[str, tuple[int, Told]] = {}  # device -> facts added, the last of them
        self._births: list[Birth] = []
        self._orders: list[str] = []
        self.cursor = 0

    def run(self, batch: Sequence[Letter]) -> Outcome:
        """Take in every letter, then write what follows from all of them."""
        seen = False
        for letter in batch:
            match letter:
                case Told():
                    self._tally[self._tell(letter)] += 1
                    self._touch(letter)
                case Dead():
                    self._tally[self._bury(letter)] += 1
                    self._touch(letter)
                case Birth():
                    seen |= self._bear(letter)
                    self._births.append(letter)
                case Received():
                    orders.received(self._db, letter.device, letter.app, letter.order, letter.rx)
                    self._orders.append(letter.order)
                case _:
                    assert_never(letter)
        watermarks = self._advance_all()
        self._write_projections()
        dead = {
            name.removeprefix("dead:"): n
            for name, n in self._tally.items()
            if name.startswith("dead:")
        }
        return Outcome(
            watermarks, self._tally["new"], self._tally["duplicate"], dead,
            changed=bool(self._tally["new"] or dead or seen), births=tuple(self._births),
            orders=tuple(dict.fromkeys(self._orders)),
        )  # fmt: skip

    def _touch(self, letter: Told | Dead) -> None:
        if letter.seq is not None:
            top, _ = self._touched.get((letter.device, letter.epoch), (0, ""))
            self._touched[letter.device, letter.epoch] = max(top, letter.seq), rfc3339(letter.rx)

    def revive(self, reread: Reread, limit: int, after: int) -> Revived:
        """Take a page of dead letters out and in again."""
        rows = self._db.execute(
            "SELECT no, device, epoch, seq, topic, reason, rx, size, payload FROM dead WHERE no > ?"
            " ORDER BY no LIMIT ?",
            (after, limit),
        ).fetchall()
        for no, device, epoch, seq, topic, reason, rx, size, payload in rows:
            if len(payload) == size:
                dead = Dead(device, epoch, seq, topic, reason, parse_rfc3339(rx), payload)
                self._revive(no, dead, reread(dead))
        self._advance_all()
        new, duplicate = self._tally["new"], self._tally["duplicate"]
        self._write_projections()
        return Revived(
            len(rows), new, duplicate, len(rows) - new - duplicate, rows[-1][0] if rows else 0,
            tuple(dict.fromkeys(self._orders)),
        )  # fmt: skip

    def _revive(self, no: int, dead: Dead, letter: Letter | None) -> None:
        """A place goes on belonging to what came first there; nobody may take it while we look."""
        if not isinstance(letter, Told):
            return
        place = (letter.device, letter.epoch, letter.seq)
        if dead.seq is None:
            if self._db.execute(_OCCUPIED, place).fetchone()[0]:
                return
        elif (
            place != (dead.device, dead.epoch, dead.seq)
            or self._db.execute(_FIRST, place).fetchone()[0] != no
        ):
            return
        same = self._db.execute("SELECT digest FROM facts WHERE id = ?", (letter.id,)).fetchone()
        if same is not None and same[0] != letter.digest:
            return
        self._db.execute("DELETE FROM dead WHERE no = ?", (no,))
        self._tally[self._tell_again(letter) if same else self._insert(letter)] += 1
        self._tally[f"revived:{dead.reason}"] += 1
        if dead.seq is None:
            self._touch(letter)

    def _tell(self, told: Told) -> Verdict:
        """Judge one fact by its place first (a clone writes other things at the same place), then by its id."""
        place = (told.device, told.epoch, told.seq)
        same = self._db.execute("SELECT digest FROM facts WHERE id = ?", (told.id,)).fetchone()
        holder = self._db.execute(_AT_PLACE, place).fetchone()
        if holder is not None:
            is_same = holder[0] == told.id and same is not None and same[0] == told.digest
            return (
                "duplicate"
                if is_same or _is_tombstone(told)
                else self._bury(_killed(told, "seq-reuse"))
            )
        if self._db.execute(_OCCUPIED, place).fetchone()[0]:
            return self._bury(
                _killed(told, "seq-reuse")
            )  # the very bytes that died there are a duplicate
        if same is not None:
            if same[0] != told.digest:
                return self._bury(_killed(told, "id-reuse"))
            return self._tell_again(told)
        return self._insert(told)

    def _tell_again(self, told: Told) -> Verdict:
        self._db.execute(
            "INSERT INTO retold (device, epoch, seq, id, sha) VALUES (?, ?, ?, ?, ?)",
            (told.device, told.epoch, told.seq, told.id, _sha(told.payload)),
        )
        self._answer(told)
        return "duplicate"

    def _insert(self, told: Told) -> Verdict:
        row = self._db.execute(
            "INSERT INTO facts (id, device, epoch, seq, kind, kv, ts, rx, digest, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                told.id, told.device, told.epoch, told.seq, told.kind, told.kv,
                rfc3339(told.ts), rfc3339(told.rx), told.digest, told.payload,
            ),
        )  # fmt: skip
        self.cursor = row.lastrowid or 0
        self._counts = self._project(self._counts, told.fact, told.device, told.hour)
        added, _ = self._last.get(told.device, (0, told))
        self._last[told.device] = (added + 1, told)
        self._answer(told)
        return "new"

    def _answer(self, told: Told) -> None:
        if isinstance(told.fact, CommandAnswered):
            orders.answered(self._db, told.device, told.fact, told.rx)
            self._orders.append(str(told.fact.order))

    def _bury(self, dead: Dead) -> Verdict:
        """Keep a dead letter once; the same bytes at the same place only count up."""
        digest = hashlib.blake2b(dead.payload, digest_size=16).digest()
        where, values = (
            (
                "device = ? AND topic = ? AND digest = ? AND seq IS NULL",
                (dead.device, dead.topic, digest),
            )
            if dead.seq is None
            else (
                "device = ? AND epoch = ? AND seq = ? AND digest = ?",
                (dead.device, dead.epoch, dead.seq, digest),
            )
        )
        if self._db.execute(f"UPDATE dead SET times = times + 1 WHERE {where}", values).rowcount:
            return "duplicate"
        self._db.execute(
            "INSERT INTO dead (device, epoch, seq, topic, reason, rx, size, digest, payload, sha)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                dead.device, dead.epoch, dead.seq, dead.topic, dead.reason, rfc3339(dead.rx),
                len(dead.payload), digest, dead.payload[:DEAD_BYTES], _sha(dead.payload),
            ),
        )  # fmt: skip
        if dead.seq is None:
            self._forget_strays(dead.device)
        return f"dead:{dead.reason}"

    def _forget_strays(self, device: str) -> None:
        """A device that babbles may not fill the disk."""
        self._db.execute(
            "DELETE FROM dead WHERE device = ? AND seq IS NULL AND no <="
            " (SELECT no FROM dead WHERE device = ? AND seq IS NULL ORDER BY no DESC LIMIT 1 OFFSET ?)",
            (device, device, self._stray_letters),
        )

    def _bear(self, birth: Birth) -> bool:
        """True if a reader sees a difference. A will of an older session may not put out the present one."""
        row = self._db.execute(
            "SELECT online, epoch, version FROM device_state WHERE device = ? AND app = ?",
            (birth.device, birth.app),
        ).fetchone()
        if row is not None:
            late_will = not birth.online and bool(row[0]) and row[1] != birth.epoch
            if late_will or (bool(row[0]), row[1], row[2]) == (
                birth.online,
                birth.epoch,
                birth.version,
            ):
                return False
        self._db.execute(
            "INSERT OR REPLACE INTO device_state VALUES (?, ?, ?, ?, ?, ?)",
            (birth.device, birth.app, birth.online, birth.epoch, birth.version, rfc3339(birth.rx)),
        )
        return True

    def _advance_all(self) -> tuple[Watermark, ...]:
        """The watermark of everything touched, and of everybody who said how he is."""
        touched = [self._advance(*place, *seen) for place, seen in self._touched.items()]
        others = dict.fromkeys((birth.device, birth.epoch) for birth in self._births)
        return (*touched, *(self._mark(*at)[0] for at in others if at not in self._touched))

    def _mark(self, device: str, epoch: str) -> tuple[Watermark, bytes | None, int]:
        """The watermark as it stands, its chain value (None: not known), and the highest seq seen."""
        row = self._db.execute(
            "SELECT upto, top, chain FROM watermark WHERE device = ? AND epoch = ?", (device, epoch)
        ).fetchone()
        upto, top, chain = row or (0, 0, CHAIN_0)
        chain = chain if upto else CHAIN_0
        return Watermark(device, epoch, upto, chain.hex() if chain else ""), chain, top

    def _advance(self, device: str, epoch: str, top: int, rx: str) -> Watermark:
        """Move the watermark to the last seq before the first gap."""
        old, chain, old_top = self._mark(device, epoch)
        upto, top = old.upto, max(top, old_top)
        while upto < top:
            first = self._db.execute(_FIRST, (device, epoch, upto + 1)).fetchone()
            if first is None:
                break
            sha = _sha_of(*first[1:])
            chain = chain_hash(chain, sha) if chain and sha else None
            upto += 1
        self._db.execute(
            "INSERT OR REPLACE INTO watermark (device, epoch, upto, top, rx, chain)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (device, epoch, upto, top, rx, chain),
        )
        return Watermark(device, epoch, upto, chain.hex() if chain else "")

    def _write_projections(self) -> None:
        self._db.executemany(
            "INSERT INTO counter VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            [(*key, amount) for key, amount in self._counts.items()],
        )
        self._db.executemany(
            "INSERT INTO tally VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            list(self._tally.items()),
        )
        self._db.executemany(
            "INSERT INTO device VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET facts = facts + excluded.facts,"
            " kind = iif(excluded.rx < rx, kind, excluded.kind), ts = iif(excluded.rx < rx, ts, excluded.ts),"
            " rx = max(rx, excluded.rx)",
            [
                (d, n, told.kind, rfc3339(told.ts), rfc3339(told.rx))
                for d, (n, told) in self._last.items()
            ],
        )


def _killed(told: Told, reason: str) -> Dead:
    topic = f"evt/{told.kind}"
    return Dead(told.device, told.epoch, told.seq, topic, reason, told.rx, told.payload)


def _is_tombstone(told: Told) -> bool:
    """A device gave up what we had stored already; that is no clone."""
    fact = told.fact
    return isinstance(fact, FactShed) and (fact.epoch, fact.seq) == (told.epoch, told.seq)


def _sha(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()[:16]


def _sha_of(payload: bytes | None, sha: bytes | None, size: int) -> bytes | None:
    """The hash of what was stored; None if it was cut and nobody hashed it then."""
    if sha is None and payload is not None and len(payload) == size:
        return _sha(payload)
    return sha
