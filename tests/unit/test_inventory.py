"""What lies on the pad: rounds compared, oddities named, cards not taken from those left behind."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kiosk.devices.base import Tag
from kiosk.inventory import Change, Rounds
from kiosk.session.events import CardSeen, TagGone, TagOdd, TagSeen
from kiosk.session.state import Item

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
# rfid.md appendix A and libdanrfid's published dump
DE_MEN = bytes.fromhex("110101424730303031323334350000000000000317564E424730310000000000")
PART = bytes.fromhex("11030242473030303534333231000000000000FC98564E4247303100000000000000")
CARD = bytes.fromhex(
    "1801015456323430303030310000000000000088 08564E424730310000000000".replace(" ", "")
)


class Pad:
    """Rounds over one pad, with the known uids kept as the state keeps them."""

    def __init__(self) -> None:
        self.rounds = Rounds()
        self.known: set[str] = set()
        self.rounds.compare([], frozenset(), AT)

    def __call__(self, *tags: Tag) -> list[Change]:
        changes = self.rounds.compare(tags, frozenset(self.known), AT)
        for change in changes:
            match change:
                case TagSeen(item=item):
                    self.known.add(item.uid)
                case TagOdd(uid=uid):
                    self.known.add(uid)
                case TagGone(uid=uid):
                    self.known.discard(uid)
                case CardSeen():
                    pass
        return changes


def test_a_book_is_seen_once_while_it_lies() -> None:
    pad = Pad()
    assert pad(Tag("E1", 7, 0, DE_MEN)) == [TagSeen(AT, Item("BG00012345", "E1"))]
    assert pad(Tag("E1", 7, 0, DE_MEN)) == []


def test_a_part_of_a_set_carries_its_number() -> None:
    assert Pad()(Tag("E1", 7, 0, PART)) == [TagSeen(AT, Item("BG00054321", "E1", 3, 2))]


def test_a_tag_is_gone_after_two_rounds_without_it_and_not_after_one() -> None:
    pad, tag = Pad(), Tag("E1", 7, 0, DE_MEN)
    pad(tag)
    assert pad() == []
    assert pad(tag) == []
    assert pad() == []
    assert pad() == [TagGone(AT, "E1")]
    assert pad() == []


def test_a_tag_not_read_yet_is_waited_for() -> None:
    pad = Pad()
    assert pad(Tag("E1")) == []
    assert pad(Tag("E1", 7, 0, DE_MEN)) == [TagSeen(AT, Item("BG00012345", "E1"))]


def test_twins_in_one_round_are_one_tag() -> None:
    assert len(Pad()(Tag("E1", 7, 0, DE_MEN), Tag("E1", 7, 0, DE_MEN))) == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [(bytes(32), "blank"), (b"\xff" * 32, "blank"), (b"\xde\xad\xbe\xef" * 8, "foreign"),
     (DE_MEN[:5] + b"\x31" + DE_MEN[6:], "damaged")],
)  # fmt: skip
def test_a_tag_that_is_no_book_is_named_once(data: bytes, why: str) -> None:
    pad = Pad()
    assert pad(Tag("E1", 7, 0, data)) == [TagOdd(AT, "E1", why)]
    assert pad(Tag("E1", 7, 0, data)) == []


def test_a_card_counts_each_time_it_is_laid_and_its_number_is_in_no_repr() -> None:
    pad, card = Pad(), Tag("C1", 0, 0, CARD)
    [seen] = pad(card)
    assert isinstance(seen, CardSeen)
    assert seen.card == "TV2400001"
    assert "TV2400001" not in repr(seen)
    assert pad(card) == []
    assert pad() == pad() == []
    [again] = pad(card)
    assert isinstance(again, CardSeen)
    assert again.visit != seen.visit


def test_a_card_left_there_before_the_start_must_be_laid_anew() -> None:
    rounds, card = Rounds(), Tag("C1", 0, 0, CARD)
    assert rounds.compare([card], frozenset(), AT) == []
    assert rounds.compare([card], frozenset(), AT) == []
    assert rounds.compare([], frozenset(), AT) == rounds.compare([], frozenset(), AT) == []
    assert len(rounds.compare([card], frozenset(), AT)) == 1
