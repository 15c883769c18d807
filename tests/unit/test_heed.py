"""Feeds at a station: only signed, new and valid ones count, and they outlive a start without the network."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from kiosk.gate import ledger
from kiosk.gate.ledger import Ledger
from kiosk.heed.feeds import Debt, Heed, keep
from mocban import feeds, identity
from mocban.clock import SetClock
from mocban.events import Fact
from mocban.feeds import Entry
from mocban.identity import Identity

ME = Identity("demo", "gate-1", "gate")
UID, OTHER = "E004010012345678", "E0040100AAAAAAAA"
NOW = SetClock().now()


class Gate:
    """One gate's feeds on its disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = identity.signing_key(folder / "gateway.key")
        self.pinned = [self.key.public]
        self.clock = SetClock()
        self.start()

    def start(self) -> None:
        self.heed = Heed(self.folder / "gate.db", ME, self.pinned, self.clock)

    def again(self) -> None:
        self.heed.close()
        self.start()

    def feed(
        self, name: Any = "pending-security", *uids: str, version: int = 1, until: datetime | None = None,
        device: str = "gate-1", tenant: str = "demo", hours: float = 24, issued: datetime = NOW,
    ) -> bytes:  # fmt: skip
        return feeds.sign(
            self.key, tenant, device, name, version=version, issued=issued,
            expires=issued + timedelta(hours=hours),
            entries=[Entry(uid=uid, until=until) for uid in uids or (UID,)],
        )  # fmt: skip


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path)
    yield made
    made.heed.close()


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("mocban_feeds_total", {"outcome": outcome}) or 0.0


@pytest.mark.parametrize("name", feeds.NAMES)
def test_every_feed_excuses_its_tags_and_no_others(gate: Gate, name: str) -> None:
    assert gate.heed.excused(UID) == ""
    assert gate.heed.take(name, gate.feed(name))
    assert (gate.heed.excused(UID), gate.heed.excused(OTHER)) == (name, "")
    assert gate.heed.versions == {name: 1}


def test_a_tag_left_open_is_wanted_closed_and_excused_by_nothing(gate: Gate) -> None:
    whole = {"item": "BG1", "since": NOW, "ref": "0123456789abcdef"}
    entries = [
        Entry(uid=UID, want="on", **whole), Entry(uid=OTHER, want="off", **whole), Entry(uid="AA", want="off")
    ]  # fmt: skip
    payload = feeds.sign(
        gate.key, "demo", "gate-1", "pending-security", version=1, issued=NOW,
        expires=NOW + timedelta(hours=1), entries=entries,
    )  # fmt: skip
    gate.heed.take("pending-security", payload)
    assert [gate.heed.excused(uid) for uid in (UID, OTHER, "AA")] == [
        "", "pending-security", "pending-security"
    ]  # fmt: skip
    assert gate.heed.wanted(UID) == Debt(UID, "BG1", "on", NOW, "0123456789abcdef")
    assert gate.heed.wanted(OTHER) == Debt(OTHER, "BG1", "off", NOW, "0123456789abcdef")
    assert gate.heed.wanted("AA") is None, "an older gateway says not enough to mend it"
    gate.clock.advance(3600)
    assert (gate.heed.wanted(UID), gate.heed.excused(OTHER)) == (None, "")


def test_only_pending_security_wants_anything(gate: Gate) -> None:
    for name in ("recent-loans", "allow-list"):
        entry = Entry(uid=UID, want="off", since=NOW, ref="0123456789abcdef")
        gate.heed.take(name, feeds.sign(
            gate.key, "demo", "gate-1", name, version=1, issued=NOW, expires=NOW + timedelta(hours=1),
            entries=[entry],
        ))  # fmt: skip
    assert gate.heed.wanted(UID) is None


def test_what_a_gate_knew_before_this_release_it_still_knows(tmp_path: Path) -> None:
    path = tmp_path / "gate.db"
    key = identity.signing_key(tmp_path / "gateway.key")
    payload = feeds.sign(
        key, "demo", "gate-1", "allow-list", version=9, issued=NOW, expires=NOW + timedelta(hours=1),
        entries=[Entry(uid=UID)],
    )  # fmt: skip
    folder = Path(ledger.__file__).parent / "migrations"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE migration (component TEXT, version INTEGER, checksum TEXT,"
            " PRIMARY KEY (component, version)) STRICT"
        )
        for number in (1, 2):
            [file] = folder.glob(f"{number:03}_*.sql")
            db.executescript(file.read_text())
            checksum = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
            db.execute("INSERT INTO migration VALUES ('gate', ?, ?)", (number, checksum))
        db.execute("INSERT INTO gate_feed VALUES ('allow-list', 9, ?)", (payload,))

    class Nobody:
        def put(self, fact: Fact) -> bool:
            raise AssertionError(fact)

    Ledger(path, Nobody()).close()
    heed = Heed(path, ME, [key.public], SetClock())
    assert (heed.excused(UID), heed.versions) == ("allow-list", {"allow-list": 9})
    heed.close()


