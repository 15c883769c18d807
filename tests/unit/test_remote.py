"""Orders at the edge: done once, answered once, and that a crash anywhere neither loses nor doubles one."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from kiosk.remote.ledger import KEPT, ROWS_MAX
from mocban import commands
from mocban.errors import StorageError
from tests.support.person import Person
from tests.support.station import NOW, Dies, Fuse, Station

TOKEN = "0123456789abcdef" * 2
MAKES: dict[str, dict[str, Any]] = {
    "self-test": {},
    "collect-logs": {"url": "https://gateway/up", "token": TOKEN},
    "restart": {},
    "set-mode": {"mode": "closed", "seconds": 60},
}


@pytest.mark.parametrize("name", MAKES)
def test_an_order_is_confirmed_done_and_answered_with_who_asked(
    station: Station, name: str
) -> None:
    payload = station.order(name, args=MAKES[name])
    station.remote.order(name, payload)
    station.settle()
    if name == "restart":  # it is answered by the process that comes after
        assert station.answers() == []
    station.again()
    station.settle()
    assert station.answers() == [(name, "done", "")]
    assert station.audits() == [("person:boss", f"order-{name}", "done", "")]
    assert [(one.order, one.seq) for one in station.receipts] == [(UUID(int=1), 1)]


def test_the_token_of_an_upload_is_not_kept(station: Station) -> None:
    name = "collect-logs"
    station.does(station.order(name, args=MAKES[name]), name)
    with closing(sqlite3.connect(station.folder / "x.db")) as db:
        assert db.execute("SELECT state, args FROM remote_order").fetchall() == [("answered", "{}")]
    assert TOKEN not in json.dumps(station.told("command-answered") + station.told("audited"))


def test_the_answer_holds_what_was_asked_for(station: Station) -> None:
    station.does(station.order("self-test"), "self-test")
    assert station.told("command-answered")[0]["result"] == {"reader": "ok", "disk": "9 MiB free"}
    station.does(station.order("set-mode", args={"mode": "closed", "seconds": 9}), "set-mode")
    assert station.told("command-answered")[1]["result"] == {"mode": "closed"}
    assert station.shown[-1] == station.app.mode == "closed"


def test_the_same_order_fifty_times_is_done_once(station: Station) -> None:
    payload = station.order("self-test")
    for turn in range(50):
        station.remote.order("self-test", payload)
        if turn % 10 == 5:
            station.settle()
            station.again()
    station.settle()
    assert station.app.acts == ["self-test"]
    assert len(station.receipts) == 50
    assert len(station.answers()) == 1


def test_what_fails_says_why(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    station.app.busy = True
    assert station.does(station.order("restart", args={"patience": 0}), "restart") == (
        "restart", "failed", "busy",
    )  # fmt: skip
    logs = station.order("collect-logs", args=MAKES["collect-logs"])
    assert station.does(logs, "collect-logs") == ("collect-logs", "failed", "peer-unreachable")
    station.app.hangs = True
    monkeypatch.setattr("kiosk.remote.orders.DEADLINES", {"self-test": 0.05})
    assert station.does(station.order("self-test"), "self-test") == (
        "self-test", "failed", "deadline",
    )  # fmt: skip


def test_orders_wait_for_each_other_and_one_that_waited_too_long_is_not_done(
    station: Station,
) -> None:
    station.remote.order("self-test", station.order("self-test"))
    station.remote.order("self-test", station.order("self-test", expires=NOW + timedelta(hours=1)))
    station.clock.advance(600)
    station.again()
    station.settle()
    assert station.answers() == [("self-test", "failed", "expired"), ("self-test", "done", "")]
    assert station.app.acts == ["self-test"]


def test_a_copied_disk_does_nothing_of_what_its_original_was_told(station: Station) -> None:
    station.remote.order("restart", station.order("restart"))
    station.outbox.renew("test")
    station.settle()
    assert station.app.acts == []
    assert station.answers() == [("restart", "failed", "wrong-epoch")]


def test_a_disk_that_takes_no_answer_is_asked_again_and_nothing_is_done_twice(
    station: Station,
) -> None:
    station.remote.order("self-test", station.order("self-test"))
    station.facts.fails = True
    with pytest.raises(StorageError):
        station.settle()
    station.again()
    station.settle()
    assert station.app.acts == ["self-test"]
    assert station.answers() == [("self-test", "done", "")]


@pytest.mark.parametrize("name", [*MAKES, "wipe"])
def test_a_crash_anywhere_loses_no_order_and_doubles_no_answer(tmp_path: Path, name: str) -> None:
    persons = [Person(tmp_path, one) for one in ("minh", "lan")] if name == "wipe" else []
    at, whole = 0, False
    while not whole:
        at += 1
        station = Station(tmp_path / str(at))
        station.staff |= {one.name: one.line for one in persons}
        fuse = Fuse(at)
        station.again(fuse)
        payload = station.order(name, *persons, args=MAKES.get(name))
        try:
            station.remote.order(name, payload)
            station.settle()
            if name == "restart":
                station.again(fuse)
                station.settle()
            whole = True
        except Dies:
            station.again()
            station.settle()
            station.again()
            if not station.receipts:
                station.remote.order(name, payload)  # the gateway sends it again
                station.settle()
                station.again()
            station.settle()
        assert station.answers() == [(name, "done", "")], at
        assert [audit[1] for audit in station.audits()] == [f"order-{name}"], at
        assert station.app.acts.count("restart") <= 1
        assert station.app.acts.count(name) <= 2
        if name == "set-mode":
            assert station.app.mode == "closed"
        elif name != "restart":
            assert name in station.app.acts
        station.kill()
    assert at > 8


def test_a_crash_while_refusing_answers_once(tmp_path: Path) -> None:
    for at in range(1, 12):
        station = Station(tmp_path / str(at))
        station.again(Fuse(at))
        payload = station.order("dance")
        try:
            station.remote.order("dance", payload)
            station.settle()
        except Dies:
            station.again()
            station.remote.order("dance", payload)
            station.settle()
        assert station.answers() == [("dance", "refused", "unknown-command")]
        station.kill()


def test_the_ledger_forgets_what_is_answered_and_old(station: Station) -> None:
    for _ in range(3):
        station.does(station.order("self-test"), "self-test")
    first = str(UUID(int=1))
    assert station.ledger.known(first) == "done"
    station.clock.advance(KEPT.total_seconds() + 1)
    station.again()
    later = station.order("self-test", expires=NOW + timedelta(days=3))
    station.does(later, "self-test")
    assert station.ledger.known(first) is None


def test_the_ledger_never_holds_more_than_its_measure(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ROWS_MAX == 1000
    monkeypatch.setattr("kiosk.remote.ledger.ROWS_MAX", 50)
    for seq in range(1, 80):
        order = commands.parse(station.order("self-test", seq=seq), [station.key.public])
        station.ledger.take(order, [], NOW)
        if seq > 1:
            station.ledger.answered(str(order.id))
    assert station.ledger.known(str(UUID(int=2))) is None
    assert station.ledger.known(str(UUID(int=1))) == "taken", "what is not answered is not lost"
