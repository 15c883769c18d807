"""What is to be done about an execution as it stands. Pure."""

from __future__ import annotations

from typing import assert_never

from ops.runbooks.happenings import Ask, Effect, Http, Order, Person, Wait
from ops.runbooks.state import Run, Visit

Effects = tuple[Effect, ...]


def due(run: Run) -> Effects:
    """Every effect due now, as after a start: all of it may have been done before."""
    return sum((duties(visit) for visit in run.visits.values()), ())


def duties(visit: Visit) -> Effects:
    """What is to be done about ``visit`` as it stands."""
    found: list[Effect] = []
    if (
        visit.deadline is not None
        and visit.armed is not None
        and visit.phase in {"act", "pause", "join"}
    ):
        found.append(Wait(visit.key, "deadline", visit.armed, visit.deadline))
    match visit.phase:
        case "delay" | "pause":
            found.append(_waits(visit))
        case "ask":
            found += [Ask(visit.key, visit.attempt), _waits(visit)]
        case "unknown":
            found.append(Person(visit.key, visit.job.id if visit.job else ""))
        case "act":
            job = visit.job
            assert job is not None
            if job.request is not None:
                found.append(Order(visit.key, job.request, job.approvals))
            elif job.call is not None and job.state == "sent":
                pass  # it is under way
            elif job.call is not None:
                found.append(Http(visit.key, job.id, job.tries + 1, job.call))
            else:
                found.append(Person(visit.key, job.id))
        case "join" | "over":
            pass
        case _:
            assert_never(visit.phase)
    return tuple(found)


def _waits(visit: Visit) -> Wait:
    assert visit.since is not None
    assert visit.until is not None
    return Wait(visit.key, "wait", visit.since, visit.until)
