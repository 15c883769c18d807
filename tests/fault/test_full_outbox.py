"""A kiosk whose outbox is full: it ends what is under way, lends no more and says so; a gateway opens it again."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kiosk.emulators.world import World
from mocban.clock import SystemClock
from mocban.demo.branch import get
from mocban.errors import PeerUnreachable
from mocban.events import (
    Audited,
    CommandAnswered,
    DeviceChanged,
    Fact,
    GateAlarmed,
    LoanMade,
    PeopleCounted,
    ReturnMade,
    Shed,
)
from mocban.ids import new_id
from mocban.outbox import Outbox
from tests.fault.day import BOOK, CARD, ITEM, Kiosk, Patron, peers
from tests.fault.harness import Broker, Gateway, until

MIB, DEVICE = 2**20, "kiosk-1"
COUNTS, REPORTS, LOANS = 200, 40, 60
SHORT = 150
"""Bytes left below the cap when a patron comes: less than a loan, more than the stub of a report."""
ANSWER = {"said": "x" * 3400}


def test_a_full_kiosk_ends_the_visit_lends_no_more_and_opens_when_a_gateway_drains_it(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        broker = Broker("mosquitto", tmp_path)
        gateway = Gateway(tmp_path, broker.port)
        async with peers(tmp_path) as (world, sip2, pad):
            with (
                broker,
                gateway,
                Kiosk(
                    tmp_path, tmp_path / "edge", sip2, pad, broker.port, "outbox_mib = 1\n"
                ) as kiosk,
            ):
                patron = Patron(world, kiosk)
                told = await asyncio.to_thread(_nearly_full, kiosk)
                await _becomes_full_with_the_loan(world, kiosk, patron)
                await _lends_no_more(world, kiosk, patron)
                assert kiosk.end() == 0
                _gave_up_only_what_may_go(kiosk, told)
                kiosk.start()
                await patron.until(lambda: _barred(kiosk), "it is still full after a restart")
                await asyncio.to_thread(broker.start)
                gateway.start()
                await asyncio.to_thread(until, gateway.ready, "the gateway is ready")
                await patron.until(lambda: not _full(kiosk), "it is drained", 40.0)
                await patron.until(lambda: kiosk.screen() == "welcome", "it opens by itself")
                await patron.bring_back()
                await patron.borrow()
                await patron.leave()
                await asyncio.to_thread(_settled, kiosk, gateway)
                _all_stand_once(gateway, told)

    asyncio.run(scenario())


async def _becomes_full_with_the_loan(world: World, kiosk: Kiosk, patron: Patron) -> None:
    assert kiosk.screen() == "welcome"
    assert not _full(kiosk)
    world.show_card(CARD)
    await patron.until(lambda: kiosk.screen() == "borrow", "borrowing is open")
    world.lay(BOOK)
    await patron.until(lambda: world.loan(ITEM) is not None, "it is lent")
    await patron.until(lambda: _full(kiosk), "the loan fills the outbox")
    await patron.until(lambda: kiosk.told("loan-made") == LOANS + 1, "and is told all the same")
    assert kiosk.screen() == "borrow", "the visit goes on"
    kiosk.act("finish")
    world.show_card(None)
    world.lift(BOOK)
    await patron.until(lambda: _barred(kiosk), "the visit is over, and it says why there is none")
    await patron.until(kiosk.at_rest, "nothing of the visit is left")


async def _lends_no_more(world: World, kiosk: Kiosk, patron: Patron) -> None:
    before = world.counters()["loans_in_ils"]
    other = "lich-su"
    world.show_card(CARD)
    world.lay(other)
    for action in ("borrow", "return"):
        await asyncio.to_thread(kiosk.act, action)
    await asyncio.sleep(2.0)  # time enough to lend, were it open
    assert _barred(kiosk)
    assert world.counters()["loans_in_ils"] == before
    world.show_card(None)
    world.lift(other)


def _nearly_full(kiosk: Kiosk) -> list[Fact]:
    """Facts for all but a few bytes of the outbox and of one start; the kiosk runs when it is done."""
    told: list[Fact] = []

    def put(outbox: Outbox, fact: Fact) -> None:
        assert outbox.put(fact)
        told.append(fact)

    with _outbox(kiosk) as outbox:
        for number in range(COUNTS):
            put(outbox, PeopleCounted(passage=number, entered=1, left=0))
        for number in range(REPORTS):
            at = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
            put(outbox, DeviceChanged(part=f"part-{number}", state="lost", at=at))
        for number in range(LOANS):
            put(outbox, LoanMade(session="s1", line=number, item=f"L{number:04}"))
            put(outbox, ReturnMade(session="s2", line=number, item=f"L{number:04}"))
            put(outbox, GateAlarmed(passage=number))
            put(outbox, Audited(ref=f"a{number}", actor="app:test", action="tried"))
        while _waiting(outbox) < MIB - 20_000:
            order = new_id()
            put(
                outbox,
                CommandAnswered(
                    order=order, name="status", app="kiosk", outcome="done", result=ANSWER
                ),
            )
            counts, reports = _left(outbox, "people-counted"), _left(outbox, "device-changed")
            assert counts == 0 or reports == REPORTS, "no report goes while a count stands"
        before = _waiting(outbox)
    _started(kiosk)
    assert kiosk.end() == 0
    with _outbox(kiosk) as outbox:
        start = _waiting(outbox) - before
        assert 0 < start < 5_000
        short = MIB - _waiting(outbox) - start - SHORT
        number = size = 0
        while short >= 2 * size:
            before = _waiting(outbox)
            put(outbox, _filler(number := number + 1))
            size = _waiting(outbox) - before
            short -= size
        put(outbox, _filler(number + 1, short - size))
    _started(kiosk)
    return told


def _left(outbox: Outbox, kind: str) -> int:
    """How many facts of ``kind`` are not given up."""
    query = "SELECT count(*) FROM outbox WHERE kind = ? AND class < 3"
    return int(outbox._db.execute(query, (kind,)).fetchone()[0])


def _filler(number: int, more: int = 0) -> Fact:
    """One fact, ``more`` bytes longer than the others."""
    return Audited(
        ref=f"f{number:03}", actor="app:test", action="tried",
        reason="x" * min(more, 255), object="x" * max(0, more - 255),
    )  # fmt: skip


def _started(kiosk: Kiosk) -> None:
    kiosk.start()
    until(kiosk.ready, "the kiosk is ready")
    until(lambda: kiosk.screen() == "welcome", "it is open")


def _gave_up_only_what_may_go(kiosk: Kiosk, told: list[Fact]) -> None:
    """The counts are gone, perhaps reports; of all that must stay everything stands."""
    with _outbox(kiosk) as outbox:
        rows = outbox._db.execute("SELECT kind, class FROM outbox ORDER BY seq").fetchall()
    gone = Counter(kind for kind, level in rows if level == 3)
    left = Counter(kind for kind, level in rows if level != 3)
    assert set(gone) <= {"people-counted", "device-changed"}
    assert gone["people-counted"] == COUNTS
    for kind, number in Counter(fact.kind for fact in told if fact.shed is Shed.NEVER).items():
        assert left[kind] >= number


def _settled(kiosk: Kiosk, gateway: Gateway) -> None:
    """The watermark reaches what was told; the kiosk is ended."""

    until(lambda: len(gateway.loans()) == LOANS + 2, "the gateway has the new loan")
    until(
        lambda: not kiosk._rows("SELECT 1 FROM outbox_self WHERE upto < next - 1"),
        "it is confirmed",
    )
    assert kiosk.end() == 0
    with _outbox(kiosk) as outbox:
        assert (outbox.depth, outbox.upto, outbox.full) == (0, outbox.told, False)


def _all_stand_once(gateway: Gateway, told: list[Fact]) -> None:
    facts = gateway.facts()
    times = Counter(fact["id"] for fact in facts)
    assert set(times.values()) == {1}
    never = {str(fact.id_at(DEVICE)) for fact in told if fact.shed is Shed.NEVER}
    assert never <= set(times)
    assert sum(fact["kind"] == "loan-made" for fact in facts) == LOANS + 2
    assert sum(fact["kind"] == "return-made" for fact in facts) == LOANS + 1
    mine = [fact for fact in facts if fact["device"] == DEVICE]
    assert len({fact["epoch"] for fact in mine}) == 1
    assert sorted(fact["seq"] for fact in mine) == list(range(1, len(mine) + 1)), "no gap"
    shed: list[dict[str, Any]] = [fact["data"] for fact in mine if fact["kind"] == "fact-shed"]
    assert Counter(data["what"] for data in shed)["people-counted"] == COUNTS
    assert not any(fact["kind"] == "people-counted" for fact in mine)
    assert gateway.json("/api/v1/dead")["count"] == 0


def _outbox(kiosk: Kiosk) -> contextlib.closing[Outbox]:
    """The kiosk's own, while it is stopped."""
    file = kiosk.data / "kiosk" / "kiosk.db"
    return contextlib.closing(Outbox(file, DEVICE, SystemClock(), cap=MIB))


def _waiting(outbox: Outbox) -> int:
    return outbox._held.marks.waiting


def _full(kiosk: Kiosk) -> bool:
    """Whether ``/healthz`` says so."""
    checks: dict[str, Any] = kiosk.health().get("checks", {})  # type: ignore[assignment]
    return bool(checks) and not checks["outbox"]["ok"]


def _barred(kiosk: Kiosk) -> bool:
    """Whether the page says so to a patron, by its code."""
    try:
        return "E-OUTBOX" in get(kiosk.url).decode()
    except PeerUnreachable:
        return False
