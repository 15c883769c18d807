"""A barred kiosk begins nothing new, finishes what is under way, and lets the patron go."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce

import pytest

from kiosk.session.effects import (
    AskPatron,
    EndPatron,
    GiveBack,
    Lend,
    Secure,
    TakeBack,
    Tell,
    Unsecure,
)
from kiosk.session.events import (
    Barred,
    CardSeen,
    Event,
    Expired,
    IlsBack,
    IlsDenied,
    IlsGranted,
    IlsUnsure,
    PatronKnown,
    Rested,
    TagClosed,
    TagFailed,
    TagGone,
    TagOpened,
    TagSeen,
    Told,
    Woke,
)
from kiosk.session.state import Mode, Phase, Visit
from kiosk.session.step import step
from tests.support.session import (
    AT,
    BOOK,
    CARD,
    DUE,
    OTHER,
    Desk,
    asked,
    borrowing,
    lent,
    returning,
    tap,
)

BAR, OPEN = Barred(AT, "closed"), Barred(AT)


@pytest.mark.parametrize(
    "event", [tap("borrow"), tap("return"), tap("more"), CardSeen(AT, CARD, "v"), TagSeen(AT, BOOK)]
)
def test_nothing_begins_at_a_barred_kiosk(event: Event) -> None:
    desk = Desk(BAR)
    assert desk(event) == ()
    assert (desk.mode(), desk.visit.lines, desk.visit.patron) == (Mode.IDLE, (), None)


@pytest.mark.parametrize(
    "event", [tap("borrow"), tap("return"), CardSeen(AT, CARD, "w"), tap("more")]
)
def test_nothing_begins_after_the_thanks_of_a_barred_kiosk(event: Event) -> None:
    desk = lent(TagOpened(AT, "v", 1), Told(AT, "v", 1), tap("finish"), BAR)
    assert desk(event) == ()
    assert (desk.mode(), desk.visit.id) == (Mode.DONE, "v")


def test_books_laid_on_a_barred_kiosk_are_not_taken_up_and_the_one_under_way_is_finished() -> None:
    desk = asked(BAR)
    assert desk(TagSeen(AT, OTHER)) == ()
    assert len(desk.visit.lines) == 1
    assert desk(IlsGranted(AT, "v", 1, "x", DUE)) == (Unsecure("v", 1, BOOK),)
    assert isinstance(desk(TagOpened(AT, "v", 1))[0], Tell)
    desk(Told(AT, "v", 1))
    assert desk.line().phase is Phase.TOLD
    assert desk(tap("finish")) == (EndPatron("v", CARD),)
    desk(Expired(AT))
    assert (desk.mode(), desk.visit.barred, desk.visit.old) == (Mode.IDLE, "closed", ())


def test_a_tag_that_cannot_be_opened_at_a_barred_kiosk_is_undone_all_the_same() -> None:
    desk = lent(BAR)
    failed = TagFailed(AT, "v", 1)
    assert desk(failed, failed, failed) == (Secure("v", 1, BOOK),)
    assert desk(TagClosed(AT, "v", 1)) == (GiveBack("v", 1, BOOK, CARD, AT),)


def test_a_lifted_book_that_comes_back_to_a_barred_kiosk_is_finished() -> None:
    desk = lent(TagFailed(AT, "v", 1, gone=True), TagGone(AT, "E1"), BAR)
    assert desk(TagSeen(AT, BOOK)) == (Unsecure("v", 1, BOOK),)


def test_a_return_under_way_is_finished_at_a_barred_kiosk() -> None:
    desk = returning(BAR)
    assert desk(IlsGranted(AT, "v", 1, "x")) == (Secure("v", 1, BOOK),)


def test_the_library_systems_return_settles_what_waits_but_asks_nothing_anew() -> None:
    desk = asked(
        TagSeen(AT, OTHER), IlsUnsure(AT, "v", 1), IlsDenied(AT, "v", 2, reason="ils-silent"),
        Told(AT, "v", 2), BAR,
    )  # fmt: skip
    assert desk(IlsBack(AT)) == (Lend("v", 1, BOOK, CARD, AT, again=True),)
    assert desk(OPEN) == (Lend("v", 3, OTHER, CARD, AT),)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ([tap("borrow")], ()), ([CardSeen(AT, CARD, "v")], ()), ([tap("return")], ()),
        ([CardSeen(AT, CARD, "v"), PatronKnown(AT, "v", 3)], (EndPatron("v", CARD),)),
    ],
)  # fmt: skip
def test_who_has_laid_no_book_yet_is_sent_away_at_once(
    before: list[Event], said: tuple[EndPatron, ...]
) -> None:
    desk = Desk(tap("lang", "en"), *before)
    assert desk(BAR) == said
    assert (desk.mode(), desk.visit.patron, desk.visit.lang) == (Mode.IDLE, None, "en")
    assert desk(PatronKnown(AT, "v", 3)) == (), "an answer that comes late begins nothing"
    assert desk.mode() is Mode.IDLE


def test_another_reason_in_place_of_the_first_sends_nobody_away_twice() -> None:
    desk = asked(BAR)
    assert desk(Barred(AT, "wiped")) == ()
    assert (desk.visit.barred, desk.mode()) == ("wiped", Mode.BORROW)


def test_an_opened_kiosk_takes_up_what_was_laid_meanwhile_and_lends_again() -> None:
    desk = asked(BAR, TagSeen(AT, OTHER))
    assert desk(OPEN) == (Lend("v", 2, OTHER, CARD, AT),)
    assert Desk(BAR, OPEN)(CardSeen(AT, CARD, "v")) == (AskPatron("v", CARD),)
    there = Desk(BAR, TagSeen(AT, BOOK), OPEN)
    assert there(tap("return", visit="v")) == (TakeBack("v", 1, BOOK, AT),)


def test_opening_what_was_open_changes_nothing() -> None:
    desk = borrowing(TagSeen(AT, BOOK))
    before = desk.visit
    assert desk(OPEN) == ()
    assert desk.visit == before


def test_a_bar_holds_through_a_restart_and_a_compaction() -> None:
    for late in (timedelta(0), timedelta(hours=1)):
        desk = asked(BAR, Woke(AT + late))
        assert desk.visit.barred == "closed"
        again, _ = step(Visit(), Rested(AT, desk.visit))
        assert again.barred == "closed"
        assert step(again, TagSeen(AT, OTHER))[1] == ()


def test_a_replay_of_a_barred_visit_folds_to_the_same_state() -> None:
    events: list[Event] = [
        CardSeen(AT, CARD, "v"), PatronKnown(AT, "v", 3), TagSeen(AT, BOOK), BAR, TagSeen(AT, OTHER),
        IlsGranted(AT, "v", 1, "x", DUE), OPEN, TagOpened(AT, "v", 1),
    ]  # fmt: skip
    desk = Desk(*events)
    fold = reduce(lambda visit, event: step(visit, event)[0], events, Visit(rules=desk.visit.rules))
    assert fold == desk.visit
    assert [line.item for line in fold.lines] == [BOOK, OTHER]
