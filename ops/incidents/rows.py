"""Incidents, signals and entries as rows of SQLite. Every function works within its caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from mocban.clock import parse_rfc3339, rfc3339
from ops.incidents.correlate import MINUTE, Rules, family
from ops.incidents.model import Entry, Incident, Kind, Past, Severity, Signal, Source, State

ENTRIES_MAX = 1000
"""Lines of one timeline after which signals are only counted."""
SHOWN_MAX = 3000
"""Lines of one timeline shown, the newest."""
STANDING_MAX = 200
"""Open incidents of one subject looked at, the newest."""
_COLUMNS = (
    "no, id, kind, severity, device, app, key, args, state, opened, last, ended, changed, signals, sources, acked_by,"
    " resolved_by, execution"
)


def standing(db: sqlite3.Connection, signal: Signal) -> list[Incident]:
    """Incidents of the signal's subject that are not resolved."""
    kinds = family(signal.kind)
    marks = ", ".join("?" * len(kinds))
    return incidents(
        db, f"state != 'resolved' AND device = ? AND key = ? AND kind IN ({marks})",
        (signal.device, signal.key, *kinds), STANDING_MAX,
    )  # fmt: skip


def past(db: sqlite3.Connection, signal: Signal, rules: Rules) -> Past:
    """What else was told about the signal's subject."""
    if signal.over:
        return Past()
    if signal.kind == "gate-alarm":
        least, most = rfc3339(signal.at - MINUTE), rfc3339(signal.at + MINUTE)
        at, few = rfc3339(signal.at), rules.storm - 1
        sql = "SELECT at FROM signal WHERE device = ? AND kind = 'gate-alarm' AND key = ? AND ends = 0 AND id != ? AND"
        before = db.execute(
            f"{sql} at >= ? AND at <= ? ORDER BY at DESC LIMIT ?",
            (signal.device, signal.key, signal.id, least, at, few),
        ).fetchall()
        after = db.execute(
            f"{sql} at > ? AND at <= ? ORDER BY at LIMIT ?",
            (signal.device, signal.key, signal.id, at, most, few),
        ).fetchall()
        return Past(alarms=tuple(parse_rfc3339(row[0]) for row in (*reversed(before), *after)))
    row = db.execute(
        "SELECT max(at) FROM signal WHERE device = ? AND kind = ? AND key = ? AND ends = 1",
        (signal.device, signal.kind, signal.key),
    ).fetchone()
    return Past(ended=parse_rfc3339(row[0]) if row[0] else None)


def heard(db: sqlite3.Connection, signal: Signal, rx: datetime) -> bool:
    """Remember and count ``signal``; False if it was heard before."""
    done = db.execute(
        "INSERT OR IGNORE INTO signal (id, kind, device, key, ends, at, rx) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (signal.id, signal.kind, signal.device, signal.key, signal.over, rfc3339(signal.at), rfc3339(rx)),
    )  # fmt: skip
    if done.rowcount != 1:
        return False
    db.execute(
        "INSERT INTO tally VALUES (?, 1) ON CONFLICT (source) DO UPDATE SET signals = signals + 1",
        (signal.source,),
    )
    return True


def put(db: sqlite3.Connection, one: Incident) -> int:
    """Store ``one`` as it stands now; its number."""
    values = (
        one.kind, one.severity, one.device, one.app, one.key, json.dumps(dict(one.args), ensure_ascii=False),
        one.state, rfc3339(one.opened), rfc3339(one.last), rfc3339(one.ended) if one.ended else "",
        rfc3339(one.changed), one.signals, " ".join(sorted(one.sources)), one.acked_by, one.resolved_by, one.execution,
    )  # fmt: skip
    if one.no:
        names = _COLUMNS.removeprefix("no, id, ").split(", ")
        db.execute(
            f"UPDATE incident SET {', '.join(f'{name} = ?' for name in names)} WHERE no = ?",
            (*values, one.no),
        )
        return one.no
    marks = ", ".join("?" * (len(values) + 1))
    done = db.execute(
        f"INSERT INTO incident ({_COLUMNS.removeprefix('no, ')}) VALUES ({marks})",
        (one.id, *values),
    )
    return int(done.lastrowid or 0)


def incidents(
    db: sqlite3.Connection, where: str, values: Iterable[Any], limit: int
) -> list[Incident]:
    """Incidents, newest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM incident WHERE {where} ORDER BY no DESC LIMIT ?", (*values, limit)
    ).fetchall()
    return [_incident(row) for row in rows]


def add(
    db: sqlite3.Connection, incident: int, entry: Entry, ref: str, *, count: bool = False
) -> bool:
    """One more line, unless ``ref`` stands there already; False then. ``count``: it then counts there instead."""
    if ref:
        there = db.execute(
            "SELECT no, args FROM entry WHERE incident = ? AND ref = ?", (incident, ref)
        ).fetchone()
        if there is not None:
            if count:
                args = json.loads(there[1])
                args["count"] = str(int(args.get("count", "1")) + 1)
                db.execute("UPDATE entry SET args = ? WHERE no = ?", (_json(args), there[0]))
            return False
    if count:
        lines = db.execute("SELECT count(*) FROM entry WHERE incident = ?", (incident,)).fetchone()
        if lines[0] >= ENTRIES_MAX:
            return False
    db.execute(
        "INSERT INTO entry (incident, at, actor, what, ref, text, args) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (incident, rfc3339(entry.at), entry.actor, entry.what, ref, entry.text, _json(entry.args)),
    )
    return True


def timeline(db: sqlite3.Connection, incident: int) -> list[Entry]:
    """An incident's lines in order."""
    rows = db.execute(
        "SELECT no, at, actor, what, text, args FROM entry WHERE incident = ? ORDER BY no DESC LIMIT ?",
        (incident, SHOWN_MAX),
    ).fetchall()
    return [
        Entry(no, parse_rfc3339(at), actor, what, text, json.loads(args))
        for no, at, actor, what, text, args in reversed(rows)
    ]


def _json(args: Mapping[str, str]) -> str:
    return json.dumps(dict(args), ensure_ascii=False)


def _incident(row: tuple[Any, ...]) -> Incident:
    (
        no, ident, kind, severity, device, app, key, args, state, opened, last, ended, changed, signals, sources,
        acked_by, resolved_by, execution,
    ) = row  # fmt: skip
    return Incident(
        no=no, id=ident, kind=cast(Kind, kind), severity=cast(Severity, severity), device=device, app=app, key=key,
        args=json.loads(args), state=cast(State, state), opened=parse_rfc3339(opened), last=parse_rfc3339(last),
        ended=parse_rfc3339(ended) if ended else None, changed=parse_rfc3339(changed), signals=signals,
        sources=frozenset(cast(list[Source], sources.split())), acked_by=acked_by, resolved_by=resolved_by,
        execution=execution,
    )  # fmt: skip
