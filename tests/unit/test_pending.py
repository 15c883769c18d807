"""The last word on a tag counts: this kiosk's, or the centre's; and what was mended is no debt any more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kiosk import pending
from kiosk.heed.feeds import Debt
from kiosk.pending import Pending
from mocban.clock import SetClock
from mocban.errors import StorageError
from mocban.events import Fact, ItemRefused, LoanMade, ReturnMade, ref
from tests.support.crashing_world import Elsewhere

UID, MINUTE = "E0040100000000A1", timedelta(minutes=1)


class Desk:
    """One kiosk's words, on its disk."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kiosk.db"
        self.clock = SetClock()
        self.elsewhere = Elsewhere(self.clock)
        self.start()

    def start(self) -> None:
        self.words = Pending(self.path, "kiosk-1", self.elsewhere)

    def again(self) -> None:
        self.words.close()
        self.start()

    def told(self, fact: Fact) -> str:
        """One fact; what is owed then, and by whose word."""
        self.words.heard(fact)
        return self.owed()

    def owed(self) -> str:
        debt = self.words.wanted(UID)
        return f"{debt.want} {debt.ref}" if debt else ""

    def feed(self, minutes: int, want: str, named: str = "f" * 16) -> None:
        """The centre's word, ``minutes`` from now."""
        since = self.clock.now() + minutes * MINUTE
        self.elsewhere.debts[UID] = Debt(UID, "BG1", "on" if want == "on" else "off", since, named)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.words.close()


def loan(line: int, security: str = "off", **more: object) -> LoanMade:
    return LoanMade.model_validate(
        {"session": "s", "line": line, "item": "BG1", "uid": UID, "security": security, **more}
    )


def back(line: int, security: str = "on") -> ReturnMade:
    return ReturnMade.model_validate(
        {"session": "s", "line": line, "item": "BG1", "uid": UID, "security": security}
    )


def name(fact: Fact) -> str:
    return ref(fact.id_at("kiosk-1"))


def test_each_word_replaces_the_one_before(desk: Desk) -> None:
    assert desk.told(loan(1, "pending")) == f"off {name(loan(1))}"
    assert desk.told(back(2, "pending")) == f"on {name(back(2))}"
    assert desk.told(loan(3)) == ""
    assert desk.told(loan(4, "pending", stays=True)) == f"on {name(loan(4))}"
    assert desk.told(back(5, "none")) == ""


def test_what_says_nothing_about_a_tag_changes_nothing(desk: Desk) -> None:
    desk.told(loan(1, "pending"))
    refused = ItemRefused(
        session="s", line=2, item="BG1", uid=UID, action="borrow", reason="on-hold"
    )
    assert desk.told(refused) == f"off {name(loan(1))}"
    assert desk.told(back(3, "pending").model_copy(update={"uid": ""})) == f"off {name(loan(1))}"


def test_it_is_known_after_a_start_and_hearing_it_again_is_once(desk: Desk) -> None:
    desk.told(loan(1, "pending"))
    desk.again()
    before = desk.words.wanted(UID)
    desk.clock.advance(60)
    desk.told(loan(1, "pending"))
    assert desk.words.wanted(UID) == before
    assert before is not None
    desk.words.mended(before)
    assert desk.told(loan(1, "pending")) == "", "told again after a crash, and mended meanwhile"


def test_the_centres_word_counts_where_it_is_the_later_one(desk: Desk) -> None:
    desk.feed(-5, "on")
    assert desk.owed() == "on " + "f" * 16
    assert desk.told(loan(1)) == "", "lent here since: the centre has not heard of it"
    desk.again()
    assert desk.owed() == ""
    desk.clock.advance(600)
    desk.feed(-5, "on")
    assert desk.owed() == "on " + "f" * 16
    desk.feed(-20, "on")
    assert desk.owed() == ""


def test_a_word_and_the_centres_of_the_same_moment_is_ours(desk: Desk) -> None:
    desk.feed(0, "on")
    assert desk.told(loan(1)) == ""


def test_what_was_mended_stays_so_when_the_feed_comes_again(desk: Desk) -> None:
    desk.feed(30, "off")  # by a clock that is ahead of ours
    debt = desk.words.wanted(UID)
    assert debt is not None
    desk.words.mended(debt)
    assert desk.owed() == ""
    desk.again()
    assert desk.owed() == ""
    desk.feed(31, "on", "e" * 16)
    assert desk.owed() == "on " + "e" * 16


def test_old_words_go_and_the_newest_stay(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "WORDS_MAX", 3)
    uids = [f"E0{number:02X}" for number in range(10)]
    for number, uid in enumerate(uids):
        desk.words.heard(loan(number, "pending").model_copy(update={"uid": uid}))
    assert [uid for uid in uids if desk.words.wanted(uid)] == uids[-3:]


def test_what_is_forgotten_is_gone(desk: Desk) -> None:
    desk.told(loan(1, "pending"))
    desk.words.forget()
    desk.again()
    assert desk.owed() == ""


def test_a_disk_that_takes_nothing_says_so_and_no_card_stands_there(desk: Desk) -> None:
    desk.words._db.execute("PRAGMA query_only=1")
    with pytest.raises(StorageError, match="what is pending cannot be used"):
        desk.told(loan(1, "pending"))
    desk.words._db.execute("PRAGMA query_only=0")
    desk.told(loan(1))
    with sqlite3.connect(desk.path) as db:
        [row] = db.execute("SELECT uid, want, item FROM pending")
    assert row == (UID, "", "")  # of a settled tag not even the item
    db.close()
