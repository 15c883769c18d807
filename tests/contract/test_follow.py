"""A reader of facts with a durable cursor, against a real gateway: nothing escapes it, whatever becomes of either."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mocban.clock import SystemClock
from mocban.errors import ConfigError, PeerUnreachable, RemoteProtocolError, StorageError
from mocban.follow import Follower
from tests.support.gateway_stand import (
    Broker,
    Gateway,
    Teller,
    free_port,
    loan,
    running_broker,
    some_facts,
)
from tests.support.peer import peer


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker("iotcore", tmp_path) as started:
        yield started


class Reader:
    """Reads on and remembers what it was handed, as often as it was."""

    def __init__(self, url: str, file: Path) -> None:
        self.follower = Follower(url, file)
        self.handed: list[dict[str, Any]] = []

    def read_on(self) -> None:
        while page := self.follower.page(7):
            self.handed += page
            self.follower.commit()

    @property
    def ids(self) -> list[str]:
        return [fact["id"] for fact in self.handed if fact["device"] != "gateway"]


def tell(device: Teller, first: int, last: int) -> None:
    for seq, fact in enumerate(some_facts(last), 1):
        if seq >= first:
            device.tell(fact, seq)
    device.wait_mark(last)


def test_every_fact_is_handed_out_once_over_restarts_of_the_reader(
    broker: Broker, tmp_path: Path
) -> None:
    file = tmp_path / "cursor"
    with Gateway(tmp_path, broker.url) as gateway, Teller(broker.url) as device:
        tell(device, 1, 20)
        first = Reader(gateway.url, file)
        first.read_on()
        tell(device, 21, 30)
        second = Reader(gateway.url, file)
        second.read_on()
        assert [f["seq"] for f in first.handed + second.handed if f["device"] == "kiosk-1"] == [
            *range(1, 31)
        ]
        assert not second.follower.restarted


def test_a_page_comes_again_until_it_is_committed(broker: Broker, tmp_path: Path) -> None:
    with Gateway(tmp_path, broker.url) as gateway, Teller(broker.url) as device:
        tell(device, 1, 10)
        follower = Follower(gateway.url, tmp_path / "cursor")
        page = follower.page(5)
        assert page == follower.page(5) == Follower(gateway.url, tmp_path / "cursor").page(5)
        follower.commit()
        assert follower.page(5)[0]["cursor"] == page[-1]["cursor"] + 1


def test_a_sleeping_reader_is_woken_by_a_commit_and_not_without_one(
    broker: Broker, tmp_path: Path
) -> None:
    with Gateway(tmp_path, broker.url) as gateway, Teller(broker.url) as device:
        reader = Reader(gateway.url, tmp_path / "cursor")
        assert reader.follower.wait(5)  # the gateway's own start
        reader.read_on()
        assert not reader.follower.wait(0.4)
        later = threading.Timer(0.3, tell, (device, 1, 3))
        later.start()
        clock = SystemClock()
        began = clock.mono()
        assert reader.follower.wait(10)
        assert 0.2 < clock.mono() - began < 3
        later.join()
        reader.read_on()
        assert len(reader.ids) == 3


def test_what_is_committed_between_reading_and_sleeping_wakes_at_once(
    broker: Broker, tmp_path: Path
) -> None:
    with Gateway(tmp_path, broker.url) as gateway, Teller(broker.url) as device:
        reader = Reader(gateway.url, tmp_path / "cursor")
        reader.read_on()
        tell(device, 1, 1)
        assert reader.follower.wait(5)


def test_a_gateway_that_came_back_older_costs_the_reader_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    """Cursors 12 and up are given a second time, to other facts: the generation tells them apart."""
    gateway = Gateway(tmp_path, broker.url)
    with gateway, Teller(broker.url) as device:
        tell(device, 1, 10)
    gateway.copy(tmp_path / "older")
    with gateway, Teller(broker.url) as device:
        tell(device, 11, 25)
        reader = Reader(gateway.url, tmp_path / "cursor")
        reader.read_on()
        assert len(reader.ids) == 25
    gateway.put_back(tmp_path / "older")
    with gateway, Teller(broker.url) as device:
        reader.follower = Follower(gateway.url, tmp_path / "cursor")
        reader.read_on()
        device.tell(loan(900), 26)  # before those the gateway has lost: it takes a cursor of theirs
        device.say(online=True)
        device.wait(lambda: device.marks.get("00000000000000e1", [])[-1:] == [10], "10 is told")
        tell(device, 11, 25)
        device.wait_mark(26)
        reader.read_on()
        assert not reader.follower.restarted
        assert set(reader.ids) == {fact["id"] for fact in gateway.facts()}
        assert len(set(reader.ids)) == 26


def test_a_gateway_that_began_anew_is_read_from_the_beginning_and_says_so(
    broker: Broker, tmp_path: Path
) -> None:
    gateway = Gateway(tmp_path, broker.url)
    with gateway, Teller(broker.url) as device:
        tell(device, 1, 5)
        reader = Reader(gateway.url, tmp_path / "cursor")
        reader.read_on()
    for file in gateway.database.parent.glob("gateway.db*"):
        file.unlink()
    with gateway, Teller(broker.url) as device:
        tell(device, 1, 8)
        reader.read_on()
        assert reader.follower.restarted
        assert len(set(reader.ids)) == 8


@pytest.mark.parametrize(
    "damage", ["x\n", "0123456789abcdef.\n", "12 & 13", "0123456789abcdef.5#9"]
)
def test_what_is_no_cursor_is_read_over_from_the_beginning(
    broker: Broker, tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "cursor"
    with Gateway(tmp_path, broker.url) as gateway, Teller(broker.url) as device:
        tell(device, 1, 5)
        file.write_text(damage, encoding="ascii")
        reader = Reader(gateway.url, file)
        reader.read_on()
        assert reader.follower.restarted
        assert len(reader.ids) == 5
        again = Reader(gateway.url, file)
        again.read_on()
        assert not again.follower.restarted
        assert again.ids == []


def test_no_gateway_and_a_wrong_one_are_told_apart(tmp_path: Path) -> None:
    follower = Follower(f"http://127.0.0.1:{free_port()}", tmp_path / "cursor")
    with pytest.raises(PeerUnreachable):
        follower.page()
    with pytest.raises(PeerUnreachable):
        follower.wait(1)
    with pytest.raises(ConfigError):
        Follower("ftp://127.0.0.1", tmp_path / "cursor")
    (tmp_path / "blob").write_bytes(b"\xff")
    with pytest.raises(StorageError):
        Follower("http://127.0.0.1", tmp_path / "blob")


@pytest.mark.parametrize(
    "answer", [b"200 OK\r\n\r\nhello", b'200 OK\r\n\r\n{"facts":1}', b"404 Not Found\r\n\r\n{}"]
)
def test_what_is_no_page_of_facts_is_refused_and_moves_nothing(
    tmp_path: Path, answer: bytes
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + answer)
        await writer.drain()
        writer.close()

    async def body() -> None:
        async with peer(talk) as port:
            follower = Follower(f"http://127.0.0.1:{port}", tmp_path / "cursor")
            with pytest.raises(RemoteProtocolError):
                await asyncio.to_thread(follower.page)
            follower.commit()
            assert not (tmp_path / "cursor").exists()

    asyncio.run(body())


def test_the_token_is_sent(tmp_path: Path) -> None:
    asked = b""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\n\r\n{"facts":[],"next":"0123456789abcdef.0"}')
        await writer.drain()
        writer.close()

    async def body() -> None:
        async with peer(talk) as port:
            follower = Follower(f"http://127.0.0.1:{port}/", tmp_path / "cursor", token="t0")
            assert await asyncio.to_thread(follower.page) == []
            follower.commit()
            assert Follower(f"http://127.0.0.1:{port}", tmp_path / "cursor").cursor.endswith(".0")

    asyncio.run(body())
    assert b"Authorization: Bearer t0" in asked
