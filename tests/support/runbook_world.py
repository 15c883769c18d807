"""Random playbooks, and a world for them: a gateway, devices, services and persons, whose every call may fail.

A tape of bytes decides what goes wrong; the process may be killed before and after every write to the journal and
every call.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mocban.clock import SetClock
from ops.runbooks import asks
from ops.runbooks.actions import GRACE
from ops.runbooks.duties import due
from ops.runbooks.happenings import (
    Answered,
    Approved,
    Begun,
    Denied,
    Effect,
    Event,
    Http,
    Order,
    Passed,
    Resumed,
    Sent,
    Stopped,
    Wait,
    Woke,
)
from ops.runbooks.journal import RECORD, fold
from ops.runbooks.model import Playbook
from ops.runbooks.plan import HANDED_ON, begin, step
from ops.runbooks.state import Run, Terms, Visit, Yes
from tests.support.runbook_author import Author, Tape

ID = "11111111-1111-4111-8111-111111111111"
STAFF = ("an", "binh", "chi")


class Crash(BaseException):
    """The process is killed here."""


@dataclass
class World:
    """What the gateway, the devices and the services really did."""

    tape: Tape
    book: Playbook
    clock: SetClock = field(default_factory=SetClock)
    orders: dict[str, tuple[bytes, str]] = field(default_factory=dict)  # id -> (as asked, state)
    acts: list[str] = field(default_factory=list)  # ids of orders and calls, as they were done
    posts: Counter[str] = field(default_factory=Counter)
    lost: str = ""
    """What a self-test finds lost."""

    def post(self, effect: Order) -> str:
        """The order's state after it was asked for; asked again it is the same order, or this fails."""
        request = effect.request
        signed = (
            request.canonical()
            + json.dumps(sorted(a.by + a.sig for a in effect.approvals)).encode()
        )
        ident = str(request.id)
        needed = request.command().persons
        approvers = {one.by for one in effect.approvals}
        assert len(approvers) >= needed, (
            f"{request.name} was asked for with {approvers} of {needed}"
        )
        assert "boss" not in approvers
        known, state = self.orders.get(ident, (signed, "queued"))
        assert known == signed, "the same id for another order"
        self.posts[ident] += 1
        if state == "queued":
            value = self.tape.next(12)
            late = self.clock.now() > request.expires
            if late:
                state = "expired"
            elif value < 8:
                state = "done"
                self.acts.append(ident)
            elif value == 8:
                state = "refused"
            elif value == 9:
                state = "lost"  # done, but nobody hears of it until it expires
                self.acts.append(ident)
        self.orders[ident] = (signed, state)
        return state

    def call(self, ident: str) -> None:
        """A service that heeds Idempotency-Key."""
        if ident not in self.acts:
            self.acts.append(ident)


