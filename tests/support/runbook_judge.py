"""Whether what was really done in a random world is what the execution says, once."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from ops.runbooks.happenings import Begun, Resumed
from ops.runbooks.journal import RECORD
from ops.runbooks.plan import begin, step
from ops.runbooks.state import UNDO, Run, Visit
from tests.support.runbook_world import Stand


def judge(stand: Stand) -> None:
    """What was really done is what the execution says, once."""
    run, world = stand.run, stand.world
    assert run == stand.replayed(), "the fold is another one than what was lived"
    done = Counter(world.acts)
    assert max(done.values(), default=0) <= 1, "one id was done twice"
    lived = _lived(stand)
    for (key, number), sent in lived.sent.items():
        times = len(sent & set(done))
        assert times <= 1 + lived.retried[key], f"{key}: job {number} was done {times} times"
    undone = [v for v in run.visits.values() if v.kind == "undo"]
    if run.outcome == "done":
        assert not undone, "it is done, and yet something was undone"
    else:
        _undone(stand, lived, undone)


def _undone(stand: Stand, lived: Lived, undone: list[Visit]) -> None:
    run = stand.run
    ranks = [run.visits[v.key.removesuffix(UNDO)].acted for v in undone]
    falls = sum(1 for a, b in pairwise(ranks) if a < b)
    assert falls <= (1 if run.excepted else 0), f"undone in the order {ranks}"
    keys = {v.key for v in undone}
    for visit in run.visits.values():
        if visit.kind != "do" or not run.step(visit).undo:
            continue
        if visit.touched:
            if run.excepted and not run.doom and visit.key in lived.excepted:
                continue  # it came to its end: what it did is what is wanted now
            given_up = any(v.key == visit.key + UNDO and v.end == "failed" for v in undone)
            assert visit.undone or given_up, f"{visit.key} stays done"
        elif visit.key not in lived.touched:
            assert visit.key + UNDO not in keys, f"{visit.key} was never done and is undone"


@dataclass
class Lived:
    """What an execution went through. ``touched``: visits that had done something, or were thought to.

    ``excepted``: those of the exception's branch. ``sent``: ids under which a job went out. ``retried``: how often a
    person or the playbook said: once more.
    """

    touched: set[str] = field(default_factory=set)
    excepted: set[str] = field(default_factory=set)
    sent: defaultdict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    retried: Counter[str] = field(default_factory=Counter)


def _lived(stand: Stand) -> Lived:
    events = [RECORD.read(kind, body, "a row", "") for kind, body in stand.journal]
    lived = Lived()
    first, *rest = events
    assert isinstance(first, Begun)
    run, _ = begin(stand.world.book, first)
    for event in (None, *rest):
        before, run = run, run if event is None else step(run, event)[0]
        if isinstance(event, Resumed) and event.outcome == "retry":
            lived.retried[event.key] += 1
        for key, visit in run.visits.items():
            if visit.touched:
                lived.touched.add(key)
            if (
                visit.phase in {"act", "ask"}
                and key in before.visits
                and before.visits[key].phase == "pause"
            ):
                lived.retried[key] += 1
            for job in visit.jobs:
                if job.state == "sent":
                    lived.sent[key, job.no].add(job.id)
            new = run.excepted and key not in before.visits and visit.kind == "do"
            if new and (before.excepted or _after(run, key)):
                lived.excepted.add(key)
    return lived


def _after(run: Run, key: str) -> bool:
    """The visit ``key`` is of the exception's branch, when that began just now."""
    names = list(run.visits)
    first = next(k for k in names if run.visits[k].step == run.playbook.exception)
    return names.index(key) >= names.index(first)
