"""The course of an execution: coming to a step, acting, going on, ending, undoing. Pure.

A step that fails goes on by ``on_failure``; nobody's failure ends all: no further step begins, what is under way is
waited for, what was done is undone in reverse order, then ``workflow_exception`` runs. A stop is the same without that.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from mocban.errors import RemoteProtocolError
from ops.runbooks import asks, condition, work
from ops.runbooks.duties import Effects, duties
from ops.runbooks.happenings import Person
from ops.runbooks.preparing import last, rendered, undoable
from ops.runbooks.state import UNDO, Doom, End, Job, Run, Visit

Result = tuple[Run, Effects]

VISITS_MAX = 250
"""Most steps one execution comes to; a loop that nobody saw ends here."""
ASK_MAX = timedelta(hours=23)
"""Longest time one question stands; an order a person approved lives no longer than a day."""


def enter(run: Run, name: str, parent: str, branch: int) -> Result:
    """The step ``name`` is come to, within ``branch`` of the visit ``parent``."""
    found = run.playbook.steps.get(name)
    if found is None or len(run.visits) >= VISITS_MAX:
        return doom(run, "failed", "step-unknown" if found is None else "too-many-steps")
    times = sum(1 for v in run.visits.values() if v.step == name and v.kind == "do")
    key = f"{name}#{times + 1}" if times else name
    visit = Visit(key, name, "do", parent, branch, run.at, "join")
    if found.delay:
        visit = replace(
            visit, phase="delay", since=run.at, until=run.at + timedelta(seconds=found.delay)
        )
        run = put(run, visit)
        return run, duties(visit)
    return arrive(put(run, visit), visit)


def arrive(run: Run, visit: Visit) -> Result:
    """Its delay is over. The timeout of a step with branches, once over, is the failure of everything."""
    found = run.step(visit)
    branches: tuple[str, ...]
    match found.type:
        case "start":
            return finish(run, visit, "done")
        case "end":
            return leave(put(run, _over(run, visit, "done")), visit.parent)
        case "action":
            return prepare(run, visit)
        case "parallel":
            branches = found.branches
        case "if-condition":
            try:
                holds = condition.evaluate(found.condition, work.scope(run, visit))
            except RemoteProtocolError as error:
                return finish(run, visit, "failed", error.code)
            chosen = found.on_true if holds else found.on_false
            branches = (chosen,) if chosen else ()
        case _:
            return finish(run, visit, "failed", "step-unknown")
    if not branches:
        return finish(run, visit, "done")
    visit = replace(visit, phase="join", open=len(branches), since=None, until=None)
    if found.timeout:
        visit = replace(visit, armed=run.at, deadline=run.at + timedelta(seconds=found.timeout))
    run = put(run, visit)
    effects = duties(visit)
    for number, name in enumerate(branches):
        if run.visits[visit.key].over:  # a branch failed at once
            break
        run, more = enter(run, name, visit.key, number)
        effects += more
    return run, effects


def leave(run: Run, parent: str) -> Result:
    """A branch came to its end."""
    if not parent:
        return _end(run, "failed" if run.excepted else "done"), ()
    visit = run.visits[parent]
    visit = replace(visit, open=visit.open - 1)
    run = put(run, visit)
    return (run, ()) if visit.open or visit.over else finish(run, visit, "done")


def prepare(run: Run, visit: Visit) -> Result:
    """Its work is rendered; persons are asked if they must be."""
    undoes = run.step(visit).undoes
    if visit.kind == "do" and undoes and last(run, undoes) is None:
        return finish(run, visit, "done", "nothing-to-undo")
    try:
        visit = rendered(run, visit)
    except RemoteProtocolError as error:
        return fail(run, visit, error.code)
    if not visit.persons or asks.enough(visit):
        return act(run, replace(visit, phase="act", since=None, until=None))
    until = run.at + min(timedelta(seconds=run.terms.ask_seconds), ASK_MAX)
    visit = replace(visit, phase="ask", since=run.at, until=until, yes=())
    run = put(run, visit)
    return run, duties(visit)


def act(run: Run, visit: Visit) -> Result:
    """The next job of ``visit`` begins, or it is done. No order goes out without its approvals."""
    found = run.step(visit)
    if not visit.acted:
        run = replace(run, acts=run.acts + 1)
        visit = replace(visit, acted=run.acts)
    job = visit.job
    if job is None:
        return finish(run, visit, "done")
    if visit.kind == "do" and run.stage != "going":
        return finish(run, visit, "failed", run.doom)
    if job.request is not None and not _valid(job, run.at):
        return prepare(run, replace(visit, attempt=visit.attempt + 1))
    visit = replace(visit, phase="act", since=None, until=None)
    within = found.timeout or (work.LIFE if visit.kind == "undo" and job.type != "manual" else None)
    if within and visit.deadline is None:
        visit = replace(visit, armed=run.at, deadline=run.at + timedelta(seconds=within))
    if job.request is not None:
        visit = worked(visit, replace(job, state="sent", tries=job.tries + 1, reason=""))
    else:
        visit = worked(visit, replace(job, state="todo", reason=""))
    run = put(run, visit)
    return run, duties(visit)


def _valid(job: Job, at: datetime) -> bool:
    """The order is approved, which it is not if a person spoke for the job before; and it lives yet."""
    assert job.request is not None
    return len(job.approvals) >= job.persons and job.request.expires > at


def fail(run: Run, visit: Visit, reason: str) -> Result:
    """``visit`` fails; the undo of something never just fails, a person looks after it."""
    if visit.kind == "do":
        return finish(run, visit, "failed", reason)
    return wait(
        run, replace(visit, phase="unknown", reason=reason, since=None, until=None, deadline=None)
    )


def wait(run: Run, visit: Visit) -> Result:
    """``visit`` waits as it says."""
    run = put(run, visit)
    return run, duties(visit)


def finish(run: Run, visit: Visit, end: End, reason: str = "") -> Result:
    """``visit`` is over; on to what comes after it."""
    visit = _over(run, visit, end, reason)
    run = put(run, visit)
    found = run.step(visit)
    if visit.kind == "undo":
        if end == "done":
            run = _undone(run, run.visits[visit.key.removesuffix(UNDO)])
        return settle(run)
    if end == "done" and found.undoes and (other := last(run, found.undoes)) is not None:
        run = _undone(run, other)
    if run.stage != "going":
        return settle(run)
    if end == "failed":
        if found.failure:
            return enter(run, found.failure, visit.parent, visit.branch)
        return doom(run, "failed", reason)
    after = found.success or found.completion
    return enter(run, after, visit.parent, visit.branch) if after else leave(run, visit.parent)


def doom(run: Run, end: Doom, reason: str) -> Result:
    """It does not go on: nothing begins any more, what is under way is waited for."""
    first = run.reason if end == "failed" and run.reason else reason
    run = replace(run, stage="ceasing", doom=end, reason=first)
    for visit in tuple(run.visits.values()):
        if visit.kind == "undo" or visit.over:
            continue
        job = visit.job
        under_way = visit.phase == "act" and job is not None and job.state == "sent"
        if under_way or visit.phase == "unknown":
            continue
        if visit.phase == "pause" and job is not None and job.maybe:
            run = put(run, replace(visit, phase="unknown", since=None, until=None, deadline=None))
            continue
        run = put(run, _over(run, visit, "skipped", end))
    run, effects = settle(run)
    asked = tuple(
        effect
        for v in run.live
        if v.kind == "do"
        for effect in duties(v)
        if isinstance(effect, Person)
    )
    return run, asked + effects


def settle(run: Run) -> Result:
    """Once nothing is under way, the last thing done is undone, then the one before it; then it is over."""
    if run.live:
        return run, ()
    left = [v for v in run.visits.values() if v.kind == "do" and v.acted and undoable(v)]
    left = [v for v in left if run.step(v).undo and v.key + UNDO not in run.visits]
    if left:
        latest = max(left, key=lambda v: v.acted)
        visit = Visit(latest.key + UNDO, latest.step, "undo", "", 0, run.at, "act")
        return prepare(put(replace(run, stage="undoing"), visit), visit)
    if run.doom == "failed" and run.playbook.exception and not run.excepted:
        run = replace(run, stage="going", doom="", excepted=True)
        return enter(run, run.playbook.exception, "", 0)
    return _end(run, "stopped" if run.doom == "stopped" else "failed"), ()


def _end(run: Run, outcome: Literal["done", "failed", "stopped"]) -> Run:
    return replace(run, stage="over", outcome=outcome, ended=run.at)


def _undone(run: Run, visit: Visit) -> Run:
    return put(run, replace(visit, undone=True))


def _over(run: Run, visit: Visit, end: End, reason: str = "") -> Visit:
    return replace(
        visit, phase="over", end=end, reason=reason, ended=run.at, since=None, until=None, deadline=None
    )  # fmt: skip


def worked(visit: Visit, job: Job) -> Visit:
    """``visit`` with ``job`` as it stands now."""
    return replace(visit, jobs=tuple(job if one.no == job.no else one for one in visit.jobs))


def put(run: Run, visit: Visit) -> Run:
    """``run`` with ``visit`` as it stands now."""
    return replace(run, visits={**run.visits, visit.key: visit})
