"""The gateway between a real broker and its readers: what it answers, what it tells itself, what it publishes."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gateway.post import Post
from gateway.projections import apply
from gateway.store.port import Dead, Outcome
from gateway.store.sqlite import SqliteStore
from mocban.clock import SystemClock
from mocban.events import CHAIN_0, chain
from mocban.messages import Receipt
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

ORDER = UUID("11111111-2222-4333-8444-555555555555")
AT = SystemClock().now()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker("iotcore", tmp_path) as started:
        yield started


def acts(gateway: Gateway) -> list[tuple[str, str]]:
    """What the gateway told itself, as (action, object)."""
    return [(fact["data"]["action"], fact["data"]["object"]) for fact in gateway.own()]


def post(gateway: Gateway, path: str, token: str = "") -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    asked = urllib.request.Request(gateway.url + path, b"", headers)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return dict(json.loads(answer.read()))


def test_a_gateway_that_came_back_older_tells_each_device_how_far_and_takes_the_rest_again(
    broker: Broker, tmp_path: Path
) -> None:
    facts = some_facts(20)
    payloads = [envelope(fact, seq, ts=AT) for seq, fact in enumerate(facts, 1)]
    gateway = Gateway(tmp_path, broker.url)
    with gateway, Teller(broker.url) as device:
        device.say(online=True)
        for seq, fact in enumerate(facts[:8], 1):
            device.tell(fact, seq, ts=AT)
        device.wait_mark(8)
    gateway.copy(tmp_path / "older")
    with gateway, Teller(broker.url) as device:
        for seq, fact in enumerate(facts, 1):
            device.tell(fact, seq, ts=AT)
        device.wait_mark(20)
        full = gateway.json("/api/v1/counts")["totals"]
    gateway.put_back(tmp_path / "older")
    with Teller(broker.url) as device, gateway:
        # Nobody said anything: the retained state is enough for the gateway to answer.
        device.wait(lambda: device.marks.get(EPOCH) == [8], "the older watermark is told")
        value = CHAIN_0
        for payload in payloads[:8]:
            value = chain(value, payload)
        assert device.chains[EPOCH] == value.hex()
        device.say(online=True)
        device.wait(lambda: device.marks[EPOCH] == [8, 8], "a state is answered")
        for seq in range(9, 21):
            device.tell(facts[seq - 1], seq, ts=AT)
        device.wait_mark(20)
        for payload in payloads[8:]:
            value = chain(value, payload)
        assert device.chains[EPOCH] == value.hex()
        assert gateway.json("/api/v1/counts")["totals"] == full
        assert len(gateway.facts()) == 20


def test_a_state_of_an_unknown_epoch_is_answered_with_nothing_stored(
    broker: Broker, tmp_path: Path
) -> None:
    with Gateway(tmp_path, broker.url), Teller(broker.url) as device:
        device.say(online=True)
        device.wait(lambda: device.marks == {EPOCH: [0]}, "the state is answered")
        assert device.chains == {EPOCH: "00" * 16}


def test_a_receipt_is_read_and_a_bad_one_is_counted_against_its_device(
    broker: Broker, tmp_path: Path
) -> None:
    with Gateway(tmp_path, broker.url) as gateway, Teller(broker.url) as device:
        good = Receipt(order=ORDER, app="kiosk", epoch=EPOCH, seq=1).encode()
        device.send(f"{device.prefix}/rsp/self-test", good)
        device.send(f"{device.prefix}/rsp/self-test", b"{}")
        until(lambda: gateway.json("/api/v1/dead")["count"] == 1, "the bad one is counted")
        (letter,) = gateway.json("/api/v1/dead")["letters"]
        assert (letter["device"], letter["reason"]) == ("kiosk-1", "bad-receipt")
        assert "receipt" in gateway.get("/?lang=en")


# What the gateway tells itself


def test_the_gateway_tells_its_start_itself_though_there_is_no_broker(
    broker: Broker, tmp_path: Path
) -> None:
    broker.kill()
    gateway = Gateway(tmp_path, broker.url)
    for starts in (1, 2):
        gateway.start(ready=False)
        try:
            until(lambda: "broker" in gateway.health()["checks"], "the gateway answers")
            until(lambda n=starts: len(gateway.own()) == n, "its start is a fact")  # type: ignore[misc]
            assert {action for action, _ in acts(gateway)} == {"service-started"}
        finally:
            gateway.stop()


def test_a_clone_is_told_once_for_each_epoch_and_counted(broker: Broker, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, broker.url)
    with gateway, Teller(broker.url) as device:
        for line in (1, 2, 3):
            device.tell(loan(line), 1)
        device.tell(loan(4), 2)
        device.wait_mark(2)
        until(lambda: ("clone-suspected", "kiosk-1") in acts(gateway), "the clone is told")
        assert "Two tell as kiosk-1" in gateway.get("/?lang=en")
    with gateway, Teller(broker.url) as device:
        device.tell(loan(5), 2)
        device.wait_mark(2)
        until(lambda: gateway.json("/api/v1/dead")["count"] == 3, "the third is counted")
        assert acts(gateway).count(("clone-suspected", "kiosk-1")) == 1
        found = re.search(
            r'^mocban_gateway_clones_total\{device="kiosk-1"\} (\S+)$',
            gateway.get("/metrics"),
            re.MULTILINE,
        )
        assert found
        assert float(found[1]) == 3


def test_dead_letters_are_judged_anew_by_whoever_holds_the_token(
    broker: Broker, tmp_path: Path
) -> None:
    gateway = Gateway(tmp_path, broker.url)
    with gateway:
        pass
    store = SqliteStore(gateway.database, apply)
    topic = "mocban/v1/demo/kiosk-1/evt/loan-made"
    letters = [
        Dead("kiosk-1", EPOCH, seq, topic, "unknown-kind", AT, envelope(loan(seq), seq, ts=AT))
        for seq in range(1, 451)
    ]
    store.append([*letters, Dead("kiosk-1", EPOCH, 451, topic, "bad-envelope", AT, b"?")])
    store.close()
    with gateway:
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(gateway, "/api/v1/dead/replay")
        with refused.value as error:
            assert error.code == 401
        token = (tmp_path / "gateway" / "keys" / "operator.token").read_text().strip()
        assert post(gateway, "/api/v1/dead/replay", token) == {
            "ok": True, "tried": 451, "new": 450, "duplicate": 0, "still_dead": 1,
        }  # fmt: skip
        assert gateway.json("/api/v1/counts")["totals"]["loans"] == 450
        dead = gateway.json("/api/v1/dead")
        assert (dead["count"], dead["revived"], len(dead["letters"])) == (451, 450, 1)
        said = ("dead-replayed", "450 new, 0 duplicate, 1 still dead")
        until(lambda: said in acts(gateway), "the replay is told")
        assert post(gateway, "/api/v1/dead/replay", token)["tried"] == 1


# Readers


def test_a_cursor_of_another_store_is_gone(broker: Broker, tmp_path: Path) -> None:
    with Gateway(tmp_path, broker.url) as gateway:
        for cursor in ("0123456789abcdef.0", "999999"):
            with pytest.raises(urllib.error.HTTPError) as gone:
                gateway.get(f"/api/v1/facts?after={cursor}")
            with gone.value as error:
                body = json.loads(error.read())
                assert (error.code, body["ok"]) == (410, False)
                assert body["errors"][0]["code"] == "cursor-gone"


def test_sleepers_are_bounded_woken_and_let_go(broker: Broker, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, broker.url, streams=1)
    with gateway, Teller(broker.url) as device:
        until(lambda: len(gateway.own()) == 1, "the start is told")
        with urllib.request.urlopen(f"{gateway.url}/api/v1/facts/wake", timeout=10) as stream:
            assert stream.readline() == b"event: facts\n"
            first = json.loads(stream.readline().removeprefix(b"data: "))["next"]
            assert first == gateway.json(f"/api/v1/facts?after={first}")["next"]
            with pytest.raises(urllib.error.HTTPError) as full:
                gateway.get("/api/v1/facts/wake")
            with full.value as error:
                assert error.code == 503
                assert json.loads(error.read())["errors"][0]["code"] == "busy"
            for seq in range(1, 101):
                device.tell(loan(seq), seq)
            device.wait_mark(100)
            events, after = 0, first
            while not after.endswith(f".{int(first.split('.')[1]) + 100}"):
                line = stream.readline()
                if line.startswith(b"data: "):
                    events, after = events + 1, json.loads(line[6:])["next"]
            assert events < 30  # not one for each fact
            gateway.stop()
            assert stream.read().strip() == b""


# What is put into the post


async def posting(
    broker: Broker, folder: Path, body: Any, outcomes: list[Outcome], ready: asyncio.Queue[None]
) -> None:
    """Run ``body(post)`` in a thread while an ingest of its own is connected."""
    async with (
        ingesting(
            broker.url, folder, keep_alive=600, patience=5,
            on_outcome=outcomes.append, on_ready=lambda: ready.put_nowait(None),
        ) as at,
        asyncio.timeout(30),
    ):  # fmt: skip
        await ready.get()
        await asyncio.to_thread(body, at.post)


def test_an_order_leaves_at_once_while_the_line_is_quiet(broker: Broker, tmp_path: Path) -> None:
    clock = SystemClock()

    def body(outgoing: Post) -> None:
        with Teller(broker.url) as device:
            began = clock.mono()
            assert outgoing.order("kiosk-1", "self-test", b"order", 60)
            device.wait(lambda: bool(device.heard), "the order comes")
            assert clock.mono() - began < 2
            assert device.heard == [(f"{device.prefix}/cmd/self-test", b"order")]

    asyncio.run(posting(broker, tmp_path, body, [], asyncio.Queue()))


def test_more_than_the_window_leaves_in_the_end_and_watermarks_first(
    broker: Broker, tmp_path: Path
) -> None:
    outcomes: list[Outcome] = []

    def body(outgoing: Post) -> None:
        with Teller(broker.url) as device:
            for i in range(500):
                outgoing.order("kiosk-1", "self-test", b"%d" % i, 60)
            device.tell(loan(1), 1)
            device.wait_mark(1)
            device.wait(lambda: len(device.heard) == 500, "every order comes")
            assert [payload for _, payload in device.heard] == [b"%d" % i for i in range(500)]

    asyncio.run(posting(broker, tmp_path, body, outcomes, asyncio.Queue()))
    assert sum(outcome.new for outcome in outcomes) == 1


def test_a_lost_line_forgets_the_post_and_says_when_it_is_back(
    broker: Broker, tmp_path: Path
) -> None:
    ready: asyncio.Queue[None] = asyncio.Queue()

    def body(outgoing: Post) -> None:
        broker.kill()
        outgoing.feed("gate-1", "recent", b"1")
        until(lambda: outgoing.take() is None, "the post is forgotten")
        outgoing.order("kiosk-1", "self-test", b"later", 60)
        broker.start()
        until(lambda: ready.qsize() == 1, "it is said that the line is back")
        until(lambda: outgoing.take() is None, "what was put meanwhile has left")

    asyncio.run(posting(broker, tmp_path, body, [], ready))
