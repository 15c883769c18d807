"""The gate's judgement, and a ledger that neither loses nor doubles through a crash."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.devices.base import Passage, People
from kiosk.gate.ledger import Ledger
from kiosk.gate.watch import Verdict, judge
from kiosk.settings import Security
from mocban.clock import SetClock
from mocban.errors import StorageError
from mocban.events import Fact
from mocban.outbox import Outbox

UID = "E004010012345678"


def passage(afi: int | None, uid: str = UID) -> Passage:
    return Passage(uid, afi, b"")


@pytest.mark.parametrize(
    ("afi", "verdict"),
    [(0x07, Verdict.CRY), (0xC2, Verdict.SILENT), (0x00, Verdict.STRANGE), (None, Verdict.STRANGE)],
)
def test_only_the_mark_of_a_book_in_stock_cries(afi: int | None, verdict: Verdict) -> None:
    assert judge(passage(afi), Security(), {}, 100.0, 10.0) is verdict


def test_a_site_with_other_marks_is_judged_by_them() -> None:
    site = Security(in_stock=0xDA, on_loan=0x9E)
    assert judge(passage(0xDA), site, {}, 0.0, 10.0) is Verdict.CRY
    assert judge(passage(0x9E), site, {}, 0.0, 10.0) is Verdict.SILENT
    assert judge(passage(0x07), site, {}, 0.0, 10.0) is Verdict.STRANGE


def test_an_excuse_counts_for_an_armed_tag_and_for_nothing_else() -> None:
    for afi, verdict in [
        (0x07, Verdict.EXCUSED),
        (0xC2, Verdict.SILENT),
        (0x00, Verdict.STRANGE),
        (None, Verdict.STRANGE),
    ]:
        assert judge(passage(afi), Security(), {}, 0.0, 10.0, excused=True) is verdict


def test_one_tag_cries_once_in_the_hold_time_and_another_is_not_held_by_it() -> None:
    cries = {UID: 100.0}
    assert judge(passage(0x07), Security(), cries, 109.9, 10.0) is Verdict.HELD
    assert judge(passage(0x07), Security(), cries, 110.0, 10.0) is Verdict.CRY
    assert judge(passage(0x07, "E0"), Security(), cries, 100.1, 10.0) is Verdict.CRY


class Dies(Exception):
    """The process is killed here."""


class Facts:
    """An outbox that the process may die before or after, or that is full."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.fault = ""

    def put(self, fact: Fact) -> bool:
        if self.fault == "full":
            raise StorageError("the disk is full")
        if self.fault == "before":
            raise Dies
        new = self.outbox.put(fact)
        if self.fault == "after":
            raise Dies
        return new


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Outbox(tmp_path / "gate.db", "gate-1", SetClock())
    yield opened
    opened.close()


def told(outbox: Outbox) -> list[tuple[int, int, int]]:
    rows = [json.loads(row.payload)["data"] for row in outbox.rows(0, 100)]
    return [(row["passage"], row["entered"], row["left"]) for row in rows if "entered" in row]


def test_the_first_reading_is_where_counting_begins(tmp_path: Path, outbox: Outbox) -> None:
    ledger = Ledger(tmp_path / "gate.db", outbox)
    ledger.counted(People(4711, 4000))
    ledger.settle()
    assert told(outbox) == []
    for people in (People(4712, 4000), People(4712, 4000), People(4714, 4001)):
        ledger.counted(people)
        ledger.settle()
    assert told(outbox) == [(1, 1, 0), (2, 2, 1)]
    ledger.close()


def test_who_passes_while_the_disk_refuses_the_first_reading_is_counted(
    tmp_path: Path, outbox: Outbox
) -> None:
    ledger = Ledger(tmp_path / "gate.db", outbox)
    with contextlib.closing(sqlite3.connect(tmp_path / "gate.db", isolation_level=None)) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON gate_self BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
        with pytest.raises(StorageError):
            ledger.counted(People(100, 90))
        other.execute("DROP TRIGGER full")
    ledger.counted(People(102, 91))
    ledger.settle()
    assert told(outbox) == [(1, 2, 1)]
    ledger.close()


def test_a_disk_that_refuses_the_ledgers_first_row_is_said_in_a_sentence(
    tmp_path: Path, outbox: Outbox
) -> None:
    Ledger(tmp_path / "gate.db", outbox).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "gate.db", isolation_level=None)) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON gate_self BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
    with pytest.raises(StorageError):
        Ledger(tmp_path / "gate.db", outbox)


def test_a_counter_that_was_reset_counts_from_nothing(tmp_path: Path, outbox: Outbox) -> None:
    ledger = Ledger(tmp_path / "gate.db", outbox)
    for people in (People(100, 90), People(3, 92), People(3 + 500_000, 93)):
        ledger.counted(people)
    ledger.settle()
    assert told(outbox) == [(1, 3, 2), (2, 0, 1)]
    ledger.close()


@pytest.mark.parametrize("fault", ["before", "after", "full"])
def test_a_crash_while_telling_neither_loses_nor_doubles(
    tmp_path: Path, outbox: Outbox, fault: str
) -> None:
    facts = Facts(outbox)
    ledger = Ledger(tmp_path / "gate.db", facts)
    ledger.counted(People(0, 0))
    facts.fault = fault
    ledger.counted(People(2, 1))
    ledger.alarmed("BG00012345", UID, "out")
    with pytest.raises((Dies, StorageError)):
        ledger.settle()
    ledger.close()
    facts.fault = ""
    again = Ledger(tmp_path / "gate.db", facts)
    again.counted(People(2, 1))
    again.counted(People(3, 1))
    again.settle()
    kinds = [(row.kind, json.loads(row.payload)["data"]["passage"]) for row in outbox.rows(0, 9)]
    assert kinds == [("people-counted", 1), ("gate-alarmed", 2), ("people-counted", 3)]
    assert told(outbox) == [(1, 2, 1), (3, 1, 0)]
    again.close()


def test_a_crash_between_two_readings_counts_everybody_once(tmp_path: Path, outbox: Outbox) -> None:
    counters = [People(n, n // 2) for n in range(12)]
    for people in counters:  # every reading by a process of its own
        ledger = Ledger(tmp_path / "gate.db", outbox)
        ledger.counted(people)
        ledger.settle()
        ledger.close()
    assert sum(entered for _, entered, _ in told(outbox)) == 11
    assert sum(left for _, _, left in told(outbox)) == 5
    assert [passage for passage, _, _ in told(outbox)] == list(range(1, 12))