class Stand:
    """The engine's part, one thing at a time: journal, step, effect, and again after a crash.

    It dies where the tape says, and at the ``fuse``-th place where it could.
    """

    def __init__(
        self, tape: Tape, book: Playbook | None = None, fuse: int = 0, **given: str
    ) -> None:
        self.tape = tape
        self.fuse = fuse
        self.places = 0
        self.world = World(tape, book or Author(tape).book())
        self.journal: list[tuple[str, str]] = []
        self.crashes = 0
        self.stopped = False
        event = Begun(
            self.now, ID, "person:boss", Terms("demo", 3600.0), None, {"__outcome__": "", **given}
        )
        self.append(event)
        self.run, effects = begin(self.world.book, event)
        self.due: list[Effect] = list(effects)
        self.check()

    @property
    def now(self) -> Any:
        return self.world.clock.now()

    def append(self, event: Event) -> None:
        self.journal.append(RECORD.write(event))

    def feed(self, event: Event) -> bool:
        """First the journal, then what follows; the process may die before, and in between."""
        self.killed(40)
        after, effects = step(self.run, event)
        changed = after != self.run
        if changed and not (isinstance(event, Woke) and after.visits == self.run.visits):
            self.append(event)
            self.killed(40)
        self.run = after
        self.due += [one for one in effects if one not in self.due]
        self.check()
        return changed

    def check(self) -> None:
        """Nothing is ever without a time it ends at, an answer that is on its way, or a person it waits for."""
        run = self.run
        if run.stage == "over":
            assert not run.live
            return
        assert run.live, f"nothing happens any more in {run.stage}"
        for visit in run.live:
            job = visit.job
            under_way = visit.phase == "act" and job is not None and job.state == "sent"
            assert under_way or any(one.key == visit.key for one in due(run)), (
                f"{visit.key} waits for nothing"
            )
            if under_way and job is not None and job.request is not None:
                assert any(isinstance(one, Order) and one.key == visit.key for one in due(run))

    # What happens

    def perform(self, which: int) -> None:
        """One effect that is due."""
        ready = [one for one in self.due if isinstance(one, Order | Http)]
        if not ready:
            return
        effect = ready[which % len(ready)]
        self.due.remove(effect)
        match effect:
            case Order():
                self._order(effect)
            case Http():
                self._http(effect)

    def _order(self, effect: Order) -> None:
        self.killed()
        state = self.world.post(effect)
        self.killed()
        over = self.now > effect.request.expires + GRACE
        answer = partial(Answered, self.now, effect.key, str(effect.request.id))
        done = answer("done", results={"outcome": "done", "lost": self.world.lost})
        match state:
            case "done":
                self.feed(done)
            case "refused":
                self.feed(answer("failed", "refused", results={"outcome": "refused"}))
            case "expired":
                self.feed(answer("failed", "expired"))
            case "lost" if over or (self.tape.calm and self.tape.next()):
                self.feed(answer("failed", "expired", maybe=True))
            case "lost" if self.tape.calm:  # in the end the device is heard
                self.feed(done)
            case _ if over:
                self.feed(answer("unknown", HANDED_ON, maybe=True))
            case _:
                self.due.append(effect)  # looked at again

    def _http(self, effect: Http) -> None:
        self.feed(Sent(self.now, effect.key, effect.job, effect.tries))
        visit = self.run.visits[effect.key]
        if (
            visit.over
            or visit.job is None
            or (visit.job.id, visit.job.state) != (effect.job, "sent")
        ):
            return
        self.killed()
        value = self.tape.next(10)
        if value < 8:
            self.world.call(effect.job)
        self.killed()
        answers: list[tuple[Any, str, bool]] = [
            *[("done", "", False)] * 6, ("unknown", "no-answer", True), ("unknown", "http-500", True),
            ("failed", "http-404", False), ("failed", "unreachable", False),
        ]  # fmt: skip
        outcome, reason, maybe = answers[value]
        told = {"outcome": outcome}
        self.feed(
            Answered(self.now, effect.key, effect.job, outcome, reason, maybe, effect.tries, told)
        )

    def times(self) -> None:
        """Whatever time has come."""
        for one in [one for one in self.due if isinstance(one, Wait)]:
            if one.until <= self.now:
                self.due.remove(one)
                self.feed(Passed(self.now, one.key, one.what, one.until))

    def person(self, choice: int) -> None:
        """Somebody answers something, rightly or not."""
        waiting = self.run.waits
        if not waiting:
            return
        visit = waiting[choice % len(waiting)]
        if visit.phase == "ask":
            if choice % 19 == 18:
                self.feed(Denied(self.now, visit.key, "an"))
            else:
                self.approve(visit, STAFF[choice % 3])
            return
        outcome: Any = ("done", "failed", "retry", "done")[choice % 4]
        self.feed(Resumed(self.now, visit.key, "an", outcome))

    def approve(self, visit: Visit, name: str) -> None:
        """One signature for each document, named after both."""
        documents = asks.documents(self.run, visit)
        signatures = tuple(f"{name}:{number}" for number, _ in enumerate(documents))
        self.feed(Approved(self.now, visit.key, Yes(name, name * 2, signatures)))

    def stop(self) -> None:
        self.stopped |= self.feed(Stopped(self.now, "an"))

    def restart(self) -> None:
        """Everything but the journal is lost."""
        self.crashes += 1
        self.run = self.replayed()
        self.due = []
        if self.run.stage != "over":
            self.feed(Woke(self.now))

    def replayed(self) -> Run:
        return fold(
            self.world.book, [RECORD.read(kind, body, "a row", "") for kind, body in self.journal]
        )

    def act(self, choice: int) -> None:
        """One thing that happens."""
        if choice < 110:
            self.perform(choice)
        elif choice < 190:
            self.person(choice)
        elif choice < 238:
            self.world.clock.advance((1, 5, 40, 70, 400, 4000)[choice % 6])
            self.times()
        elif choice == 250:
            self.stop()
        else:
            self.restart()

    def quiesce(self, *, stopping: bool = False) -> None:
        """Everything works again and everybody answers: it must come to its end.

        ``stopping``: whoever should do something by hand stops it instead.
        """
        for _ in range(600):
            if self.run.stage == "over":
                return
            before = len(self.journal)
            for _ in range(len(self.due)):
                self.perform(0)
            for key in [visit.key for visit in self.run.waits]:
                visit = self.run.visits[key]
                if visit.phase == "ask":
                    for name in STAFF:
                        if self.run.visits[key].phase == "ask":
                            self.approve(self.run.visits[key], name)
                elif stopping and visit.kind == "do" and not self.run.doom:
                    self.feed(Stopped(self.now, "an"))
                elif not visit.over:
                    self.feed(Resumed(self.now, visit.key, "an", "done"))
            if len(self.journal) == before:
                self.world.clock.advance(5)
                self.times()
        raise AssertionError(
            f"it never ends: {self.run.stage} {[(v.key, v.phase) for v in self.run.live]}"
        )

    def killed(self, odds: int = 32) -> None:
        """Here the process may die."""
        self.places += 1
        if self.places == self.fuse or self.tape.next(odds) == odds - 1:
            raise Crash


def play(data: bytes) -> Stand:
    """One history, to its end."""
    tape = Tape(iter(data))
    stand = Stand(Tape(iter(data[:60])))
    stand.tape = stand.world.tape = tape
    for _ in range(60):
        tape.next()
    dead = False
    for choice in tape.bytes:
        try:
            if dead:
                stand.restart()
            dead = False
            if stand.run.stage == "over":
                break
            stand.act(choice)
        except Crash:
            dead = True
    tape.calm = True
    if dead:
        stand.restart()
    stand.quiesce()
    return stand
