"""Dead letters judged anew: what is a fact for this release becomes one, at its place and its time, and counts once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.store.port import Dead, Hour, Revived
from mocban.events import GateAlarmed, LoanMade, PeopleCounted
from tests.support.gateway_stand import EPOCH, envelope, loan
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
    told,
)


@pytest.fixture(params=STORES, ids=str)
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    opener: Open = STORES[request.param]
    opened = Stand(opener, tmp_path)
    yield opened
    opened.close()


def died(fact: Any, seq: int, epoch: str = EPOCH, reason: str = "unknown-kind") -> Dead:
    """``fact`` as a release buried it that did not know its kind."""
    payload = envelope(fact, seq, epoch=epoch, ts=RX)
    topic = f"mocban/v1/demo/kiosk-1/evt/{fact.kind}"
    return Dead("kiosk-1", epoch, seq, topic, reason, RX, payload)


def revive(stand: Stand, limit: int = 100, after: int = 0) -> Revived:
    return stand.store.revive(DESK.reread, limit, after)


def chain_at(stand: Stand, seq: int) -> str:
    """The chain after one more fact."""
    letter = told(loan(500 + seq), seq)
    assert letter is not None
    return stand.store.append([letter]).watermarks[0].chain


def test_what_is_a_fact_now_is_stored_at_its_place_with_its_arrival_and_counts(
    stand: Stand,
) -> None:
    stand.append(told(loan(1), 1), died(loan(2), 2), told(loan(3), 3))
    assert stand.read.totals()["loans"] == 2
    assert revive(stand) == Revived(1, 1, 0, 0, last=1)
    assert stand.read.totals()["loans"] == 3
    assert stand.read.hours(Hour("2026-11-22", 12), Hour("2026-11-22", 12)) == {
        Hour("2026-11-22", 12): {**dict.fromkeys(stand.read.totals(), 0), "loans": 3}
    }
    last = stand.read.facts(0, 10)[-1]
    assert (last.seq, last.rx) == (2, "2026-11-22T05:00:00.000Z")
    assert reasons(stand) == []
    assert stand.read.tally() == {
        "new": 3, "dead:unknown-kind": 1, "revived:unknown-kind": 1,
    }  # fmt: skip
    assert stand.append(told(loan(2), 2)).duplicate == 1  # the place is taken by it
    assert revive(stand) == Revived()


def test_watermark_and_chain_stay_as_devices_know_them(tmp_path: Path) -> None:
    chains = []
    for name, back in (("revived", True), ("not", False)):
        (tmp_path / name).mkdir()
        stand = Stand(STORES["sqlite"], tmp_path / name)
        stand.append(died(loan(1), 1), told(loan(2), 2))
        if back:
            assert revive(stand).new == 1
        assert stand.append(told(loan(2), 2)).watermarks == mark(2)
        chains.append(chain_at(stand, 3))
        stand.close()
    assert chains[0] == chains[1] != ""


def test_a_fact_stored_elsewhere_meanwhile_is_a_duplicate_and_the_place_stays_taken(
    stand: Stand,
) -> None:
    stand.append(died(loan(1), 1), told(loan(1), 1, epoch=OTHER))
    assert revive(stand) == Revived(1, 0, 1, 0, last=1)
    assert stand.read.totals()["loans"] == 1
    assert reasons(stand) == []
    assert stand.append(told(loan(2), 2)).watermarks == mark(2)
    assert dict(stand.append(told(loan(9), 1)).dead) == {"seq-reuse": 1}


def test_what_is_no_fact_still_stays_dead(stand: Stand) -> None:
    unknown = json.loads(envelope(loan(1), 5)) | {"kind": "moon-landed"}
    stand.append(
        told(loan(1), 1),
        told(loan(9), 1),  # a clone's
        told(LoanMade(session="s1", line=1, item="other"), 2),  # one id, other content
        read(b"?", "loan-made", epoch=EPOCH, seq="3"),
        read(b"x" * 9000, "loan-made", epoch=EPOCH, seq="4"),  # not whole any more
        read(json.dumps(unknown).encode(), "moon-landed"),
        read(b"stray", "loan-made"),
    )
    before, tally = reasons(stand), stand.read.tally()
    result = revive(stand)
    assert (result.tried, result.new, result.duplicate, result.still_dead) == (6, 0, 0, 6)
    assert (reasons(stand), stand.read.tally()) == (before, tally)
    assert stand.read.totals()["loans"] == 1


def test_only_what_came_first_at_a_place_can_come_back(stand: Stand) -> None:
    stand.append(died(loan(1), 1), told(loan(2), 1))
    assert reasons(stand) == ["seq-reuse", "unknown-kind"]
    assert revive(stand) == Revived(2, 1, 0, 1, last=2)
    assert [json.loads(f.payload)["data"]["line"] for f in stand.read.facts(0, 9)] == [1]
    assert reasons(stand) == ["seq-reuse"]


def test_pages_follow_each_other(stand: Stand) -> None:
    stand.append(*(died(PeopleCounted(passage=i, entered=1, left=0), i) for i in range(1, 8)))
    pages, after = [], 0
    while (page := revive(stand, 3, after)).tried:
        pages.append((page.tried, page.new))
        after = page.last
    assert pages == [(3, 3), (3, 3), (1, 1)]
    assert stand.read.totals()["people_in"] == 7


def test_a_stray_that_can_be_read_now_takes_its_place_and_moves_the_watermark(
    stand: Stand,
) -> None:
    stand.append(told(loan(1), 1), told(loan(3), 3))
    fact = died(loan(2), 2)
    stand.append(Dead("kiosk-1", "", None, fact.topic, "bad-envelope", RX, fact.payload))
    assert revive(stand).new == 1
    assert stand.append(told(loan(1), 1)).watermarks == mark(3)


def test_a_device_is_not_shown_as_of_then(stand: Stand) -> None:
    late = Dead(
        "kiosk-1", EPOCH, 1, "mocban/v1/demo/kiosk-1/evt/gate-alarmed", "unknown-kind",
        datetime(2026, 11, 21, 5, 0, tzinfo=UTC), envelope(GateAlarmed(passage=1), 1, ts=RX - timedelta(days=1)),
    )  # fmt: skip
    stand.append(late, told(loan(2), 2))
    assert revive(stand).new == 1
    (row,) = stand.read.devices()
    assert (row.facts, row.last_kind, row.last_rx) == (2, "loan-made", "2026-11-22T05:00:00.000Z")
    assert stand.read.days("2026-11-21", "2026-11-21")["2026-11-21"]["alarms"] == 1
