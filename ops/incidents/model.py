"""What came to our ears (a signal), what we make of it (an incident), and what its timeline holds. Pure.

Times are UTC. ``at`` is when something happened, by the clock of whoever saw it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from mocban.clock import rfc3339

Source = Literal["fact", "alert", "person"]
"""Who said it: a device through the gateway, Alertmanager, a person."""
Kind = Literal[
    "gate-alarm", "gate-storm", "reader-lost", "kiosk-offline", "outbox-old", "device-lost", "clone", "reported",
    "alert",
]  # fmt: skip
"""``alert``: one this release knows nothing more of."""
State = Literal["open", "acked", "resolved"]
Severity = Literal["info", "minor", "major", "critical"]
"""From what may wait to what may not."""

SOURCES: tuple[Source, ...] = get_args(Source)
KINDS: tuple[Kind, ...] = get_args(Kind)
STATES: tuple[State, ...] = get_args(State)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

SEVERITY: Mapping[Kind, Severity] = {
    "gate-alarm": "minor",
    "gate-storm": "major",
    "reader-lost": "major",
    "kiosk-offline": "major",
    "outbox-old": "major",
    "device-lost": "major",
    "clone": "critical",
    "reported": "minor",
    "alert": "info",
}
"""How bad it is, unless the signal says otherwise."""

_INCIDENTS = uuid.UUID("6d6f6362-616e-5002-8000-696e63696400")  # our namespace for derived ids


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that may be an incident. ``id`` names the happening: told twice, it counts once.

    ``key`` tells apart what the kind and the device leave open (the part of a device, the name of an alert).
    ``over``: the end of it. ``severity``: empty for that of its kind. ``heard``: when the gateway had it; else now.
    """

    id: str
    source: Source
    kind: Kind
    device: str
    at: datetime
    app: str = ""
    key: str = ""
    over: bool = False
    severity: Severity | Literal[""] = ""
    heard: datetime | None = None
    args: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """What was told about a signal's subject before. ``alarms``: times of the gate's other alarms near it, sorted.

    ``ended``: the latest end told of the same condition.
    """

    alarms: tuple[datetime, ...] = ()
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """What a person has to see to. ``no`` is 0 until it is stored.

    ``opened`` and ``last``: first and last signal; ``ended``: the latest end told. ``signals`` counts those that say
    it is so, ``sources`` who said it. ``changed`` is our own clock.
    """

    id: str
    kind: Kind
    severity: Severity
    device: str
    app: str
    key: str
    opened: datetime
    last: datetime
    changed: datetime
    no: int = 0
    ended: datetime | None = None
    state: State = "open"
    signals: int = 1
    sources: frozenset[Source] = frozenset()
    args: Mapping[str, str] = field(default_factory=dict)
    acked_by: str = ""
    resolved_by: str = ""
    execution: str = ""

    @property
    def over(self) -> bool:
        """The condition has ended and did not come back."""
        return self.ended is not None and self.ended >= self.last

    def as_json(self) -> dict[str, Any]:
        """As the API tells of it."""
        body: dict[str, Any] = {
            "no": self.no, "id": self.id, "kind": self.kind, "severity": self.severity, "title_key": self.kind,
            "device": self.device, "app": self.app, "state": self.state, "opened": rfc3339(self.opened),
            "last": rfc3339(self.last), "over": rfc3339(self.ended) if self.ended and self.over else "",
            "changed": rfc3339(self.changed), "acked_by": self.acked_by, "resolved_by": self.resolved_by,
            "signals": self.signals, "args": dict(self.args),
        }  # fmt: skip
        return body | ({"execution": self.execution} if self.execution else {})


What = Literal[
    "opened", "signal", "became", "over", "truncated", "acked", "noted", "resolved", "playbook-begun",
    "playbook-refused",
]  # fmt: skip
"""What incidents write into a timeline themselves; whoever else writes there adds words of its own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline. ``text`` is a person's; everything else is put into words at the rim."""

    no: int
    at: datetime
    actor: str
    what: str
    text: str = ""
    args: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As the API tells of it."""
        return {
            "no": self.no, "at": rfc3339(self.at), "actor": self.actor, "what": self.what, "text": self.text,
            "args": dict(self.args),
        }  # fmt: skip


def incident_id(signal: Signal) -> str:
    """The id of the incident that ``signal`` opens."""
    return str(uuid.uuid5(_INCIDENTS, signal.id))


def execution_id(incident: str, kind: Kind) -> str:
    """The id of the playbook that begins by itself when ``incident`` is one of ``kind``."""
    return str(uuid.uuid5(uuid.UUID(incident), kind))
