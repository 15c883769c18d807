"""The mode an order sets: how long it holds, over restarts and without a clock, and what nothing opens again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kiosk.remote.modes import KEEP
from mocban.clock import SetClock
from tests.support.person import Person
from tests.support.station import Station


def test_a_timed_mode_ends_by_itself_and_that_is_told(station: Station) -> None:
    station.does(station.order("set-mode", args={"mode": "closed", "seconds": 100}), "set-mode")
    station.remote.modes.tick()
    assert station.app.mode == "closed"
    station.clock.advance(101)
    station.remote.modes.tick()
    assert station.shown[-1] == station.app.mode == "open"
    assert station.audits()[-1] == ("device:kiosk-1", "mode-undone", "done", "")
    station.again()
    assert station.app.mode == "open"


def test_a_timed_mode_goes_on_after_a_restart_for_what_is_left(station: Station) -> None:
    station.does(station.order("set-mode", args={"mode": "closed", "seconds": 100}), "set-mode")
    station.clock.advance(KEEP + 1)
    station.remote.modes.tick()
    station.clock = SetClock(datetime(1970, 1, 1, tzinfo=UTC))  # a power cut, and no clock
    station.again()
    assert station.app.mode == "closed"
    assert station.remote.modes.left == pytest.approx(100 - KEEP - 1)
    station.clock.advance(100 - KEEP)
    station.remote.modes.tick()
    assert station.app.mode == "open"


def test_a_mode_with_a_persons_word_stays(station: Station, tmp_path: Path) -> None:
    minh = Person(tmp_path, "minh")
    station.staff["minh"] = minh.line
    station.does(station.order("set-mode", minh, args={"mode": "closed"}), "set-mode")
    station.clock.advance(10**6)
    station.remote.modes.tick()
    assert station.app.mode == "closed"


def test_who_was_wiped_stays_so(station: Station, tmp_path: Path) -> None:
    minh, lan = Person(tmp_path, "minh"), Person(tmp_path, "lan")
    station.staff |= {"minh": minh.line, "lan": lan.line}
    station.does(station.order("wipe", minh, lan), "wipe")
    opened = station.order("set-mode", minh, args={"mode": "open"})
    assert station.does(opened, "set-mode") == ("set-mode", "refused", "wiped")
    station.app.mode = ""
    station.again()
    assert station.app.mode == "wiped"
    assert station.does(station.order("self-test"), "self-test")[1] == "done"
