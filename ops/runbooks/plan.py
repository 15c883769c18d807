"""An execution as a reducer: ``step(run, event) -> (run, effects)``. Pure; the engine does the rest.

Nothing is ever without a time it ends at or a person it waits for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import assert_never

from ops.runbooks import asks, work
from ops.runbooks.course import (
    Result,
    act,
    arrive,
    doom,
    enter,
    fail,
    finish,
    prepare,
    put,
    wait,
    worked,
)
from ops.runbooks.duties import due
from ops.runbooks.happenings import (
    Answered,
    Approved,
    Begun,
    Denied,
    Event,
    Passed,
    Resumed,
    Sent,
    Stopped,
    Woke,
)
from ops.runbooks.model import Playbook
from ops.runbooks.state import Run, Visit

TRIES_MAX = 5
"""Most times a call is made whose answer is not known."""
PAUSE = 2.0
"""Seconds before the second try; doubled each time."""
HANDED_ON = "no-answer"
"""Reason of an order that may still be under way."""


def begin(playbook: Playbook, event: Begun) -> Result:
    """The execution ``event`` began, and what is to be done first."""
    run = Run(
        event.id, playbook, event.terms, event.by, event.at, event.at, event.incident, dict(event.variables)
    )  # fmt: skip
    return enter(run, playbook.start, "", 0)


def step(run: Run, event: Event) -> Result:
    """What ``event`` makes of ``run``, and what is to be done about it. Total: what does not fit changes nothing."""
    if run.stage == "over":
        return run, ()
    done = _step(replace(run, at=max(run.at, event.at)), event)
    return (run, ()) if done is None else done


def _step(run: Run, event: Event) -> Result | None:
    match event:
        case Begun():
            return None
        case Woke():
            return _wake(run)
        case Stopped():
            return _stop(run)
        case Passed() | Approved() | Denied() | Sent() | Answered() | Resumed():
            visit = run.visits.get(event.key)
            if visit is None:
                return None
            match event:
                case Passed():
                    return _pass(run, visit, event)
                case Approved():
                    return _approve(run, visit, event)
                case Denied():
                    return _deny(run, visit, event)
                case Sent():
                    return _sent(run, visit, event)
                case Answered():
                    return _answer(run, visit, event)
                case Resumed():
                    return _resume(run, visit, event)
                case _:
                    assert_never(event)
        case _:
            assert_never(event)


def _pass(run: Run, visit: Visit, event: Passed) -> Result | None:
    if event.what == "deadline":
        if event.until != visit.deadline or visit.phase not in {"act", "pause", "join"}:
            return None
        if visit.phase == "join":
            return doom(run, "failed", "timeout")
        # What is under way may still be done: whoever undoes this step undoes that too.
        jobs = (
            replace(j, state="unknown", maybe=True, reason=HANDED_ON) if j.state == "sent" else j
            for j in visit.jobs
        )
        return fail(run, replace(visit, jobs=tuple(jobs)), "timeout")
    if event.until != visit.until:
        return None
    match visit.phase:
        case "delay":
            return arrive(run, replace(visit, since=None, until=None))
        case "ask":
            return prepare(run, replace(visit, attempt=visit.attempt + 1))
        case "pause":
            return _again(run, visit)
        case _:
            return None


def _approve(run: Run, visit: Visit, event: Approved) -> Result | None:
    late = visit.until is None or event.at > visit.until
    if visit.phase != "ask" or late or any(event.yes.key == one.key for one in visit.yes):
        return None
    visit = replace(visit, yes=(*visit.yes, event.yes))
    if not asks.enough(visit):
        return put(run, visit), ()
    return act(run, asks.granted(replace(visit, phase="act", since=None, until=None)))


def _deny(run: Run, visit: Visit, event: Denied) -> Result | None:
    if visit.phase != "ask":
        return None
    return fail(run, replace(visit, by=event.by), "denied")


def _sent(run: Run, visit: Visit, event: Sent) -> Result | None:
    job = visit.job
    if (
        visit.phase != "act"
        or job is None
        or job.call is None
        or job.id != event.job
        or job.state == "sent"
    ):
        return None
    return put(run, worked(visit, replace(job, state="sent", tries=event.tries))), ()


def _answer(run: Run, visit: Visit, event: Answered) -> Result | None:
    job = next((one for one in visit.jobs if one.id == event.job), None)
    if job is None or (job.call is not None and (job.state, job.tries) != ("sent", event.tries)):
        return None
    if job.state not in {"sent", "unknown"}:
        return None
    maybe = event.maybe or event.outcome == "unknown"
    visit = worked(visit, replace(job, state=event.outcome, reason=event.reason, maybe=maybe))
    if visit.over:  # it came after the step's time: what is undone depends on it
        return put(run, visit), ()
    run = work.told(put(run, visit), visit, event.results)
    if visit.phase not in {"act", "unknown"}:
        return None
    found = run.step(visit)
    again = (
        found.on_unknown == "retry"
        and job.tries < TRIES_MAX
        and not (run.doom and visit.kind == "do")
    )
    match event.outcome:
        case "done":
            return act(run, visit)
        case "failed" if not (again and event.reason == "unreachable"):
            return fail(run, visit, event.reason or "failed")
        case _ if again:
            until = run.at + timedelta(seconds=PAUSE * 2.0 ** (job.tries - 1))
            return wait(run, replace(visit, phase="pause", since=run.at, until=until))
        case _:
            return wait(run, replace(visit, phase="unknown", reason=event.reason, deadline=None))


def _again(run: Run, visit: Visit) -> Result:
    """Try once more: the same call or order if it may still be under way, another one if it is over."""
    job = visit.job
    assert job is not None
    if job.request is None or (job.reason == HANDED_ON and work.fresh(job, run.at, 0)):
        return act(run, visit)
    return prepare(run, replace(visit, attempt=visit.attempt + 1))


def _resume(run: Run, visit: Visit, event: Resumed) -> Result | None:
    job = visit.job
    manual = visit.phase == "act" and job is not None and job.type == "manual"
    if not manual and visit.phase != "unknown":
        return None
    visit = replace(visit, by=event.by)
    match event.outcome:
        case "done":
            if job is not None:
                visit = worked(visit, replace(job, state="done", reason="", maybe=False))
            return act(run, replace(visit, phase="act", reason=""))
        case "failed":
            if job is not None:
                visit = worked(visit, replace(job, state="failed", maybe=False))
            return finish(run, visit, "failed", visit.reason or "failed")
        case "retry":
            if manual or (visit.kind == "do" and run.stage != "going"):
                return None
            visit = replace(visit, reason="", deadline=None)
            return _again(run, visit) if job is not None else prepare(run, visit)
        case _:
            assert_never(event.outcome)


def _wake(run: Run) -> Result:
    """The engine started: a call that was under way has no known answer."""
    for visit in tuple(run.visits.values()):
        job = visit.job
        if (
            visit.phase == "act"
            and job is not None
            and job.call is not None
            and job.state == "sent"
        ):
            lost = _answer(
                run, visit, Answered(run.at, visit.key, job.id, "unknown", "interrupted", tries=job.tries)
            )  # fmt: skip
            assert lost is not None
            run = lost[0]
    return run, due(run)


def _stop(run: Run) -> Result | None:
    if run.doom == "stopped":
        return None
    if run.doom:  # it is failing: then no exception begins either
        return replace(run, doom="stopped", reason="stopped"), ()
    return doom(run, "stopped", "stopped")
