"""Incidents in memory: what a store does with changes, in the plainest way; the measure of the one on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Self

from hypothesis import strategies as st

from ops.incidents.correlate import Change, Rules, correlate
from ops.incidents.model import Incident, Kind, Past, Signal, Source

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
RULES = Rules(same=timedelta(minutes=5), storm=4)


def signal(
    name: str, minutes: float = 0.0, kind: Kind = "gate-alarm", device: str = "gate-1", source: Source = "fact",
    key: str = "", over: bool = False,
) -> Signal:  # fmt: skip
    """One signal, ``minutes`` after ``START``."""
    at = START + timedelta(minutes=minutes)
    return Signal(name, source, kind, device, at, key=key, over=over)


class Room:
    """Incidents in memory: what a store does with the changes, and nothing of how."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.incidents: list[Incident] = []
        self.heard: dict[str, Signal] = {}
        self.changes: list[Change] = []

    def take(self, signal: Signal) -> list[Change]:
        if signal.id in self.heard:
            return []
        same = [
            one for one in self.heard.values()
            if (one.device, one.kind, one.key) == (signal.device, signal.kind, signal.key)
        ]  # fmt: skip
        alarms = sorted(one.at for one in same if not one.over)
        ended = max((one.at for one in same if one.over), default=None)
        self.heard[signal.id] = signal
        changes = correlate(self.incidents, signal, self.rules, Past(tuple(alarms), ended))
        number = 0
        for change in changes:
            one = replace(change.incident, no=change.incident.no or number)
            if not one.no:
                number = len(self.incidents) + 1
                self.incidents.append(replace(one, no=number))
            else:
                self.incidents[one.no - 1] = one
        self.changes += changes
        return changes

    def all(self, signals: Sequence[Signal]) -> Self:
        for one in signals:
            self.take(one)
        return self


def seen(incidents: Sequence[Incident]) -> Sequence[object]:
    """What a person can tell incidents apart by."""
    return sorted(
        (
            (
                one.kind, one.device, one.key, one.opened, one.last, one.over, one.signals,
                tuple(sorted(one.sources)), one.severity,
            )
            for one in incidents
        ),
    )  # fmt: skip


WITHIN = st.integers(0, 299).map(lambda second: second / 60)
SUBJECTS: list[tuple[str, Kind]] = [
    ("gate-1", "gate-alarm"),
    ("gate-2", "gate-alarm"),
    ("gate-1", "gate-storm"),
    ("kiosk-1", "reader-lost"),
    ("kiosk-1", "kiosk-offline"),
    ("gate-1", "device-lost"),
    ("", "alert"),
]


@st.composite
def signals(draw: st.DrawFn) -> list[Signal]:
    """Signals of a few subjects, all within five minutes."""
    found: list[Signal] = []
    for number in range(draw(st.integers(1, 14))):
        device, kind = draw(st.sampled_from(SUBJECTS))
        source: Source = "alert" if kind in {"gate-storm", "kiosk-offline", "alert"} else "fact"
        over = kind not in {"gate-alarm", "gate-storm"} and draw(st.booleans())
        found.append(signal(f"s{number}", draw(WITHIN), kind, device, source, over=over))
    return found
