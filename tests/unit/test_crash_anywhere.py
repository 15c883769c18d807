"""The transaction survives a crash at any point, a failing pad and a silent library system.

The real ``step`` and the real ``perform`` run against a model of the world whose every call may fail, do its work
without answering, or kill the process before or after it did its work.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from functools import reduce
from hashlib import shake_128

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kiosk.perform import World, perform
from kiosk.session.effects import Effect
from kiosk.session.events import (
    Barred,
    CardSeen,
    Event,
    Expired,
    IlsBack,
    Rested,
    TagGone,
    TagSeen,
    Tapped,
    Woke,
)
from kiosk.session.state import Mode, Visit
from kiosk.session.step import step
from kiosk.settings import Security
from mocban.events import LoanMade, ReturnMade
from tests.support.crashing_world import ITEMS, UIDS, Crash, Model, Tape, run


class Kiosk:
    """The runner's part, one step at a time: journal, step, perform, and again after a crash."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.world = World(model, model, model, Security(), model.clock)
        self.journal: list[Event] = []
        self.visit = Visit()
        self.due: list[Effect] = []
        self.visits = 0
        self.crashes = 0
        self.barred = 0

    def feed(self, event: Event) -> None:
        """First the journal, then the step; the process may die in between."""
        self.journal.append(event)
        if self.model.tape.next() % 32 == 31:
            raise Crash
        before = self.visit
        self.visit, effects = step(before, event)
        if before.barred and self.visit.barred:
            self.barred += 1
            begun = keys(self.visit) - keys(before)
            assert not begun, "a barred kiosk began something"
        self.due.extend(effects)
        self.model.check()

    def perform(self) -> None:
        """One effect that is due, and its event."""
        if not self.due:
            return
        effect = self.model.effect = self.due.pop(self.model.tape.next() % len(self.due))
        event = run(perform(effect, self.world))
        if event is not None:
            self.feed(event)

    def look(self) -> None:
        """One round of inventory."""
        lying = {one.uid for one in self.visit.pad}
        for uid in sorted(self.model.here - lying):
            self.feed(TagSeen(self.now, ITEMS[uid]))
        for uid in sorted(lying - self.model.here):
            self.feed(TagGone(self.now, uid))

    def restart(self) -> None:
        """Everything but the journal is lost; sometimes it is a long time until the start."""
        self.crashes += 1
        if self.model.tape.next() % 3 == 2:
            self.model.clock.advance(3600)
        self.due = []
        self.visit = reduce(lambda visit, event: step(visit, event)[0], self.journal, Visit())
        self.feed(Woke(self.now))

    def compact(self) -> None:
        """What the journal may do at any time."""
        self.journal = [Rested(self.now, self.visit)]

    @property
    def now(self) -> datetime:
        """Wall time."""
        return self.model.clock.now()

    def act(self, choice: int) -> None:
        """One thing that happens: a person, the library system, time, or the kiosk itself."""
        uids = list(ITEMS)
        if choice < 110:
            self.look() if choice % 4 == 3 else self.perform()
        elif choice < 150:
            self.model.here.add(uids[choice % 3])
            self.look()
        elif choice < 165:
            self.model.here.discard(uids[choice % 3])
        elif choice < 185:
            self.visits += 1
            self.feed(CardSeen(self.now, f"card of {self.visits}", str(self.visits)))
        elif choice < 230:
            self.visits += 1
            action = ("return", "finish", "borrow", "more", "cancel", "return")[choice % 6]
            self.feed(Tapped(self.now, action, visit=str(self.visits)))
        elif choice < 240:
            self.feed(IlsBack(self.now))
        elif choice < 246:
            self.feed(Expired(self.now))
        elif choice < 250:
            self.feed(Barred(self.now, ("closed", "", "outbox-full", "")[choice % 4]))
        else:
            self.compact()

    def quiesce(self) -> None:
        """Everything works again, everybody goes home, all that is due is done."""
        self.model.tape.calm = True
        for _ in range(50):
            self.look()
            while self.due:
                self.perform()
            if self.visit.mode is Mode.IDLE and not self.visit.old:
                return
            self.model.clock.advance(1)
            self.feed(IlsBack(self.now) if self.due or self.visit.old else Expired(self.now))
        raise AssertionError("it never comes to rest")


def keys(visit: Visit) -> set[tuple[str, int]]:
    """Every line there is, and the running visit itself as its line 0."""
    begun = {(one.id, line.no) for one in (visit, *visit.old) for line in one.lines}
    return begun | ({(visit.id, 0)} if visit.id else set())


def play(data: bytes) -> Kiosk:
    """One history, to its quiet end."""
    tape = Tape(iter(data))
    model = Model(tape)
    first = tape.next()
    model.stubborn = {
        uid for bit, uid in enumerate(ITEMS) if first >> bit & 1 and first >> (bit + 3) & 1
    }
    if first >> 6 & 1:  # B is on loan from an earlier day
        model.loans["B"] = "somebody's"
        model.opened.add("E2")
    kiosk = Kiosk(model)
    restart = False
    for choice in tape.bytes:
        try:
            if restart:
                restart = False
                kiosk.restart()
            kiosk.act(choice)
        except Crash:
            restart = True
    tape.calm = True
    if restart:
        kiosk.restart()
    kiosk.quiesce()
    return kiosk


def judge(model: Model) -> None:
    """Loans, tags and facts agree, but for what was told as pending, exactly."""
    facts = list(model.told.values())
    loans = [fact for fact in facts if isinstance(fact, LoanMade)]
    assert sorted((f.item, f"card of {f.session}") for f in loans) == sorted(model.made)
    pending = {
        f.item for f in facts if isinstance(f, LoanMade | ReturnMade) and f.security == "pending"
    }
    kept = {(f.item, f"card of {f.session}") for f in loans if f.security == "none"}
    for item, uid in UIDS.items():
        if item not in pending:
            lent = item in model.loans and (item, model.loans[item]) not in kept
            assert (uid in model.opened) == lent, f"{item} disagrees and nobody was told"
    for item in model.returning:
        assert item in pending


@settings(
    max_examples=500, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(st.binary(min_size=20, max_size=160))
def test_loans_tags_and_facts_agree_whatever_happens(data: bytes) -> None:
    judge(play(data).model)


def test_they_agree_after_3000_long_histories_that_saw_everything() -> None:
    seen: Counter[str] = Counter()
    for number in range(3000):
        kiosk = play(shake_128(number.to_bytes(4, "big")).digest(90))
        judge(kiosk.model)
        seen["Crash"] += kiosk.crashes
        seen["events at a barred kiosk"] += kiosk.barred
        seen.update(type(event).__name__ for event in kiosk.journal)
        seen.update(
            f"{type(f).__name__} {getattr(f, 'security', '')}" for f in kiosk.model.told.values()
        )
    # A history that never gets anywhere proves nothing: each of these must have happened often.
    wanted = ("Crash", "GivenBack", "IlsUnsure", "TagFailed", "LoanMade off", "LoanMade pending", "LoanMade none",
              "ReturnMade on", "ReturnMade pending", "ItemRefused ", "Rested",
              "events at a barred kiosk")  # fmt: skip
    assert {name: seen[name] for name in wanted if seen[name] < 100} == {}
