"""The gateway on every broker we name: nothing is lost and nothing counts twice, whoever is killed.

iotcore runs always. mosquitto runs where it is installed; where it is not, the skip says so.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import mqtt5
import pytest

from mocban.clock import SystemClock
from mocban.health import Health
from tests.support.gateway_stand import (
    EPOCH,
    Broker,
    Gateway,
    Teller,
    envelope,
    loan,
    running_broker,
    some_facts,
    until,
)
from tests.support.ingesting import ingesting

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@pytest.fixture(
    params=[
        "iotcore",
        pytest.param(
            "mosquitto",
            marks=pytest.mark.skipif(
                MOSQUITTO is None,
                reason="NOT TESTED on mosquitto: it is not installed (apt install mosquitto)",
            ),
        ),
    ]
)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with running_broker(request.param, tmp_path) as started:
        yield started


def test_what_is_told_is_stored_and_acknowledged(broker: Broker, tmp_path: Path) -> None:
    with Gateway(tmp_path, broker.url) as gateway, Teller(broker.url) as device:
        for i, fact in enumerate(some_facts(300)):
            device.tell(fact, i + 1)
        device.wait_mark(300)
        assert len(gateway.facts()) == 300
        assert gateway.json("/api/v1/counts")["totals"]["loans"] == 60


def test_many_devices_are_acknowledged_within_the_brokers_window(
    broker: Broker, tmp_path: Path
) -> None:
    with Gateway(tmp_path, broker.url), Teller(broker.url) as device:
        epochs = [f"{i:016x}" for i in range(1, 251)]
        for i, epoch in enumerate(epochs):
            device.tell(loan(i), 1, epoch)
        for epoch in epochs:
            device.wait_mark(1, epoch)


def test_a_broker_killed_in_the_middle_loses_nothing(broker: Broker, tmp_path: Path) -> None:
    facts = some_facts(60)
    with Gateway(tmp_path, broker.url) as gateway:
        with Teller(broker.url) as device:
            for i, fact in enumerate(facts[:30]):
                device.tell(fact, i + 1)
            device.wait_mark(10)
            broker.kill()
        until(lambda: not gateway.health()["ok"], "the gateway says that the broker is gone")
        assert "broker" in gateway.get("/?lang=en")
        broker.start()
        until(lambda: bool(gateway.health()["ok"]), "the gateway is back")
        with Teller(broker.url) as device:
            for i, fact in enumerate(
                facts
            ):  # the outbox has seen no watermark for some: it sends again
                device.tell(fact, i + 1)
            device.wait_mark(60)
        assert sorted(f["seq"] for f in gateway.facts()) == list(range(1, 61))


def test_facts_dropped_while_the_gateway_was_late_hold_the_watermark(
    broker: Broker, tmp_path: Path
) -> None:
    """The race the watermark is for: the broker is new, the device is back first, the gateway later."""
    gateway = Gateway(tmp_path, broker.url)
    with gateway, Teller(broker.url) as device:
        device.tell(loan(1), 1)
        device.wait_mark(1)
    broker.kill()
    broker.start()
    with Teller(broker.url) as device:
        device.tell(loan(2), 2)
        device.settle()  # acknowledged by the broker, and dropped: nobody had subscribed
        with gateway:
            device.tell(loan(3), 3)
            until(lambda: len(gateway.facts()) == 2, "the third fact is stored")
            device.wait_mark(1)  # the watermark is told again, and stands before the gap
            assert device.marks == {EPOCH: [1]}
            device.tell(loan(2), 2)
            device.wait_mark(3)


def test_what_came_while_the_gateway_was_away_is_there_at_once(
    broker: Broker, tmp_path: Path
) -> None:
    gateway = Gateway(tmp_path, broker.url)
    with gateway:
        pass
    with Teller(broker.url) as device:
        device.tell(loan(1), 1)
        device.settle()
        with gateway:
            device.wait_mark(1)  # nothing was sent again


def test_a_disk_that_refuses_is_said_and_nothing_is_acknowledged(
    broker: Broker, tmp_path: Path
) -> None:
    with Gateway(tmp_path, broker.url) as gateway, Teller(broker.url) as device:
        device.tell(loan(1), 1)
        device.wait_mark(1)
        lock = sqlite3.connect(gateway.database, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        for i in range(2, 600):
            device.tell(loan(i), i)
        until(
            lambda: not gateway.health()["checks"]["store"]["ok"],
            "healthz says that the disk refuses",
        )
        assert len(gateway.facts()) == 1
        assert "mocban_gateway_storage_failures_total" in gateway.get("/metrics")
        lock.execute("ROLLBACK")
        lock.close()
        device.wait_mark(599)
        until(lambda: bool(gateway.health()["ok"]), "the gateway is well again")
        assert len(gateway.facts()) == 599


def test_the_gateway_ends_at_once_while_its_disk_refuses(broker: Broker, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, broker.url)
    gateway.start()
    until(lambda: len(gateway.own()) == 1, "its start is told")
    lock = sqlite3.connect(gateway.database, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with Teller(broker.url) as device:
        device.tell(loan(1), 1)
        until(lambda: not gateway.health()["checks"]["store"]["ok"], "the disk refuses")
        began = SystemClock().mono()
        gateway.stop()
        assert SystemClock().mono() - began < 1.0
        lock.execute("ROLLBACK")
        lock.close()
        with gateway:
            device.tell(loan(1), 1)
            device.wait_mark(1)


def test_ready_only_once_the_canary_is_back(broker: Broker, tmp_path: Path) -> None:
    broker.kill()
    gateway = Gateway(tmp_path, broker.url)
    gateway.start(ready=False)
    try:
        until(lambda: "broker" in gateway.health()["checks"], "the gateway answers")
        until(lambda: "no broker" in gateway.health()["checks"]["broker"]["say"], "it says why")
        assert not gateway.health()["ready"]
        broker.start()
        until(lambda: bool(gateway.health()["ready"]), "it is ready")
    finally:
        gateway.stop()
    assert "canary" not in str(gateway.failure)


class Liar:
    """Answers CONNECT and SUBSCRIBE, then does what the test wants; remembers every CONNECT."""

    def __init__(
        self, after_subscribe: bytes, welcome: mqtt5.ConnAckReasonCode = mqtt5.ConnAckReasonCode.SUCCESS,
        puback: mqtt5.PubAckReasonCode = mqtt5.PubAckReasonCode.SUCCESS,
    ) -> None:  # fmt: skip
        self.connects: list[mqtt5.ConnectPacket] = []
        self.published: list[str] = []
        self._after_subscribe = after_subscribe
        self._welcome = welcome
        self._puback = puback

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = b""
        while data := await reader.read(65536):
            buffer += data
            while buffer:
                try:
                    packet, size = mqtt5.read(memoryview(buffer))
                except IndexError:
                    break
                buffer = buffer[size:]
                if isinstance(packet, mqtt5.ConnectPacket):
                    self.connects.append(packet)
                    writer.write(mqtt5.ConnAckPacket(reason_code=self._welcome).write())
                elif isinstance(packet, mqtt5.PublishPacket):
                    self.published.append(packet.topic)
                    assert packet.packet_id is not None
                    answer = mqtt5.PubAckPacket(packet.packet_id, reason_code=self._puback)
                    writer.write(answer.write())
                elif isinstance(packet, mqtt5.SubscribePacket):
                    granted = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE
                    codes = [granted] * len(packet.topic_filters)
                    writer.write(
                        mqtt5.SubAckPacket(packet.packet_id, codes).write() + self._after_subscribe
                    )
        writer.close()


async def lied_to(
    tmp_path: Path, liar: Liar, enough: Callable[[], bool], watch: float = 0.0
) -> tuple[Health, str]:
    """Until ``enough``, and ``watch`` seconds on: what the gateway says of itself."""
    server = await asyncio.start_server(liar.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with ingesting(f"mqtt://127.0.0.1:{port}", tmp_path, keep_alive=2, patience=1) as at:
        async with asyncio.timeout(20):
            while not enough():
                await asyncio.sleep(0.01)
            await asyncio.sleep(watch)
    server.close()
    return at.health, at.metrics


def test_a_packet_nobody_can_read_is_not_asked_for_again(tmp_path: Path) -> None:
    """A kept session would bring it back for ever."""
    liar = Liar(b"\x00\x00garbage")
    health, _ = asyncio.run(lied_to(tmp_path, liar, lambda: len(liar.connects) >= 3))
    assert [packet.clean_start for packet in liar.connects[:3]] == [False, True, True]
    assert not health.ready


def test_a_broker_that_swallows_the_canary_never_makes_us_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.ingest.HANDSHAKE", 0.3)
    liar = Liar(b"")
    health, text = asyncio.run(lied_to(tmp_path, liar, lambda: len(liar.connects) >= 2))
    assert not health.ready
    assert "mocban_gateway_connections_total 0.0" in text


def test_a_broker_that_will_not_have_us_is_not_pestered_and_the_reason_is_said(
    tmp_path: Path,
) -> None:
    liar = Liar(b"", welcome=mqtt5.ConnAckReasonCode.NOT_AUTHORIZED)
    health, _ = asyncio.run(lied_to(tmp_path, liar, lambda: bool(liar.connects), 1.5))
    assert len(liar.connects) == 1
    assert "not-authorized" in health.as_json()["checks"]["broker"]["say"]


def test_a_broker_for_which_it_is_too_much_is_told_nothing_for_a_while(tmp_path: Path) -> None:
    facts = b"".join(
        mqtt5.PublishPacket(
            f"mocban/v1/demo/kiosk-{i}/evt/loan-made", envelope(loan(i), 1, device=f"kiosk-{i}"),
            qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=i,
        ).write()
        for i in range(100, 110)
    )  # fmt: skip
    liar = Liar(facts, puback=mqtt5.PubAckReasonCode.QUOTA_EXCEEDED)
    _, text = asyncio.run(lied_to(tmp_path, liar, lambda: bool(liar.published), 1.0))
    counted = text.split('mocban_gateway_unsent_total{reason="quota-exceeded"} ')[1].split()[0]
    # What was on its way when the first refusal came is on its way; then there is silence.
    assert 1 <= float(counted) <= len(liar.published) <= 11
    assert len(liar.connects) == 1
