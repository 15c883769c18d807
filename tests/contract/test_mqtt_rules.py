"""The device against every reason code and limit MQTT 5 knows, on a broker that keeps the rules strictly.

The tables are written from MQTT 5.0 by hand, and compared with the codec's: a code without a line there is a failure.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import mqtt5
import pytest
from prometheus_client import REGISTRY

from mocban import bus
from mocban.messages import Ack
from mocban.reasons import Course, Packet, judge
from tests.support.mqtt_rules import (
    AWAY,
    BACK_OFF,
    CONNACK,
    DISCONNECT,
    GO,
    ME,
    OURS,
    PARK,
    PUBACK,
    RULES,
    SKIP,
    SUBACK,
    codes,
    device,
    shown,
)
from tests.support.scripted_broker import Reason, ScriptedBroker


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "RESEND", (0.15, 0.6))
    monkeypatch.setattr(bus, "BACKOFF", (0.02, 0.05))


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("packet", RULES)
def test_no_code_is_without_a_course_and_a_name(packet: Packet) -> None:
    table, kind = RULES[packet]
    assert set(table) == set(codes(kind))
    for code, course in table.items():
        verdict = judge(packet, code)
        assert verdict.course is course, f"{code:#x}"
        assert not verdict.name.startswith("0x")
        assert verdict.do or not verdict.alarm, "an alarm says what to do"
    for code in set(range(0x80, 0x100)) - set(table):
        assert judge(packet, code).course in {BACK_OFF, SKIP, PARK}, (
            "an unknown refusal is no success"
        )


@pytest.mark.parametrize(("code", "course"), shown(CONNACK))
def test_device_refused_at_the_door(tmp_path: Path, code: int, course: Course) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            broker.connack = {
                "reason_code": mqtt5.ConnAckReasonCode(code),
                "server_reference": "other" if code in {0x9C, 0x9D} else None,
            }
            async with device(broker, tmp_path) as (line, outbox):
                if course is GO:
                    await broker.until(lambda: len(broker.facts()) >= 2)
                    assert line.connected
                elif course in AWAY:
                    await broker.until(lambda: len(broker.connects) == 1)
                    await asyncio.sleep(0.3)
                    assert len(broker.connects) == 1
                else:
                    await broker.until(lambda: len(broker.connects) >= 3)
                assert bool(line.alarm) == (course in AWAY)
                assert sample("mocban_bus_parked", device=ME.device) == (course in AWAY)
                assert outbox.depth == 2
            if code == 0x9A:
                assert [c.will.retain for c in broker.connects[:2] if c.will] == [True, False]

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "course"), shown(PUBACK))
def test_device_whose_fact_is_answered(tmp_path: Path, code: int, course: Course) -> None:
    """The loan gets the code, the return after it is fine: no poisoned row blocks, none is ever deleted."""

    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            answered = asyncio.get_running_loop().time
            times: list[float] = []

            def reason(topic: str) -> Reason:
                if topic.endswith("loan-made"):
                    times.append(answered())
                    return mqtt5.PubAckReasonCode(code)
                return Reason.SUCCESS

            broker.reason = reason
            async with device(broker, tmp_path) as (line, outbox):
                await broker.until(lambda: len(broker.facts()) >= 2)
                if course is PARK:
                    await asyncio.sleep(0.4)
                    assert "not-authorized" in line.alarm
                    assert sample("mocban_bus_parked", device=ME.device) == 1
                    assert len(times) == 1
                else:
                    await broker.until(lambda: len(times) >= 2)
                    assert times[1] - times[0] > 0.05, (
                        "not at once"
                    )  # the wait began before it came here
                    assert not line.alarm
                assert len(broker.connects) == 1
                assert outbox.depth == 2, "a PUBACK deletes nothing"

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "course"), shown(SUBACK))
def test_device_that_may_not_hear_its_watermark(tmp_path: Path, code: int, course: Course) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            broker.suback = lambda pattern: mqtt5.SubAckReasonCode(
                code if pattern.endswith("/ack") else 1
            )
            async with device(broker, tmp_path) as (line, outbox):
                if course in {BACK_OFF, OURS}:
                    await broker.until(lambda: len(broker.connects) >= 3)
                else:
                    await broker.until(lambda: "kiosk-1/feed/#" in "".join(broker.subscribed))
                    await asyncio.sleep(0.2)
                    assert len(broker.connects) == 1
                assert bool(line.alarm) == (course is not GO), "nothing would ever be deleted"
                assert outbox.depth == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [c for c in SUBACK if c >= 0x80])
def test_device_that_may_not_hear_orders_still_tells(tmp_path: Path, code: int) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            broker.suback = lambda pattern: mqtt5.SubAckReasonCode(
                1 if pattern.endswith("/ack") else code
            )
            async with device(broker, tmp_path) as (line, outbox):
                await broker.until(lambda: len(broker.facts()) >= 2)
                broker.send(ME.topic("ack"), Ack(epoch=outbox.epoch, upto=2).encode())
                await broker.until(lambda: outbox.depth == 0)
                assert line.connected
                assert len(broker.connects) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "course"), shown(DISCONNECT))
def test_device_sent_away(tmp_path: Path, code: int, course: Course) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker, device(broker, tmp_path) as (line, outbox):
            await broker.until(lambda: len(broker.facts()) >= 2)
            broker.disconnect(mqtt5.DisconnectReasonCode(code), "other" if code == 0x9C else None)
            if course in AWAY:
                await asyncio.sleep(0.4)
                assert len(broker.connects) == 1
                assert line.alarm
            else:
                await broker.until(lambda: len(broker.facts()) >= 4)
                assert len(broker.connects) == 2
                assert not line.alarm
            assert outbox.depth == 2

    asyncio.run(scenario())


def test_two_devices_with_one_identity_do_not_throw_each_other_out_for_ever(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        async with ScriptedBroker() as broker, device(broker, tmp_path / "a") as (first, _):
            await broker.until(lambda: len(broker.facts()) >= 2)
            async with device(broker, tmp_path / "b") as (second, _):
                await broker.until(lambda: len(broker.connects) == 2)
                await asyncio.sleep(0.4)
                assert len(broker.connects) == 2
                assert "session-taken-over" in first.alarm
                assert not first.connected
                assert second.connected

    asyncio.run(scenario())


def test_device_always_begins_anew_and_its_will_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker, device(broker, tmp_path) as (_, outbox):
            await broker.until(lambda: len(broker.facts()) >= 2)
            broker.drop()
            await broker.until(lambda: len(broker.facts()) >= 4)
            assert broker.presents == [False, False]
            assert all(packet.clean_start for packet in broker.connects)
            will = broker.connects[0].will
            assert will is not None
            assert 0 < will.will_delay_interval <= broker.connects[0].session_expiry_interval
            state = broker.memory.retained[ME.topic("state")].packet.payload
            assert b'"online":true' in bytes(state), "the late will has not the last word"
            assert outbox.epoch.encode() in bytes(state)

    asyncio.run(scenario())
