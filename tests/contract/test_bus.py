"""The bus against a broker that lies, drops, refuses and dies: rows leave by the watermark alone."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import REGISTRY

from mocban import bus
from mocban.bus import Bus
from mocban.clock import SetClock
from mocban.commands import ORDER_MAX
from mocban.events import LoanMade
from mocban.feeds import FEED_MAX
from mocban.flow import publish_size
from mocban.identity import Identity
from mocban.messages import MESSAGE_MAX, State
from mocban.outbox import Outbox
from tests.support.scripted_broker import Reason, ScriptedBroker

ME = Identity("demo", "kiosk-1", "kiosk")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "RESEND", (0.3, 1.0))
    monkeypatch.setattr(bus, "BACKOFF", (0.05, 0.2))


@asynccontextmanager
async def running(
    port: int, outbox: Outbox, *, scheme: str = "mqtt", **more: Any
) -> AsyncIterator[Bus]:
    stop = asyncio.Event()
    line = Bus(f"{scheme}://127.0.0.1:{port}", ME, outbox, **more)
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


def last(broker: ScriptedBroker) -> bytes:
    return [bytes(p.payload) for p in broker.received if p.topic == ME.topic("state")][-1]


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


TOO_LARGE = ("mocban_bus_refused_total", {"reason": "packet-too-large"})


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


def test_over_tls_only_the_named_authority_is_believed(tmp_path: Path) -> None:
    async def scenario() -> None:
        outbox = Outbox(tmp_path / "x.db", ME.device, SetClock())
        told(outbox, 1)
        ours, theirs = certificate(tmp_path / "a"), certificate(tmp_path / "b")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ours / "cert.pem", ours / "key.pem")
        async with ScriptedBroker(tls=context) as broker:
            for ca in (theirs / "cert.pem", tmp_path / "missing.pem"):
                async with running(broker.port, outbox, scheme="mqtts", ca_file=ca) as line:
                    await asyncio.sleep(0.3)
                    assert not line.connected
            async with running(broker.port, outbox, scheme="mqtts", ca_file=ours / "cert.pem"):
                await broker.until(lambda: len(broker.facts()) == 1)
            assert len(broker.connects) == 1
        outbox.close()

    asyncio.run(scenario())


def certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=365 * 50))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder
