"""The journal keeps everything until it rests, and then nothing that names a reader."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from kiosk.journal import RECORD, Journal
from kiosk.session.events import (
    Barred,
    CardSeen,
    Event,
    Expired,
    GivenBack,
    IlsBack,
    IlsDenied,
    IlsGranted,
    IlsUnsure,
    PatronKnown,
    PatronRefused,
    Rested,
    TagClosed,
    TagFailed,
    TagGone,
    TagOdd,
    TagOpened,
    TagSeen,
    Tapped,
    Told,
    Woke,
    type_names,
)
from kiosk.session.state import Mode, Rules, Visit
from kiosk.session.step import step
from mocban.clock import SetClock
from mocban.errors import StorageError
from mocban.events import LoanMade
from mocban.outbox import Outbox
from tests.support.journaled import AT, CARD, ITEM, a_borrow, fold, keys, on_disk, write


def test_a_restart_folds_to_the_state_that_was(journal: Journal, path: Path) -> None:
    write(journal, a_borrow())
    again = Journal(path)
    assert again.replay() == fold(a_borrow())
    assert again.replay().patron is not None
    again.close()


def test_every_kind_of_event_comes_back_as_it_was(journal: Journal) -> None:
    held = fold(a_borrow())
    events: list[Event] = [
        Woke(AT, Rules(3, 90)), Rested(AT, replace(held, old=(held,))), Tapped(AT, "lang", "en", "v2"),
        CardSeen(AT, CARD, "v2"), TagSeen(AT, ITEM), TagOdd(AT, "E0", "blank"), TagGone(AT, "E0"),
        PatronKnown(AT, "v2", None), PatronRefused(AT, "v2", "card-blocked"),
        IlsGranted(AT, "v2", 1, "x", AT, "2", False), IlsDenied(AT, "v2", 1, "on-hold", "không", "y"),
        IlsUnsure(AT, "v2", 1), GivenBack(AT, "v2", 1), TagOpened(AT, "v2", 1), TagClosed(AT, "v2", 1),
        TagFailed(AT, "v2", 1, True), Told(AT, "v2", 1), IlsBack(AT), Expired(AT), Barred(AT, "closed"),
    ]  # fmt: skip
    assert {type(event) for event in events} == set(type_names)
    write(journal, events)
    rows = journal._db.execute("SELECT kind, body FROM journal ORDER BY no").fetchall()
    broken: set[str] = set()
    read = [RECORD.read(kind, body, "a row", "") for kind, body in rows[1:]]
    assert [journal._opened(event, broken) for event in read] == events[1:]
    assert not broken


def test_a_row_of_an_older_release_without_newer_fields_is_read(
    journal: Journal, path: Path
) -> None:
    rows = [
        ("Woke", '{"at":"2026-11-22T08:00:00Z"}'),
        ("CardSeen", '{"at":"2026-11-22T08:00:01Z","card":"X1","visit":"v"}'),
    ]
    journal._db.executemany("INSERT INTO journal (kind, body) VALUES (?, ?)", rows)
    assert journal.replay().mode is Mode.CHECKING


def test_no_card_is_left_on_the_disk_after_the_kiosk_rests(journal: Journal, path: Path) -> None:
    outbox = Outbox(path, "kiosk-1", SetClock())
    events = a_borrow()
    write(journal, events)
    outbox.put(LoanMade(session="v1", line=1, item=ITEM.id))
    assert keys(path) == {"v1"}
    (wrapped,) = journal._db.execute("SELECT wrapped FROM seal").fetchone()
    assert wrapped in on_disk(path)
    for _ in range(40):  # many pages, so that some are freed
        write(journal, events[1:])
    visit, _ = step(fold(events), Expired(AT))
    assert visit.mode is Mode.IDLE
    journal.compact(Rested(AT, visit))
    assert CARD.encode() not in on_disk(path)
    assert wrapped not in on_disk(path)
    assert not keys(path)
    assert journal.rows == 1
    assert journal.replay() == visit
    outbox.close()


def test_a_line_still_under_way_survives_compaction(journal: Journal, path: Path) -> None:
    visit, _ = step(fold(a_borrow()[:4]), Expired(AT))
    assert [line.no for line in visit.old[0].lines] == [1]
    journal.append(CardSeen(AT, "another", "v2"))
    journal.compact(Rested(AT, visit))
    assert journal.replay() == visit
    assert keys(path) == {"v1"}, "the key of the visit that is still needed, and no other"


def test_a_reader_of_the_file_delays_the_cut_but_not_the_kiosk(
    journal: Journal, path: Path
) -> None:
    write(journal, a_borrow())
    (wrapped,) = journal._db.execute("SELECT wrapped FROM seal").fetchone()
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM journal").fetchone()
    journal._db.execute("PRAGMA busy_timeout=10").fetchall()
    journal.compact(Rested(AT, Visit()))
    assert not journal.cut()
    reader.execute("COMMIT")
    reader.close()
    assert journal.cut()
    assert wrapped not in on_disk(path)


def test_a_row_of_a_newer_release_stops_the_start_with_a_sentence(
    journal: Journal, path: Path
) -> None:
    journal._db.execute("INSERT INTO journal (kind, body) VALUES ('Teleported', '{}')")
    with pytest.raises(StorageError, match="Teleported") as caught:
        journal.replay()
    assert str(path) in caught.value.say
    assert "release" in caught.value.do


@pytest.mark.parametrize("body", ["", "{", '{"at": 1, "card": "TV2400001"}', "[]", "null"])
def test_a_damaged_row_stops_the_start_without_quoting_it(
    journal: Journal, path: Path, body: str
) -> None:
    journal._db.execute("INSERT INTO journal (kind, body) VALUES ('CardSeen', ?)", (body,))
    with pytest.raises(StorageError) as caught:
        journal.replay()
    assert str(path) in caught.value.say
    assert caught.value.do
    assert CARD not in repr(caught.value) + str(caught.value.__cause__)


def test_a_file_that_is_no_database_is_said_so(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 300)
    with pytest.raises(StorageError, match=r"kiosk\.db"):
        Journal(path)


def test_a_full_disk_is_said_so_and_keeps_what_was_stored(journal: Journal) -> None:
    write(journal, a_borrow())
    journal._db.execute("PRAGMA max_page_count=1").fetchall()
    with pytest.raises(StorageError, match="full"):
        for _ in range(10_000):
            journal.append(TagSeen(AT, ITEM))
    assert journal.replay().patron is not None
