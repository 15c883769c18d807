"""Which signals are one incident: the rules one by one, and that order, repetition and restarts change nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.incidents.correlate import (
    Became,
    Change,
    Ended,
    Joined,
    Opened,
    Rules,
    fades,
)
from ops.incidents.model import Incident, Kind, Signal, execution_id, incident_id
from tests.support.incident_room import RULES, Room, seen, signal, signals
from tests.support.incident_room import START as T

CONDITIONS: tuple[Kind, ...] = (
    "reader-lost",
    "kiosk-offline",
    "outbox-old",
    "device-lost",
    "alert",
)


def names(changes: list[Change]) -> list[str]:
    return [type(change).__name__ for change in changes]


def test_alarms_of_one_gate_within_five_minutes_are_one_incident() -> None:
    room = Room().all([signal("a", 0), signal("b", 4), signal("c", 8)])
    assert [(one.kind, one.signals) for one in room.incidents] == [("gate-alarm", 3)]
    room.take(signal("d", 13.1))
    assert [one.signals for one in room.incidents] == [3, 1]


def test_another_gate_is_another_incident() -> None:
    room = Room().all([signal("a", 0), signal("b", 0, device="gate-2")])
    assert [one.device for one in room.incidents] == ["gate-1", "gate-2"]


def test_many_alarms_in_a_minute_are_a_fault_of_the_gate() -> None:
    room = Room().all([signal(str(n), n / 10) for n in range(3)])
    assert room.incidents[0].kind == "gate-alarm"
    assert names(room.take(signal("last", 0.9))) == ["Joined", "Became"]
    assert [(one.kind, one.severity) for one in room.incidents] == [("gate-storm", "major")]
    assert names(room.take(signal("one more", 2))) == ["Joined"]


def test_as_many_alarms_in_more_than_a_minute_are_none() -> None:
    room = Room().all([signal(str(n), n / 3) for n in range(4)])
    assert [one.kind for one in room.incidents] == ["gate-alarm"]


def test_a_minute_ends_before_the_next_one_begins() -> None:
    room = Room().all([signal(str(n), n / 60) for n in (0, 45, 60, 30)])
    assert [one.kind for one in room.incidents] == ["gate-alarm"]
    room.take(signal("59", 59 / 60))
    assert [one.kind for one in room.incidents] == ["gate-storm"]


def test_an_alarm_told_late_is_no_part_of_what_came_long_after_it() -> None:
    room = Room().all([signal("a", 0), signal("late", -5.1), signal("just", -5)])
    assert [(one.opened, one.signals) for one in room.incidents] == [
        (T - timedelta(minutes=5), 2), (T - timedelta(minutes=5.1), 1),
    ]  # fmt: skip


def test_a_storm_is_seen_though_somebody_resolved_what_came_before() -> None:
    room = Room().all([signal(str(n), n / 10) for n in range(3)])
    room.incidents[0] = replace(room.incidents[0], state="resolved")
    assert names(room.take(signal("d", 0.4))) == ["Opened"]
    assert room.incidents[1].kind == "gate-storm"


def test_an_alert_of_a_storm_joins_the_alarms() -> None:
    room = Room().all([signal("a", 0), signal("s", 2, "gate-storm", source="alert")])
    assert [(one.kind, one.sources) for one in room.incidents] == [
        ("gate-storm", frozenset({"fact", "alert"}))
    ]
    room.take(signal("b", 3))
    assert len(room.incidents) == 1


@pytest.mark.parametrize("kind", CONDITIONS)
def test_a_condition_lasts_until_its_end_is_told(kind: Kind) -> None:
    room = Room().all([signal("a", 0, kind), signal("b", 600, kind)])
    assert [(one.signals, one.over) for one in room.incidents] == [(2, False)]
    assert names(room.take(signal("c", 601, kind, over=True))) == ["Ended"]
    assert room.incidents[0].over
    room.take(signal("back", 604, kind))
    assert [(one.signals, one.over) for one in room.incidents] == [(3, False)]
    room.take(signal("end", 605, kind, over=True))
    room.take(signal("another day", 1500, kind))
    assert [one.over for one in room.incidents] == [True, False]


def test_an_alert_and_a_fact_about_one_reader_are_one_incident() -> None:
    lost = signal("a", 0, "reader-lost", "kiosk-1")
    room = Room().all([lost, replace(lost, id="b", source="alert", at=T + timedelta(minutes=40))])
    assert [one.sources for one in room.incidents] == [frozenset({"fact", "alert"})]


def test_another_part_or_another_alert_is_another_incident() -> None:
    room = Room().all([signal("a", 0, "alert", key="x"), signal("b", 0, "alert", key="y")])
    assert len(room.incidents) == 2


def test_the_end_of_what_nobody_told_of_changes_nothing() -> None:
    room = Room()
    assert room.take(signal("a", 0, "reader-lost", over=True)) == []
    room.take(signal("b", -1, "reader-lost"))
    assert [one.over for one in room.incidents] == [True], "it came late, and was over before"
    room = Room().all([signal("a", 0, "reader-lost", over=True), signal("b", 1, "reader-lost")])
    assert [one.over for one in room.incidents] == [False]


def test_what_a_person_resolved_opens_anew_if_it_comes_back() -> None:
    room = Room().all([signal("a", 0, "reader-lost")])
    room.incidents[0] = replace(room.incidents[0], state="resolved")
    room.take(signal("b", 1, "reader-lost"))
    assert [one.state for one in room.incidents] == ["resolved", "open"]


def test_every_report_of_a_person_stands_for_itself() -> None:
    room = Room().all([signal(name, 0, "reported", source="person", key=name) for name in "ab"])
    assert len(room.incidents) == 2


def test_a_clone_is_said_once_while_it_stands_open() -> None:
    room = Room().all([signal("a", 0, "clone"), signal("b", 9000, "clone")])
    assert [(one.severity, one.signals) for one in room.incidents] == [("critical", 2)]


def test_the_worst_word_counts() -> None:
    room = Room().all([replace(signal("a", 0, "alert"), severity="major")])
    assert room.incidents[0].severity == "major"
    room.take(replace(signal("b", 1, "alert"), severity="critical"))
    room.take(replace(signal("c", 2, "alert"), severity="minor"))
    assert [one.severity for one in room.incidents] == ["critical"]


OVER = Incident(
    "i", "alert", "info", "", "", "k", T, T, T, no=1, ended=T, sources=frozenset({"alert"})
)


@pytest.mark.parametrize(
    ("incident", "expected"),
    [
        (OVER, True),
        (replace(OVER, state="acked"), False),
        (replace(OVER, state="resolved"), False),
        (replace(OVER, last=T + timedelta(seconds=1)), False),
        (replace(OVER, ended=None), False),
        (replace(OVER, sources=frozenset({"alert", "fact"})), False),
        (replace(OVER, sources=frozenset({"person"})), False),
        (replace(OVER, execution="e"), False),
    ],
)
def test_only_what_needed_nobody_resolves_itself(incident: Incident, expected: bool) -> None:
    assert fades(incident, T + RULES.same, RULES) is expected
    assert not fades(incident, T + RULES.same - timedelta(seconds=1), RULES)


def test_ids_are_derived() -> None:
    one, other = signal("a", 0), signal("b", 0)
    assert incident_id(one) == incident_id(replace(one, at=T + timedelta(days=1)))
    assert incident_id(one) != incident_id(other)
    assert execution_id(incident_id(one), "gate-alarm") != execution_id(
        incident_id(one), "gate-storm"
    )


@given(signals(), st.data())
def test_the_order_of_arrival_makes_no_difference(found: list[Signal], data: st.DataObject) -> None:
    other = data.draw(st.permutations(found))
    assert seen(Room().all(found).incidents) == seen(Room().all(other).incidents)


@given(signals(), st.data())
def test_telling_again_makes_no_difference(found: list[Signal], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(found), max_size=20))
    room = Room().all(found)
    before = seen(room.incidents)
    assert seen(room.all(again).incidents) == before
    assert sum(one.signals for one in room.incidents) <= len(found)


@given(signals())
def test_every_change_builds_on_the_one_before(found: list[Signal]) -> None:
    room = Room()
    for one in found:
        changes = room.take(one)
        assert len(changes) <= 2
        for change in changes:
            incident = change.incident
            assert incident.opened <= incident.last
            match change:
                case Opened():
                    assert not incident.no
                case Joined():
                    assert incident.signals > 1
                case Became():
                    assert (change.was, incident.kind) == ("gate-alarm", "gate-storm")
                case Ended():
                    assert incident.ended is not None


@given(st.lists(st.integers(0, 400), min_size=1, max_size=40), st.data())
def test_a_storm_is_seen_whatever_the_order(seconds: list[int], data: st.DataObject) -> None:
    times = sorted(seconds)
    stormy = any(
        last - first < 60
        for first, last in zip(times, times[RULES.storm - 1 :], strict=False)
    )  # fmt: skip
    found = [signal(str(n), second / 60) for n, second in enumerate(seconds)]
    room = Room(Rules(timedelta(hours=1), RULES.storm)).all(data.draw(st.permutations(found)))
    assert [one.kind for one in room.incidents] == ["gate-storm" if stormy else "gate-alarm"]