def test_keeping_takes_what_the_disk_refused_and_says_so(gate: Gate) -> None:
    gate.heed._db.execute("PRAGMA query_only=1")
    gate.heed.take("allow-list", gate.feed("allow-list"))
    gate.heed._db.execute("PRAGMA query_only=0")
    said: list[dict[str, int]] = []

    async def body() -> None:
        stop = asyncio.Event()

        def changed() -> None:
            said.append(gate.heed.versions)
            stop.set()

        async with asyncio.timeout(5):
            await keep(gate.heed, changed, stop)

    asyncio.run(body())
    assert said == [{"allow-list": 1}]
    assert gate.heed.said == "allow-list 1"


def test_feeds_are_there_after_a_start_without_the_network(gate: Gate) -> None:
    gate.heed.take("allow-list", gate.feed("allow-list", version=7))
    gate.again()
    assert gate.heed.excused(UID) == "allow-list"
    assert gate.heed.versions == {"allow-list": 7}


def test_a_newer_feed_takes_the_place_and_an_older_one_never_comes_back(gate: Gate) -> None:
    first = gate.feed(version=1)
    gate.heed.take("pending-security", first)
    assert gate.heed.take("pending-security", gate.feed("pending-security", OTHER, version=2))
    before = counted("refused")
    for _ in range(2):
        assert not gate.heed.take("pending-security", first)
        assert (gate.heed.excused(UID), gate.heed.excused(OTHER)) == ("", "pending-security")
        gate.again()
    assert counted("refused") == before + 2


def test_the_retained_feed_that_comes_again_is_no_refusal(gate: Gate) -> None:
    gate.heed.take("pending-security", gate.feed())
    before = counted("refused")
    assert not gate.heed.take("pending-security", gate.feed())
    assert counted("refused") == before


def test_what_is_forged_foreign_or_late_is_refused_and_counted(gate: Gate, tmp_path: Path) -> None:
    name = "pending-security"
    true = gate.feed()
    other = Gate(tmp_path / "other")
    late = gate.feed(issued=NOW - timedelta(days=2))
    before = counted("refused")
    bad = [
        true.replace(b'"version":1', b'"version":9'), other.feed(), b"{}", b"\xff", b" " * 70_000,
        gate.feed(device="gate-2"), gate.feed(tenant="other"), late, gate.feed("allow-list"),
    ]  # fmt: skip
    other.heed.close()
    for payload in bad:
        assert not gate.heed.take(name, payload)
    assert counted("refused") == before + len(bad)
    assert (gate.heed.excused(UID), gate.heed.versions) == ("", {})


def test_a_feed_ends_and_so_does_an_entry(gate: Gate) -> None:
    soon = NOW + timedelta(hours=1)
    gate.heed.take("recent-loans", gate.feed("recent-loans", OTHER))
    gate.heed.take("allow-list", gate.feed("allow-list", until=soon))
    gate.clock.advance(3600)
    assert (gate.heed.excused(UID), gate.heed.excused(OTHER)) == ("", "recent-loans")
    gate.clock.advance(23 * 3600)
    assert (gate.heed.excused(OTHER), gate.heed.versions) == ("", {})


def test_a_clock_at_1970_revives_no_feed(gate: Gate) -> None:
    gate.heed.take("recent-loans", gate.feed("recent-loans", OTHER, hours=1))
    gate.heed.take("allow-list", gate.feed("allow-list", issued=NOW + timedelta(hours=2)))
    gate.clock = SetClock(datetime(1970, 1, 1, tzinfo=UTC))
    gate.again()
    assert (gate.heed.excused(OTHER), gate.heed.excused(UID)) == ("", "allow-list")


def test_a_key_that_is_pinned_no_more_takes_its_feeds_along(gate: Gate) -> None:
    gate.heed.take("allow-list", gate.feed("allow-list", version=5))
    gate.pinned = []
    gate.again()
    assert gate.heed.excused(UID) == ""
    gate.pinned = [gate.key.public]
    gate.again()
    assert gate.heed.excused(UID) == "allow-list"


def test_what_was_wiped_stays_forgotten_and_old_versions_stay_old(gate: Gate) -> None:
    feed = gate.feed("allow-list", version=5)
    gate.heed.take("allow-list", feed)
    gate.heed.forget()
    assert gate.heed.excused(UID) == ""
    gate.again()
    assert gate.heed.excused(UID) == ""
    assert not gate.heed.take("allow-list", gate.feed("allow-list", version=4))


def test_what_the_disk_refused_is_taken_once_it_is_well_and_then_the_newest(gate: Gate) -> None:
    name = "allow-list"
    gate.heed._db.execute("PRAGMA query_only=1")
    before = counted("untaken")
    for feed in (gate.feed(name, OTHER, version=2), gate.feed(name, version=1)):
        assert not gate.heed.take(name, feed)
    gate.heed.again()
    assert counted("untaken") == before + 3
    assert (gate.heed.excused(OTHER), gate.heed.versions) == ("", {})
    gate.heed._db.execute("PRAGMA query_only=0")
    gate.heed.again()
    assert (gate.heed.excused(OTHER), gate.heed.excused(UID)) == (name, "")
    gate.again()
    assert gate.heed.versions == {name: 2}


def test_what_the_disk_refused_is_forgotten_with_the_rest(gate: Gate) -> None:
    gate.heed._db.execute("PRAGMA query_only=1")
    gate.heed.take("allow-list", gate.feed("allow-list"))
    gate.heed._db.execute("PRAGMA query_only=0")
    gate.heed.forget()
    gate.heed.again()
    assert (gate.heed.excused(UID), gate.heed.versions) == ("", {})
