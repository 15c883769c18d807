"""Feeds as they are built: what counts as lent, what is renewed, what is too long."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds import Feeds, Shelf, Spans, _debts
from gateway.post import Post
from gateway.store.lending import Lending, SqliteLending, What
from mocban import feeds, identity
from mocban.clock import SetClock
from mocban.identity import Identity

HOUR = timedelta(hours=1)
NOW = SetClock().now()


def word(
    cursor: int, hours: float, uid: str = "AA", *, lent: bool = True, what: What | None = None, ref: str = "",
    pending: bool = False, stays: bool = False, rx: float | None = None,
) -> Lending:  # fmt: skip
    """A word on a tag, ``hours`` from now, by default told at once."""
    at, came = NOW + hours * HOUR, NOW + (hours if rx is None else rx) * HOUR
    named = ref or f"{cursor:016x}"
    return Lending(
        cursor, what or ("lent" if lent else "back"), at, came, uid, "item", named, pending, stays
    )


def owed(shelf: Shelf) -> list[tuple[str, str]]:
    """What is to be mended, by tag, and whose word it is."""
    return [(one.uid, one.ref) for one in shelf.pending(NOW - HOUR)]


R, S, T = "1" * 16, "2" * 16, "3" * 16
LENT, BACK = word(1, 0, ref=R, pending=True), word(1, 0, lent=False, ref=R, pending=True)


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


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ([LENT], [R]),
        ([BACK], [R]),
        ([word(1, 0, ref=R)], []),
        ([LENT, word(2, 1, lent=False)], []),  # it came back, and its tag was closed
        ([LENT, word(2, 1, "", lent=False)], []),  # told without its tag
        ([BACK, word(2, 1)], []),  # lent again, and its tag was opened
        ([BACK, word(2, 1, ref=S, pending=True)], [S]),
        ([BACK, word(2, 1, "", lent=False)], [R]),  # the desk took it back: its tag is open all the same
        ([LENT, word(2, 1, what="mended", ref=R)], []),
        ([BACK, word(2, -5, what="mended", ref=R, rx=1)], []),  # by a clock that stands in the past
        ([BACK, word(2, 1, what="mended", ref=S)], [R]),  # another happening was mended
        ([BACK, word(2, 1, "BB", what="mended", ref=R)], [R]),  # another tag
        ([LENT, word(2, 1, what="mended", ref=R), word(3, 2, lent=False, ref=S, pending=True)], [S]),
        ([word(1, 0, ref=R), word(2, 1, what="armed", ref=S)], [S]),  # opened, they said
        ([word(1, 0, ref=R), word(2, -1, what="armed", ref=S)], []),  # of before it was opened
        ([word(1, 0, lent=False, ref=R), word(2, 1, what="armed", ref=S)], []),  # as it should be
        ([word(1, 0, stays=True), word(2, 1, what="armed", ref=S)], []),
        ([word(2, 1, what="armed", ref=S)], []),  # nobody lent it
        ([LENT, word(2, 1, what="armed", ref=S)], [S]),
        ([LENT, word(2, 1, what="armed", ref=S), word(3, 2, what="mended", ref=S)], []),
        ([LENT, word(2, 2, what="mended", ref=R), word(3, 1, what="armed", ref=S)], []),
        ([LENT, word(2, 1, what="mended", ref=R), word(3, 2, what="armed", ref=S)], [S]),
        ([word(1, 0), word(2, 1, what="armed", ref=S), word(3, -5, what="mended", ref=S)], []),
        ([word(1, 0, ref=R), word(2, 1, "", what="armed")], []),
    ],
)  # fmt: skip
def test_a_tag_is_owed_until_it_is_mended_or_a_later_word_came_in_any_order(
    words: list[Lending], left: list[str]
) -> None:
    for order in itertools.permutations(words):
        shelf = Shelf()
        for one in (*order, order[0]):  # and the first is told twice
            shelf.take(one)
        assert owed(shelf) == [("AA", ref) for ref in left], order


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["lent", "back", "mended", "armed"]), st.integers(0, 9), st.booleans(),
            st.sampled_from([R, S, T]), st.booleans(),
        ),
        max_size=8,
    ),
    st.data(),
)  # fmt: skip
def test_the_order_of_arrival_makes_no_difference_and_mended_is_mended(
    told: list[tuple[What, int, bool, str, bool]], choice: st.DataObject
) -> None:
    # One happening has one fact: a reference names a place in time.
    words = [
        word(no, at, what=what, ref=ref if what == "mended" else f"{no:016x}", pending=pending, stays=stays)
        for no, (what, at, pending, ref, stays) in enumerate(told)
    ]  # fmt: skip
    words += [
        word(100 + no, one.at.hour, what="mended", ref=one.ref)
        for no, one in enumerate(words)
        if one.what != "mended" and one.stays
    ]
    shelf, other = Shelf(), Shelf()
    for one in words:
        shelf.take(one)
    for one in choice.draw(st.permutations(words)):
        other.take(one)
    assert shelf.pending(NOW - HOUR) == other.pending(NOW - HOUR)
    assert shelf.lent(NOW - HOUR) == other.lent(NOW - HOUR)
    mended = {one.ref for one in words if one.what == "mended"}
    assert not {one.ref for one in shelf.pending(NOW - HOUR)} & mended


def test_what_was_mended_is_remembered_by_its_arrival() -> None:
    shelf = Shelf()
    shelf.take(LENT)
    shelf.take(word(2, -1000, what="mended", ref=R, rx=1))
    shelf.forget(NOW - HOUR)
    assert owed(shelf) == []
    shelf.forget(NOW + 2 * HOUR)
    assert (shelf._mended, shelf._words) == ({}, {})


def test_what_stays_in_the_house_is_no_loan_a_gate_lets_go() -> None:
    shelf = Shelf()
    shelf.take(word(1, 0, stays=True, pending=True))
    assert shelf.lent(NOW - HOUR) == []
    assert [one.want for one in _debts(shelf.pending(NOW - HOUR), HOUR)] == ["on"]


def test_what_is_too_old_is_forgotten() -> None:
    shelf = Shelf()
    shelf.take(word(1, 0))
    shelf.forget(NOW + HOUR)
    assert shelf.lent(NOW) == []


class Stand:
    """Feeds over an empty store with one gate."""

    def __init__(self, folder: Path, allowed: tuple[str, ...] = ()) -> None:
        self.folder = folder
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
            Lending(no, "lent", (at := NOW - timedelta(minutes=no)), at, f"{no:032X}", "ộ" * 64, R)
            for no in range(400)
        ]
        for one in words:
            stand.feeds._shelf.take(one)
        feed = stand.turn()["recent-loans"]
        assert 200 < len(feed.entries) < 400
        assert [one.uid for one in feed.entries] == [one.uid for one in words[: len(feed.entries)]]
    finally:
        stand.lending.close()


def test_a_kiosk_is_told_what_is_to_be_mended_and_nothing_else(stand: Stand) -> None:
    with closing(sqlite3.connect(stand.folder / "g.db")) as db, db:
        db.execute("UPDATE device_state SET device = 'kiosk-1', app = 'kiosk'")
    stand.feeds._shelf.take(BACK)
    stand.feeds._shelf.take(word(2, 0, "BB", ref=S, pending=True))
    [(name, feed)] = stand.turn().items()
    assert (name, feed.device) == ("pending-security", "kiosk-1")
    assert [(one.uid, one.item, one.want, one.since, one.ref) for one in feed.entries] == [
        ("BB", "item", "off", NOW, S), ("AA", "item", "on", NOW, R),
    ]  # fmt: skip
    assert [one.excuses for one in feed.entries] == [True, False]


def test_300_debts_fit_a_broker(stand: Stand) -> None:
    for no in range(400):
        at = NOW - timedelta(minutes=no)
        stand.feeds._shelf.take(
            Lending(
                no, "back", at, at, f"E00401{no:010X}", f"BG{no:08}", f"{no:016x}", pending=True
            )
        )
    assert len(stand.turn()["pending-security"].entries) > 300


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
