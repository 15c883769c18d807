"""What happens to an execution, as its journal keeps it; and what is to be done about it.

``at`` is wall time when the event was fed. A new field needs a default: old journals must still be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from mocban import commands
from ops.runbooks.state import Call, Terms, Yes


@dataclass(frozen=True, slots=True)
class Begun:
    """Somebody began it."""

    at: datetime
    id: str
    by: str
    terms: Terms
    incident: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Woke:
    """The engine started: everything due is due again, and what was under way may have been done."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Passed:
    """A time came: ``until`` is the one that was waited for."""

    at: datetime
    key: str
    what: Literal["wait", "deadline"]
    until: datetime


@dataclass(frozen=True, slots=True)
class Approved:
    """A person approved; the signatures were checked."""

    at: datetime
    key: str
    yes: Yes


@dataclass(frozen=True, slots=True)
class Denied:
    """A person said no."""

    at: datetime
    key: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """A call is about to go out: from here on it may have been done."""

    at: datetime
    key: str
    job: str
    tries: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a job. ``maybe``: not done as far as is known, yet it may have been, or may still be.

    ``results``: what its answer says, by name.
    """

    at: datetime
    key: str
    job: str
    outcome: Literal["done", "failed", "unknown"]
    reason: str = ""
    maybe: bool = False
    tries: int = 0
    results: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resumed:
    """A person told what became of what only they can know, or to try once more."""

    at: datetime
    key: str
    by: str
    outcome: Literal["done", "failed", "retry"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A person stopped it."""

    at: datetime
    by: str
    reason: str = ""


Event = Begun | Woke | Passed | Approved | Denied | Sent | Answered | Resumed | Stopped
KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}


# What is to be done


@dataclass(frozen=True, slots=True)
class Wait:
    """``Passed`` when ``until`` came, ``since`` being now or long ago."""

    key: str
    what: Literal["wait", "deadline"]
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Ask:
    """Persons are asked to approve: ``Approved`` or ``Denied``."""

    key: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Person:
    """A person does it, or looks: ``Resumed``."""

    key: str
    job: str


@dataclass(frozen=True, slots=True)
class Order:
    """An order to the gateway, followed to its end: ``Answered``."""

    key: str
    request: commands.Request
    approvals: tuple[commands.Approval, ...]


@dataclass(frozen=True, slots=True)
class Http:
    """``Sent``, then one call: ``Answered``."""

    key: str
    job: str
    tries: int
    call: Call


Effect = Wait | Ask | Person | Order | Http
