"""What is to be told of each happening: lines for the log and the timeline, and what is audited. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from mocban.clock import rfc3339
from mocban.events import Audited
from ops.runbooks.happenings import Approved, Begun, Denied, Event, Resumed, Stopped
from ops.runbooks.model import Playbook
from ops.runbooks.plan import begin, step
from ops.runbooks.state import Run, Visit

SELF = "app:ops"
What = Literal[
    "execution-begun", "execution-done", "execution-failed", "execution-stopped", "execution-stop",
    "step-asked", "step-approved", "step-denied", "step-resumed", "step-manual", "step-unknown", "step-done",
    "step-failed", "step-skipped", "order-asked", "call-sent", "undo-begun", "undo-done", "undo-given-up",
]  # fmt: skip
AUDITED: frozenset[What] = frozenset({
    "execution-begun", "execution-done", "execution-failed", "execution-stopped", "execution-stop", "step-approved",
    "step-denied", "step-resumed", "order-asked", "call-sent", "undo-done", "undo-given-up",
})  # fmt: skip
"""What is told as ``audited``; the rest stands in the log alone."""
TIMELINE: frozenset[What] = AUDITED | {"step-asked", "step-manual", "step-unknown", "step-failed"}
"""What stands in an incident's timeline."""


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell. ``ref`` names it for ever: told again, it is told once."""

    no: int
    at: datetime
    ref: str
    actor: str
    what: What
    args: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def as_json(self) -> dict[str, Any]:
        """An Entry of the API."""
        return {
            "no": self.no, "at": rfc3339(self.at), "actor": self.actor, "what": self.what, "text": self.text,
            "args": dict(self.args),
        }  # fmt: skip

    def fact(self) -> Audited | None:
        """The audit fact, if it is one of those."""
        if self.what not in AUDITED:
            return None
        bad = {"execution-failed", "undo-given-up"}
        outcome: Literal["done", "refused", "failed"] = (
            "failed" if self.what in bad else "refused" if self.what == "step-denied" else "done"
        )
        # What a person wrote, and the address of a call, stay here: who knows what stands in them.
        about = ("say", "step", "playbook") if self.what == "order-asked" else ("step", "playbook")
        thing = next((self.args[name] for name in about if self.args.get(name)), "")
        return Audited(
            ref=self.ref,
            actor=self.actor,
            action=self.what,
            object=thing[:255],
            outcome=outcome,
            reason=self.args.get("reason", "")[:255],
        )


def log(playbook: Playbook, events: Iterable[Event]) -> list[News]:
    """Everything told of an execution from its beginning."""
    found: list[News] = []
    run: Run | None = None
    for no, event in enumerate(events, 1):
        if run is None:
            assert isinstance(event, Begun)
            after, _ = begin(playbook, event)
        else:
            after, _ = step(run, event)
        found += news(run, event, after, no)
        run = after
    return [News(n, x.at, x.ref, x.actor, x.what, x.args, x.text) for n, x in enumerate(found, 1)]


def news(before: Run | None, event: Event, after: Run, no: int) -> list[News]:
    """What happening ``no``, which made ``after`` of ``before``, gives to tell."""
    return [
        News(place, after.at, f"{after.id}/{no}.{place}", actor, what, args, text)
        for place, (actor, what, args, text) in enumerate(_news(before, event, after))
    ]


_Line = tuple[str, What, dict[str, str], str]


def _news(before: Run | None, event: Event, after: Run) -> Iterator[_Line]:
    about = _playbook(after)
    match event:
        case Begun():
            yield event.by, "execution-begun", about, ""
        case Approved():
            yield f"person:{event.yes.by}", "step-approved", _about(after, event.key), ""
        case Denied():
            yield f"person:{event.by}", "step-denied", _about(after, event.key), event.reason
        case Resumed():
            args = {**_about(after, event.key), "outcome": event.outcome}
            yield f"person:{event.by}", "step-resumed", args, event.reason
        case Stopped():
            yield f"person:{event.by}", "execution-stop", about, event.reason
        case _:
            pass
    for key, visit in after.visits.items():
        old = before.visits.get(key) if before is not None else None
        if old is not visit:
            yield from _visit(after, old, visit)
    if after.outcome and (before is None or not before.outcome):
        ended: dict[str, What] = {
            "done": "execution-done", "failed": "execution-failed", "stopped": "execution-stopped",
        }  # fmt: skip
        yield SELF, ended[after.outcome], {**about, "reason": after.reason}, ""


def _visit(after: Run, old: Visit | None, visit: Visit) -> Iterator[_Line]:
    about = _about(after, visit.key)
    if visit.kind == "undo" and old is None:
        yield SELF, "undo-begun", about, ""
    if visit.phase == "ask" and (old is None or (old.phase, old.attempt) != ("ask", visit.attempt)):
        until = rfc3339(visit.until) if visit.until else ""
        yield SELF, "step-asked", {**about, "persons": str(visit.persons), "until": until}, ""
    if visit.phase == "unknown" and (old is None or old.phase != "unknown"):
        yield SELF, "step-unknown", {**about, "reason": visit.reason}, ""
    tries = {job.id: job.tries for job in old.jobs} if old is not None else {}
    for job in visit.jobs:
        if job.state == "sent" and job.tries > tries.get(job.id, 0):
            what: What = "order-asked" if job.request is not None else "call-sent"
            yield SELF, what, {**about, "say": job.say, "order": job.id}, ""
    job_now = visit.job
    if visit.phase == "act" and job_now is not None and job_now.type == "manual":
        before_job = old.job if old is not None and old.phase == "act" else None
        if before_job is None or before_job.id != job_now.id:
            yield SELF, "step-manual", {**about, "say": job_now.say[:1000]}, ""
    if (
        visit.over
        and (old is None or not old.over)
        and after.step(visit).type in {"action", "if-condition"}
    ):
        yield SELF, _ended(visit), {**about, "reason": visit.reason}, ""


def _ended(visit: Visit) -> What:
    if visit.kind == "undo":
        return "undo-done" if visit.end == "done" else "undo-given-up"
    match visit.end:
        case "done":
            return "step-done"
        case "failed":
            return "step-failed"
        case _:
            return "step-skipped"


def _about(run: Run, key: str) -> dict[str, str]:
    visit = run.visits[key]
    found = run.step(visit)
    about = {**_playbook(run), "key": key, "step": found.name or found.id}
    for lang, words in found.words.items():
        if name := words.get("name"):
            about[f"step_{lang}"] = name[:200]
    return about


def _playbook(run: Run) -> dict[str, str]:
    about = {"execution": run.id, "playbook": run.playbook.name}
    for lang, words in run.playbook.words.items():
        if name := words.get("name"):
            about[f"playbook_{lang}"] = name[:200]
    return about
