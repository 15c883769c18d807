"""Facts into counters, and the calendar they are counted by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.projections import apply, local_hour, measures
from gateway.store.port import Counts, Hour, Key
from mocban.events import (
    AnyFact,
    DeviceChanged,
    EventsLost,
    GateAlarmed,
    ItemRefused,
    LoanMade,
    PeopleCounted,
    ReturnMade,
    SecurityMended,
    StillArmed,
)

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
NOON = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)  # 12:00 in Hanoi
HOUR = Hour("2026-11-22", 12)
FACTS: list[tuple[AnyFact, dict[str, int]]] = [
    (LoanMade(session="s", line=0, item="a"), {"loans": 1}),
    (ReturnMade(session="s", line=1, item="a"), {"returns": 1}),
    (ItemRefused(session="s", line=2, item="a", action="borrow", reason="denied"), {"refused": 1}),
    (GateAlarmed(passage=1), {"alarms": 1}),
    (PeopleCounted(passage=2, entered=3, left=2), {"people_in": 3, "people_out": 2}),
    (DeviceChanged(part="ils", state="lost", at=NOON), {}),
    (SecurityMended(uid="E0", mended="0" * 16, security="on"), {}),
    (StillArmed(passage=3), {}),
    (EventsLost(passage=4), {}),
]


def fold(facts: Sequence[AnyFact], counts: Counts) -> Counts:
    return reduce(lambda so_far, fact: apply(so_far, fact, "kiosk-1", HOUR), facts, counts)


@pytest.mark.parametrize(("fact", "adds"), FACTS, ids=lambda value: type(value).__name__)
def test_each_kind_adds_to_its_own_measures(fact: AnyFact, adds: dict[str, int]) -> None:
    assert measures(fact) == adds
    assert {key.measure: n for key, n in apply({}, fact, "gate-1", HOUR).items()} == adds
    assert all(key[:3] == (*HOUR, "gate-1") for key in apply({}, fact, "gate-1", HOUR))


def test_counting_adds_to_what_was_there_and_leaves_it_alone() -> None:
    before = {Key(*HOUR, "kiosk-1", "loans"): 4, Key("2026-11-21", 9, "kiosk-1", "loans"): 7}
    after = apply(before, FACTS[0][0], "kiosk-1", HOUR)
    assert after[Key(*HOUR, "kiosk-1", "loans")] == 5
    assert after[Key("2026-11-21", 9, "kiosk-1", "loans")] == 7
    assert before[Key(*HOUR, "kiosk-1", "loans")] == 4


def test_nobody_walking_through_adds_no_counter() -> None:
    assert apply({}, PeopleCounted(passage=1, entered=0, left=0), "gate-1", HOUR) == {}


@given(
    st.lists(st.sampled_from([fact for fact, _ in FACTS]), max_size=30).flatmap(
        lambda facts: st.tuples(st.just(facts), st.permutations(facts))
    )
)
def test_the_order_of_facts_does_not_matter(orders: tuple[list[AnyFact], list[AnyFact]]) -> None:
    facts, shuffled = orders
    assert fold(facts, {}) == fold(shuffled, {})
    half = len(facts) // 2
    assert fold(facts, {}) == fold(facts[half:], fold(facts[:half], {}))


@pytest.mark.parametrize(
    ("ts", "hour"),
    [
        (datetime(2026, 11, 21, 16, 59, 59, tzinfo=UTC), Hour("2026-11-21", 23)),
        (datetime(2026, 11, 21, 17, 0, tzinfo=UTC), Hour("2026-11-22", 0)),
        (datetime(2026, 11, 22, 6, 30, tzinfo=UTC), Hour("2026-11-22", 13)),
    ],
)
def test_a_fact_belongs_to_the_local_day_of_its_own_time(ts: datetime, hour: Hour) -> None:
    assert local_hour(ts, NOON, HANOI) == hour


@pytest.mark.parametrize("off", [timedelta(days=1), -timedelta(days=1)])
def test_a_clock_wrong_by_up_to_a_day_is_believed(off: timedelta) -> None:
    assert local_hour(NOON + off, NOON, HANOI) == Hour((NOON + off).date().isoformat(), 12)


@pytest.mark.parametrize(
    "ts",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2038, 1, 19, tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        NOON + timedelta(days=1, seconds=1),
        NOON - timedelta(days=30, seconds=1),
    ],
)
def test_an_absurd_clock_counts_on_the_day_of_arrival(ts: datetime) -> None:
    assert local_hour(ts, NOON, HANOI) == HOUR


def test_a_branch_known_to_be_offline_for_days_may_be_believed_longer() -> None:
    friday = NOON - timedelta(days=3)
    assert local_hour(friday, NOON, HANOI, late_days=7) == Hour("2026-11-19", 12)
    assert local_hour(NOON + timedelta(days=3), NOON, HANOI, late_days=7) == HOUR


def test_a_time_without_a_zone_is_utc() -> None:
    assert local_hour(datetime(2026, 11, 22, 5, 0), NOON, HANOI) == HOUR  # noqa: DTZ001
