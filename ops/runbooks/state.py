"""Where an execution stands: the fold of its journal. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mocban import commands
from ops.runbooks.model import Playbook, Step

Phase = Literal["delay", "ask", "act", "pause", "unknown", "join", "over"]
"""Of a visit: waits for its delay, for approval, for its work, for another try, for a person's word on what is not
known, for its branches; or it is over."""
End = Literal["done", "failed", "skipped"]
Doom = Literal["", "failed", "stopped"]
Stage = Literal["going", "ceasing", "undoing", "over"]
JobState = Literal["todo", "sent", "done", "failed", "unknown"]
Kind = Literal["do", "undo"]
UNDO = "/undo"
"""Ends the key of a visit that undoes another."""


@dataclass(frozen=True, slots=True)
class Call:
    """One http-api command, rendered."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    content: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One command for one target, rendered. ``id`` is derived: asked for again, it is the same order or call.

    ``persons``: how many must approve it whatever the playbook says. ``maybe``: it may have been done.
    """

    no: int
    id: str
    type: str
    say: str
    persons: int = 0
    request: commands.Request | None = None
    call: Call | None = None
    approvals: tuple[commands.Approval, ...] = ()
    state: JobState = "todo"
    tries: int = 0
    reason: str = ""
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class Yes:
    """One person's approval: a signature for each document. ``key``: the raw public key in hex."""

    by: str
    key: str
    signatures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Visit:
    """One time a step is come to. ``parent``: the visit whose branch it is in; ``branch``: which of them.

    ``undo``: its undo as it was shown to whoever approved. ``acted``: the rank of its first work, 0 without any.
    """

    key: str
    step: str
    kind: Kind
    parent: str
    branch: int
    began: datetime
    phase: Phase
    end: End | Literal[""] = ""
    ended: datetime | None = None
    reason: str = ""
    by: str = ""
    open: int = 0
    attempt: int = 1
    persons: int = 0
    jobs: tuple[Job, ...] = ()
    undo: tuple[Job, ...] = ()
    yes: tuple[Yes, ...] = ()
    since: datetime | None = None
    """When the present wait began."""
    until: datetime | None = None
    """When the present wait (delay, ask, pause) ends by itself."""
    deadline: datetime | None = None
    """When its work must be over."""
    armed: datetime | None = None
    """When ``deadline`` was set."""
    acted: int = 0
    undone: bool = False

    @property
    def over(self) -> bool:
        """Nothing more happens to it."""
        return self.phase == "over"

    @property
    def job(self) -> Job | None:
        """The first job that is not done."""
        return next((job for job in self.jobs if job.state != "done"), None)

    @property
    def touched(self) -> bool:
        """Something of it was done, or may have been."""
        return any(job.state == "done" or job.maybe for job in self.jobs)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an execution is begun with, from the configuration."""

    tenant: str
    ask_seconds: float = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class Run:
    """One execution. ``at``: the latest time it knows; ``doom``: why it does not go on, ``outcome`` when it is over."""

    id: str
    playbook: Playbook
    terms: Terms
    by: str
    at: datetime
    began: datetime
    incident: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    visits: Mapping[str, Visit] = field(default_factory=dict)
    stage: Stage = "going"
    doom: Doom = ""
    reason: str = ""
    excepted: bool = False
    outcome: Literal["", "done", "failed", "stopped"] = ""
    ended: datetime | None = None
    acts: int = 0

    def step(self, visit: Visit) -> Step:
        """The step ``visit`` is a visit to."""
        return self.playbook.steps[visit.step]

    @property
    def live(self) -> tuple[Visit, ...]:
        """Visits something still happens to, without those that only wait for their branches."""
        return tuple(v for v in self.visits.values() if v.phase not in {"over", "join"})

    @property
    def waits(self) -> tuple[Visit, ...]:
        """Visits that wait for a person."""
        return tuple(v for v in self.live if waits(v))

    @property
    def word(self) -> Literal["running", "waiting", "done", "failed", "stopped"]:
        """Its state in one word: ``waiting`` is when nothing moves without a person."""
        if self.outcome:
            return self.outcome
        live = self.live
        return "waiting" if live and all(waits(v) for v in live) else "running"


def waits(visit: Visit) -> bool:
    """``visit`` waits for a person."""
    if visit.phase in {"ask", "unknown"}:
        return True
    job = visit.job
    return visit.phase == "act" and job is not None and job.type == "manual"
