"""A world of loans, tags and told facts whose every call may fail, or kill the process; a tape of bytes decides."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from kiosk.devices.base import Tag
from kiosk.heed.feeds import Debt
from kiosk.ils.port import IlsSilent, ItemAnswer, LoanAnswer, PatronAnswer, Sent
from kiosk.pending import Pending
from kiosk.session.effects import Effect, GiveBack
from kiosk.session.state import Item
from kiosk.settings import Security
from mocban.clock import SetClock
from mocban.events import Fact, ItemRefused, LoanMade, ReturnMade, SecurityMended

ITEMS = {uid: Item(name, uid) for uid, name in (("E1", "A"), ("E2", "B"), ("E3", "REFERENCE"))}
T = TypeVar("T")
UIDS = {item.id: uid for uid, item in ITEMS.items()}


class Crash(BaseException):
    """The process is killed here."""


@dataclass
class Tape:
    """What will go wrong, byte by byte; when it ends, nothing does any more."""

    bytes: Iterator[int]
    calm: bool = False

    def next(self) -> int:
        """The next byte, 0 at the end."""
        return 0 if self.calm else next(self.bytes, 0)


@dataclass
class Model:
    """Loans, tags and told facts as they really are."""

    tape: Tape
    clock: SetClock = field(default_factory=SetClock)
    loans: dict[str, str] = field(default_factory=dict)  # item -> card
    made: set[tuple[str, str]] = field(default_factory=set)  # (item, card) ever lent and not undone
    opened: set[str] = field(default_factory=set)  # uids
    here: set[str] = field(default_factory=set)
    told: dict[str, Fact] = field(default_factory=dict)
    returning: set[str] = field(default_factory=set)  # taken back while the tag was open
    stubborn: set[str] = field(default_factory=set)  # tags that take no write
    late: dict[str, str] = field(default_factory=dict)  # item -> card
    effect: Effect | None = None
    noise: int = 0

    def check(self) -> None:
        """At every moment: no tag is open without a loan, but on its way back."""
        for uid in self.opened:
            item = ITEMS[uid].id
            assert item in self.loans or item in self.returning, f"{item} is open without a loan"

    def _hazard(self) -> int:
        """0: well; 1: refused; 2, 3, 4: silent (never sent, not done, done); 5, 6: killed before, after."""
        value = self.tape.next() % 20
        return value - 13 if value > 13 else 0

    # The library system

    async def lend(self, card: str, item: str, at: datetime) -> LoanAnswer:
        if (
            self.late.pop(item, "") == card and item not in self.loans
        ):  # an earlier asking arrives only now
            self.loans[item] = card
            self.returning.discard(item)
            self.made.add((item, card))
        value = self.tape.next() % 16
        if value == 15:
            self.late[item] = card
            raise IlsSilent(Sent.MAYBE)
        hazard = self._ils_before()
        if item in self.loans or hazard == 1:
            answer = LoanAnswer(False, reason="on-loan")
        else:
            self.loans[item] = card
            self.returning.discard(item)
            self.made.add((item, card))
            answer = LoanAnswer(True, "a title", at, desensitize=item != "REFERENCE")
        self._ils_after(hazard)
        return answer

    async def take_back(
        self,
        item: str,
        at: datetime,
        *,
        cancel: bool = False,
    ) -> LoanAnswer:
        hazard = self._ils_before()
        if hazard == 1:
            return LoanAnswer(False, reason="denied")
        card = self.loans.pop(item, "")
        if isinstance(self.effect, GiveBack):
            assert card == self.effect.card, "somebody else's loan was undone"
            self.made.discard((item, card))
        elif UIDS[item] in self.opened:
            self.returning.add(item)
        self._ils_after(hazard)
        return LoanAnswer(True, "a title")

    async def patron(self, card: str, *, charged: bool = False) -> PatronAnswer:
        hazard = self._ils_before()
        if hazard == 1 and not charged:
            return PatronAnswer(False, "card-blocked")
        self._ils_after(hazard)
        return PatronAnswer(True, charged=tuple(i for i, c in self.loans.items() if c == card))

    async def item(self, item: str) -> ItemAnswer:
        self._ils_after(self._ils_before())
        return ItemAnswer(4 if item in self.loans else 3, "a title")

    async def end(self, card: str) -> None:
        self._ils_after(self._ils_before())

    def _ils_before(self) -> int:
        hazard = self._hazard()
        if hazard in (2, 3):
            raise IlsSilent(Sent.NEVER if hazard == 2 else Sent.MAYBE)
        if hazard == 5:
            raise Crash
        return hazard

    def _ils_after(self, hazard: int) -> None:
        self.check()
        if hazard == 4:
            raise IlsSilent(Sent.MAYBE)
        if hazard == 6:
            raise Crash

    # The pad

    async def write_afi(self, uid: str, afi: int) -> bool:
        value = self.tape.next() % 24
        if value == 16:
            raise Crash
        if value == 17:
            self.here.discard(uid)
        if uid not in self.here or uid in self.stubborn or value in (18, 19):
            return False
        if afi == Security().on_loan:
            self.opened.add(uid)
        else:
            self.opened.discard(uid)
            self.returning.discard(ITEMS[uid].id)
        self.check()
        if value == 20:
            raise Crash
        if value == 21:  # written, then lifted before it was read back
            self.here.discard(uid)
        return value not in (21, 22)

    async def read_afi(self, uid: str) -> int | None:
        if uid not in self.here or self.tape.next() % 24 == 23:
            return None
        return Security().on_loan if uid in self.opened else Security().in_stock

    async def write_eas(self, uid: str, *, armed: bool) -> bool:
        return await self.write_afi(uid, Security().in_stock if armed else Security().on_loan)

    async def read_eas(self, uid: str) -> bool | None:
        afi = await self.read_afi(uid)
        return None if afi is None else afi == Security().in_stock

    async def open(self) -> str:
        return ""

    async def tags(self) -> list[Tag]:
        return [Tag(uid) for uid in sorted(self.here)]

    async def close(self) -> None:
        pass

    # The outbox

    def put(self, fact: Fact) -> bool:
        hazard = self._hazard()
        if hazard == 5:
            raise Crash
        assert isinstance(fact, LoanMade | ReturnMade | ItemRefused | SecurityMended)
        ident = str(fact.id_at("kiosk-1"))
        new = ident not in self.told
        assert new or self.told[ident] == fact, "one id, two contents"
        self.told[ident] = fact
        self._true(fact)
        if hazard == 6:
            raise Crash
        return new

    def _true(self, fact: LoanMade | ReturnMade | ItemRefused | SecurityMended) -> None:
        """What is told is so at the moment it is told."""
        is_open = UIDS[fact.item] in self.opened
        if isinstance(fact, SecurityMended):
            assert fact.uid == UIDS[fact.item]
            assert is_open == (fact.security == "off")
            return
        loan = (fact.item, f"card of {fact.session}")
        match fact:
            case LoanMade(security="off"):
                assert loan in self.made
                assert is_open
            case LoanMade(security="none"):
                assert loan in self.made
                assert not is_open
            case LoanMade():
                assert loan in self.made
            case ReturnMade(security="on"):
                assert fact.item not in self.loans
                assert not is_open
            case ReturnMade():
                assert fact.item not in self.loans
            case ItemRefused(action="borrow"):
                assert loan not in self.made
            case _:
                assert isinstance(fact, ItemRefused)


@dataclass
class Elsewhere:
    """The centre's feed: what another station left in the wrong state."""

    clock: SetClock
    debts: dict[str, Debt] = field(default_factory=dict)

    def wanted(self, uid: str) -> Debt | None:
        return self.debts.get(uid)

    def now(self) -> datetime:
        return self.clock.now()


class Killable(Pending):
    """The kiosk's own words on tags, in a process that may die before and after each write."""

    tape: Tape

    def _write(self, *row: Any) -> None:
        value = self.tape.next() % 24
        if value == 16:
            raise Crash
        super()._write(*row)
        if value == 17:
            raise Crash


def run(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never really waits."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("the model waits for nothing")
