"""Incidents on disk: one transaction, nothing twice, nothing half; what people do; what is left to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mocban.access import Refusal
from mocban.clock import SetClock
from mocban.errors import StorageError
from mocban.events import Audited
from ops.incidents import rows
from ops.incidents.correlate import Rules
from ops.incidents.model import STATES, Signal, execution_id
from ops.incidents.store import KEPT, Store
from tests.support.incident_room import RULES, START, Room, seen, signal, signals

LAN, HOA = "person:lan", "person:hoa"


class Stand:
    """One store in a folder, and a clock at ``START``."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ops.db"
        self.clock = SetClock(START)
        self.store = self.again()

    def again(self, autorun: dict[str, str] | None = None, rules: Rules = RULES) -> Store:
        """Opened anew, as after a restart."""
        if hasattr(self, "store"):
            self.store.close()
        self.store = Store(self.path, self.clock, rules, autorun)
        return self.store

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as db:
            found = db.execute(text).fetchall()
            db.commit()
            return found

    def whats(self, no: int = 1) -> list[str]:
        return [entry.what for entry in self.store.incident(no)[1]]

    def acts(self) -> list[tuple[str, str]]:
        return [(fact.actor, fact.action) for _, fact in self.store.untold()]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    found = Stand(tmp_path)
    yield found
    found.store.close()


def test_a_signal_opens_an_incident_with_a_timeline(stand: Stand) -> None:
    taken = stand.store.take([signal("a"), signal("b", 1)])
    assert (taken.new, taken.known, taken.incidents) == (2, 0, (1,))
    one, entries = stand.store.incident(1)
    assert (one.kind, one.signals, one.opened, one.last) == (
        "gate-alarm", 2, START, START + timedelta(minutes=1),
    )  # fmt: skip
    assert [(entry.what, entry.actor) for entry in entries] == [
        ("opened", "device:gate-1"), ("signal", "device:gate-1"),
    ]  # fmt: skip
    assert stand.acts() == [("app:ops", "incident-opened")]


def test_what_was_heard_before_changes_nothing_also_after_a_restart(stand: Stand) -> None:
    stand.store.take([signal("a")])
    for _ in range(2):
        assert stand.again().take([signal("a")]).known == 1
    assert stand.store.incident(1)[0].signals == 1
    assert len(stand.acts()) == 1


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(signals(), st.data())
def test_the_disk_agrees_with_the_memory_over_restarts(
    found: list[Signal], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        stand = Stand(Path(folder))
        told = data.draw(st.lists(st.sampled_from(found), max_size=30))
        place = 0
        while place < len(told):
            size = data.draw(st.integers(1, 5))
            stand.store.take(told[place : place + size])
            place += size
            if data.draw(st.booleans()):
                stand.again()
        room = Room().all(told)
        assert seen(stand.store.incidents(limit=1000)) == seen(room.incidents)
        assert all(len(stand.whats(one.no)) <= len(told) + 2 for one in room.incidents)
        stand.store.close()


def test_a_storm_is_an_incident_with_a_short_timeline(stand: Stand) -> None:
    for n in range(600):
        stand.store.take([signal(f"s{n}", n / 60)])
    one, entries = stand.store.incident(1)
    assert (one.kind, one.signals, one.severity) == ("gate-storm", 600, "major")
    assert len(entries) <= 12
    counted = sum(int(entry.args.get("count", 1)) for entry in entries if entry.what == "signal")
    assert counted == 599
    assert [entry.what for entry in entries].count("became") == 1


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 2, 1), (2, 3, 1, 0)])
def test_a_storm_begins_with_as_many_alarms_as_are_set(stand: Stand, order: Sequence[int]) -> None:
    stand.store.take([signal("an hour before", -60), signal("an hour later", 60)])
    for n in order[:3]:
        stand.store.take([signal(f"s{n}", n / 4)])
    assert {one.kind for one in stand.store.incidents()} == {"gate-alarm"}
    stand.store.take([signal("last", order[3] / 4)])
    assert sorted(one.kind for one in stand.store.incidents()) == [
        "gate-alarm",
        "gate-alarm",
        "gate-storm",
    ]


