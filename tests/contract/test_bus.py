"""The bus against a broker that lies, drops, refuses and dies: rows leave by the watermark alone."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mocban import bus
from mocban.bus import Bus
from mocban.clock import SetClock
from mocban.events import LoanMade
from mocban.identity import Identity
from mocban.outbox import Outbox
from tests.support.scripted_broker import Reason, ScriptedBroker

ME = Identity("demo", "kiosk-1", "kiosk")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "RESEND", (0.3, 1.0))
    monkeypatch.setattr(bus, "BACKOFF", (0.05, 0.2))


@asynccontextmanager
async def running(port: int, outbox: Outbox) -> AsyncIterator[Bus]:
    stop = asyncio.Event()
    line = Bus(f"mqtt://127.0.0.1:{port}", ME, outbox)
    task = asyncio.create_task(line.run(stop))
    try:
        yield line
    finally:
        stop.set()
        await asyncio.wait_for(task, 5)


def told(outbox: Outbox, *lines: int) -> None:
    for line in lines:
        outbox.put(LoanMade(session="s", line=line, item="x"))


async def emptied(outbox: Outbox) -> None:
    async with asyncio.timeout(10):
        while outbox.depth:
            await asyncio.sleep(0.01)


def ack(outbox: Outbox, upto: int) -> bytes:
    return json.dumps({"epoch": outbox.epoch, "upto": upto}).encode()


def test_facts_carry_epoch_and_seq_and_leave_only_by_the_watermark(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1, 2)
        async with ScriptedBroker() as broker, running(broker.port, outbox):
            await broker.until(lambda: len(broker.facts()) == 2)
            fact = next(p for p in broker.received if "/evt/" in p.topic)
            assert fact.topic == "mocban/v1/demo/kiosk-1/evt/loan-made"
            assert dict(fact.user_properties) == {"epoch": outbox.epoch, "seq": "1"}
            assert outbox.depth == 2, "a PUBACK deletes nothing"
            broker.send(ME.topic("ack"), ack(outbox, 1))
            broker.send(ME.topic("ack"), b"not json")
            broker.send(ME.topic("ack"), b'{"epoch": 1}')
            while outbox.depth != 1:
                await asyncio.sleep(0.01)
            broker.send(ME.topic("ack"), ack(outbox, 2))
            await emptied(outbox)
            assert broker.connects[0].client_id == "kiosk-1.kiosk"
            will = broker.connects[0].will
            assert will is not None
            assert json.loads(will.payload or b"")["epoch"] == outbox.epoch
        outbox.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("reason", [Reason.SUCCESS, Reason.NO_MATCHING_SUBSCRIBERS])
def test_what_a_broker_dropped_is_sent_again_until_the_gateway_has_it(
    tmp_path: Path, reason: Reason
) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1, 2, 3)
        async with ScriptedBroker() as broker, running(broker.port, outbox):
            broker.reason = lambda _: reason  # says yes and throws it away
            await broker.until(lambda: len(broker.facts()) == 6)
            assert broker.facts()[:3] == broker.facts()[3:6], "the same bytes"
            broker.send(ME.topic("ack"), ack(outbox, 3))
            await emptied(outbox)
        outbox.close()

    asyncio.run(scenario())


def test_not_authorized_parks_instead_of_hammering(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1)
        async with ScriptedBroker() as broker, running(broker.port, outbox):
            broker.reason = lambda topic: (
                Reason.NOT_AUTHORIZED if "/evt/" in topic else Reason.SUCCESS
            )
            await broker.until(lambda: len(broker.facts()) == 1)
            await asyncio.sleep(1.5)  # longer than every back-off of this test
            assert len(broker.connects) == 1
            assert outbox.depth == 1
        outbox.close()

    asyncio.run(scenario())


def test_put_while_the_line_is_down_is_delivered_once_it_is_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        async with ScriptedBroker() as broker:
            port = broker.port
        async with running(port, outbox):
            told(outbox, 1, 2)
            async with ScriptedBroker(port) as broker:
                await broker.until(lambda: len(broker.facts()) == 2)
                broker.drop()
                told(outbox, 3)
                await broker.until(lambda: len(broker.facts()) == 5)  # all three: no watermark yet
                assert len(set(broker.facts())) == 3
                broker.send(ME.topic("ack"), ack(outbox, 3))
                await emptied(outbox)
        outbox.close()

    asyncio.run(scenario())


def test_a_thousand_waiting_facts_stay_within_the_window(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, *range(300))
        async with ScriptedBroker() as broker:
            broker.reason = lambda topic: (
                None if "/evt/" in topic else Reason.SUCCESS
            )  # never confirms
            async with running(broker.port, outbox):
                await broker.until(lambda: len(broker.facts()) == bus.WINDOW)
                await asyncio.sleep(0.5)
                assert len(broker.facts()) == bus.WINDOW
        outbox.close()

    asyncio.run(scenario())


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
