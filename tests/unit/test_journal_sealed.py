"""What names a reader is sealed in the journal; a visit whose key is lost is given up, and nothing else is."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest

from kiosk import sealing
from kiosk.journal import RECORD, Journal
from kiosk.session.effects import Tell
from kiosk.session.events import (
    CardSeen,
    Event,
    Expired,
    IlsDenied,
    IlsUnsure,
    Rested,
    TagGone,
    TagSeen,
    Told,
    Woke,
)
from kiosk.session.state import Mode, Visit
from kiosk.session.step import step
from mocban.errors import StorageError
from tests.support.journaled import AT, CARD, ITEM, OTHER, a_borrow, fold, keys, on_disk, write


def test_a_card_stands_nowhere_in_clear_from_the_first_moment(journal: Journal, path: Path) -> None:
    write(journal, a_borrow())
    write(journal, [IlsDenied(AT, "v1", 2, say=f"{CARD} may not")])
    assert CARD.encode() not in on_disk(path)
    journal.compact(Rested(AT, fold(a_borrow())))
    assert CARD.encode() not in on_disk(path)
    assert journal.replay() == fold(a_borrow())


def test_a_visit_whose_key_file_is_gone_is_given_up_and_the_kiosk_goes_on(path: Path) -> None:
    first = Journal(path)
    write(first, [*a_borrow()[:5], Expired(AT), *a_borrow("v2")[1:4]])
    first.close()
    (path.parent / "keys" / "seal.key").unlink()
    journal = Journal(path)
    visit = journal.replay()
    assert journal.lost == {"v1": (ITEM.id,), "v2": ()}, (
        "the book that v1 left there is no line of v2"
    )
    assert (visit.mode, visit.patron, visit.old) == (Mode.IDLE, None, ())
    assert all(one.spent for one in visit.pad), "the next reader does not inherit the book"
    journal.compact(Rested(AT, visit))
    write(journal, a_borrow("v3")[1:3])
    assert journal.replay().patron is not None
    assert not journal.lost
    assert keys(path) == {"v3"}
    journal.close()


def test_of_a_visit_given_up_the_facts_that_are_true_already_are_still_told(path: Path) -> None:
    first = Journal(path)
    write(first, a_borrow()[:6])
    first.close()
    (path.parent / "keys" / "seal.key").unlink()
    journal = Journal(path)
    visit = journal.replay()
    assert journal.lost == {"v1": ()}
    (effect,) = step(visit, Woke(AT))[1]
    assert isinstance(effect, Tell)
    assert (effect.visit, effect.line, effect.item) == ("v1", 1, ITEM)
    journal.close()


def test_with_its_key_lost_at_any_moment_it_starts_and_asks_nothing_for_a_card_it_cannot_read(
    tmp_path: Path,
) -> None:
    told: list[Event] = [
        IlsDenied(AT, "v2", 1, "on-loan", "no"), Told(AT, "v2", 1), IlsUnsure(AT, "v2", 2),
    ]  # fmt: skip
    events = [
        *a_borrow(),
        TagSeen(AT, OTHER),
        Expired(AT),
        TagGone(AT, ITEM.uid),
        *a_borrow("v2")[1:4],
        *told,
    ]
    for length in range(1, len(events) + 1):
        path = tmp_path / str(length) / "kiosk.db"
        first = Journal(path)
        write(first, events[:length])
        first.close()
        (path.parent / "keys" / "seal.key").unlink()
        journal = Journal(path)
        visit = journal.replay()
        assert not sealing.holders(visit)
        assert {one.id for one in (visit, *visit.old)} <= {"", *journal.lost}
        assert all(isinstance(effect, Tell) for effect in step(visit, Woke(AT))[1])
        journal.compact(Rested(AT, visit))
        assert journal.replay() == visit
        assert not journal.lost
        journal.close()


def test_a_visit_that_was_over_before_its_key_was_lost_is_no_loss(path: Path) -> None:
    first = Journal(path)
    write(first, [*a_borrow(), Expired(AT)])
    first.close()
    (path.parent / "keys" / "seal.key").unlink()
    journal = Journal(path)
    assert journal.replay() == fold([*a_borrow(), Expired(AT)])
    assert not journal.lost
    journal.close()


def test_what_the_release_before_wrote_in_clear_is_read_and_sealed_at_rest(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    db = sqlite3.connect(path, isolation_level=None)
    first = files("kiosk") / "migrations" / "001_journal.sql"
    db.executescript(first.read_text(encoding="utf-8"))
    db.execute("CREATE TABLE migration (component TEXT, version INTEGER, checksum TEXT,"
               " PRIMARY KEY (component, version)) STRICT")  # fmt: skip
    checksum = sha256(first.read_bytes()).hexdigest()[:16]
    db.execute("INSERT INTO migration VALUES ('journal', 1, ?)", (checksum,))
    db.executemany(
        "INSERT INTO journal (kind, body) VALUES (?, ?)", map(RECORD.write, a_borrow()[:5])
    )
    db.close()
    journal = Journal(path)
    visit = journal.replay()
    assert visit == fold(a_borrow()[:5])
    journal.compact(Rested(AT, visit))
    assert journal.replay() == visit
    assert CARD.encode() not in on_disk(path)
    journal.close()


def test_a_disk_that_fills_up_between_key_and_event_keeps_neither(
    journal: Journal, path: Path
) -> None:
    journal._db.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    with pytest.raises(StorageError, match="full"):
        journal.append(CardSeen(AT, CARD, "v1"))
    assert (keys(path), journal.replay()) == (set(), Visit())
    journal._db.execute("DROP TRIGGER full")
    write(journal, a_borrow())
    assert journal.replay() == fold(a_borrow()), "the key of the failed try is not used again"


def test_a_really_full_disk_takes_a_card_with_its_key_or_not_at_all(
    journal: Journal, path: Path
) -> None:
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count={pages + 3}").fetchall()
    with pytest.raises(StorageError, match="full"):
        for number in range(10_000):
            journal.append(CardSeen(AT, CARD, f"v{number}"))
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT body FROM journal WHERE kind = 'CardSeen'").fetchall()
    assert keys(path) == {json.loads(body)["visit"] for (body,) in rows}
    assert len(rows) > 10
    assert journal.replay().patron is not None
    assert not journal.lost


def test_a_disk_that_fills_up_while_it_compacts_keeps_journal_and_keys(
    journal: Journal, path: Path
) -> None:
    write(journal, a_borrow())
    journal._db.execute(
        "CREATE TEMP TRIGGER full BEFORE DELETE ON seal BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    with pytest.raises(StorageError, match="full"):
        journal.compact(Rested(AT, Visit()))
    assert journal.replay() == fold(a_borrow())
