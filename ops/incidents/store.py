"""Incidents on disk. A signal, what it means, the incident and its timeline are one transaction.

What follows from it (a fact to tell, a playbook to begin) is written down in the same transaction and worked off by
``ops.incidents.errands``, so that a crash in between loses neither.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import assert_never

from mocban.access import Refusal
from mocban.clock import Clock, parse_rfc3339, rfc3339
from mocban.errors import StorageError
from mocban.events import Audited
from mocban.migrate import after_full, open_db, transaction
from ops.incidents import owed, rows
from ops.incidents.correlate import Became, Change, Ended, Joined, Opened, Rules, correlate, fades
from ops.incidents.model import Entry, Incident, Signal, State

KEPT = timedelta(days=30)
"""How long a signal is remembered; what reached the gateway longer ago is no signal any more."""
PRUNED = 1000
"""Most signals forgotten at a time."""
OURS = "app:ops"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of some signals: how many were new, and the numbers of the incidents they touched."""

    new: int
    known: int
    incidents: tuple[int, ...]


class Store:
    """The incidents in ``path``, a file it may share. Thread-safe. StorageError: nothing of it was stored.

    ``autorun``: kind of an incident to the playbook that begins when it opens. ``on_errand`` is called after a commit
    that left something to do, from the committing thread. ``turn``: whoever writes into the file takes it first.
    """

    def __init__(
        self, path: Path, clock: Clock, rules: Rules, autorun: Mapping[str, str] | None = None,
        turn: AbstractContextManager[object] | None = None,
    ) -> None:  # fmt: skip
        self._path = path
        self._clock = clock
        self._rules = rules
        self._autorun = dict(autorun or {})
        self._lock: AbstractContextManager[object] = turn or Lock()
        self._errand = False
        self.on_errand: Callable[[], None] = lambda: None
        self._db = open_db(path, "incidents", "ops.incidents")

    def take(self, signals: Sequence[Signal], truncated: int = 0) -> Taken:
        """Store ``signals`` and all they change. ``truncated``: how many more there were that did not reach us."""
        now = self._clock.now()
        touched: dict[int, None] = {}
        new = 0
        with self._writing() as db:
            for signal in signals:
                rx = signal.heard or now
                if rx < now - KEPT or not rows.heard(db, signal, rx):
                    continue
                new += 1
                # As the disk keeps it: to the millisecond.
                exact = replace(signal, at=parse_rfc3339(rfc3339(signal.at)))
                number = self._correlate(exact, now)
                if number:
                    touched[number] = None
            if truncated and touched:
                args = {"count": str(truncated)}
                rows.add(
                    self._db, next(iter(touched)), Entry(0, now, OURS, "truncated", args=args), ""
                )
        return Taken(new, len(signals) - new, tuple(touched))

    def settle(self) -> int:
        """Resolve what resolves itself, and forget old signals; how many incidents were resolved."""
        now = self._clock.now()
        where = "state != 'resolved' AND state = 'open' AND sources = 'alert' AND ended != ''"
        with self._reading() as db:
            found = rows.incidents(db, where, (), PRUNED)
            old = db.execute(
                "SELECT 1 FROM signal WHERE rx < ? LIMIT 1", (rfc3339(now - KEPT),)
            ).fetchone()
        if not old and not any(fades(one, now, self._rules) for one in found):
            return 0
        done = 0
        with self._writing() as db:
            for one in rows.incidents(db, where, (), PRUNED):
                if fades(one, now, self._rules):
                    done += 1
                    self._resolve(one, OURS, "", now)
            db.execute(
                "DELETE FROM signal WHERE id IN (SELECT id FROM signal WHERE rx < ? LIMIT ?)",
                (rfc3339(now - KEPT), PRUNED),
            )
        return done

    # what people do

    def ack(self, incident: int, by: str) -> Incident:
        """``by`` sees to it. Again: no change. Refusal ``already`` if it is resolved."""
        now = self._clock.now()
        with self._writing():
            one = self._find(incident)
            if one.state == "resolved":
                raise _already(one)
            if one.state == "open":
                one = replace(one, state="acked", acked_by=by, changed=now)
                rows.put(self._db, one)
                rows.add(self._db, one.no, Entry(0, now, by, "acked"), "acked")
                self._audit("incident-acked", by, one)
            return one

    def resolve(self, incident: int, by: str, text: str = "") -> Incident:
        """It is dealt with. Again by the same person: no change; by another: Refusal ``already``."""
        with self._writing():
            one = self._find(incident)
            if one.state == "resolved":
                if one.resolved_by != by:
                    raise _already(one)
                return one
            return self._resolve(one, by, text, self._clock.now())

    def note(self, incident: int, by: str, text: str, ident: str) -> Incident:
        """Something worth knowing; ``ident`` makes twice once."""
        now = self._clock.now()
        with self._writing():
            one = self._find(incident)
            if rows.add(self._db, one.no, Entry(0, now, by, "noted", text), f"note:{ident}"):
                one = replace(one, changed=now)
                rows.put(self._db, one)
                self._audit("incident-noted", by, one, ref=ident)
            return one

    # what others write

    def add(self, incident: int, actor: str, what: str, ref: str = "", **args: str) -> None:
        """``Chronicle.add``."""
        with self._writing() as db:
            if db.execute("SELECT 1 FROM incident WHERE no = ?", (incident,)).fetchone():
                entry = Entry(0, self._clock.now(), actor, what, args=args)
                rows.add(self._db, incident, entry, f"other:{ref}" if ref else "")

    def knows(self, incident: int) -> bool:
        """``Chronicle.knows``."""
        with self._reading() as db:
            sql = "SELECT 1 FROM incident WHERE no = ?"
            return db.execute(sql, (incident,)).fetchone() is not None

    def attach(self, incident: int, execution: str) -> None:
        """``Chronicle.attach``."""
        with self._writing():
            self._attach(incident, execution, self._clock.now())

    # what is asked

    def incident(self, number: int) -> tuple[Incident, list[Entry]]:
        """One incident and its timeline. Refusal ``incident-unknown``."""
        with self._reading() as db:
            return self._find(number), rows.timeline(db, number)

    def incidents(self, state: State | None = None, limit: int = 100) -> list[Incident]:
        """Newest first; ``open`` means not resolved."""
        where = {None: "1", "open": "state != 'resolved'"}.get(state, "state = ?")
        with self._reading() as db:
            return rows.incidents(db, where, (state,) if "?" in where else (), limit)

    def of_signal(self, ident: str) -> Incident | None:
        """The incident that the signal ``ident`` belongs to."""
        with self._reading() as db:
            row = db.execute("SELECT incident FROM signal WHERE id = ?", (ident,)).fetchone()
            return self._find(row[0]) if row is not None and row[0] is not None else None

    def tally(self) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
        """Signals ever taken by source; incidents by state and kind."""
        with self._reading() as db:
            signals = dict(db.execute("SELECT source, signals FROM tally").fetchall())
            found = db.execute(
                "SELECT state, kind, count(*) FROM incident GROUP BY state, kind"
            ).fetchall()
        return signals, {(state, kind): amount for state, kind, amount in found}

    # errands

    def due(self) -> list[tuple[owed.Due, Incident]]:
        """Playbooks to begin, the oldest first."""
        with self._reading() as db:
            return [(one, self._find(one.incident)) for one in owed.due(db)]

    def begun(self, due: owed.Due) -> None:
        """It has begun."""
        now = self._clock.now()
        args = {"playbook": due.playbook, "execution": due.execution}
        with self._writing() as db:
            owed.settled(db, due)
            entry = Entry(0, now, OURS, "playbook-begun", args=args)
            rows.add(db, due.incident, entry, f"begun:{due.execution}")
            self._attach(due.incident, due.execution, now)

    def refused(self, due: owed.Due, refusal: Refusal, *, again: bool = False) -> None:
        """It does not begin, which the timeline says once; unless ``again``, it never will by itself."""
        args = {"playbook": due.playbook, "code": refusal.code, "say": refusal.say[:300]}
        with self._writing() as db:
            if not again:
                owed.settled(db, due)
            entry = Entry(0, self._clock.now(), OURS, "playbook-refused", args=args)
            rows.add(db, due.incident, entry, f"refused:{due.execution}")

    def untold(self) -> list[tuple[int, Audited]]:
        """Facts to tell, the oldest first."""
        with self._reading() as db:
            return owed.untold(db)

    def told(self, numbers: Iterable[int]) -> None:
        """The outbox has these."""
        with self._writing() as db:
            owed.told(db, numbers)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # within a transaction

    def _correlate(self, signal: Signal, now: datetime) -> int:
        """The number of the incident it belongs to, or 0."""
        db = self._db
        past = rows.past(db, signal, self._rules)
        number = 0
        for change in correlate(rows.standing(db, signal), signal, self._rules, past):
            one = replace(change.incident, changed=now, no=change.incident.no or number)
            number = rows.put(db, one)
            self._tell(change, replace(one, no=number), signal, now)
        if number:
            db.execute("UPDATE signal SET incident = ? WHERE id = ?", (number, signal.id))
        return number

    def _tell(self, change: Change, one: Incident, signal: Signal, now: datetime) -> None:
        """The timeline's line about ``change``, and what follows from it."""
        actor = _actor(signal)
        args = {**signal.args, "source": signal.source}
        minute = f"{signal.source}:{rfc3339(signal.at)[:16]}"
        match change:
            case Opened():
                entry = Entry(0, now, actor, "opened", args={**args, "at": rfc3339(signal.at)})
                rows.add(self._db, one.no, entry, "opened")
                self._audit("incident-opened", OURS, one)
                self._plan(one)
            case Joined():
                rows.add(
                    self._db,
                    one.no,
                    Entry(0, now, actor, "signal", args=args),
                    f"signal:{minute}",
                    count=True,
                )
            case Became(was=was):
                entry = Entry(0, now, OURS, "became", args={"was": was, "kind": one.kind})
                rows.add(self._db, one.no, entry, f"became:{one.kind}")
                self._plan(one)
            case Ended():
                rows.add(
                    self._db,
                    one.no,
                    Entry(0, now, actor, "over", args=args),
                    f"over:{minute}",
                    count=True,
                )
            case _:
                assert_never(change)

    def _plan(self, one: Incident) -> None:
        playbook = self._autorun.get(one.kind)
        if playbook:
            owed.plan(self._db, one, playbook)
            self._errand = True

    def _attach(self, incident: int, execution: str, now: datetime) -> None:
        self._db.execute(
            "UPDATE incident SET execution = ?, changed = ? WHERE no = ? AND execution != ?",
            (execution, rfc3339(now), incident, execution),
        )

    def _resolve(self, one: Incident, by: str, text: str, now: datetime) -> Incident:
        one = replace(one, state="resolved", resolved_by=by, changed=now)
        rows.put(self._db, one)
        rows.add(self._db, one.no, Entry(0, now, by, "resolved", text), "resolved")
        self._audit("incident-resolved", by, one)
        return one

    def _audit(self, action: str, actor: str, one: Incident, ref: str = "") -> None:
        owed.audit(self._db, action, actor, one, ref)
        self._errand = True

    def _find(self, number: int) -> Incident:
        found = rows.incidents(self._db, "no = ?", (number,), 1)
        if not found:
            raise Refusal(
                404, "incident-unknown", f"there is no incident {number}",
                "see mocban ops incidents list",
            )  # fmt: skip
        return found[0]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._errand = False
            try:
                with transaction(self._db):
                    yield self._db
            except sqlite3.Error as error:
                after_full(self._db, error)
                raise self._unusable(error) from error
            errand = self._errand
        if errand:
            self.on_errand()

    def _unusable(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"{self._path}: incidents cannot be stored or read: {error}",
            "free space on the disk, or check it",
        )


def _actor(signal: Signal) -> str:
    """Whose word it is, for the timeline."""
    match signal.source:
        case "fact":
            return f"device:{signal.device}"
        case "alert":
            return "app:alertmanager"
        case "person":
            return signal.args.get("by", "person:")
        case _:
            assert_never(signal.source)


def _already(one: Incident) -> Refusal:
    return Refusal(
        409, "already", f"incident {one.no} was resolved by {one.resolved_by}",
        "report anew if it is back",
    )  # fmt: skip
