"""Every rule of the transaction, one by one."""

from __future__ import annotations

import pytest

from kiosk.session.effects import (
    AskPatron,
    EndPatron,
    Lend,
    Secure,
    TakeBack,
    Tell,
    Unsecure,
)
from kiosk.session.events import (
    CardSeen,
    Expired,
    IlsDenied,
    IlsGranted,
    PatronKnown,
    PatronRefused,
    TagClosed,
    TagGone,
    TagOdd,
    TagOpened,
    TagSeen,
    Told,
)
from kiosk.session.state import Item, Mode, Phase, Visit, Way
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

# Beginning and ending


def test_a_touch_on_borrow_asks_for_the_card_and_the_card_asks_the_library_system() -> None:
    desk = Desk(tap("borrow"))
    assert (desk.visit.mode, desk.asked) == (Mode.CARD, ())
    assert desk(CardSeen(AT, CARD, "v")) == (AskPatron("v", CARD),)
    assert desk.mode() is Mode.CHECKING
    desk(PatronKnown(AT, "v", 3))
    assert desk.mode() is Mode.BORROW
    assert desk.visit.patron is not None
    assert desk.visit.patron.remaining == 3


def test_a_card_on_the_idle_screen_begins_a_visit_at_once() -> None:
    assert Desk(CardSeen(AT, CARD, "v")).visit.mode is Mode.CHECKING


@pytest.mark.parametrize("reason", ["card-unknown", "card-blocked", "ils-silent"])
def test_a_card_that_may_not_borrow_leads_back_to_the_card_screen_with_the_reason(
    reason: str,
) -> None:
    desk = Desk(CardSeen(AT, CARD, "v"), PatronRefused(AT, "v", reason))
    assert (desk.visit.mode, desk.visit.notice, desk.visit.patron) == (Mode.CARD, reason, None)
    desk(CardSeen(AT, "another", "v2"))
    assert (desk.visit.mode, desk.visit.notice) == (Mode.CHECKING, "")


def test_an_answer_about_the_card_of_an_earlier_visit_is_not_believed() -> None:
    desk = Desk(CardSeen(AT, CARD, "v"), tap("cancel"), CardSeen(AT, "another", "v2"))
    desk(PatronKnown(AT, "v", 3))
    assert desk.visit.mode is Mode.CHECKING
    desk(PatronRefused(AT, "v", "card-blocked"))
    assert desk.visit.mode is Mode.CHECKING


def test_another_card_in_the_middle_of_a_visit_changes_nothing() -> None:
    desk = lent()
    before = desk.visit
    assert desk(CardSeen(AT, "another", "x")) == ()
    assert desk.visit == before


def test_finish_says_thanks_and_ends_the_patrons_session_and_time_leads_home() -> None:
    desk = lent(TagOpened(AT, "v", 1), Told(AT, "v", 1))
    assert desk(tap("finish")) == (EndPatron("v", CARD),)
    assert desk.mode() is Mode.DONE
    desk(tap("more"))
    assert desk.mode() is Mode.BORROW
    assert desk.visit.patron is not None
    desk(tap("finish"))
    assert desk(Expired(AT)) == ()
    assert desk.visit == Visit(touched=AT, rules=desk.visit.rules, pad=desk.visit.pad)


def test_finish_without_any_book_goes_straight_home() -> None:
    assert borrowing(tap("finish")).visit.mode is Mode.IDLE
    assert Desk(tap("return"), tap("cancel")).visit.mode is Mode.IDLE


def test_more_after_a_return_is_returning() -> None:
    desk = returning(IlsGranted(AT, "v", 1), tap("finish"), tap("more"))
    assert desk.visit.mode is Mode.RETURN


def test_the_next_reader_may_begin_during_the_thanks() -> None:
    desk = lent(TagOpened(AT, "v", 1), Told(AT, "v", 1), tap("finish"))
    assert desk(CardSeen(AT, "another", "v2")) == (AskPatron("v2", "another"),)
    assert (desk.visit.id, desk.visit.lines) == ("v2", ())


def test_the_language_changes_at_any_time_and_goes_home_with_the_reader() -> None:
    desk = Desk(tap("lang", "en"), tap("borrow"))
    assert desk.visit.lang == "en"
    desk(tap("lang", "fr"))
    assert desk.visit.lang == "en"
    desk(CardSeen(AT, CARD, "v"), PatronKnown(AT, "v"))
    assert desk.visit.lang == "en"
    desk(Expired(AT))
    assert (desk.visit.mode, desk.visit.lang) == (Mode.IDLE, "vi")


def test_a_deserted_visit_ends_the_patrons_session_and_keeps_no_card() -> None:
    desk = borrowing()
    assert desk(Expired(AT)) == (EndPatron("v", CARD),)
    assert desk.visit.patron is None
    assert desk.visit.old == ()


# Lending


