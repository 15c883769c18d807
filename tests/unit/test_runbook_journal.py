"""The journal of executions: before anything is done, whole or not at all, and bounded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mocban.clock import SetClock
from mocban.errors import StorageError
from ops.runbooks import journal as room
from ops.runbooks.happenings import (
    KINDS,
    Answered,
    Approved,
    Begun,
    Denied,
    Event,
    Passed,
    Resumed,
    Sent,
    Stopped,
    Woke,
)
from ops.runbooks.journal import Journal, fold
from ops.runbooks.model import Playbook, Step
from ops.runbooks.plan import begin, step
from ops.runbooks.state import Terms, Yes
from tests.support.runbook_author import HAND
from tests.support.runbook_world import ID

NOW = SetClock().now()
BOOK = Playbook(
    "playbook--1", "p", "ab" * 32, "start--1",
    {
        "start--1": Step("start--1", "start", "start", completion="action--1"),
        "action--1": Step("action--1", "action", "by hand", commands=(HAND,), words={"vi": {"name": "bằng tay"}}),
    },
)  # fmt: skip
BEGUN = Begun(NOW, ID, "person:boss", Terms("demo"), 7, {"__x__": "một"})
DONE = Resumed(NOW, "action--1", "an", "done")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "ops" / "ops.db")
    yield opened
    opened.close()


def ended(journal: Journal, ident: str) -> None:
    begun = Begun(NOW, ident, "person:boss", Terms("demo"))
    journal.open(BOOK, begun, "d")
    run, _ = step(begin(BOOK, begun)[0], DONE)
    journal.append(ident, 2, DONE, run)


def test_the_state_is_the_fold_of_what_is_stored(journal: Journal, tmp_path: Path) -> None:
    assert journal.open(BOOK, BEGUN, "d") == "d"
    run, _ = begin(BOOK, BEGUN)
    assert journal.replay(ID) == run
    after, _ = step(run, DONE)
    journal.append(ID, 2, DONE, after)
    again = Journal(tmp_path / "ops" / "ops.db")
    assert again.replay(ID) == after == fold(BOOK, [BEGUN, DONE])
    assert after.outcome == "done"
    again.close()


def test_each_kind_of_event_comes_back_as_it_was(journal: Journal) -> None:
    events: list[Event] = [
        BEGUN, Woke(NOW), Passed(NOW, "a", "wait", NOW), Approved(NOW, "a", Yes("an", "ff", ("s", "t"))),
        Denied(NOW, "a", "an", "no"), Sent(NOW, "a", "j", 2),
        Answered(NOW, "a", "j", "unknown", "x", True, 2, {"b": "c"}), DONE, Stopped(NOW, "an", "enough"),
    ]  # fmt: skip
    assert {type(one).__name__ for one in events} == set(KINDS)
    journal.open(BOOK, BEGUN, "d")
    run, _ = begin(BOOK, BEGUN)
    for no, event in enumerate(events[1:], 2):
        journal.append(ID, no, event, run)
    assert journal.events(ID) == events


def test_an_execution_is_begun_once_and_says_what_it_was_begun_with(journal: Journal) -> None:
    assert journal.open(BOOK, BEGUN, "one") == "one"
    assert journal.open(BOOK, BEGUN, "two") == "one"
    assert len(journal.events(ID)) == 1
    assert (journal.digest(ID), journal.digest("other")) == ("one", "")


def test_what_is_over_but_not_told_is_still_taken_up(journal: Journal) -> None:
    ended(journal, ID)
    assert journal.going() == [ID]
    journal.told(ID, 2)
    assert journal.going() == []
    assert [row.state for row in journal.rows()] == ["done"]
    assert journal.rows("open") == []


def test_a_disk_that_refuses_leaves_everything_as_it_was(journal: Journal, tmp_path: Path) -> None:
    journal.open(BOOK, BEGUN, "d")
    other = sqlite3.connect(tmp_path / "ops" / "ops.db", isolation_level=None)
    other.execute(
        "CREATE TRIGGER full BEFORE INSERT ON happening BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    run, _ = step(begin(BOOK, BEGUN)[0], DONE)
    with pytest.raises(StorageError):
        journal.append(ID, 2, DONE, run)
    with pytest.raises(StorageError):
        journal.open(BOOK, Begun(NOW, "other", "person:boss", Terms("demo")), "d")
    assert [row.id for row in journal.rows()] == [ID]
    assert journal.replay(ID) == begin(BOOK, BEGUN)[0]
    other.execute("DROP TRIGGER full")
    journal.append(ID, 2, DONE, run)
    assert journal.replay(ID) == run
    other.close()


@pytest.mark.parametrize("change", ["kind = 'Dreamt'", "body = '{}'", "body = 'torn'"])
def test_a_row_that_cannot_be_read_is_said_and_nothing_is_guessed(
    journal: Journal, tmp_path: Path, change: str
) -> None:
    journal.open(BOOK, BEGUN, "d")
    other = sqlite3.connect(tmp_path / "ops" / "ops.db", isolation_level=None)
    other.execute(f"UPDATE happening SET {change}")
    with pytest.raises(StorageError) as error:
        journal.replay(ID)
    assert error.value.do
    other.close()


def test_old_executions_go_and_running_ones_stay(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "KEPT", 3)
    journal.open(BOOK, BEGUN, "d")
    for number in range(6):
        ended(journal, f"done-{number}")
    journal.open(BOOK, Begun(NOW, "last", "person:boss", Terms("demo")), "d")
    assert [row.id for row in journal.rows()] == ["last", "done-5", "done-4", "done-3", ID]
    assert journal.events("done-1") == []
