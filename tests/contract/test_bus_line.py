"""The line of the bus: whom it believes, what it hands on and says of itself, and that nothing that comes breaks it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from mocban import bus
from mocban.clock import SetClock
from mocban.commands import ORDER_MAX
from mocban.feeds import FEED_MAX
from mocban.messages import MESSAGE_MAX, State
from mocban.outbox import Outbox
from tests.support.bus_stand import ME, ack, emptied, running, told
from tests.support.certificates import certificate
from tests.support.scripted_broker import ScriptedBroker


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "RESEND", (0.3, 1.0))
    monkeypatch.setattr(bus, "BACKOFF", (0.05, 0.2))


def last(broker: ScriptedBroker) -> bytes:
    return [bytes(p.payload) for p in broker.received if p.topic == ME.topic("state")][-1]


def test_stop_is_prompt_even_on_a_mute_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, says nothing
            async with running(mute.getsockname()[1], outbox):
                await asyncio.sleep(0.3)
                began = loop.time()
            assert loop.time() - began < 1.0
        outbox.close()

    asyncio.run(scenario())


def test_orders_and_feeds_are_handed_on_by_name_and_receipts_go_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        orders, feeds = list[tuple[str, bytes]](), list[tuple[str, bytes]]()

        def order(name: str, payload: bytes) -> None:
            orders.append((name, payload))
            line.receipt(name, b"taken")

        async with (
            ScriptedBroker() as broker,
            running(
                broker.port, outbox, orders=order, feeds=lambda n, b: feeds.append((n, b))
            ) as line,
        ):
            line.receipt("early", b"nobody is there")
            broker.send(ME.topic("feed", "allow-list"), b"1", retain=True)
            await broker.until(lambda: len(broker.subscribed) == 3)
            broker.send(ME.topic("cmd", "restart"), b"do")
            broker.send("mocban/v1/demo/other/cmd/restart", b"not ours")
            rsp = ME.topic("rsp", "restart")
            await broker.until(lambda: rsp in [p.topic for p in broker.received])
            assert orders == [("restart", b"do")]
            broker.drop()
            await broker.until(lambda: len(broker.subscribed) == 6)
            async with asyncio.timeout(5):
                while len(feeds) < 2:
                    await asyncio.sleep(0.01)
            assert feeds == [("allow-list", b"1")] * 2, "retained: at each connection"
            assert not [p for p in broker.received if "early" in p.topic]
        outbox.close()

    asyncio.run(scenario())


def test_a_device_without_hands_subscribes_to_its_watermark_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        async with ScriptedBroker() as broker, running(broker.port, outbox):
            await broker.until(lambda: len(broker.received) == 1)
            assert broker.subscribed == [ME.topic("ack")]
        outbox.close()

    asyncio.run(scenario())


def test_what_is_too_long_or_breaks_its_taker_never_breaks_the_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        taken: list[int] = []

        def clumsy(_: str, payload: bytes) -> None:
            taken.append(len(payload))
            raise KeyError("a bug of an order")

        async with (
            ScriptedBroker() as broker,
            running(broker.port, outbox, orders=clumsy, feeds=clumsy),
        ):
            await broker.until(lambda: len(broker.subscribed) == 3)
            told(outbox, 1)
            await broker.until(lambda: len(broker.facts()) == 1)
            for topic, longest in (("cmd/restart", ORDER_MAX), ("feed/allow-list", FEED_MAX)):
                for size in (longest, longest + 1):
                    broker.send(ME.topic("state").replace("state", topic), bytes(size))
            broker.send(ME.topic("ack"), ack(outbox, 1).ljust(MESSAGE_MAX + 1))
            broker.send(ME.topic("ack"), ack(outbox, 1).ljust(MESSAGE_MAX))
            await emptied(outbox)
            assert taken == [ORDER_MAX, FEED_MAX]
            assert len(broker.connects) == 1
        outbox.close()

    asyncio.run(scenario())


def test_the_state_is_said_again_when_mode_or_feeds_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1)
        async with ScriptedBroker() as broker:
            async with running(broker.port, outbox) as line:
                await broker.until(lambda: len(broker.facts()) == 1)
                line.mode, line.feed_versions = "closed", {"allow-list": 7}
                line.say()
                await broker.until(lambda: b"closed" in last(broker))
                said = State.parse(last(broker))
                assert (said.online, said.mode, said.feeds) == (True, "closed", {"allow-list": 7})
                assert (said.epoch, said.upto, said.told) == (outbox.epoch, 0, 1)
            assert not State.parse(last(broker)).online, "it said goodbye"
            assert not broker.wills
        outbox.close()

    asyncio.run(scenario())


def test_a_broker_without_retain_still_gets_everything(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1)
        async with ScriptedBroker() as broker:
            broker.connack = {"retain_available": False}
            async with running(broker.port, outbox) as line:
                await broker.until(lambda: len(broker.facts()) == 1)
                assert line.connected
                assert not line.alarm
        outbox.close()

    asyncio.run(scenario())


def test_the_brokers_keep_alive_is_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        async with ScriptedBroker() as broker:
            broker.connack = {"server_keep_alive": 2}
            async with running(broker.port, outbox):
                await broker.until(lambda: broker.pings == 2, within=8)
                assert len(broker.connects) == 1
        outbox.close()

    asyncio.run(scenario())


def test_over_tls_only_the_named_authority_is_believed(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1)
        (ours, key), (theirs, _) = certificate(tmp_path, "ours"), certificate(tmp_path, "theirs")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ours, key)
        async with ScriptedBroker(tls=context) as broker:
            for ca in (theirs, tmp_path / "missing.pem"):
                async with running(broker.port, outbox, scheme="mqtts", ca_file=ca) as line:
                    await asyncio.sleep(0.3)
                    assert not line.connected
            async with running(broker.port, outbox, scheme="mqtts", ca_file=ours):
                await broker.until(lambda: len(broker.facts()) == 1)
            assert len(broker.connects) == 1
        outbox.close()

    asyncio.run(scenario())
