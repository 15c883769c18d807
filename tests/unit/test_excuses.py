"""Feeds at a gate: only signed, new and valid ones excuse a tag, and they outlive a start without the network."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from kiosk.gate.excuses import Excuses
from mocban import feeds, identity
from mocban.clock import SetClock
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
        self.excuses = Excuses(self.folder / "gate.db", ME, self.pinned, self.clock)

    def again(self) -> None:
        self.excuses.close()
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
    made.excuses.close()


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("mocban_feeds_total", {"outcome": outcome}) or 0.0


@pytest.mark.parametrize("name", feeds.NAMES)
def test_every_feed_excuses_its_tags_and_no_others(gate: Gate, name: str) -> None:
    assert gate.excuses.excused(UID) == ""
    assert gate.excuses.take(name, gate.feed(name))
    assert (gate.excuses.excused(UID), gate.excuses.excused(OTHER)) == (name, "")
    assert gate.excuses.versions == {name: 1}


def test_feeds_are_there_after_a_start_without_the_network(gate: Gate) -> None:
    gate.excuses.take("allow-list", gate.feed("allow-list", version=7))
    gate.again()
    assert gate.excuses.excused(UID) == "allow-list"
    assert gate.excuses.versions == {"allow-list": 7}


def test_a_newer_feed_takes_the_place_and_an_older_one_never_comes_back(gate: Gate) -> None:
    first = gate.feed(version=1)
    gate.excuses.take("pending-security", first)
    assert gate.excuses.take("pending-security", gate.feed("pending-security", OTHER, version=2))
    before = counted("refused")
    for _ in range(2):
        assert not gate.excuses.take("pending-security", first)
        assert (gate.excuses.excused(UID), gate.excuses.excused(OTHER)) == ("", "pending-security")
        gate.again()
    assert counted("refused") == before + 2


def test_the_retained_feed_that_comes_again_is_no_refusal(gate: Gate) -> None:
    gate.excuses.take("pending-security", gate.feed())
    before = counted("refused")
    assert not gate.excuses.take("pending-security", gate.feed())
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
    other.excuses.close()
    for payload in bad:
        assert not gate.excuses.take(name, payload)
    assert counted("refused") == before + len(bad)
    assert (gate.excuses.excused(UID), gate.excuses.versions) == ("", {})


def test_a_feed_ends_and_so_does_an_entry(gate: Gate) -> None:
    soon = NOW + timedelta(hours=1)
    gate.excuses.take("recent-loans", gate.feed("recent-loans", OTHER))
    gate.excuses.take("allow-list", gate.feed("allow-list", until=soon))
    gate.clock.advance(3600)
    assert (gate.excuses.excused(UID), gate.excuses.excused(OTHER)) == ("", "recent-loans")
    gate.clock.advance(23 * 3600)
    assert (gate.excuses.excused(OTHER), gate.excuses.versions) == ("", {})


def test_a_clock_at_1970_revives_no_feed(gate: Gate) -> None:
    gate.excuses.take("recent-loans", gate.feed("recent-loans", OTHER, hours=1))
    gate.excuses.take("allow-list", gate.feed("allow-list", issued=NOW + timedelta(hours=2)))
    gate.clock = SetClock(datetime(1970, 1, 1, tzinfo=UTC))
    gate.again()
    assert (gate.excuses.excused(OTHER), gate.excuses.excused(UID)) == ("", "allow-list")


def test_a_key_that_is_pinned_no_more_takes_its_feeds_along(gate: Gate) -> None:
    gate.excuses.take("allow-list", gate.feed("allow-list", version=5))
    gate.pinned = []
    gate.again()
    assert gate.excuses.excused(UID) == ""
    gate.pinned = [gate.key.public]
    gate.again()
    assert gate.excuses.excused(UID) == "allow-list"


def test_what_was_wiped_stays_forgotten_and_old_versions_stay_old(gate: Gate) -> None:
    feed = gate.feed("allow-list", version=5)
    gate.excuses.take("allow-list", feed)
    gate.excuses.forget()
    assert gate.excuses.excused(UID) == ""
    gate.again()
    assert gate.excuses.excused(UID) == ""
    assert not gate.excuses.take("allow-list", gate.feed("allow-list", version=4))


def test_what_the_disk_refused_is_taken_once_it_is_well_and_then_the_newest(gate: Gate) -> None:
    name = "allow-list"
    gate.excuses._db.execute("PRAGMA query_only=1")
    before = counted("untaken")
    for feed in (gate.feed(name, OTHER, version=2), gate.feed(name, version=1)):
        assert not gate.excuses.take(name, feed)
    gate.excuses.again()
    assert counted("untaken") == before + 3
    assert (gate.excuses.excused(OTHER), gate.excuses.versions) == ("", {})
    gate.excuses._db.execute("PRAGMA query_only=0")
    gate.excuses.again()
    assert (gate.excuses.excused(OTHER), gate.excuses.excused(UID)) == (name, "")
    gate.again()
    assert gate.excuses.versions == {name: 2}


def test_what_the_disk_refused_is_forgotten_with_the_rest(gate: Gate) -> None:
    gate.excuses._db.execute("PRAGMA query_only=1")
    gate.excuses.take("allow-list", gate.feed("allow-list"))
    gate.excuses._db.execute("PRAGMA query_only=0")
    gate.excuses.forget()
    gate.excuses.again()
    assert (gate.excuses.excused(UID), gate.excuses.versions) == ("", {})
