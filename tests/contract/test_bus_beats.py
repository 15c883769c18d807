"""Heartbeats on the bus: first when connected, then every interval; never kept while there is no connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

import mqtt5
import pytest
from prometheus_client import REGISTRY

from mocban import bus
from mocban.clock import SetClock
from mocban.health import Health
from mocban.heart import Heart
from mocban.messages import Heartbeat
from mocban.outbox import Outbox
from tests.support.bus_stand import ME, running, told
from tests.support.scripted_broker import Reason, ScriptedBroker


def heart(outbox: Outbox, folder: Path, every: int = 1, health: Health | None = None) -> Heart:
    health = health or Health(SetClock(), ("reader",))
    return Heart(ME.app, health, outbox, SetClock(), folder, every)


def beats(broker: ScriptedBroker) -> list[mqtt5.PublishPacket]:
    return [packet for packet in broker.received if packet.topic == ME.topic("tel")]


def refused() -> float | None:
    return REGISTRY.get_sample_value("mocban_bus_refused_total", {"reason": "packet-too-large"})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "BACKOFF", (0.05, 0.2))


def test_the_first_comes_after_the_state_and_the_next_after_the_interval(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, now = (
            Outbox(tmp_path / "x.db", ME.device, SetClock()),
            asyncio.get_running_loop().time,
        )
        told(outbox, 1)
        times: list[float] = []
        async with ScriptedBroker() as broker:
            broker.on_publish = lambda packet: times.extend([now()] * packet.topic.endswith("/tel"))
            async with running(broker.port, outbox, heart=heart(outbox, tmp_path)) as line:
                line.mode = "closed"
                await broker.until(lambda: len(beats(broker)) == 1)
                topics = [packet.topic for packet in broker.received]
                assert topics.index(ME.topic("state")) < topics.index(ME.topic("tel"))
                await broker.until(lambda: len(beats(broker)) == 3)
        assert 0.8 < times[1] - times[0] < 1.5
        assert 0.8 < times[2] - times[1] < 1.5
        assert all(packet.qos == mqtt5.QoS.AT_MOST_ONCE for packet in beats(broker))
        assert not any(packet.retain for packet in beats(broker))
        said = Heartbeat.parse(bytes(beats(broker)[1].payload or b""))
        assert (said.epoch, said.waiting, said.mode) == (outbox.epoch, 1, "closed")
        assert said.parts == {"reader": "lost"}
        outbox.close()

    asyncio.run(scenario())


def test_a_broker_that_comes_back_hears_one_at_once_and_none_of_the_past(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        async with ScriptedBroker() as broker:
            async with running(broker.port, outbox, heart=heart(outbox, tmp_path, every=600)):
                await broker.until(lambda: len(beats(broker)) == 1)
                port = broker.port
                broker.drop()
                await broker.until(lambda: len(beats(broker)) == 2)
                assert broker.port == port
                assert len(broker.connects) == 2
        outbox.close()

    asyncio.run(scenario())


def test_a_heartbeat_takes_no_room_from_facts_and_too_long_a_one_stays_at_home(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1)
        async with ScriptedBroker() as broker:
            broker.connack = {"receive_max": 1}
            broker.reason = lambda topic: None if "/evt/" in topic else Reason.SUCCESS
            async with running(broker.port, outbox, heart=heart(outbox, tmp_path)):
                await broker.until(lambda: len(beats(broker)) == 2)  # though the window is taken
        async with ScriptedBroker() as broker:
            broker.connack = {"max_packet_size": 200}
            before = refused()
            async with running(broker.port, outbox, heart=heart(outbox, tmp_path)):
                async with asyncio.timeout(5):
                    while refused() == before:
                        await asyncio.sleep(0.01)
                assert not beats(broker)
        outbox.close()

    asyncio.run(scenario())


def test_a_part_that_changes_is_told_soon_but_not_more_than_once_a_second(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox, now = (
            Outbox(tmp_path / "x.db", ME.device, SetClock()),
            asyncio.get_running_loop().time,
        )
        health, times = Health(SetClock(), ("reader",)), list[float]()
        async with ScriptedBroker() as broker:
            broker.on_publish = lambda packet: times.extend([now()] * packet.topic.endswith("/tel"))
            async with running(broker.port, outbox, heart=heart(outbox, tmp_path, 600, health)):
                await broker.until(lambda: len(times) == 1)
                for n in range(20):
                    health.check("reader", n % 2 == 1, "it does not answer")
                    await asyncio.sleep(0.01)
                await broker.until(lambda: len(times) == 2)
                await asyncio.sleep(1.2)
                assert len(times) == 2
                await asyncio.to_thread(health.check, "outbox", False, "full")
                await broker.until(lambda: len(times) == 3)
        assert times[1] - times[0] > 0.9
        said = [Heartbeat.parse(bytes(packet.payload or b"")).parts for packet in beats(broker)]
        assert said == [{"reader": "lost"}, {"reader": "ok"}, {"outbox": "lost", "reader": "ok"}]
        outbox.close()

    asyncio.run(scenario())
