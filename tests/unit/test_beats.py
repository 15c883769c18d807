"""Heartbeats: small, and believed no longer than they deserve."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gateway import beats
from gateway.beats import Beats
from gateway.letters import Message
from gateway.meters import Meters
from gateway.projections import apply
from gateway.store.port import Birth, DeviceRow
from gateway.store.readings import SqliteReadings
from gateway.store.sqlite import SqliteStore
from mocban.clock import SetClock, parse_rfc3339, rfc3339
from mocban.events import LoanMade
from mocban.health import Health
from mocban.heart import Heart
from mocban.messages import HEARTBEAT_MAX, PARTS_MAX, Heartbeat
from mocban.outbox import Outbox

EPOCH = "00000000000000e1"
AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
TOPIC = "mocban/v1/demo/kiosk-1/tel"
KEY = ("kiosk-1", "kiosk")


def heartbeat(**says: Any) -> bytes:
    fields: dict[str, Any] = {"app": "kiosk", "epoch": EPOCH, "clock": AT, "uptime": 5.0}
    return Heartbeat(**{**fields, **says}).encode()


def row(device: str = "kiosk-1", app: str = "kiosk", **says: Any) -> DeviceRow:
    fields: dict[str, Any] = {
        "online": True, "version": "1", "since": "", "facts": 0, "last_kind": "", "last_ts": "", "last_rx": "",
    }  # fmt: skip
    return DeviceRow(device, app, **{**fields, **says})


def test_the_longest_heartbeat_fits() -> None:
    parts = {f"{n:024d}": "degraded" for n in range(PARTS_MAX)}
    payload = heartbeat(
        app="a" * 16, every=600, uptime=9_999_999_999.9, mode="m" * 20, version="v" * 40, parts=parts,
        waiting=2**63 - 1, oldest=AT, disk_free=2**63 - 1,
    )  # fmt: skip
    assert len(payload) <= HEARTBEAT_MAX


def test_a_heart_says_what_health_and_outbox_know(tmp_path: Path) -> None:
    clock = SetClock(AT)
    outbox, health = Outbox(tmp_path / "x.db", "kiosk-1", clock), Health(clock, ("reader",))
    heart = Heart("kiosk", health, outbox, clock, tmp_path, 30)
    first = Heartbeat.parse(heart.beat(""))
    assert (first.parts, first.waiting, first.oldest) == ({"reader": "lost"}, 0, None)
    assert first.disk_free
    health.check("reader", True)
    outbox.put(LoanMade(session="s", line=1, item="x"))
    clock.advance(90)
    outbox.put(LoanMade(session="s", line=2, item="x"))
    second = Heartbeat.parse(heart.beat("closed"))
    assert (second.parts, second.mode, second.uptime) == ({"reader": "ok"}, "closed", 90.0)
    assert (second.waiting, second.oldest, second.clock) == (2, AT, AT + timedelta(seconds=90))
    assert second.epoch == outbox.epoch
    outbox.close()


def test_a_heart_whose_folder_is_gone_beats_on(tmp_path: Path) -> None:
    clock = SetClock(AT)
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", clock)
    heart = Heart("kiosk", Health(clock), outbox, clock, tmp_path / "gone", 30)
    assert Heartbeat.parse(heart.beat("")).disk_free is None
    outbox.close()


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (TOPIC, b"no json", "bad-message"),
        (TOPIC, b"{}", "bad-message"),
        (TOPIC, b'{"app":"kiosk"}', "bad-message"),
        (TOPIC, heartbeat().replace(b'"uptime":5.0', b'"uptime":NaN'), "bad-message"),
        (TOPIC, heartbeat().replace(b'"every":30', b'"every":0'), "bad-message"),
        (TOPIC, heartbeat().replace(b"00.000Z", b"00.000"), "bad-message"),
        (TOPIC, heartbeat().replace(b'"parts":{}', b'"parts":{"reader":"fine"}'), "bad-message"),
        (TOPIC, heartbeat() + b" " * HEARTBEAT_MAX, "too-long"),
        ("mocban/v1/other/kiosk-1/tel", heartbeat(), "foreign-topic"),
        ("mocban/v1/demo/Kiosk/tel", heartbeat(), "foreign-topic"),
    ],
)
def test_a_bad_one_is_counted_and_moves_nothing(topic: str, payload: bytes, reason: str) -> None:
    heard = Beats("demo", SetClock(AT))
    heard.take(Message(TOPIC, heartbeat(waiting=7)), AT)
    heard.take(Message(topic, payload), AT + timedelta(seconds=9))
    assert heard.bad() == {reason: 1}
    assert heard.seen([]) == {KEY: AT}
    assert heard.fresh()[KEY].beat.waiting == 7


def test_of_too_many_the_ones_heard_longest_ago_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "MOST", 3)
    heard = Beats("demo", SetClock(AT))
    for n in (1, 2, 3, 1, 4, 5):
        heard.take(Message(f"mocban/v1/demo/kiosk-{n}/tel", heartbeat()), AT)
    assert {device for device, _ in heard.fresh()} == {"kiosk-1", "kiosk-4", "kiosk-5"}


def test_one_device_cannot_push_out_the_others() -> None:
    heard = Beats("demo", SetClock(AT))
    for n in range(beats.APPS + 3):
        heard.take(Message(TOPIC, heartbeat(app="app" + chr(97 + n))), AT)
    heard.take(Message(TOPIC, heartbeat(app="appa", waiting=5)), AT)
    assert len(heard.fresh()) == beats.APPS
    assert heard.fresh()["kiosk-1", "appa"].beat.waiting == 5
    assert heard.bad() == {"too-many-apps": 3}


def test_what_is_older_than_five_intervals_is_not_believed() -> None:
    clock = SetClock(AT)
    heard = Beats("demo", clock)
    heard.take(Message(TOPIC, heartbeat(every=10)), AT)
    clock.advance(50)
    assert KEY in heard.fresh()
    clock.advance(0.1)
    assert not heard.fresh()
    assert heard.seen([]) == {KEY: AT}, "when it was heard stays"


LATER, LATEST = AT + timedelta(seconds=1), AT + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("rows", "beat", "seen"),
    [
        ([row(since=rfc3339(AT), last_rx=rfc3339(LATER))], None, LATER),
        ([row(since=rfc3339(LATER), last_rx=rfc3339(AT))], None, LATER),
        ([row(since=rfc3339(AT), last_rx=rfc3339(LATER))], LATEST, LATEST),
        ([row(since=rfc3339(AT), last_rx=rfc3339(LATEST))], LATER, LATEST),
        # a will is no sign of life
        ([row(online=False, since=rfc3339(LATEST), last_rx=rfc3339(AT))], None, AT),
        ([row(online=False, since=rfc3339(LATEST))], LATER, LATER),
        ([row(online=False, since=rfc3339(AT))], None, AT),
        # a fact of a device with two apps may be the other one's
        ([row(since=rfc3339(AT), last_rx=rfc3339(LATEST)), row(app="gate")], None, AT),
    ],
)
def test_last_seen(rows: list[DeviceRow], beat: datetime | None, seen: datetime) -> None:
    heard = Beats("demo", SetClock(AT))
    if beat is not None:
        heard.take(Message(TOPIC, heartbeat()), beat)
    assert heard.seen(rows)[KEY] == seen


@pytest.fixture
def scrape(tmp_path: Path) -> Any:
    """(clock, beats, scrape) over a store that knows a kiosk that is there and a gate whose will was told."""
    clock = SetClock(AT)
    store, readings = SqliteStore(tmp_path / "g.db", apply), SqliteReadings(tmp_path / "g.db")
    store.append(
        [
            Birth("kiosk-1", "kiosk", True, EPOCH, "1", AT - timedelta(hours=1)),
            Birth("gate-1", "gate", False, EPOCH, "1", AT - timedelta(hours=1)),
        ]
    )
    heard = Beats("demo", clock)
    meters = Meters(readings, heard)

    def read() -> dict[str, float]:
        assert isinstance(meters.registry, CollectorRegistry)
        lines = generate_latest(meters.registry).decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
        }

    yield clock, heard, read
    store.close()
    readings.close()


Scrape = tuple[SetClock, Beats, Callable[[], dict[str, float]]]
OF = '{app="kiosk",device="kiosk-1"}'


def test_metrics_of_a_device_that_is_well(scrape: Scrape) -> None:
    clock, heard, read = scrape
    ahead = AT + timedelta(
        hours=2
    )  # its clock is wrong: ages are told by its own, then brought to ours
    payload = heartbeat(
        clock=ahead, oldest=ahead - timedelta(seconds=600), waiting=3, disk_free=2**30, mode="open", version="1.2",
        parts={"reader": "lost", "ils": "ok", "outbox": "degraded"},
    )  # fmt: skip
    heard.take(Message(TOPIC, payload), AT)
    found = read()
    assert found[f"mocban_device_last_seen_timestamp_seconds{OF}"] == AT.timestamp()
    assert found[f"mocban_device_outbox_oldest_timestamp_seconds{OF}"] == AT.timestamp() - 600
    assert found[f"mocban_device_clock_skew_seconds{OF}"] == 7200
    assert found[f"mocban_device_outbox_waiting{OF}"] == 3
    assert found[f"mocban_device_uptime_seconds{OF}"] == 5
    assert found[f"mocban_device_disk_free_bytes{OF}"] == 2**30
    assert found[f"mocban_device_up{OF}"] == 1
    assert found['mocban_device_up{app="gate",device="gate-1"}'] == 0
    assert found['mocban_gate_alarms_total{device="gate-1"}'] == 0, "a rate needs the zero"
    assert found['mocban_device_info{app="kiosk",device="kiosk-1",mode="open",version="1.2"}'] == 1
    parts = {
        part: found[f'mocban_device_part_ok{OF[:-1]},part="{part}"}}']
        for part in ("ils", "outbox", "reader")
    }
    assert parts == {"ils": 1, "outbox": 0, "reader": 0}
    clock.advance(151)
    still = {name for name in read() if "kiosk-1" in name}
    assert still == {f"mocban_device_up{OF}", f"mocban_device_last_seen_timestamp_seconds{OF}"}


def test_last_seen_outlives_a_restart_of_the_gateway(scrape: Scrape) -> None:
    _, _, read = scrape  # nothing was heard since it began
    seen = {
        name: value for name, value in read().items() if name.startswith("mocban_device_last_seen")
    }
    assert set(seen.values()) == {(AT - timedelta(hours=1)).timestamp()}
    assert len(seen) == 2
    assert parse_rfc3339(rfc3339(AT)) == AT
