"""Which signals are one incident. Pure: no clock, no disk; the caller tells what stands open and what came before.

- One thing, one incident: signals about the same subject join the incident that stands open about it. Two alarms of a
  gate are one if they are not further apart than ``Rules.same``.
- Many alarms of one gate within a minute are a fault of the gate, not a thief: the incident becomes a ``gate-storm``.
- A condition (a reader lost, a kiosk offline) lasts until its end is told; if it comes back within ``Rules.same``, it
  is the same incident.
- An incident that only alerts told of, that no person has acknowledged and no playbook works on, resolves itself once
  it has been over for ``Rules.same`` (``fades``): nobody was needed. What a device told stays for a person to see.

Whoever arrives first makes no difference: an incident holds counts, the first, the last and the end, nothing else.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from ops.incidents.model import (
    SEVERITIES,
    SEVERITY,
    Incident,
    Kind,
    Past,
    Severity,
    Signal,
    incident_id,
)

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """``same``: how far signals about one thing may be apart. ``storm``: alarms in a minute that make a fault of it."""

    same: timedelta = timedelta(minutes=5)
    storm: int = 10


@dataclass(frozen=True, slots=True)
class Opened:
    """Nothing stood open about it."""

    incident: Incident


@dataclass(frozen=True, slots=True)
class Joined:
    """One more signal about it."""

    incident: Incident


@dataclass(frozen=True, slots=True)
class Became:
    """It is something else than it seemed."""

    incident: Incident
    was: Kind


@dataclass(frozen=True, slots=True)
class Ended:
    """What it is about is over; a person, or time, resolves it."""

    incident: Incident


Change = Opened | Joined | Became | Ended
"""Each holds the incident as it stands after it."""


def family(kind: Kind) -> tuple[Kind, ...]:
    """Kinds that are one thing at different times."""
    return ("gate-alarm", "gate-storm") if kind in {"gate-alarm", "gate-storm"} else (kind,)


def correlate(
    standing: Iterable[Incident], signal: Signal, rules: Rules, past: Past | None = None
) -> list[Change]:
    """What ``signal`` changes. ``standing``: incidents not resolved, at least all those of its device and family.

    ``past`` is what else was told about the same subject; the signal itself is not in it. Nothing changes if it ends
    what nobody told of.
    """
    past = past or Past()
    found = _subject(standing, signal, rules)
    if signal.over:
        return [] if found is None else [Ended(_end(found, signal))]
    stormy = signal.kind == "gate-alarm" and _storm(past.alarms, signal.at, rules.storm)
    kind: Kind = "gate-storm" if stormy else signal.kind
    if found is None:
        incident = _open(signal, kind)
        changes: list[Change] = [Opened(incident)]
        if past.ended is not None and past.ended >= signal.at:
            changes.append(Ended(replace(incident, ended=past.ended)))
        return changes
    joined = _join(found, signal)
    if kind == "gate-storm" and found.kind == "gate-alarm":
        became = replace(joined, kind=kind, severity=_worse(joined.severity, SEVERITY[kind]))
        return [Joined(joined), Became(became, found.kind)]
    return [Joined(joined)]


def fades(incident: Incident, now: datetime, rules: Rules) -> bool:
    """It resolves itself: see the top of this page. ``now`` is the clock of ``incident.changed``."""
    return (
        incident.state == "open"
        and incident.over
        and incident.sources == {"alert"}
        and not incident.execution
        and now - incident.changed >= rules.same
    )


def _subject(standing: Iterable[Incident], signal: Signal, rules: Rules) -> Incident | None:
    """The incident that stands open about what ``signal`` is about."""
    mine = [
        one
        for one in standing
        if one.state != "resolved"
        and one.kind in family(signal.kind)
        and (one.device, one.key) == (signal.device, signal.key)
        and _near(one, signal, rules)
    ]
    return max(mine, key=lambda one: (one.opened, one.no), default=None)


def _near(one: Incident, signal: Signal, rules: Rules) -> bool:
    if signal.over:
        return True
    early = signal.at < one.opened - rules.same
    match signal.kind:
        case "gate-alarm" | "gate-storm":
            return not early and signal.at <= one.last + rules.same
        case "reader-lost" | "kiosk-offline" | "outbox-old" | "device-lost" | "alert":
            end = one.ended if one.over else None
            return not early and (end is None or signal.at <= end + rules.same)
        case "clone" | "reported":
            return True
        case _:
            assert_never(signal.kind)


def _open(signal: Signal, kind: Kind) -> Incident:
    return Incident(
        id=incident_id(signal), kind=kind, severity=_worse(signal.severity or SEVERITY[kind], SEVERITY[kind]),
        device=signal.device, app=signal.app, key=signal.key, opened=signal.at, last=signal.at, changed=signal.at,
        sources=frozenset({signal.source}), args=dict(signal.args),
    )  # fmt: skip


def _join(incident: Incident, signal: Signal) -> Incident:
    return replace(
        incident,
        opened=min(incident.opened, signal.at),
        last=max(incident.last, signal.at),
        signals=incident.signals + 1,
        sources=incident.sources | {signal.source},
        severity=_worse(incident.severity, signal.severity or "info"),
        app=incident.app or signal.app,
    )


def _end(incident: Incident, signal: Signal) -> Incident:
    ended = signal.at if incident.ended is None else max(incident.ended, signal.at)
    return replace(incident, ended=ended)


def _storm(others: Sequence[datetime], at: datetime, storm: int) -> bool:
    """Some minute that holds ``at`` holds ``storm`` alarms."""
    times = [time for time in others if abs(time - at) < MINUTE]
    insort(times, at)
    ends = zip(times, times[storm - 1 :], strict=False)
    return any(first <= at <= last and last - first < MINUTE for first, last in ends)


def _worse(one: Severity, other: Severity) -> Severity:
    return max(one, other, key=SEVERITIES.index)
