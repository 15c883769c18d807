"""Facts into counters. PURE: no clock, no I/O; the store calls it inside the transaction that appends the fact,
which is what makes every fact count exactly once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import assert_never

from gateway.store.port import Counts, Hour, Key, Measure
from mocban.events import (
    AnyFact,
    Audited,
    CommandAnswered,
    DeviceChanged,
    EventsLost,
    FactShed,
    GateAlarmed,
    ItemRefused,
    LoanMade,
    PeopleCounted,
    ReturnMade,
    SecurityMended,
    StillArmed,
)


def apply(counts: Counts, fact: AnyFact, device: str, hour: Hour) -> Counts:
    """``counts`` and what ``fact``, told by ``device`` and belonging to local ``hour``, adds to them."""
    added = {
        Key(*hour, device, measure): amount for measure, amount in measures(fact).items() if amount
    }
    return {**counts, **{key: counts.get(key, 0) + amount for key, amount in added.items()}}


def measures(fact: AnyFact) -> dict[Measure, int]:
    """What one fact adds to which measure."""
    match fact:
        case LoanMade():
            return {"loans": 1}
        case ReturnMade():
            return {"returns": 1}
        case ItemRefused():
            return {"refused": 1}
        case GateAlarmed():
            return {"alarms": 1}
        case PeopleCounted():
            return {"people_in": fact.entered, "people_out": fact.left}
        case SecurityMended() | StillArmed() | EventsLost():
            return {}
        case DeviceChanged() | Audited() | CommandAnswered() | FactShed():
            return {}
        case _:
            assert_never(fact)


def local_hour(ts: datetime, rx: datetime, zone: tzinfo, late_days: int = 30) -> Hour:
    """The local hour a fact belongs to: its own ``ts``, unless that clock cannot be believed.

    More than a day after ``rx`` or more than ``late_days`` before it: the hour of arrival counts.
    A time without a zone is UTC. Both ``rx`` and ``zone`` are the gateway's.
    """
    at = ts if ts.tzinfo is not None else ts.replace(tzinfo=UTC)
    believed = at if -timedelta(days=late_days) <= at - rx <= timedelta(days=1) else rx
    local = believed.astimezone(zone)
    return Hour(local.date().isoformat(), local.hour)