def test_a_book_is_lent_then_opened_then_told_one_effect_at_a_time() -> None:
    desk = borrowing()
    assert desk(TagSeen(AT, BOOK)) == (Lend("v", 1, BOOK, CARD, AT),)
    assert desk(IlsGranted(AT, "v", 1, "Dế Mèn", DUE)) == (Unsecure("v", 1, BOOK),)
    assert desk(TagOpened(AT, "v", 1)) == (Tell("v", 1, BOOK, Way.BORROW, due=DUE, security="off"),)
    assert desk(Told(AT, "v", 1)) == ()
    assert (desk.line().phase, desk.line().title) == (Phase.TOLD, "Dế Mèn")


def test_books_laid_before_the_card_count_once_it_is_known() -> None:
    desk = Desk(TagSeen(AT, BOOK), tap("borrow"), TagSeen(AT, OTHER), CardSeen(AT, CARD, "v"))
    assert desk.visit.lines == ()
    assert desk(PatronKnown(AT, "v")) == (
        Lend("v", 1, BOOK, CARD, AT),
        Lend("v", 2, OTHER, CARD, AT),
    )


def test_a_book_lifted_before_the_card_was_known_does_not_count() -> None:
    desk = Desk(TagSeen(AT, BOOK), TagGone(AT, "E1"), CardSeen(AT, CARD, "v"))
    assert desk(PatronKnown(AT, "v")) == ()


def test_the_same_book_again_in_the_same_visit_is_ignored() -> None:
    desk = asked()
    assert desk(TagSeen(AT, BOOK)) == ()
    assert desk(TagGone(AT, "E1")) == ()
    assert desk.line().here is False
    assert desk(TagSeen(AT, BOOK)) == ()
    assert len(desk.visit.lines) == 1
    assert desk.line().here is True


def test_a_book_of_an_ended_visit_must_be_lifted_before_it_counts_again() -> None:
    desk = lent(TagOpened(AT, "v", 1), Told(AT, "v", 1), tap("finish"), Expired(AT))
    assert desk(tap("return", visit="w")) == ()
    assert desk.visit.lines == ()
    desk(TagGone(AT, "E1"))
    assert desk(TagSeen(AT, BOOK)) == (TakeBack("w", 1, BOOK, AT),)


def test_a_second_tag_with_the_same_number_is_refused_and_the_first_goes_on() -> None:
    desk = asked()
    assert desk(TagSeen(AT, Item(BOOK.id, "E9"))) == (
        Tell("v", 2, Item(BOOK.id, "E9"), Way.BORROW, refused="twice"),
    )
    assert desk(IlsGranted(AT, "v", 1)) == (Unsecure("v", 1, BOOK),)


@pytest.mark.parametrize("why", ["blank", "foreign", "damaged"])
def test_an_odd_tag_is_shown_and_blocks_nobody(why: str) -> None:
    desk = borrowing()
    assert desk(TagOdd(AT, "E9", why)) == ()
    assert (desk.line().phase, desk.line().reason) == (Phase.SAID, why)
    assert desk(TagSeen(AT, BOOK)) == (Lend("v", 2, BOOK, CARD, AT),)


def test_an_odd_tag_that_is_read_after_all_becomes_its_book() -> None:
    desk = borrowing(TagOdd(AT, "E1", "damaged"))
    assert desk(TagSeen(AT, BOOK)) == (Lend("v", 2, BOOK, CARD, AT),)
    assert [line.item for line in desk.visit.lines] == [BOOK]


def test_a_part_of_a_set_is_the_desks_matter_when_it_is_lent_but_is_taken_back() -> None:
    part = Item("201123463", "E5", parts=4, part=1)
    assert borrowing(TagSeen(AT, part)).asked == (
        Tell("v", 1, part, Way.BORROW, refused="set-incomplete"),
    )
    assert Desk(tap("return", visit="v"), TagSeen(AT, part)).asked == (TakeBack("v", 1, part, AT),)


def test_a_refused_book_is_told_with_its_reason_and_its_tag_is_not_touched() -> None:
    desk = asked()
    assert desk(IlsDenied(AT, "v", 1, "on-hold", "Sách đã đặt", "Lược sử thời gian")) == (
        Tell("v", 1, BOOK, Way.BORROW, refused="on-hold"),
    )
    assert desk.line().say == "Sách đã đặt"
    assert desk(Told(AT, "v", 1)) == ()
    assert desk.line().phase is Phase.SAID


def test_a_loan_for_the_reading_room_is_told_once_its_tag_is_closed_for_sure() -> None:
    desk = asked()
    assert desk(IlsGranted(AT, "v", 1, "x", DUE, desensitize=False)) == (Secure("v", 1, BOOK),)
    assert desk(TagClosed(AT, "v", 1)) == (
        Tell("v", 1, BOOK, Way.BORROW, due=DUE, security="none", stays=True),
    )
