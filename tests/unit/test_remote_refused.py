"""Orders at the edge that are not obeyed: what is refused, how it is told, and who hears of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from mocban import identity
from mocban.clock import SetClock, rfc3339
from tests.support.person import Person
from tests.support.station import NOW, Station


def old(station: Station) -> bytes:
    station.does(station.order("self-test", seq=9), "self-test")
    return station.order("self-test", seq=9)


REFUSED: dict[str, Callable[[Station], bytes]] = {
    "wrong-epoch": lambda s: s.order("self-test", epoch="b" * 16),
    "replayed": old,
    "expired": lambda s: s.order("self-test", expires=NOW),
    "unknown-command": lambda s: s.order("dance"),
    "bad-args": lambda s: s.order("set-mode", args={"mode": "sideways"}),
    "bad-mode": lambda s: s.order("set-mode", args={"mode": "silent", "seconds": 5}),
    "approvals-missing": lambda s: s.order("set-mode", args={"mode": "closed"}),
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_true_order_that_cannot_be_obeyed_is_answered_with_the_reason(
    station: Station, code: str
) -> None:
    payload = REFUSED[code](station)
    name = json.loads(payload)["name"]
    acts = list(station.app.acts)
    for _ in range(3):
        assert station.does(payload, name) == (name, "refused", code)
    assert station.app.acts == acts
    assert [a[1:] for a in station.audits() if a[2] == "refused"] == [
        (f"order-{name}", "refused", code)
    ]
    assert UUID(json.loads(payload)["id"]) not in {one.order for one in station.receipts}


def test_a_refused_order_is_not_obeyed_later_when_the_reason_is_gone(station: Station) -> None:
    station.clock = SetClock(datetime(2100, 1, 1, tzinfo=UTC))
    station.again()
    payload = station.order("self-test")
    assert station.does(payload, "self-test") == ("self-test", "refused", "expired")
    station.clock = SetClock()
    station.again()
    station.does(payload, "self-test")
    assert station.app.acts == []
    assert len(station.answers()) == 1


def test_orders_of_other_apps_are_left_to_them_without_a_word(station: Station) -> None:
    station.remote.order("self-test", station.order("self-test", app="gate"))
    station.settle()
    assert (station.answers(), station.audits(), station.receipts) == ([], [], [])


@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("unsigned", lambda s: b"{}"),
        ("bad-order", lambda s: b"\xff"),
        ("too-long", lambda s: b" " * 20_000),
        ("bad-signature", lambda s: s.order("self-test").replace(b'"seq":1', b'"seq":2')),
        ("wrong-device", lambda s: s.order("self-test", device="kiosk-2")),
        ("wrong-device", lambda s: s.order("self-test", tenant="other")),
        ("wrong-topic", lambda s: s.order("restart")),
    ],
)
def test_a_forged_or_misled_order_is_told_but_not_answered(
    station: Station, code: str, made: Callable[[Station], bytes]
) -> None:
    station.remote.order("self-test", made(station))
    station.settle()
    assert station.audits() == [("device:kiosk-1", "order-refused", "refused", code)]
    assert (station.answers(), station.receipts, station.app.acts) == ([], [], [])


def test_an_order_by_another_gateway_is_forged(station: Station, tmp_path: Path) -> None:
    station.key = identity.signing_key(tmp_path / "other.key")
    station.remote.order("self-test", station.order("self-test"))
    assert station.audits() == [("device:kiosk-1", "order-refused", "refused", "unknown-key")]


def test_forged_orders_in_numbers_are_told_once_a_minute(station: Station) -> None:
    for number in range(100):
        station.remote.order("self-test", b'{"n":%d}' % number)
    assert len(station.audits()) == 1
    station.clock.advance(61)
    station.remote.order("self-test", b"{}")
    assert len(station.audits()) == 2


def test_an_order_put_on_another_topic_still_counts_where_it_belongs(station: Station) -> None:
    payload = station.order("self-test")
    station.remote.order("wipe", payload)
    assert station.does(payload, "self-test") == ("self-test", "done", "")


def test_a_clock_at_1970_cannot_revive_an_order(station: Station) -> None:
    late = NOW + timedelta(hours=1)
    late_order = station.order("self-test", seq=1, issued=late, expires=late + timedelta(hours=1))
    assert station.does(late_order, "self-test")[1] == "done"
    station.clock = SetClock(datetime(1970, 1, 1, tzinfo=UTC))
    station.again()
    earlier = station.order("self-test", seq=2, issued=NOW, expires=late + timedelta(minutes=1))
    assert station.does(earlier, "self-test")[1] == "done"  # and it turns no clock back
    revived = station.order("self-test", seq=3, issued=NOW, expires=NOW + timedelta(minutes=5))
    assert station.does(revived, "self-test") == ("self-test", "refused", "expired")
    fresh = station.order("self-test", seq=4, issued=late, expires=late + timedelta(minutes=5))
    assert station.does(fresh, "self-test") == ("self-test", "done", "")


def test_a_clock_in_2100_refuses_and_shows_itself(station: Station) -> None:
    station.clock = SetClock(datetime(2100, 1, 1, tzinfo=UTC))
    station.again()
    assert station.does(station.order("self-test"), "self-test")[2] == "expired"
    assert station.told("command-answered")[0]["result"] == {"clock": rfc3339(station.clock.now())}


def test_a_wipe_needs_two_persons_and_none_of_them_is_who_asks(
    station: Station, tmp_path: Path
) -> None:
    minh, lan, boss = (Person(tmp_path, name) for name in ("minh", "lan", "boss"))
    station.staff |= {"minh": minh.line, "lan": lan.line, "boss": boss.line, "twin": boss.line}
    twin = Person.__new__(Person)
    twin.__dict__.update({**boss.__dict__, "name": "twin"})
    stranger = Person(tmp_path, "stranger")
    for by, code in [
        ((), "approvals-missing"),
        ((minh,), "approvals-missing"),
        ((minh, minh), "approvals-missing"),
        ((minh, boss), "own-approval"),
        ((minh, twin), "own-approval"),
        ((minh, stranger), "unknown-person"),
    ]:
        assert station.does(station.order("wipe", *by), "wipe") == ("wipe", "refused", code)
    assert station.app.acts == []
    assert station.does(station.order("wipe", minh, lan), "wipe") == ("wipe", "done", "")
    assert station.app.acts == ["wipe"]
    assert station.audits()[-1][3] == "approved by lan, minh"
    assert station.app.mode == "wiped"
