"""Feeds as they are built: what counts as lent, what is renewed, what is too long."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.feeds import Feeds, Shelf, Spans
from gateway.post import Post
from gateway.store.lending import Lending, SqliteLending
from mocban import feeds, identity
from mocban.clock import SetClock
from mocban.identity import Identity

HOUR = timedelta(hours=1)
NOW = SetClock().now()


def word(cursor: int, hours: float, uid: str = "AA", *, lent: bool = True) -> Lending:
    return Lending(cursor, lent, NOW + hours * HOUR, uid, "item", False)


@pytest.mark.parametrize(
    ("words", "lent"),
    [
        ([word(1, 0)], ["AA"]),
        ([word(1, 0), word(2, 1, lent=False)], []),
        ([word(1, 1, lent=False), word(2, 0)], []),  # told the other way round
        ([word(1, 0), word(2, 1, lent=False), word(3, 2)], ["AA"]),
        ([word(1, 0), word(2, 1, "", lent=False)], []),  # by its item
        ([word(1, 1, "", lent=False), word(2, 0)], []),
        ([word(1, 0), word(2, 1, "BB", lent=False)], ["AA"]),  # another part of the set
        ([word(1, 0, "")], []),
    ],
)
def test_the_latest_word_on_a_tag_counts(words: list[Lending], lent: list[str]) -> None:
    shelf = Shelf()
    for one in words:
        shelf.take(one)
    assert [one.uid for one in shelf.lent(NOW)] == lent


def test_what_is_too_old_is_forgotten() -> None:
    shelf = Shelf()
    shelf.take(word(1, 0))
    shelf.forget(NOW + HOUR)
    assert shelf.lent(NOW) == []


class Stand:
    """Feeds over an empty store with one gate."""

    def __init__(self, folder: Path, allowed: tuple[str, ...] = ()) -> None:
        self.clock = SetClock()
        self.key = identity.signing_key(folder / "key")
        self.lending = SqliteLending(folder / "g.db")
        db = sqlite3.connect(folder / "g.db")
        with db:
            db.execute(
                "INSERT INTO device_state (device, app, online, epoch, version, since)"
                " VALUES ('gate-1', 'gate', 1, '', '', '')"
            )
        db.close()
        self.post = Post(Identity("demo", "gateway", "gateway"))
        self.connected = True
        self.feeds = Feeds(
            "demo", self.key, self.lending, self.post, self.clock,
            Spans(24 * HOUR, 12 * HOUR, 30 * 24 * HOUR, allowed), lambda: self.connected,
        )  # fmt: skip

    def turn(self, again: bool = False) -> dict[str, feeds.Feed]:
        """What one look puts into the post, by name."""
        self.feeds._turn(set(), again)
        found: dict[str, feeds.Feed] = {}
        while out := self.post.take():
            assert out.retain
            feed = feeds.parse(out.payload, [self.key.public])
            found[feed.name] = feed
        return found


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.lending.close()


def test_a_feed_is_renewed_when_it_is_half_over(stand: Stand) -> None:
    first = stand.turn()
    assert set(first) == set(feeds.NAMES)
    stand.clock.advance(11 * 3600)
    assert stand.turn() == {}
    assert stand.turn(again=True) == first
    stand.clock.advance(2 * 3600)
    second = stand.turn()
    assert all(second[name].version > first[name].version for name in feeds.NAMES)
    assert second["allow-list"].expires == stand.clock.now() + 24 * HOUR


def test_without_a_broker_nothing_is_put_and_all_of_it_later(stand: Stand) -> None:
    stand.connected = False
    assert stand.turn() == {}
    stand.connected = True
    assert stand.feeds._all_again
    assert set(stand.turn()) == set(feeds.NAMES)


def test_the_newest_entries_stay_when_all_would_be_too_long(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    try:
        words = [
            Lending(no, True, NOW - timedelta(minutes=no), f"{no:032X}", "ộ" * 64, False)
            for no in range(400)
        ]
        for one in words:
            stand.feeds._shelf.take(one)
        feed = stand.turn()["recent-loans"]
        assert 200 < len(feed.entries) < 400
        assert [one.uid for one in feed.entries] == [one.uid for one in words[: len(feed.entries)]]
    finally:
        stand.lending.close()


def test_the_loop_publishes_and_ends(stand: Stand) -> None:
    async def body() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(stand.feeds.run(stop))
        async with asyncio.timeout(10):
            while not (out := stand.post.take()):
                await asyncio.sleep(0.01)
            assert out.topic.startswith("mocban/v1/demo/gate-1/feed/")
            stop.set()
            await running

    asyncio.run(body())
