"""Heartbeats through a broker to a whole gateway: shown, never stored, and all that the alert rules ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mocban.clock import parse_rfc3339
from mocban.events import GateAlarmed
from mocban.messages import Heartbeat
from ops.monitor.rules import Limits, metrics
from tests.support.gateway_stand import (
    CLOCK,
    EPOCH,
    Broker,
    Gateway,
    Teller,
    loan,
    running_broker,
    until,
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker("iotcore", tmp_path) as started:
        yield started


def beat(teller: Teller, app: str, part: str) -> None:
    body = Heartbeat(
        app=app, epoch=EPOCH, clock=CLOCK.now(), uptime=1.0, mode="open", parts={part: "ok"}, waiting=1,
        oldest=CLOCK.now(),
    )  # fmt: skip
    teller.send(f"{teller.prefix}/tel", body.encode())


def names(gateway: Gateway) -> dict[str, float]:
    lines = gateway.get("/metrics").splitlines()
    pairs = (line.rpartition(" ") for line in lines if line and line[0] != "#")
    return {name: float(value) for name, _, value in pairs}


SEEN = 'mocban_device_last_seen_timestamp_seconds{app="kiosk",device="kiosk-1"}'
PART = 'mocban_device_part_ok{app="kiosk",device="kiosk-1",part="reader"}'


def test_a_gateway_shows_all_that_the_rules_ask_for(tmp_path: Path, broker: Broker) -> None:
    with (
        Gateway(tmp_path, broker.url) as gateway,
        Teller(broker.url) as kiosk,
        Teller(broker.url, "gate-1") as gate,
    ):
        kiosk.say(True)
        gate.say(True, "gate", "00000000000000e2")
        beat(kiosk, "kiosk", "reader")
        beat(gate, "gate", "gate")
        gate.tell(GateAlarmed(passage=1), 1, "00000000000000e2")
        gate.wait_mark(1, "00000000000000e2")
        until(lambda: PART in names(gateway), "the heartbeat is shown")
        shown = names(gateway)
        assert metrics(Limits()) <= {re.split(r"[{ ]", name)[0] for name in shown}
        assert shown['mocban_gate_alarms_total{device="gate-1"}'] == 1
        assert shown['mocban_device_up{app="gate",device="gate-1"}'] == 1
        labels = {
            name: set(re.findall(r"(\w+)=", name)) for name in shown if "mocban_device" in name
        }
        assert all({"app", "device"} <= found for found in labels.values())
        assert {fact["kind"] for fact in gateway.facts()} == {"gate-alarmed"}, "none is stored"
        assert gateway.json("/api/v1/dead")["count"] == 0


def test_a_bad_one_is_counted_and_facts_flow_on(tmp_path: Path, broker: Broker) -> None:
    with Gateway(tmp_path, broker.url) as gateway, Teller(broker.url) as kiosk:
        beat(kiosk, "kiosk", "reader")
        kiosk.send(f"{kiosk.prefix}/tel", b"\xff\x00")
        kiosk.send("mocban/v1/other/kiosk-1/tel", b"{}")
        kiosk.send(f"{kiosk.prefix}/tel", b"x" * 2000)
        kiosk.tell(loan(1), 1)
        kiosk.wait_mark(1)
        shown = names(gateway)
        bad = {
            reason: shown[f'mocban_gateway_beats_bad_total{{reason="{reason}"}}']
            for reason in ("bad-message", "foreign-topic", "too-long")
        }
        assert set(bad.values()) == {1.0}
        assert shown[PART] == 1
        assert gateway.json("/api/v1/dead")["count"] == 0


def test_a_gateway_that_starts_anew_knows_when_it_last_heard(
    tmp_path: Path, broker: Broker
) -> None:
    with Teller(broker.url) as kiosk:
        with Gateway(tmp_path, broker.url) as gateway:
            kiosk.say(True)
            kiosk.tell(loan(1), 1)
            kiosk.wait_mark(1)
            before = names(gateway)[SEEN]
            beat(kiosk, "kiosk", "reader")
            until(lambda: names(gateway)[SEEN] > before, "the heartbeat is later")
            heard = names(gateway)[SEEN]
            row = next(one for one in gateway.json("/api/v1/devices") if one["device"] == "kiosk-1")
            assert abs(parse_rfc3339(row["seen"]).timestamp() - heard) < 0.002
            assert (row["waiting"], row["mode"]) == (1, "open")
            waits = parse_rfc3339(row["seen"]) - parse_rfc3339(row["oldest"])
            assert abs(waits.total_seconds()) < 1
        with gateway:
            shown = names(gateway)
            assert abs(shown[SEEN] - before) < 0.002, "what the store knows"
            assert PART not in shown
            row = next(one for one in gateway.json("/api/v1/devices") if one["device"] == "kiosk-1")
            assert (row["waiting"], row["oldest"], row["mode"]) == (None, None, None), (
                "not known any more"
            )
            beat(kiosk, "kiosk", "reader")
            until(lambda: names(gateway)[SEEN] > heard, "it is heard again")
