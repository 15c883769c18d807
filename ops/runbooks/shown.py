"""An execution as the API shows it. Pure."""

from __future__ import annotations

from typing import Any

from mocban.clock import rfc3339
from ops.runbooks import asks, saying, work
from ops.runbooks.graph import walk
from ops.runbooks.model import Step
from ops.runbooks.state import UNDO, Run, Visit, waits


def execution(run: Run) -> dict[str, Any]:
    """An Execution."""
    return {
        "id": run.id,
        "playbook": {
            "id": run.playbook.id, "name": run.playbook.name, "sha256": run.playbook.sha256,
            "words": {lang: dict(told) for lang, told in run.playbook.words.items()},
        },
        "by": run.by, "incident": run.incident, "state": run.word, "stage": run.stage,
        "variables": dict(run.variables), "began": rfc3339(run.began),
        "ended": rfc3339(run.ended) if run.ended else "", "reason": run.reason,
    }  # fmt: skip


def unreadable(ident: str) -> dict[str, Any]:
    """An Execution whose journal cannot be read: nothing is guessed."""
    return {
        "id": ident, "playbook": {"id": "", "name": "?", "sha256": "", "words": {}}, "by": "", "incident": None,
        "state": "failed", "stage": "over", "variables": {}, "began": "", "ended": "", "reason": "unreadable",
    }  # fmt: skip


def steps(run: Run) -> list[dict[str, Any]]:
    """Every step: those come to, in that order; then those not come to, unless it is over."""
    met = {visit.step for visit in run.visits.values()}
    rest = (each for each in walk(run.playbook) if each.id not in met)
    return [
        *(_step(run, visit) for visit in run.visits.values()),
        *(_unmet(each, over=run.stage == "over") for each in rest),
    ]


def questions(run: Run) -> list[dict[str, Any]]:
    """Every Ask that is open."""
    return [
        {
            "step": visit.key, "persons": visit.persons, "have": [one.by for one in visit.yes],
            "expires": rfc3339(visit.until),
            "documents": [one.as_json() for one in asks.documents(run, visit)],
            "commands": [work.written(job) for job in (*visit.jobs, *visit.undo)],
            "say": {lang: saying.ask(run, visit, lang) for lang in ("vi", "en")},
        }
        for visit in run.live if visit.phase == "ask" and visit.until is not None
    ]  # fmt: skip


def _unmet(step: Step, *, over: bool) -> dict[str, Any]:
    return {
        "id": step.id, "step": step.id, "name": step.name or step.id,
        "words": {lang: dict(told) for lang, told in step.words.items()}, "type": step.type, "kind": "do",
        "undoes": "", "state": "skipped" if over else "todo", "outcome": "", "by": "", "began": "", "ended": "",
        "branch": None, "parent": None, "deadline": "", "undone": False, "waits": "", "jobs": [],
    }  # fmt: skip


def _step(run: Run, visit: Visit) -> dict[str, Any]:
    found = run.step(visit)
    return {
        "id": visit.key, "step": visit.step, "name": found.name or found.id,
        "words": {lang: dict(told) for lang, told in found.words.items()},
        "type": found.type, "kind": visit.kind, "undoes": visit.key.removesuffix(UNDO) if visit.kind == "undo" else "",
        "state": state(visit), "outcome": visit.reason, "by": visit.by, "began": rfc3339(visit.began),
        "ended": rfc3339(visit.ended) if visit.ended else "", "branch": visit.branch if visit.parent else None,
        "parent": visit.parent or None, "deadline": rfc3339(visit.deadline) if visit.deadline else "",
        "undone": visit.undone, "waits": waiting(visit),
        "jobs": [
            {
                "id": job.id, "type": job.type, "say": job.say, "state": job.state, "tries": job.tries,
                "reason": job.reason,
            }
            for job in visit.jobs
        ],
    }  # fmt: skip


def state(visit: Visit) -> str:
    """Its state in one word."""
    if visit.over:
        return visit.end
    if visit.phase == "unknown":
        return "unknown"
    return "waiting" if waits(visit) or visit.phase == "delay" else "running"


def waiting(visit: Visit) -> str:
    """What it waits for: ``approval``, ``person`` (does it), ``word`` (tells what became of it), ``time``, or ""."""
    if visit.phase == "ask":
        return "approval"
    if visit.phase == "unknown":
        return "word"
    if waits(visit):
        return "person"
    return "time" if visit.phase in {"delay", "pause"} else ""
