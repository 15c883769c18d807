"""One effect at a time: what it does to the world, and what it says came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from kiosk.ils.port import IlsSilent, LoanAnswer, Sent
from kiosk.pending import Pending
from kiosk.perform import World, fact, failed, perform
from kiosk.session.effects import (
    AskPatron,
    Effect,
    EndPatron,
    GiveBack,
    Lend,
    Secure,
    TakeBack,
    Tell,
    Unsecure,
)
from kiosk.session.events import (
    Event,
    GivenBack,
    IlsDenied,
    IlsGranted,
    IlsUnsure,
    PatronRefused,
    TagClosed,
    TagFailed,
    TagOpened,
    Told,
)
from kiosk.session.state import Item, Way
from kiosk.settings import Security
from mocban.errors import DeviceLost, LocalProtocolError
from mocban.events import ItemRefused, LoanMade, ReturnMade, ref
from tests.support.crashing_world import Elsewhere, Model, Tape, run

BOOK = Item("A", "E1")


@dataclass
class Library(Model):
    """A well-behaved world that counts what it is asked; ``silence`` makes it mute, ``unplugged`` takes the pad."""

    asked: list[str] = field(default_factory=list)
    silence: Sent | None = None
    unplugged: bool = False
    site: Security = field(default_factory=Security)
    writes: int = 0

    def __post_init__(self) -> None:
        self.pending = Pending(Path(":memory:"), "kiosk-1", Elsewhere(self.clock))

    async def lend(self, card: str, item: str, at: datetime) -> LoanAnswer:
        self.asked.append("lend")
        return await super().lend(card, item, at)

    async def take_back(self, item: str, at: datetime, *, cancel: bool = False) -> LoanAnswer:
        self.asked.append("cancel" if cancel else "take back")
        return await super().take_back(item, at, cancel=cancel)

    def _ils_before(self) -> int:
        if self.silence is not None:
            raise IlsSilent(self.silence)
        return 0

    async def write_afi(self, uid: str, afi: int) -> bool:
        if self.unplugged:
            raise DeviceLost("the pad is gone")
        self.writes += 1
        return await super().write_afi(uid, afi)


@pytest.fixture
def library() -> Library:
    model = Library(Tape(iter(()), calm=True))
    model.here.add("E1")
    return model


def do(effect: Effect, library: Library) -> Event | None:
    library.effect = effect
    world = World(library, library, library, library.site, library.clock, library.pending)
    return run(perform(effect, world))


def test_a_loan_the_card_has_already_is_found_and_not_asked_for_again(library: Library) -> None:
    library.loans["A"] = "X1"
    assert isinstance(do(Lend("v", 1, BOOK, "X1", again=True), library), IlsGranted)
    assert library.asked == []


def test_a_loan_that_was_never_made_is_asked_for_while_the_reader_is_there(
    library: Library,
) -> None:
    assert isinstance(do(Lend("v", 1, BOOK, "X1", again=True), library), IlsGranted)
    assert library.asked == ["lend"]


def test_a_loan_that_was_never_made_is_let_be_once_the_reader_left(library: Library) -> None:
    event = do(Lend("v", 1, BOOK, "X1", again=True, settle=True), library)
    assert isinstance(event, IlsDenied)
    assert event.reason == "ils-silent"
    assert library.loans == {}


def test_somebody_elses_loan_is_never_undone(library: Library) -> None:
    library.loans["A"] = "somebody"
    assert isinstance(do(GiveBack("v", 1, BOOK, "X1"), library), GivenBack)
    assert library.asked == []
    assert library.loans == {"A": "somebody"}


def test_an_undone_loan_is_cancelled_rather_than_returned(library: Library) -> None:
    library.loans["A"] = "X1"
    assert isinstance(do(GiveBack("v", 1, BOOK, "X1"), library), GivenBack)
    assert library.asked == ["cancel"]


def test_a_return_already_made_is_not_asked_for_again(library: Library) -> None:
    assert isinstance(do(TakeBack("v", 1, BOOK, again=True), library), IlsGranted)
    assert library.asked == []


@pytest.mark.parametrize("effect", [Lend("v", 1, BOOK, "X1"), TakeBack("v", 1, BOOK)])
def test_what_was_never_sent_is_refused_and_what_may_have_arrived_is_doubtful(
    library: Library, effect: Effect
) -> None:
    library.silence = Sent.NEVER
    assert isinstance(do(effect, library), IlsDenied)
    library.silence = Sent.MAYBE
    assert isinstance(do(effect, library), IlsUnsure)


@pytest.mark.parametrize(
    "effect",
    [
        Lend("v", 1, BOOK, "X1", again=True),
        TakeBack("v", 1, BOOK, again=True),
        GiveBack("v", 1, BOOK, "X1"),
    ],
)
def test_what_was_doubtful_stays_doubtful_until_it_can_be_looked_up(
    library: Library, effect: Effect
) -> None:
    library.silence = Sent.NEVER
    assert isinstance(do(effect, library), IlsUnsure)


def test_a_silent_library_system_refuses_the_card_and_forgets_a_goodbye(library: Library) -> None:
    library.silence = Sent.MAYBE
    assert do(AskPatron("v", "X1"), library) == PatronRefused(
        library.clock.now(), "v", "ils-silent"
    )
    assert do(EndPatron("v", "X1"), library) is None


def test_a_tag_is_opened_and_closed(library: Library) -> None:
    library.loans["A"] = "X1"
    assert isinstance(do(Unsecure("v", 1, BOOK), library), TagOpened)
    assert library.opened == {"E1"}
    assert isinstance(do(Secure("v", 1, BOOK), library), TagClosed)
    assert library.opened == set()


def test_a_tag_that_takes_no_write_but_is_right_already_counts_as_written(library: Library) -> None:
    library.stubborn.add("E1")
    assert isinstance(do(Secure("v", 1, BOOK), library), TagClosed)
    assert do(Unsecure("v", 1, BOOK), library) == TagFailed(library.clock.now(), "v", 1, gone=False)


def test_a_lifted_tag_and_a_lost_pad_are_gone(library: Library) -> None:
    library.here.clear()
    assert do(Secure("v", 1, BOOK), library) == TagFailed(library.clock.now(), "v", 1, gone=True)
    library.unplugged = True
    assert do(Unsecure("v", 1, BOOK), library) == TagFailed(library.clock.now(), "v", 1, gone=True)


def test_facts_say_what_was_done_and_carry_no_card() -> None:
    site = Security()
    assert fact(Tell("v", 1, BOOK, Way.BORROW, security="pending"), site) == LoanMade(
        session="v", line=1, item="A", uid=BOOK.uid, security="pending"
    )
    assert fact(Tell("v", 1, BOOK, Way.RETURN, bin="2", security="on"), site) == ReturnMade(
        session="v", line=1, item="A", uid=BOOK.uid, bin="2"
    )
    assert fact(Tell("v", 1, BOOK, Way.RETURN, refused="on-hold"), site) == ItemRefused(
        session="v", line=1, item="A", uid=BOOK.uid, action="return", reason="on-hold"
    )


def test_where_no_tag_is_written_facts_say_so_and_none_is(library: Library) -> None:
    library.site = site = Security(by="database")
    library.here.clear()  # not even asked
    assert isinstance(do(Unsecure("v", 1, BOOK), library), TagOpened)
    assert isinstance(do(Secure("v", 1, BOOK), library), TagClosed)
    assert library.writes == 0
    said = [
        fact(Tell("v", 1, BOOK, way, security=security, stays=stays), site)
        for way, security, stays in (
            (Way.BORROW, "off", False), (Way.BORROW, "none", True), (Way.BORROW, "pending", False),
            (Way.RETURN, "on", False),
        )
    ]  # fmt: skip
    assert [(getattr(one, "security", ""), getattr(one, "stays", None)) for one in said] == [
        ("none", False), ("none", True), ("none", False), ("none", None),
    ]  # fmt: skip


def test_a_3m_site_writes_its_own_values(library: Library) -> None:
    written: list[int] = []

    class Noting(Library):
        async def write_afi(self, uid: str, afi: int) -> bool:
            written.append(afi)
            return True

    noting = Noting(library.tape, site=Security(in_stock=0xD7, on_loan=0xDA))
    do(Unsecure("v", 1, BOOK), noting)
    do(Secure("v", 1, BOOK), noting)
    assert written == [0xDA, 0xD7]


def test_what_is_told_as_pending_is_known_here_until_the_next_word(library: Library) -> None:
    library.made.add(("A", "card of v"))
    do(Tell("v", 1, BOOK, Way.BORROW, security="pending"), library)
    debt = library.pending.wanted("E1")
    assert debt is not None
    [told] = library.told.values()
    assert (debt.uid, debt.item, debt.want, debt.ref) == (
        "E1",
        "A",
        "off",
        ref(told.id_at("kiosk-1")),
    )
    do(Tell("w", 1, BOOK, Way.RETURN, security="pending"), library)
    debt = library.pending.wanted("E1")
    assert debt is not None
    assert debt.want == "on"
    do(Tell("x", 1, BOOK, Way.RETURN, security="on"), library)
    assert library.pending.wanted("E1") is None


def test_telling_twice_is_telling_once(library: Library) -> None:
    tell = Tell("v", 1, BOOK, Way.RETURN, security="on")
    assert isinstance(do(tell, library), Told)
    assert isinstance(do(tell, library), Told)
    assert len(library.told) == 1


def test_every_effect_that_breaks_off_has_an_outcome_or_is_tried_again() -> None:
    at = Model(Tape(iter(()))).clock.now()
    unsaid = LocalProtocolError("no such character")
    denied = failed(Lend("v", 1, BOOK, "X1"), unsaid, at)
    assert isinstance(denied, IlsDenied)
    assert denied.reason == "item-unknown"
    doubtful = (
        Lend("v", 1, BOOK, "X1", again=True),
        TakeBack("v", 1, BOOK, again=True),
        GiveBack("v", 1, BOOK),
    )
    assert all(isinstance(failed(effect, unsaid, at), IlsUnsure) for effect in doubtful)
    assert isinstance(failed(Secure("v", 1, BOOK), ValueError(), at), TagFailed)
    assert isinstance(failed(AskPatron("v", "X1"), unsaid, at), PatronRefused)
    assert failed(Tell("v", 1, BOOK), ValueError(), at) is None
