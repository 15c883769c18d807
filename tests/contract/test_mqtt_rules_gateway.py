"""The gateway's wire against every reason code, limit and session rule of MQTT 5; both clients within one window.

The broker's own teeth are tried here too: without them nothing of this would prove anything.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import mqtt5
import pytest

from gateway import mqtt
from mocban import bus
from mocban.reasons import Course
from tests.support.mqtt_rules import (
    CONNACK,
    DISCONNECT,
    GO,
    ME,
    PARK,
    PUBACK,
    SUBACK,
    Reader,
    device,
    reading,
    shown,
)
from tests.support.scripted_broker import Bye, ScriptedBroker


@pytest.mark.parametrize("most", [1, 2, 20, 65_535])
def test_receive_maximum_bounds_both(tmp_path: Path, most: int) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            broker.connack = {"receive_max": most}
            broker.reason = lambda _: None  # confirms nothing: whoever goes on breaks the protocol
            async with device(broker, tmp_path, facts=120):
                await broker.until(lambda: broker.most == min(bus.WINDOW, most))
                await asyncio.sleep(0.1)
                assert len(broker.received) == min(bus.WINDOW, most)
        async with ScriptedBroker() as broker:
            broker.connack = {"receive_max": most}
            broker.reason = lambda _: None
            reader = Reader()
            async with reading(broker, reader):
                for _ in range(reader.wire.room):
                    reader.writer.write(reader.wire.publish("mocban/v1/demo/kiosk-1/ack", b"{}"))
                await broker.until(lambda: broker.most == min(100, most))

    asyncio.run(scenario())


@pytest.mark.parametrize("most", [1, 2, 20, 65_535])
def test_everything_passes_a_narrow_window(tmp_path: Path, most: int) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            broker.connack = {"receive_max": most}
            reader = Reader(window=most)
            async with reading(broker, reader), device(broker, tmp_path, facts=120):
                await broker.until(lambda: len(set(reader.payloads)) >= 121)  # the state too
                assert broker.most <= most

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "course"), shown(CONNACK))
def test_gateway_refused_at_the_door(code: int, course: Course) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            broker.connack = {"reason_code": mqtt5.ConnAckReasonCode(code)}
            reader = Reader()
            if course is GO:
                async with reading(broker, reader):
                    pass
                assert not reader.refused
                return
            async with asyncio.timeout(5):
                await reader.once(broker.port)
            assert [r.verdict.course for r in reader.refused] == [course]
            assert not reader.clean, "a refusal is no reason to drop the session"

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "course"), shown(SUBACK))
def test_gateway_that_may_not_read(code: int, course: Course) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            broker.suback = lambda p: mqtt5.SubAckReasonCode(code if p.endswith("state") else 1)
            reader = Reader()
            if code == 1:
                async with reading(broker, reader):
                    return
            async with asyncio.timeout(5):
                await reader.once(broker.port)
            expected = PARK if course is GO else course  # another QoS than asked is a refusal
            assert [r.verdict.course for r in reader.refused] == [expected]

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "course"), shown(PUBACK))
def test_gateway_whose_watermark_is_answered(code: int, course: Course) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            broker.reason = lambda _: mqtt5.PubAckReasonCode(code)
            reader = Reader()
            async with reading(broker, reader):
                room = reader.wire.room
                reader.writer.write(reader.wire.publish(ME.topic("ack"), b"{}"))
                await broker.until(lambda: len(broker.received) == 1)
                async with asyncio.timeout(5):
                    while reader.wire.room < room:
                        await asyncio.sleep(0.005)
                told = [(one.topic, one.verdict.course) for one in reader.wire.unsent()]
                assert told == ([] if code == 0 else [(ME.topic("ack"), course)])

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "course"), shown(DISCONNECT))
def test_gateway_sent_away(code: int, course: Course) -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            reader = Reader()
            async with reading(broker, reader):
                broker.disconnect(mqtt5.DisconnectReasonCode(code))
                async with asyncio.timeout(5):
                    while not reader.refused:
                        await asyncio.sleep(0.005)
            assert [r.verdict.course for r in reader.refused] == [course]

    asyncio.run(scenario())


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "expired"])
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "resuming"])
def test_gateway_finds_what_came_meanwhile_exactly_if_its_session_is_there(
    monkeypatch: pytest.MonkeyPatch, *, clean: bool, kept: bool
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(mqtt, "SESSION_SECONDS", 60 if kept else 0)
        async with ScriptedBroker() as broker:
            reader = Reader()
            reader.holding = True
            async with reading(broker, reader):
                broker.send("mocban/v1/demo/kiosk-1/evt/loan-made", b"unconfirmed")
                broker.send("mocban/v1/demo/kiosk-1/evt/loan-made", b"expires", expiry=0)
                async with asyncio.timeout(5):
                    while not reader.payloads:
                        await asyncio.sleep(0.005)
            assert reader.payloads == [b"unconfirmed"]
            while broker.connected:
                await asyncio.sleep(0.005)
            broker.send("mocban/v1/demo/kiosk-1/evt/loan-made", b"meanwhile")
            reader.clean, reader.holding, reader.payloads = clean, False, []
            async with reading(broker, reader):
                broker.send("mocban/v1/demo/kiosk-1/evt/loan-made", b"now")
                async with asyncio.timeout(5):
                    while b"now" not in reader.payloads:
                        await asyncio.sleep(0.005)
            resumed = kept and not clean
            assert reader.resumed == [False, resumed]
            before = [b"unconfirmed", b"meanwhile"] if resumed else []
            assert reader.payloads == [*before, b"now"]
            assert len(broker.subscribed) == 4, "both filters, on every connection"

    asyncio.run(scenario())


def test_gateway_drops_its_session_after_what_cannot_be_read() -> None:
    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            reader = Reader()
            async with reading(broker, reader):
                broker.garble(b"\x00\x00")
                async with asyncio.timeout(5):
                    while not reader.clean:
                        await asyncio.sleep(0.005)
            async with reading(broker, reader):
                assert [packet.clean_start for packet in broker.connects] == [False, True]
            assert not reader.clean

    asyncio.run(scenario())


def test_a_silent_client_is_thrown_out_and_its_will_is_told() -> None:
    """The broker's own teeth: without them the tests above prove nothing."""

    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            will = mqtt5.Will("gone", payload=b"x", will_delay_interval=0)
            reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
            hello = mqtt5.ConnectPacket("mute", clean_start=True, keep_alive=1, will=will)
            writer.write(hello.write())
            data = b""
            async with asyncio.timeout(5):
                while more := await reader.read(100):
                    data += more
            _, used = mqtt5.read(memoryview(data))
            bye, _ = mqtt5.read(memoryview(data[used:]))
            assert isinstance(bye, mqtt5.DisconnectPacket)
            assert bye.reason_code == Bye.KEEP_ALIVE_TIMEOUT
            await broker.until(lambda: len(broker.wills) == 1)
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("packets", "reason"),
    [
        (2, Bye.RECEIVE_MAX_EXCEEDED),
        (0, Bye.PROTOCOL_ERROR),
        (-1, Bye.PROTOCOL_ERROR),
    ],
    ids=["window", "id twice", "no CONNECT"],
)
def test_the_broker_bites(packets: int, reason: Bye) -> None:
    def publish(packet_id: int) -> bytes:
        return mqtt5.PublishPacket(
            "a", b"", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id
        ).write()

    async def scenario() -> None:
        async with ScriptedBroker() as broker:
            broker.reason = lambda _: None
            broker.connack = {"receive_max": 2 if packets else 9}
            reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
            if packets >= 0:
                writer.write(mqtt5.ConnectPacket("bad", clean_start=True, keep_alive=9).write())
            writer.write(publish(1) + publish(2 if packets else 1) + publish(3))
            data = b""
            async with asyncio.timeout(5):
                while more := await reader.read(100):
                    data += more
            last = None
            while data:
                last, used = mqtt5.read(memoryview(data))
                data = data[used:]
            assert isinstance(last, mqtt5.DisconnectPacket)
            assert last.reason_code == reason
            assert broker.faults
            broker.faults.clear()
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())