def test_signals_about_one_thing_are_counted_when_its_timeline_is_full(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ENTRIES_MAX", 5)
    for n in range(40):
        stand.store.take([signal(f"s{n}", n)])
    assert stand.store.incident(1)[0].signals == 40
    assert len(stand.whats()) == 5
    stand.store.note(1, LAN, "still readable", "n1")
    assert stand.whats()[-1] == "noted"


@pytest.mark.parametrize("table", ["incident", "entry", "untold", "tally", "due"])
def test_a_disk_that_refuses_stores_nothing_of_it(stand: Stand, table: str) -> None:
    store = stand.again({"gate-alarm": "look"})
    stand.sql(
        f"CREATE TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    )
    with pytest.raises(StorageError) as caught:
        store.take([signal("a", device="gate-2"), signal("b")])
    assert "disk is full" in caught.value.say
    for each in ("incident", "signal", "entry", "untold", "due", "tally"):
        assert stand.sql(f"SELECT count(*) FROM {each}") == [(0,)], each
    stand.sql("DROP TRIGGER full")
    assert store.take([signal("a", device="gate-2"), signal("b")]).new == 2


def test_old_signals_are_forgotten_and_not_taken_anew(stand: Stand) -> None:
    old = replace(signal("a"), heard=START)
    stand.store.take([old])
    stand.clock.advance(KEPT.total_seconds() + 1)
    stand.store.settle()
    assert stand.sql("SELECT count(*) FROM signal") == [(0,)]
    assert stand.store.take([old]).new == 0
    assert len(stand.store.incidents()) == 1


def test_an_incident_goes_from_hand_to_hand(stand: Stand) -> None:
    store = stand.store
    store.take([signal("a")])
    assert store.ack(1, LAN).acked_by == LAN
    assert store.ack(1, HOA).acked_by == LAN
    store.note(1, HOA, "a box of new books stood there", "n1")
    store.note(1, HOA, "a box of new books stood there", "n1")
    assert store.resolve(1, HOA, "moved").state == "resolved"
    assert store.resolve(1, HOA).resolved_by == HOA
    assert stand.whats() == ["opened", "acked", "noted", "resolved"]
    assert stand.acts() == [
        ("app:ops", "incident-opened"), (LAN, "incident-acked"), (HOA, "incident-noted"), (HOA, "incident-resolved"),
    ]  # fmt: skip
    for act in (store.ack, store.resolve):
        with pytest.raises(Refusal) as caught:
            act(1, LAN)
        assert (caught.value.status, caught.value.code) == (409, "already")
    store.note(1, LAN, "afterwards", "n2")
    assert stand.whats()[-1] == "noted"


def test_facts_carry_no_words_of_people(stand: Stand) -> None:
    stand.store.take(
        [replace(signal("r", kind="reported", source="person"), args={"say": "Nguyen"})]
    )
    stand.store.note(1, LAN, "Nguyen", "n1")
    stand.store.resolve(1, LAN, "Nguyen")
    facts = stand.store.untold()
    assert len(facts) == 3
    assert not [fact for _, fact in facts if "Nguyen" in fact.model_dump_json()]


@pytest.mark.parametrize("act", ["ack", "resolve", "note", "incident"])
def test_a_wrong_number_says_what_to_do(stand: Stand, act: str) -> None:
    args = {"incident": (), "note": (LAN, "x", "n")}.get(act, (LAN,))
    with pytest.raises(Refusal) as caught:
        getattr(stand.store, act)(7, *args)
    assert (caught.value.status, caught.value.code) == (404, "incident-unknown")
    assert "list" in caught.value.do


def test_what_needed_nobody_resolves_itself(stand: Stand) -> None:
    there = {"kind": "kiosk-offline", "source": "alert"}
    store = stand.store
    store.take([signal("a", device="kiosk-1", **there), signal("b", device="kiosk-2", **there)])  # type: ignore[arg-type]
    store.take([signal(f"{n}e", 1, device=f"kiosk-{n}", over=True, **there) for n in (1, 2)])  # type: ignore[arg-type]
    store.take([signal("c", kind="reader-lost", device="kiosk-1")])
    store.take([signal("ce", 1, "reader-lost", "kiosk-1", over=True)])
    store.ack(2, LAN)
    assert store.settle() == 0
    stand.clock.advance(301)
    assert store.settle() == 1
    assert store.settle() == 0
    assert [(one.no, one.state, one.over) for one in store.incidents()] == [
        (3, "open", True), (2, "acked", True), (1, "resolved", True),
    ]  # fmt: skip
    assert stand.whats(1)[-1] == "resolved"


def test_others_write_into_a_timeline_once(stand: Stand) -> None:
    stand.store.take([signal("a")])
    for _ in range(2):
        stand.store.add(1, "app:ops", "step-began", "e/s/1", step="look")
    stand.store.add(1, "app:ops", "step-began", step="look")
    stand.store.add(99, "app:ops", "step-began", "e/s/1", step="look")
    assert stand.whats() == ["opened", "step-began", "step-began"]
    stand.store.attach(1, "e1")
    assert stand.store.incident(1)[0].execution == "e1"


def test_a_playbook_is_due_once_for_each_thing_it_has_been(stand: Stand) -> None:
    store = stand.again({"gate-alarm": "look", "gate-storm": "silence"})
    store.take([signal(str(n), n / 60) for n in range(9)])
    one = store.incident(1)[0]
    due = [due for due, _ in stand.again({}).due()]
    assert [(each.playbook, each.execution) for each in due] == [
        ("look", execution_id(one.id, "gate-alarm")), ("silence", execution_id(one.id, "gate-storm")),
    ]  # fmt: skip
    stand.store.refused(due[0], Refusal(404, "no-playbook", "there is no such playbook"))
    stand.store.begun(due[1])
    assert stand.store.due() == []
    one, entries = stand.store.incident(1)
    assert one.execution == due[1].execution
    assert [(entry.what, entry.args.get("code")) for entry in entries][-2:] == [
        ("playbook-refused", "no-playbook"), ("playbook-begun", None),
    ]  # fmt: skip


def test_an_errand_is_announced_after_its_commit(stand: Stand) -> None:
    heard: list[int] = []
    stand.store.on_errand = lambda: heard.append(len(stand.sql("SELECT no FROM untold")))
    stand.store.take([signal("a")])
    stand.store.take([signal("b")])
    assert heard == [1]
    facts: Sequence[tuple[int, Audited]] = stand.store.untold()
    stand.store.told([no for no, _ in facts])
    assert stand.store.untold() == []


def test_truncation_stands_in_the_timeline(stand: Stand) -> None:
    stand.store.take([signal("a", kind="alert", source="alert")], truncated=7)
    entries = stand.store.incident(1)[1]
    assert [(entry.what, entry.args.get("count")) for entry in entries][-1] == ("truncated", "7")
    stand.store.take([], truncated=7)


def test_lists_are_newest_first_and_bounded(stand: Stand) -> None:
    stand.store.take([signal(f"g{n}", device=f"gate-{n}") for n in range(1, 6)])
    stand.store.ack(2, LAN)
    stand.store.resolve(3, LAN)
    numbers = {state: [one.no for one in stand.store.incidents(state)] for state in (None, *STATES)}
    assert numbers == {None: [5, 4, 3, 2, 1], "open": [5, 4, 2, 1], "acked": [2], "resolved": [3]}
    assert [one.no for one in stand.store.incidents(limit=2)] == [5, 4]
    signals_of, by_state = stand.store.tally()
    assert signals_of == {"fact": 5}
    assert by_state == {
        ("open", "gate-alarm"): 3,
        ("acked", "gate-alarm"): 1,
        ("resolved", "gate-alarm"): 1,
    }
