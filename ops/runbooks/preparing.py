"""The work of a step, rendered: its own, or what undoes another step with the approval that step had. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ops.runbooks import work
from ops.runbooks.state import UNDO, Job, Run, Visit


def rendered(run: Run, visit: Visit) -> Visit:
    """``visit`` with its work, its undo, and how many must approve. RemoteProtocolError if it cannot be rendered."""
    found = run.step(visit)
    source = _undone_by(run, visit)
    if source is not None:
        used = _undoings(run, source, visit)
        shown = source.undo
        if (
            shown
            and not visit.jobs
            and not used
            and all(work.fresh(job, run.at, job.persons) for job in shown)
        ):
            return replace(visit, jobs=shown, attempt=source.attempt, persons=0)
        visit = replace(
            visit, attempt=max([visit.attempt, *(n + 1 for n in (source.attempt, *used))])
        )
    kind: Literal["do", "undo"] = visit.kind if source is None else "undo"
    whose = visit if source is None else source
    done = tuple(job for job in visit.jobs if job.state == "done")

    def made(*, asked: bool) -> tuple[Job, ...]:
        every = work.jobs(run, whose, kind, visit.attempt, run.at, asked=asked)
        return (*done, *every[len(done) :])

    jobs = made(asked=False)
    undo = (
        work.jobs(run, visit, "undo", visit.attempt, run.at, asked=True)
        if visit.kind == "do"
        else ()
    )
    own = found.persons if visit.kind == "do" and not found.undoes else 0
    left = [job.persons for job in jobs if job.state != "done"]
    persons = max([own, *left, *(job.persons for job in undo)])
    if persons:
        jobs = made(asked=True)
    return replace(visit, jobs=jobs, undo=undo, persons=persons, yes=())


def _undone_by(run: Run, visit: Visit) -> Visit | None:
    """The visit that ``visit`` undoes: an undo of the engine's, or a step of the playbook that says so."""
    if visit.kind == "undo":
        return run.visits[visit.key.removesuffix(UNDO)]
    found = run.step(visit)
    undone = run.playbook.steps.get(found.undoes) if found.undoes else None
    if undone is None or not undone.undo or undone.undo != found.commands:
        return None
    return last(run, found.undoes)


def _undoings(run: Run, source: Visit, but: Visit) -> list[int]:
    """Attempts that other visits made to undo ``source``: an id is never used for two of them."""
    others = (v for v in run.visits.values() if v.key != but.key and v.jobs)
    return [
        v.attempt for v in others if v.key == source.key + UNDO or run.step(v).undoes == source.step
    ]


def last(run: Run, name: str) -> Visit | None:
    """The last visit to the step ``name`` that is to be undone."""
    found = [v for v in run.visits.values() if v.step == name and v.kind == "do" and undoable(v)]
    return found[-1] if found else None


def undoable(visit: Visit) -> bool:
    """It did something, or may have, and that was not undone."""
    return visit.touched and not visit.undone
