"""What every store promises: each fact once, a contiguous watermark, counters equal to the distinct facts."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.letters import Message
from gateway.projections import apply
from gateway.store.port import Hour
from gateway.store.readings import SqliteReadings
from gateway.store.sqlite import SqliteStore
from mocban.errors import StorageError
from mocban.events import ReturnMade
from tests.support.gateway_stand import EPOCH, envelope, loan, some_facts
from tests.support.store_stand import (
    DESK,
    OTHER,
    RX,
    STORES,
    Open,
    Stand,
    mark,
    read,
    reasons,
    sqlite,
    state,
    told,
)


@pytest.fixture(params=STORES, ids=str)
def opener(request: pytest.FixtureRequest) -> Open:
    return STORES[request.param]


@pytest.fixture
def stand(opener: Open, tmp_path: Path) -> Iterator[Stand]:
    opened = Stand(opener, tmp_path)
    yield opened
    opened.close()


def test_facts_are_read_back_in_order_of_commit_by_cursor(stand: Stand) -> None:
    outcome = stand.append(*(told(fact, i + 1) for i, fact in enumerate(some_facts(7))))
    assert (outcome.new, outcome.duplicate, dict(outcome.dead)) == (7, 0, {})
    assert outcome.watermarks == mark(7)
    first = stand.read.facts(0, 4)
    rest = stand.read.facts(first[-1].cursor, 100)
    assert [f.seq for f in first + rest] == [1, 2, 3, 4, 5, 6, 7]
    assert [f.seq for f in stand.read.newest(2)] == [7, 6]
    assert json.loads(first[0].payload)["data"]["item"] == "BG00012345"


def test_counters_follow_in_the_same_transaction(stand: Stand) -> None:
    stand.append(*(told(fact, i + 1) for i, fact in enumerate(some_facts(10))))
    expected = {
        "loans": 2, "returns": 2, "refused": 2, "alarms": 2, "people_in": 4, "people_out": 2,
    }  # fmt: skip
    assert stand.read.totals() == expected
    assert stand.read.days("2026-11-22", "2026-11-22") == {"2026-11-22": expected}
    assert stand.read.hours(Hour("2026-11-22", 12), Hour("2026-11-22", 12)) == {
        Hour("2026-11-22", 12): expected
    }
    assert stand.read.hours(Hour("2026-11-22", 13), Hour("2026-11-23", 11)) == {}
    assert stand.read.tally() == {"new": 10}


def test_a_fact_told_twice_is_stored_once_and_acknowledged_again(stand: Stand) -> None:
    stand.append(told(loan(1), 1))
    again = stand.append(told(loan(1), 1), told(loan(1), 1, ts=RX + timedelta(seconds=9)))
    assert (again.new, again.duplicate) == (0, 2)
    assert again.watermarks == mark(1)
    assert stand.read.totals()["loans"] == 1


def test_a_fact_told_again_under_another_epoch_moves_that_epochs_watermark(stand: Stand) -> None:
    stand.append(told(loan(1), 1))
    again = stand.append(told(loan(1), 1, epoch=OTHER), told(loan(2), 2, epoch=OTHER))
    assert (again.new, again.duplicate) == (1, 1)
    assert again.watermarks == mark(2, OTHER)
    assert stand.read.totals()["loans"] == 2
    assert reasons(stand) == []


def test_a_place_taken_by_a_retold_fact_is_taken(stand: Stand) -> None:
    stand.append(told(loan(1), 1), told(loan(1), 1, epoch=OTHER))
    outcome = stand.append(told(loan(2), 1, epoch=OTHER))
    assert dict(outcome.dead) == {"seq-reuse": 1}
    assert stand.append(told(loan(1), 1, epoch=OTHER)).duplicate == 1


def test_the_watermark_waits_at_a_gap_and_jumps_when_it_closes(stand: Stand) -> None:
    assert stand.append(told(loan(2), 2), told(loan(4), 4)).watermarks == mark(0)
    assert stand.read.lag() == 4
    assert stand.append(told(loan(1), 1)).watermarks == mark(2)
    assert stand.append(told(loan(3), 3)).watermarks == mark(4)
    assert stand.read.lag() == 0


def test_other_content_at_a_taken_place_is_a_dead_letter_and_a_clone_signal(stand: Stand) -> None:
    stand.append(told(loan(1), 1))
    outcome = stand.append(told(loan(7), 1))
    assert dict(outcome.dead) == {"seq-reuse": 1}
    assert outcome.watermarks == mark(1)
    assert stand.read.totals()["loans"] == 1
    assert stand.append(told(loan(7), 1)).duplicate == 1
    assert len(stand.read.dead(10)) == 1


def test_one_id_with_other_content_is_a_dead_letter_and_moves_the_watermark(stand: Stand) -> None:
    stand.append(told(loan(1, item="BG00012345"), 1))
    outcome = stand.append(told(loan(1, item="BG00054321"), 2))
    assert dict(outcome.dead) == {"id-reuse": 1}
    assert outcome.watermarks == mark(2)
    assert stand.read.totals()["loans"] == 1


def test_one_id_from_another_device_is_a_dead_letter(stand: Stand) -> None:
    stand.append(told(loan(1), 1))
    outcome = stand.append(told(loan(1), 1, device="kiosk-2", id=loan(1).id_at("kiosk-1")))
    assert dict(outcome.dead) == {"id-reuse": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "moon-landed"}, "unknown-kind"),
        ({"kv": 2}, "unknown-kind"),
        ({"kv": 2**70}, "unknown-kind"),
        ({"data": {"session": "s"}}, "bad-data"),
        ({"data": {"session": "s", "line": 1, "item": "a", "x": float("nan")}}, "bad-data"),
    ],
)
def test_what_cannot_be_a_fact_dies_and_moves_the_watermark(
    stand: Stand, change: dict[str, Any], reason: str
) -> None:
    body = json.loads(envelope(loan(1), 1)) | change
    letter = read(json.dumps(body).encode(), body["kind"])
    outcome = stand.append(letter, told(loan(2), 2))
    assert dict(outcome.dead) == {reason: 1}
    assert outcome.watermarks == mark(2)
    assert reasons(stand) == [reason]


def test_the_same_dead_letter_again_is_counted_once(stand: Stand) -> None:
    body = json.loads(envelope(loan(1), 1)) | {"kv": 9}
    letter = read(json.dumps(body).encode(), "loan-made")
    stand.append(letter)
    outcome = stand.append(letter, letter)
    assert (outcome.duplicate, dict(outcome.dead), outcome.watermarks) == (2, {}, mark(1))
    assert stand.read.tally() == {"dead:unknown-kind": 1, "duplicate": 2}
    assert stand.read.dead(10)[0].times == 3


@pytest.mark.parametrize("payload", [b"\xff\xfe\x00", b"", b"{", b"[]", b"x" * 5000])
def test_undecodable_bytes_die_at_the_place_their_properties_name(
    stand: Stand, payload: bytes
) -> None:
    outcome = stand.append(read(payload, "loan-made", epoch=EPOCH, seq="1"))
    assert outcome.watermarks == mark(1)
    dead = stand.read.dead(1)[0]
    assert (dead.device, dead.epoch, dead.seq, dead.size) == ("kiosk-1", EPOCH, 1, len(payload))


@pytest.mark.parametrize(
    "properties", [{}, {"epoch": EPOCH}, {"epoch": "E1", "seq": "1"}, {"epoch": EPOCH, "seq": "0"},
                   {"epoch": EPOCH, "seq": "9" * 19}, {"epoch": EPOCH, "seq": "٣"}],
)  # fmt: skip
def test_undecodable_bytes_without_a_place_are_counted_against_the_device(
    stand: Stand, properties: dict[str, str]
) -> None:
    outcome = stand.append(read(b"?", "loan-made", **properties))
    assert outcome.watermarks == ()
    dead = stand.read.dead(1)[0]
    assert (dead.device, dead.epoch, dead.seq) == ("kiosk-1", "", None)


def test_a_seq_beyond_any_database_is_no_place(stand: Stand) -> None:
    body = json.loads(envelope(loan(1), 1)) | {"seq": 2**70}
    outcome = stand.append(read(json.dumps(body).encode(), "loan-made"))
    assert dict(outcome.dead) == {"bad-envelope": 1}
    assert outcome.watermarks == ()


@pytest.mark.parametrize(
    "topic",
    [
        "mocban/v1/demo/kiosk-1/evt/loan-made/more",
        "mocban/v1/demo/KIOSK/evt/loan-made",
        "mocban/v1/other/kiosk-1/evt/loan-made",
        "mocban/v1/demo/kiosk-1/cmd/reboot",
        "weather/today",
    ],
)
def test_a_foreign_topic_is_dead_and_never_acknowledged(stand: Stand, topic: str) -> None:
    payload = envelope(loan(1), 1)
    outcome = stand.append(DESK.read(Message(topic, payload, EPOCH, "1"), RX))
    assert dict(outcome.dead) == {"foreign-topic": 1}
    assert outcome.watermarks == ()


def test_the_topic_says_which_device_speaks_and_what_about(stand: Stand) -> None:
    outcome = stand.append(read(envelope(loan(1), 1), "return-made"))
    assert dict(outcome.dead) == {"bad-envelope": 1}
    assert outcome.watermarks == mark(1)


def test_a_babbling_device_cannot_fill_the_disk(stand: Stand) -> None:
    for i in range(20):
        stand.append(read(b"noise %d" % i, "loan-made"))
    letters = stand.read.dead(100)
    assert [letter.no for letter in letters] == [20, 19, 18, 17, 16]
    assert stand.read.tally() == {"dead:bad-envelope": 20}


@pytest.mark.parametrize("ts", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"])
def test_a_time_beyond_the_calendar_is_stored_and_counted_on_arrival(stand: Stand, ts: str) -> None:
    body = json.loads(envelope(loan(1), 1)) | {"ts": ts}
    assert stand.append(read(json.dumps(body).encode(), "loan-made")).new == 1
    assert stand.read.days("2026-11-22", "2026-11-22")["2026-11-22"]["loans"] == 1


def test_a_late_will_cannot_put_out_the_present_session(stand: Stand) -> None:
    stand.append(state(True, OTHER))
    assert not stand.append(state(False, EPOCH)).changed
    assert stand.read.devices()[0].online is True
    assert stand.append(state(False, OTHER)).changed
    assert stand.read.devices()[0].online is False


def test_devices_are_listed_by_app_with_their_last_fact(stand: Stand) -> None:
    stand.append(state(True), state(False, app="gate"), told(loan(1), 1, device="kiosk-9"))
    rows = [(r.device, r.app, r.online, r.facts, r.last_kind) for r in stand.read.devices()]
    assert rows == [
        ("kiosk-1", "gate", False, 0, ""),
        ("kiosk-1", "kiosk", True, 0, ""),
        ("kiosk-9", "", None, 1, "loan-made"),
    ]


@pytest.mark.parametrize(
    "payload", [b"{}", b"on", b'{"v":1,"online":"yes","epoch":"0","app":"k"}', b"x" * 9999]
)
def test_a_malformed_state_is_counted(stand: Stand, payload: bytes) -> None:
    letter = DESK.read(Message("mocban/v1/demo/kiosk-1/state", payload), RX)
    assert dict(stand.append(letter).dead) == {"bad-state": 1}
    assert stand.read.devices() == []


def test_an_emptied_state_says_nothing() -> None:
    assert DESK.read(Message("mocban/v1/demo/kiosk-1/state", b""), RX) is None


def test_everything_is_there_after_opening_again(opener: Open, tmp_path: Path) -> None:
    first = Stand(opener, tmp_path)
    first.append(told(loan(1), 1), told(loan(3), 3))
    first.close()
    second = Stand(opener, tmp_path)
    assert second.append(told(loan(2), 2), told(loan(1), 1)).watermarks == mark(3)
    assert second.read.totals()["loans"] == 3
    second.close()


def test_a_refused_batch_leaves_nothing_behind_and_can_be_appended_later(tmp_path: Path) -> None:
    stand = Stand(sqlite, tmp_path)
    blocker = sqlite3.connect(tmp_path / "g.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError):
        stand.append(told(loan(1), 1))
    blocker.execute("ROLLBACK")
    blocker.close()
    assert stand.read.totals()["loans"] == 0
    assert stand.append(told(loan(1), 1)).new == 1
    stand.close()


def test_a_disk_that_is_full_in_the_middle_of_a_batch_leaves_nothing_behind(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "g.db", apply)
    store.append([letter for letter in [told(loan(0), 1)] if letter])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    batch = [told(loan(i), i + 1) for i in range(300)]
    with pytest.raises(StorageError):
        store.append([letter for letter in batch if letter])
    readings = SqliteReadings(tmp_path / "g.db")
    assert (readings.totals()["loans"], readings.tally()) == (1, {"new": 1})
    store._db.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    outcome = store.append([letter for letter in batch if letter])
    assert (outcome.new, outcome.watermarks[0].upto) == (299, 300)
    store.close()
    readings.close()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_dropped_doubled_or_reordered_every_fact_counts_once(
    data: st.DataObject,
) -> None:
    n = data.draw(st.integers(1, 12))
    facts = [loan(i) if i % 2 else ReturnMade(session="r", line=i, item="a") for i in range(n)]
    places = [(epoch, seq) for epoch in (EPOCH, OTHER) for seq in range(1, n + 1)]
    deliveries = st.lists(st.lists(st.sampled_from(places), max_size=8), max_size=8)
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(data.draw(st.sampled_from(list(STORES.values()))), Path(folder))
        try:
            seen: set[tuple[str, int]] = set()
            for batch in data.draw(deliveries):
                # Both epochs tell the same facts, in the opposite order: a restored backup, or a clone.
                outcome = stand.append(
                    *(told(facts[s - 1 if e == EPOCH else n - s], s, e) for e, s in batch)
                )
                seen |= set(batch)
                assert {(w.epoch, w.upto) for w in outcome.watermarks} == {
                    (epoch, _contiguous(epoch, seen)) for epoch, _ in batch
                }
                distinct = {facts[s - 1 if e == EPOCH else n - s].id_at("kiosk-1") for e, s in seen}
                assert len(stand.read.facts(0, 1000)) == len(distinct)
                totals = stand.read.totals()
                assert totals["loans"] + totals["returns"] == len(distinct)
            for epoch, seq in places:  # the outboxes send again what no watermark covers
                stand.append(told(facts[seq - 1 if epoch == EPOCH else n - seq], seq, epoch))
            assert stand.append(told(facts[0], 1)).watermarks == mark(n)
            assert (stand.read.lag(), len(stand.read.facts(0, 1000)), reasons(stand)) == (0, n, [])
        finally:
            stand.close()


def _contiguous(epoch: str, seen: set[tuple[str, int]]) -> int:
    upto = 0
    while (epoch, upto + 1) in seen:
        upto += 1
    return upto
