"""Orders at the edge: what is refused and how it is told, and that a crash anywhere neither loses nor doubles one."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from kiosk.remote.ledger import KEPT, ROWS_MAX, Ledger
from kiosk.remote.modes import KEEP
from kiosk.remote.orders import Remote
from mocban import commands, identity
from mocban.clock import SetClock, rfc3339
from mocban.commands import CollectLogs
from mocban.errors import PeerUnreachable, StorageError
from mocban.events import Fact
from mocban.identity import Identity
from mocban.messages import Receipt
from mocban.outbox import Outbox
from tests.unit.test_orders import Person

ME = Identity("demo", "kiosk-1", "kiosk")
NOW = SetClock().now()
TOKEN = "0123456789abcdef" * 2


class Dies(BaseException):
    """The process is killed here."""


class Fuse:
    """Kills the process at its ``at``-th step."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.steps = 0

    def __call__(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Dies


class FusedLedger(Ledger):
    """The real ledger in a process that may be killed before and after every write."""

    fuse: Fuse = Fuse()

    def take(self, *args: Any) -> None:
        self.fuse()
        super().take(*args)
        self.fuse()

    def refuse(self, *args: Any) -> None:
        self.fuse()
        super().refuse(*args)
        self.fuse()

    def begin(self, *args: Any) -> None:
        super().begin(*args)
        self.fuse()

    def end(self, *args: Any) -> None:
        self.fuse()
        super().end(*args)
        self.fuse()

    def answered(self, *args: Any) -> None:
        self.fuse()
        super().answered(*args)
        self.fuse()

    def stand(self, *args: Any) -> None:
        self.fuse()
        super().stand(*args)
        self.fuse()


@dataclass
class App:
    """An app as far as orders touch it; what it was told stays over a restart."""

    modes: frozenset[str] = frozenset({"open", "closed"})
    acts: list[str] = field(default_factory=list)
    mode: str = ""
    busy: bool = False
    hangs: bool = False
    stop: asyncio.Event | None = None
    fuse: Fuse = field(default_factory=Fuse)

    async def self_test(self) -> dict[str, str]:
        self._act("self-test")
        if self.hangs:
            await asyncio.Event().wait()
        return {"reader": "ok", "disk": "9 MiB free"}

    async def restart(self, patience: float) -> bool:
        self._act("restart")
        if self.busy:
            return False
        assert self.stop is not None
        self.stop.set()
        return True

    def set_mode(self, mode: str) -> None:
        self.mode = mode

    async def wipe(self) -> None:
        self._act("wipe")

    async def collect(self, order: CollectLogs) -> dict[str, Any]:
        self._act("collect-logs")
        if self.busy:
            raise PeerUnreachable("no upload")
        return {"bytes": 10, "lines": 1}

    def _act(self, what: str) -> None:
        self.fuse()
        self.acts.append(what)
        self.fuse()


class Facts:
    """The outbox in a process that may be killed, or on a disk that takes nothing."""

    def __init__(self, outbox: Outbox, fuse: Fuse) -> None:
        self._outbox = outbox
        self._fuse = fuse
        self.fails = False

    @property
    def epoch(self) -> str:
        return self._outbox.epoch

    def put(self, fact: Fact) -> bool:
        self._fuse()
        if self.fails:
            raise StorageError("the disk is full")
        new = self._outbox.put(fact)
        self._fuse()
        return new


class Station:
    """One box: its disk, its app, and the process on it, which can be killed and started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = identity.signing_key(folder / "gateway.key")
        self.staff: dict[str, str] = {}
        self.clock = SetClock()
        self.app = App()
        self.receipts: list[Receipt] = []
        self.shown: list[str] = []
        self.asked = 0
        self.start()

    def start(self, fuse: Fuse | None = None) -> None:
        fuse = fuse or Fuse()
        self.app.fuse = fuse
        self.outbox = Outbox(self.folder / "x.db", ME.device, self.clock)
        self.ledger = FusedLedger(self.folder / "x.db")
        self.ledger.fuse = fuse
        self.facts = Facts(self.outbox, fuse)
        self.remote = Remote(
            ME, [self.key.public], self.staff, self.ledger, self.facts, self.clock, self.app,
            lambda name, payload: self.receipts.append(Receipt.parse(payload)),
            collect=self.app.collect, shown=self.shown.append,
        )  # fmt: skip

    def kill(self) -> None:
        self.ledger.close()
        self.outbox.close()

    def again(self, fuse: Fuse | None = None) -> None:
        self.kill()
        self.start(fuse)

    def order(
        self, name: str, *by: Person, seq: int = 0, epoch: str = "", expires: datetime | None = None,
        issued: datetime = NOW, args: dict[str, Any] | None = None, **other: Any,
    ) -> bytes:  # fmt: skip
        self.asked += 1
        body = {
            "id": UUID(int=self.asked), "by": "person:boss", "tenant": "demo", "device": "kiosk-1", "app": "kiosk",
            "name": name, "args": args or {}, "expires": expires or NOW + timedelta(minutes=5), **other,
        }  # fmt: skip
        request = commands.Request.model_validate(body)
        approvals = [person.approves(request) for person in by]
        return commands.sign(
            self.key, request, approvals, epoch=epoch or self.outbox.epoch, seq=seq or self.asked, issued=issued,
        ).encode()  # fmt: skip

    def settle(self) -> None:
        """The process runs until nothing is due, or it ends itself; then it is started again."""

        async def body() -> None:
            self.app.stop = stop = asyncio.Event()
            running = asyncio.create_task(self.remote.run(stop))
            async with asyncio.timeout(5):
                while not running.done() and self.ledger.due() is not None:
                    await asyncio.sleep(0)
                stop.set()
                await running

        asyncio.run(body())

    def told(self, kind: str) -> list[dict[str, Any]]:
        rows = [row for row in self.outbox.rows(0, 2000) if row.kind == kind]
        return [json.loads(row.payload)["data"] for row in rows]

    def answers(self) -> list[tuple[str, str, str]]:
        """Name, outcome and reason of every answer told."""
        return [(a["name"], a["outcome"], a["reason"]) for a in self.told("command-answered")]

    def audits(self) -> list[tuple[str, str, str, str]]:
        return [
            (a["actor"], a["action"], a["outcome"], a["reason"])
            for a in self.told("audited")
            if a["action"] != "epoch-renewed"
        ]

    def does(self, payload: bytes, name: str) -> tuple[str, str, str]:
        """What became of one order, told at the end."""
        self.remote.order(name, payload)
        self.settle()
        self.again()
        return self.answers()[-1]


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path)
    yield made
    made.kill()


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


def old(station: Station) -> bytes:
    station.does(station.order("self-test", seq=9), "self-test")
    return station.order("self-test", seq=9)


REFUSED: dict[str, Callable[[Station], bytes]] = {
    "wrong-epoch": lambda s: s.order("self-test", epoch="b" * 16),
    "replayed": old,
    "expired": lambda s: s.order("self-test", expires=NOW),
    "unknown-command": lambda s: s.order("dance"),
    "bad-args": lambda s: s.order("set-mode", args={"mode": "sideways"}),
    "bad-mode": lambda s: s.order("set-mode", args={"mode": "silent", "seconds": 5}),
    "approvals-missing": lambda s: s.order("set-mode", args={"mode": "closed"}),
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_true_order_that_cannot_be_obeyed_is_answered_with_the_reason(
    station: Station, code: str
) -> None:
    payload = REFUSED[code](station)
    name = json.loads(payload)["name"]
    acts = list(station.app.acts)
    for _ in range(3):
        assert station.does(payload, name) == (name, "refused", code)
    assert station.app.acts == acts
    assert [a[1:] for a in station.audits() if a[2] == "refused"] == [
        (f"order-{name}", "refused", code)
    ]
    assert UUID(json.loads(payload)["id"]) not in {one.order for one in station.receipts}


def test_a_refused_order_is_not_obeyed_later_when_the_reason_is_gone(station: Station) -> None:
    station.clock = SetClock(datetime(2100, 1, 1, tzinfo=UTC))
    station.again()
    payload = station.order("self-test")
    assert station.does(payload, "self-test") == ("self-test", "refused", "expired")
    station.clock = SetClock()
    station.again()
    station.does(payload, "self-test")
    assert station.app.acts == []
    assert len(station.answers()) == 1


def test_orders_of_other_apps_are_left_to_them_without_a_word(station: Station) -> None:
    station.remote.order("self-test", station.order("self-test", app="gate"))
    station.settle()
    assert (station.answers(), station.audits(), station.receipts) == ([], [], [])


@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("unsigned", lambda s: b"{}"),
        ("bad-order", lambda s: b"\xff"),
        ("too-long", lambda s: b" " * 20_000),
        ("bad-signature", lambda s: s.order("self-test").replace(b'"seq":1', b'"seq":2')),
        ("wrong-device", lambda s: s.order("self-test", device="kiosk-2")),
        ("wrong-device", lambda s: s.order("self-test", tenant="other")),
        ("wrong-topic", lambda s: s.order("restart")),
    ],
)
def test_a_forged_or_misled_order_is_told_but_not_answered(
    station: Station, code: str, made: Callable[[Station], bytes]
) -> None:
    station.remote.order("self-test", made(station))
    station.settle()
    assert station.audits() == [("device:kiosk-1", "order-refused", "refused", code)]
    assert (station.answers(), station.receipts, station.app.acts) == ([], [], [])


def test_an_order_by_another_gateway_is_forged(station: Station, tmp_path: Path) -> None:
    station.key = identity.signing_key(tmp_path / "other.key")
    station.remote.order("self-test", station.order("self-test"))
    assert station.audits() == [("device:kiosk-1", "order-refused", "refused", "unknown-key")]


def test_forged_orders_in_numbers_are_told_once_a_minute(station: Station) -> None:
    for number in range(100):
        station.remote.order("self-test", b'{"n":%d}' % number)
    assert len(station.audits()) == 1
    station.clock.advance(61)
    station.remote.order("self-test", b"{}")
    assert len(station.audits()) == 2


def test_an_order_put_on_another_topic_still_counts_where_it_belongs(station: Station) -> None:
    payload = station.order("self-test")
    station.remote.order("wipe", payload)
    assert station.does(payload, "self-test") == ("self-test", "done", "")


def test_a_clock_at_1970_cannot_revive_an_order(station: Station) -> None:
    late = NOW + timedelta(hours=1)
    late_order = station.order("self-test", seq=1, issued=late, expires=late + timedelta(hours=1))
    assert station.does(late_order, "self-test")[1] == "done"
    station.clock = SetClock(datetime(1970, 1, 1, tzinfo=UTC))
    station.again()
    earlier = station.order("self-test", seq=2, issued=NOW, expires=late + timedelta(minutes=1))
    assert station.does(earlier, "self-test")[1] == "done"  # and it turns no clock back
    revived = station.order("self-test", seq=3, issued=NOW, expires=NOW + timedelta(minutes=5))
    assert station.does(revived, "self-test") == ("self-test", "refused", "expired")
    fresh = station.order("self-test", seq=4, issued=late, expires=late + timedelta(minutes=5))
    assert station.does(fresh, "self-test") == ("self-test", "done", "")


def test_a_clock_in_2100_refuses_and_shows_itself(station: Station) -> None:
    station.clock = SetClock(datetime(2100, 1, 1, tzinfo=UTC))
    station.again()
    assert station.does(station.order("self-test"), "self-test")[2] == "expired"
    assert station.told("command-answered")[0]["result"] == {"clock": rfc3339(station.clock.now())}


def test_a_wipe_needs_two_persons_and_none_of_them_is_who_asks(
    station: Station, tmp_path: Path
) -> None:
    minh, lan, boss = (Person(tmp_path, name) for name in ("minh", "lan", "boss"))
    station.staff |= {"minh": minh.line, "lan": lan.line, "boss": boss.line, "twin": boss.line}
    twin = Person.__new__(Person)
    twin.__dict__.update({**boss.__dict__, "name": "twin"})
    stranger = Person(tmp_path, "stranger")
    for by, code in [
        ((), "approvals-missing"),
        ((minh,), "approvals-missing"),
        ((minh, minh), "approvals-missing"),
        ((minh, boss), "own-approval"),
        ((minh, twin), "own-approval"),
        ((minh, stranger), "unknown-person"),
    ]:
        assert station.does(station.order("wipe", *by), "wipe") == ("wipe", "refused", code)
    assert station.app.acts == []
    assert station.does(station.order("wipe", minh, lan), "wipe") == ("wipe", "done", "")
    assert station.app.acts == ["wipe"]
    assert station.audits()[-1][3] == "approved by lan, minh"
    assert station.app.mode == "wiped"


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
