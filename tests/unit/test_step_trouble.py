"""Every rule of the transaction, when something goes wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

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
    CardSeen,
    Event,
    Expired,
    GivenBack,
    IlsBack,
    IlsDenied,
    IlsGranted,
    IlsUnsure,
    Rested,
    TagClosed,
    TagFailed,
    TagGone,
    TagOpened,
    TagSeen,
    Told,
    Woke,
)
from kiosk.session.state import Mode, Phase, Rules, Visit, Way
from kiosk.session.step import due, step
from tests.support.session import (
    AT,
    BOOK,
    CARD,
    DUE,
    OTHER,
    Desk,
    asked,
    lent,
    returning,
    tap,
)

# The library system is silent


def test_what_was_refused_for_silence_is_asked_anew_when_it_answers_again() -> None:
    desk = asked()
    desk(IlsDenied(AT, "v", 1, "ils-silent"))
    desk(Told(AT, "v", 1))
    assert desk(IlsBack(AT)) == (Lend("v", 2, BOOK, CARD, AT),)
    assert [line.no for line in desk.visit.lines] == [2], "the refusal has gone from the screen"


def test_what_was_refused_for_silence_may_be_laid_again() -> None:
    desk = asked()
    desk(IlsDenied(AT, "v", 1, "ils-silent"))
    desk(Told(AT, "v", 1))
    desk(TagGone(AT, BOOK.uid))
    assert desk(IlsBack(AT)) == (), "it does not lie there"
    assert desk(TagSeen(AT, BOOK)) == (Lend("v", 2, BOOK, CARD, AT),)


def test_a_real_refusal_stands_however_often_the_book_is_laid() -> None:
    desk = asked()
    desk(IlsDenied(AT, "v", 1, "on-hold"))
    desk(Told(AT, "v", 1))
    desk(TagGone(AT, BOOK.uid))
    assert desk(TagSeen(AT, BOOK)) == ()
    assert desk(IlsBack(AT)) == ()


def test_an_unanswered_loan_waits_and_is_looked_up_before_it_is_asked_again() -> None:
    desk = asked()
    assert desk(IlsUnsure(AT, "v", 1)) == ()
    assert (desk.line().phase, desk.visit.notice) == (Phase.UNKNOWN, "ils-silent")
    assert desk(IlsBack(AT)) == (Lend("v", 1, BOOK, CARD, AT, again=True),)
    assert desk.visit.notice == ""
    assert desk(IlsBack(AT)) == ()  # it is under way
    assert desk(IlsGranted(AT, "v", 1)) == (Unsecure("v", 1, BOOK),)


def test_a_loan_found_after_its_reader_left_is_undone_if_the_book_is_still_there() -> None:
    desk = asked(IlsUnsure(AT, "v", 1), Expired(AT))
    assert desk.visit.old[0].patron is not None
    assert desk(IlsBack(AT)) == (Lend("v", 1, BOOK, CARD, AT, again=True, settle=True),)
    assert desk(IlsGranted(AT, "v", 1)) == (Secure("v", 1, BOOK),)
    assert desk(TagClosed(AT, "v", 1)) == (GiveBack("v", 1, BOOK, CARD, AT),)
    assert desk(GivenBack(AT, "v", 1)) == ()
    assert desk.visit.old == ()
    assert CARD not in str(desk.visit)


def test_a_loan_found_after_reader_and_book_left_stands_and_is_told_as_pending() -> None:
    desk = asked(IlsUnsure(AT, "v", 1), TagGone(AT, "E1"), Expired(AT), IlsBack(AT))
    assert desk(IlsGranted(AT, "v", 1, "x", DUE)) == (
        Tell("v", 1, BOOK, Way.BORROW, due=DUE, security="pending"),
    )
    desk(Told(AT, "v", 1))
    assert desk.visit.old == ()


def test_a_return_left_on_the_pad_is_asked_anew_but_one_carried_away_is_only_looked_up() -> None:
    desk = returning(IlsUnsure(AT, "v", 1), Expired(AT))
    assert desk(IlsBack(AT)) == (TakeBack("v", 1, BOOK, AT, again=True),)
    desk = returning(IlsUnsure(AT, "v", 1), TagGone(AT, "E1"), Expired(AT))
    assert desk(IlsBack(AT)) == (TakeBack("v", 1, BOOK, AT, again=True, settle=True),)


def test_a_book_whose_earlier_loan_is_unsettled_is_not_taken_up_by_the_next_reader() -> None:
    desk = asked(IlsUnsure(AT, "v", 1), Expired(AT), TagGone(AT, "E1"), tap("return", visit="w"))
    assert desk(TagSeen(AT, BOOK)) == (Tell("w", 1, BOOK, Way.RETURN, refused="ils-silent"),)


# The tag


def test_a_tag_that_takes_no_write_is_tried_again_then_the_loan_is_undone_tag_first() -> None:
    desk = lent()
    for _ in range(2):
        assert desk(TagFailed(AT, "v", 1)) == (Unsecure("v", 1, BOOK),)
    assert desk(TagFailed(AT, "v", 1)) == (Secure("v", 1, BOOK),)
    assert desk.line().phase is Phase.RESECURING
    assert desk(TagFailed(AT, "v", 1)) == (Secure("v", 1, BOOK),)
    assert desk(TagClosed(AT, "v", 1)) == (GiveBack("v", 1, BOOK, CARD, AT),)
    assert desk(IlsUnsure(AT, "v", 1)) == ()
    assert desk(IlsBack(AT)) == (GiveBack("v", 1, BOOK, CARD, AT),)
    assert desk(GivenBack(AT, "v", 1)) == ()
    assert (desk.line().phase, desk.line().reason) == (Phase.UNDONE, "tag-failed")


@pytest.mark.parametrize("gone", [True, False])
def test_a_tag_that_cannot_be_proven_closed_leaves_the_loan_standing_as_pending(gone: bool) -> None:
    desk = lent(*[TagFailed(AT, "v", 1)] * 3)
    desk(*[TagFailed(AT, "v", 1, gone=gone)] * (1 if gone else 3))
    assert desk.asked == (Tell("v", 1, BOOK, Way.BORROW, due=DUE, security="pending"),)
    desk(Told(AT, "v", 1))
    assert (desk.line().phase, desk.line().security) == (Phase.TOLD, "pending")


def test_a_loan_that_cannot_be_undone_stands_as_pending() -> None:
    desk = lent(*[TagFailed(AT, "v", 1)] * 3, TagClosed(AT, "v", 1))
    assert desk(IlsDenied(AT, "v", 1)) == (
        Tell("v", 1, BOOK, Way.BORROW, due=DUE, security="pending"),
    )


def test_a_lifted_book_is_opened_when_it_is_laid_again() -> None:
    desk = lent()
    assert desk(TagFailed(AT, "v", 1, gone=True)) == ()
    assert desk.visit.pad == ()
    assert desk(TagSeen(AT, BOOK)) == (Unsecure("v", 1, BOOK),)


def test_a_lifted_book_that_never_comes_back_is_told_as_pending_when_the_visit_ends() -> None:
    desk = lent(TagFailed(AT, "v", 1, gone=True))
    assert desk(tap("finish")) == (
        EndPatron("v", CARD),
    )  # it may still be laid again during the thanks
    assert desk(Expired(AT)) == (Tell("v", 1, BOOK, Way.BORROW, due=DUE, security="pending"),)
    desk(Told(AT, "v", 1))
    assert desk.visit.old == ()


def test_a_write_under_way_when_the_visit_ends_is_finished_in_its_own_time() -> None:
    desk = lent(Expired(AT))
    assert [line.phase for line in desk.visit.old[0].lines] == [Phase.LENT]
    assert desk(TagOpened(AT, "v", 1)) == (Tell("v", 1, BOOK, Way.BORROW, due=DUE, security="off"),)
    desk = lent(Expired(AT))
    assert desk(TagFailed(AT, "v", 1, gone=True)) == (
        Tell("v", 1, BOOK, Way.BORROW, due=DUE, security="pending"),
    )


# Returning


def test_a_book_is_taken_back_then_closed_then_told() -> None:
    desk = Desk(tap("return", visit="v"))
    assert desk(TagSeen(AT, BOOK)) == (TakeBack("v", 1, BOOK, AT),)
    assert desk(IlsGranted(AT, "v", 1, "Dế Mèn", bin="2")) == (Secure("v", 1, BOOK),)
    assert desk(TagClosed(AT, "v", 1)) == (Tell("v", 1, BOOK, Way.RETURN, bin="2", security="on"),)
    assert desk(Told(AT, "v", 1)) == ()
    assert desk.line().phase is Phase.TOLD


def test_a_returned_book_that_cannot_be_closed_is_told_as_pending() -> None:
    desk = returning(IlsGranted(AT, "v", 1), *[TagFailed(AT, "v", 1)] * 3)
    assert desk.asked == (Tell("v", 1, BOOK, Way.RETURN, security="pending"),)


def test_a_refused_return_is_told() -> None:
    assert returning(IlsDenied(AT, "v", 1, "item-unknown")).asked == (
        Tell("v", 1, BOOK, Way.RETURN, refused="item-unknown"),
    )


# Waking


def test_a_start_makes_every_unfinished_line_due_again_and_marks_it_as_asked_before() -> None:
    desk = asked(TagSeen(AT, OTHER), IlsGranted(AT, "v", 2))
    assert desk(Woke(AT)) == (Lend("v", 1, BOOK, CARD, AT, again=True), Unsecure("v", 2, OTHER))
    assert Desk(CardSeen(AT, CARD, "v"))(Woke(AT)) == (AskPatron("v", CARD),)
    assert returning()(Woke(AT)) == (TakeBack("v", 1, BOOK, AT, again=True),)


@pytest.mark.parametrize("after", [timedelta(hours=10), timedelta(days=-9000)])
def test_a_start_long_after_ends_the_visit_and_undoes_what_was_not_opened(after: timedelta) -> None:
    desk = lent(TagSeen(AT, OTHER))
    effects = desk(Woke(AT + after))
    assert desk.visit.mode is Mode.IDLE
    assert effects == (
        EndPatron("v", CARD),
        Secure("v", 1, BOOK),
        Lend("v", 2, OTHER, CARD, AT, again=True, settle=True),
    )


def test_waking_twice_asks_for_the_same_things() -> None:
    desk = lent(TagSeen(AT, OTHER), TagFailed(AT, "v", 1, gone=True), IlsUnsure(AT, "v", 2))
    assert desk(Woke(AT)) == desk(Woke(AT)) == due(desk.visit)


def test_the_rules_of_a_start_hold_for_what_follows_it() -> None:
    desk = lent(Woke(AT, Rules(tag_tries=1)))
    assert desk(TagFailed(AT, "v", 1)) == (Secure("v", 1, BOOK),)


def test_a_rested_journal_gives_back_the_state_as_it_stood() -> None:
    desk = lent()
    assert step(Visit(), Rested(AT, desk.visit)) == (desk.visit, ())


@pytest.mark.parametrize(
    "event",
    [IlsGranted(AT, "v", 1), IlsDenied(AT, "v", 1), IlsUnsure(AT, "v", 1), GivenBack(AT, "v", 1), TagOpened(AT, "v", 1),
     TagClosed(AT, "v", 1), TagFailed(AT, "v", 1), Told(AT, "v", 1), IlsGranted(AT, "other", 1), Told(AT, "v", 7)],
)  # fmt: skip
def test_an_outcome_that_does_not_fit_changes_nothing(event: Event) -> None:
    desk = lent(TagOpened(AT, "v", 1), Told(AT, "v", 1))
    before = desk.visit
    assert desk(event) == ()
    assert desk.visit == before


def test_no_repr_of_anything_on_the_way_shows_the_card() -> None:
    desk = asked(IlsUnsure(AT, "v", 1))
    effects = (
        *desk(IlsBack(AT)),
        *due(desk.visit),
        AskPatron("v", CARD),
        EndPatron("v", CARD),
        GiveBack("v", 1, BOOK, CARD),
    )
    events = (CardSeen(AT, CARD, "v"), Rested(AT, desk.visit))
    assert CARD not in repr((desk.visit, effects, events))


def test_touching_counts_as_a_sign_of_life_and_a_flapping_tag_does_not() -> None:
    later = AT + timedelta(seconds=50)
    desk = asked(IlsDenied(AT, "v", 1))
    desk(TagGone(later, "E1"), TagSeen(later, BOOK))
    assert desk.visit.touched == AT
    desk(replace(tap("stay"), at=later))
    assert desk.visit.touched == later
