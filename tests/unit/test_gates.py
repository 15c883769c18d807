"""A gate's ledger neither loses nor doubles through a crash, and counts people, not the faults of counters."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.devices.base import People
from kiosk.gate.ledger import MOST, Ledger, Note, since
from mocban.clock import SetClock
from mocban.errors import StorageError
from mocban.events import EventsLost, Fact, GateAlarmed, StillArmed
from mocban.outbox import Outbox

UID = "E004010012345678"


ALARM = Note(GateAlarmed, {"item": "BG00012345", "uid": UID, "direction": "out"})


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
    ledger.note(ALARM)
    ledger.note(Note(EventsLost))
    ledger.note(Note(StillArmed, {"item": "BG00012345", "uid": UID, "feed": "recent-loans"}))
    with pytest.raises((Dies, StorageError)):
        ledger.settle()
    ledger.close()
    facts.fault = ""
    again = Ledger(tmp_path / "gate.db", facts)
    again.counted(People(2, 1))
    again.counted(People(3, 1))
    again.settle()
    kinds = [(row.kind, json.loads(row.payload)["data"]["passage"]) for row in outbox.rows(0, 9)]
    assert kinds == [
        ("people-counted", 1), ("gate-alarmed", 2), ("events-lost", 3), ("still-armed", 4), ("people-counted", 5),
    ]  # fmt: skip
    assert told(outbox) == [(1, 2, 1), (5, 1, 0)]
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


@pytest.mark.parametrize(
    ("before", "now", "bits", "people"),
    [
        (10, 12, 16, 2),
        (65_530, 4, 16, 10),  # ran over
        (65_535, 0, 16, 1),
        (4_294_967_290, 4, 32, 10),
        (60_000, 3, 16, 3),  # reset: so many do not pass between two readings
        (100, 90, 16, 90),
        (100, 3, 32, 3),
        (100, 0, 32, 0),
        (0, 65_000, 16, 0),  # a fault of the counter
        (0, MOST, 32, MOST),
        (0, MOST + 1, 32, 0),
        (2**31, MOST + 1, 32, 0),
    ],
)
def test_a_counter_that_went_back_ran_over_or_was_reset(
    before: int, now: int, bits: int, people: int
) -> None:
    assert since(before, now, bits) == people


@given(st.data(), st.sampled_from([16, 32]))
def test_no_two_readings_make_a_crowd_or_take_people_away(data: st.DataObject, bits: int) -> None:
    reading = st.integers(0, 2**bits - 1)
    before, now = data.draw(reading), data.draw(reading)
    assert 0 <= since(before, now, bits) <= MOST


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(0, 2**16 - 1))
def test_a_counter_of_16_bits_that_runs_over_loses_nobody(steps: list[int], start: int) -> None:
    counter, people = start, 0
    for step in steps:
        people += since(counter, (counter + step) % 2**16, 16)
        counter = (counter + step) % 2**16
    assert people == sum(steps)


def test_a_counter_that_runs_over_while_we_are_down_is_counted_on(
    tmp_path: Path, outbox: Outbox
) -> None:
    for people in (People(65_530, 65_535, 16), People(4, 2, 16)):
        ledger = Ledger(tmp_path / "gate.db", outbox)
        ledger.counted(people)
        ledger.settle()
        ledger.close()
    assert told(outbox) == [(1, 10, 3)]


def test_facts_that_are_told_twice_of_one_passage_are_one(tmp_path: Path, outbox: Outbox) -> None:
    """The same note is another passage: numbers, not contents, tell passages apart."""
    ledger = Ledger(tmp_path / "gate.db", outbox)
    for _ in range(2):
        ledger.note(ALARM)
    ledger.settle()
    ledger.settle()
    ledger.close()
    numbers = [json.loads(row.payload)["data"]["passage"] for row in outbox.rows(0, 9)]
    assert numbers == [1, 2]
