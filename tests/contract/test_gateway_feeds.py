"""What gates are told: signed, retained, growing, and only what committed loans and returns say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mocban import feeds
from mocban.events import LoanMade, ReturnMade, SecurityMended, StillArmed, ref
from tests.support.gateway_stand import CLOCK, Broker, envelope, running_broker, until
from tests.support.orders_stand import Centre, Device

ONE, TWO, THREE = "E0040100000000A1", "E0040100000000A2", "E0040100000000A3"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker("iotcore", tmp_path) as started:
        yield started


def lent(line: int, uid: str, security: str = "off") -> LoanMade:
    return LoanMade.model_validate(
        {"session": "s", "line": line, "item": f"BG{line}", "uid": uid, "security": security}
    )


def uids(feed: feeds.Feed) -> list[str]:
    return [one.uid for one in feed.entries]


def wait_feed(gate: Device, public: str, name: str, *want: str) -> feeds.Feed:
    """The last feed ``name``, once it holds ``want``, newest first."""

    def is_there() -> bool:
        found = gate.feeds(public, name)
        return bool(found) and uids(found[-1]) == list(want)

    gate.wait(is_there, f"{name} is {want}")
    return gate.feeds(public, name)[-1]


def test_a_gate_hears_what_is_lent_and_what_is_back(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker.url, allow_list=[THREE]) as gateway:
        with Device(broker.url, "gate-1") as gate, Device(broker.url) as kiosk:
            gate.say(online=True, app="gate")
            first = wait_feed(gate, gateway.public, "recent-loans")
            assert uids(wait_feed(gate, gateway.public, "allow-list", THREE)) == [THREE]
            kiosk.tell(lent(1, ONE), 1)
            kiosk.tell(lent(2, TWO, "pending"), 2)
            kiosk.tell(lent(3, ""), 3)
            loans = wait_feed(gate, gateway.public, "recent-loans", TWO, ONE)
            pending = wait_feed(gate, gateway.public, "pending-security", TWO)
            assert loans.version > first.version
            assert (loans.device, loans.tenant) == ("gate-1", "demo")
            assert loans.expires - loans.issued == timedelta(hours=24)
            until_ = pending.entries[0].until
            assert until_ is not None
            assert timedelta(days=29) < until_ - CLOCK.now() < timedelta(days=31)
            kiosk.tell(ReturnMade(session="r", line=1, item="BG2", uid=TWO), 4)
            wait_feed(gate, gateway.public, "recent-loans", ONE)
            wait_feed(gate, gateway.public, "pending-security")
            assert not kiosk.feeds(gateway.public, "recent-loans")


def test_every_station_hears_what_is_to_be_mended_until_it_is(
    tmp_path: Path, broker: Broker
) -> None:
    name = "pending-security"
    with Centre(tmp_path, broker.url) as gateway:
        with Device(broker.url, "gate-1") as gate, Device(broker.url) as kiosk:
            gate.say(online=True, app="gate")
            kiosk.say(online=True, app="kiosk")
            wait_feed(kiosk, gateway.public, name)
            loan = lent(1, ONE, "pending")
            back = ReturnMade(session="r", line=2, item="BG2", uid=TWO, security="pending")
            kiosk.tell(loan, 1)
            kiosk.tell(back, 2)
            for station in (gate, kiosk):
                feed = wait_feed(station, gateway.public, name, TWO, ONE)
                assert [(one.want, one.item, one.ref) for one in feed.entries] == [
                    ("on", "BG2", ref(back.id_at("kiosk-1"))),
                    ("off", "BG1", ref(loan.id_at("kiosk-1"))),
                ]
            mended = SecurityMended(
                uid=TWO, mended=ref(back.id_at("kiosk-1")), item="BG2", security="on"
            )
            gate.tell(mended, 1, epoch="00000000000000e2")  # whoever saw it
            wait_feed(kiosk, gateway.public, name, ONE)
            gate.tell(mended, 2, epoch="00000000000000e2")
            gate.tell(StillArmed(passage=1, uid=THREE), 3, epoch="00000000000000e2")
            kiosk.tell(lent(3, THREE), 3, ts=CLOCK.now() - timedelta(minutes=1))
            feed = wait_feed(kiosk, gateway.public, name, THREE, ONE)
            assert (feed.entries[0].want, feed.entries[0].item) == ("off", "BG3")
            kiosk.tell(ReturnMade(session="r", line=3, item="BG1", uid=ONE), 4)
            wait_feed(kiosk, gateway.public, name, THREE)
            assert {topic.rpartition("/")[2] for topic, _ in kiosk.heard if "/feed/" in topic} == {
                name
            }


def test_a_loan_for_the_reading_room_is_no_loan_a_gate_lets_go(
    tmp_path: Path, broker: Broker
) -> None:
    with Centre(tmp_path, broker.url) as gateway:
        with Device(broker.url, "gate-1") as gate, Device(broker.url) as kiosk:
            gate.say(online=True, app="gate")
            kiosk.tell(lent(1, ONE, "none").model_copy(update={"stays": True}), 1)
            kiosk.tell(lent(2, TWO, "none"), 2)  # a site that writes no tags
            old = lent(3, THREE, "none")
            kiosk.send(
                f"{kiosk.prefix}/evt/loan-made",
                envelope(old, 3, data=old.model_dump(mode="json", exclude={"stays"})),
            )  # told by an older release
            kiosk.tell(lent(4, "E0040100000000A4"), 4)
            wait_feed(gate, gateway.public, "recent-loans", "E0040100000000A4", TWO)


def test_a_return_told_without_its_tag_and_one_told_late_count_too(
    tmp_path: Path, broker: Broker
) -> None:
    with Centre(tmp_path, broker.url) as gateway:
        with Device(broker.url, "gate-1") as gate, Device(broker.url) as kiosk:
            gate.say(online=True, app="gate")
            kiosk.tell(lent(1, ONE), 1)
            kiosk.tell(lent(2, TWO), 2)
            wait_feed(gate, gateway.public, "recent-loans", TWO, ONE)
            kiosk.tell(ReturnMade(session="r", line=1, item="BG1"), 3)
            wait_feed(gate, gateway.public, "recent-loans", TWO)
            # The loan of before this return arrives after it: another kiosk was offline.
            kiosk.tell(ReturnMade(session="r", line=3, item="BG3", uid=THREE), 4)
            kiosk.tell(lent(3, THREE), 5, ts=CLOCK.now() - timedelta(hours=1))
            kiosk.tell(lent(4, ONE), 6)
            wait_feed(gate, gateway.public, "recent-loans", ONE, TWO)


def test_feeds_are_retained_and_versions_grow_over_a_restart(
    tmp_path: Path, broker: Broker
) -> None:
    gateway = Centre(tmp_path, broker.url)
    with gateway, Device(broker.url, "gate-1") as gate, Device(broker.url) as kiosk:
        gate.say(online=True, app="gate")
        kiosk.tell(lent(1, ONE), 1)
        old = wait_feed(gate, gateway.public, "recent-loans", ONE)
    with Device(broker.url, "gate-1") as gate:  # nobody else is there
        assert wait_feed(gate, gateway.public, "recent-loans", ONE) == old
    with gateway, Device(broker.url, "gate-1") as gate, Device(broker.url) as kiosk:
        gate.wait(
            lambda: (
                gate.feeds(gateway.public, "recent-loans")[-1:] != [old]
                and bool(gate.feeds(gateway.public, "recent-loans"))
            ),
            "the feed is given anew",
        )
        new = gate.feeds(gateway.public, "recent-loans")[-1]
        assert new.version > old.version
        assert uids(new) == [ONE]
        kiosk.tell(lent(2, TWO), 2)
        assert wait_feed(gate, gateway.public, "recent-loans", TWO, ONE).version > new.version


def test_a_gate_born_again_is_told_what_it_was_told(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker.url) as gateway, Device(broker.url, "gate-1") as gate:
        gate.say(online=True, app="gate")
        gate.wait(lambda: len(gate.feeds(gateway.public, "allow-list")) == 1, "the first comes")
        gate.say(online=True, app="gate")
        gate.wait(lambda: len(gate.feeds(gateway.public, "allow-list")) == 2, "it comes again")
        one, two = gate.feeds(gateway.public, "allow-list")
        assert one == two


def test_a_broker_that_forgot_everything_gets_the_feeds_again(
    tmp_path: Path, broker: Broker
) -> None:
    with Centre(tmp_path, broker.url) as gateway:
        with Device(broker.url, "gate-1") as gate:
            gate.say(online=True, app="gate")
            wait_feed(gate, gateway.public, "pending-security")
        broker.kill()
        broker.start()
        with Device(broker.url, "gate-1") as gate:
            wait_feed(gate, gateway.public, "pending-security")
        until(lambda: gateway.health()["ok"], "the gateway is back")
