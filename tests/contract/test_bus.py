"""Facts on the bus, against a broker that lies, drops, refuses and dies: rows leave by the watermark alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from mocban import bus
from mocban.clock import SetClock
from mocban.events import LoanMade
from mocban.flow import publish_size
from mocban.messages import State
from mocban.outbox import Outbox
from tests.support.bus_stand import ME, ack, emptied, running, told
from tests.support.scripted_broker import Reason, ScriptedBroker

TOO_LARGE = ("mocban_bus_refused_total", {"reason": "packet-too-large"})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "RESEND", (0.3, 1.0))
    monkeypatch.setattr(bus, "BACKOFF", (0.05, 0.2))


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


def test_a_new_epoch_is_a_new_connection_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "BACKOFF", (30.0, 30.0))  # at once, not after a pause

    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1, 2)
        async with ScriptedBroker() as broker, running(broker.port, outbox):
            await broker.until(lambda: len(broker.facts()) == 2)
            old = outbox.epoch
            outbox.renew("test")
            await broker.until(lambda: len(broker.facts()) >= 4, within=5)
            wills = [State.parse(bytes(c.will.payload or b"")) for c in broker.connects if c.will]
            assert [will.epoch for will in wills] == [old, outbox.epoch]
            states = [
                State.parse(bytes(p.payload))
                for p in broker.received
                if p.topic == ME.topic("state")
            ]
            assert [(s.online, s.epoch) for s in states] == [
                (True, old),
                (False, old),
                (True, outbox.epoch),
            ]
            assert not broker.wills
        outbox.close()

    asyncio.run(scenario())


def test_a_fact_longer_than_the_broker_takes_is_kept_and_counted_and_blocks_nothing(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        outbox.put(LoanMade(session="s", line=1, item="x" * 60))
        told(outbox, 2)
        short = outbox.rows(1, 1)[0]
        user = [("epoch", outbox.epoch), ("seq", "2")]
        before = REGISTRY.get_sample_value(*TOO_LARGE) or 0.0
        async with ScriptedBroker() as broker:
            broker.connack = {
                "max_packet_size": publish_size(ME.topic("evt", "loan-made"), short.payload, user)
            }
            async with running(broker.port, outbox):
                await broker.until(lambda: len(broker.facts()) == 1)
                assert broker.facts() == [short.payload], "which fits to the byte"
                assert outbox.depth == 2
                assert REGISTRY.get_sample_value(*TOO_LARGE) == before + 1
        outbox.close()

    asyncio.run(scenario())


def test_facts_that_keep_coming_do_not_put_off_the_dropped_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 0)
        async with ScriptedBroker() as broker, running(broker.port, outbox):
            first = outbox.rows(0, 1)[0].payload
            async with asyncio.timeout(3):
                for line in range(1, 300):  # each within the wait for the watermark
                    told(outbox, line)
                    await asyncio.sleep(0.02)
                    if broker.facts().count(first) >= 2:
                        return
            raise AssertionError("never sent again")

    asyncio.run(scenario())


def test_a_broker_that_confirms_nothing_is_left_and_tried_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1, 2)
        async with ScriptedBroker() as broker, running(broker.port, outbox):
            broker.reason = lambda topic: None if "/evt/" in topic else Reason.SUCCESS
            await broker.until(lambda: len(broker.connects) == 2)
            assert len(broker.facts()) == 2, "within one connection nothing is sent twice"
            broker.reason = lambda _: Reason.SUCCESS
            await broker.until(lambda: len(broker.facts()) >= 4)
        outbox.close()

    asyncio.run(scenario())


def test_an_alarm_ends_when_the_watermark_has_passed_the_refused_fact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "PARKED", 0.2)

    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1, 2)
        said: list[str] = []
        async with ScriptedBroker() as broker, running(broker.port, outbox) as line:
            line.on_alarm = said.append
            broker.reason = lambda topic: (
                Reason.NOT_AUTHORIZED if "/evt/" in topic else Reason.SUCCESS
            )
            async with asyncio.timeout(5):
                while not said:
                    await asyncio.sleep(0.01)
            assert "access list" in said[0]
            broker.reason = lambda _: Reason.SUCCESS
            await broker.until(lambda: len(broker.subscribed) == 2)
            broker.send(ME.topic("ack"), ack(outbox, 2))
            await emptied(outbox)
            assert said[1:] == [""]
        outbox.close()

    asyncio.run(scenario())
