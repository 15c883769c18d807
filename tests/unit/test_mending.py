"""What is mended when: the item that is meant, between the patrons, one at a time, and told only when proven."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kiosk.heed.feeds import Debt
from kiosk.ils.port import IlsSilent, ItemAnswer, Sent
from kiosk.mending import PAUSE, Mending, due, mend, wish
from kiosk.pending import Pending
from kiosk.perform import World
from kiosk.session.state import Item, Line, Lying, Mode, Phase, Visit, Way
from kiosk.settings import Security
from mocban.clock import SetClock
from mocban.errors import StorageError
from mocban.events import Fact, SecurityMended
from tests.support.crashing_world import Elsewhere, Model, Tape, run

A, B = Item("A", "E1"), Item("B", "E2")
R = "a" * 16
AT = SetClock().now()


def owing(want: str = "on", item: Item = A, named: str = "") -> Debt:
    return Debt(item.uid, named or item.id, "on" if want == "on" else "off", AT, R)


def visit(*lines: Line, mode: Mode = Mode.IDLE, **more: Any) -> Visit:
    lying = (Lying("E1", A), Lying("E2", B))
    return replace(Visit(mode=mode, id="v", lines=lines, pad=lying), **more)


def line(item: Item, phase: Phase, *, waiting: bool = False) -> Line:
    return Line(1, item, Way.RETURN, phase, waiting=waiting)


def chosen(there: Visit, *debts: Debt) -> str:
    """UID of the tag to be mended now."""
    found = due(there, {one.uid: one for one in debts}.get)
    return found.uid if found else ""


def test_a_tag_that_lies_there_and_is_owed_is_mended() -> None:
    assert chosen(visit()) == ""
    assert chosen(visit(), owing(item=B)) == "E2"
    assert chosen(visit(pad=()), owing()) == ""
    spent = (Lying("E1", A, spent=True),)
    assert chosen(visit(pad=spent), owing()) == "E1"


def test_a_wrong_tag_is_never_written() -> None:
    assert chosen(visit(), owing(named="another item")) == ""
    for odd in ("blank", "damaged", "foreign"):
        assert chosen(visit(pad=(Lying("E1", why=odd),)), owing()) == ""
    nameless = replace(owing(), item="")
    assert chosen(visit(), nameless) == "E1"
    assert chosen(visit(pad=(Lying("E1", why="damaged"),)), nameless) == ""


def test_an_item_longer_than_a_fact_carries_is_still_known() -> None:
    long = Item("X" * 64, "E1")
    assert chosen(visit(pad=(Lying("E1", long),)), owing(item=long)) == "E1"


@pytest.mark.parametrize(
    "phase", [phase for phase in Phase if phase not in {Phase.TOLD, Phase.SAID, Phase.UNDONE}]
)
def test_a_tag_under_way_is_its_lines_and_the_pad_is_the_patrons(phase: Phase) -> None:
    busy = visit(line(B, phase), mode=Mode.RETURN)
    assert chosen(busy, owing(), owing(item=B)) == ""
    waiting = visit(line(B, phase, waiting=True), mode=Mode.RETURN)
    assert chosen(waiting, owing(item=B)) == ""
    assert chosen(waiting, owing(), owing(item=B)) == "E1"
    old = (Visit(id="w", lines=(line(B, phase),)),)
    assert chosen(visit(old=old), owing(item=B)) == ""
    assert chosen(visit(old=old), owing(), owing(item=B)) == "E1"


@pytest.mark.parametrize("phase", [Phase.TOLD, Phase.SAID, Phase.UNDONE])
def test_what_was_dealt_with_may_be_mended_while_its_patron_is_there(phase: Phase) -> None:
    assert chosen(visit(line(A, phase), mode=Mode.BORROW), owing()) == "E1"


@pytest.mark.parametrize(("why", "mended"), [
    ("", "E1"), ("closed", "E1"), ("wiped", ""), ("outbox-full", ""), ("disk", ""),
])  # fmt: skip
def test_a_kiosk_that_could_not_tell_mends_nothing(why: str, mended: str) -> None:
    assert chosen(visit(barred=why), owing()) == mended


class Desk(Model):
    """The crashing world, calm, with a kiosk's words in it. ``full``: the disk takes no facts; ``writes``: to tags."""

    def __init__(self) -> None:
        super().__init__(Tape(iter(()), calm=True))
        self.elsewhere = Elsewhere(self.clock)
        self.words = Pending(Path(":memory:"), "kiosk-1", self.elsewhere)
        self.here |= {"E1", "E2"}
        self.opened.add("E1")
        self.returning.add("A")
        self.full = False
        self.writes: list[str] = []
        self.broken = False
        self.gate = asyncio.Event()
        self.gate.set()

    def world(self, site: Security | None = None) -> World:
        return World(self, self, self, site or Security(), self.clock, self.words)

    async def write_afi(self, uid: str, afi: int) -> bool:
        self.writes.append(uid)
        if self.broken:
            raise ValueError("a bug of ours")
        await self.gate.wait()
        return await super().write_afi(uid, afi)

    def put(self, fact: Fact) -> bool:
        if self.full:
            raise StorageError("the disk is full")
        return super().put(fact)

    def mended(self) -> list[tuple[str, str, str]]:
        return [
            (f.uid, f.security, f.mended)
            for f in self.told.values()
            if isinstance(f, SecurityMended)
        ]


def test_it_is_written_proven_told_and_owed_no_more() -> None:
    desk = Desk()
    desk.elsewhere.debts["E1"] = owing()
    assert run(mend(owing(), "on", desk.world()))
    assert (desk.opened, desk.writes) == (set(), ["E1"])
    assert desk.mended() == [("E1", "on", R)]
    assert desk.words.wanted("E1") is None


def test_what_was_written_and_not_told_is_told_without_writing_again() -> None:
    desk = Desk()
    desk.elsewhere.debts["E1"] = owing()
    desk.full = True
    with pytest.raises(StorageError):
        run(mend(owing(), "on", desk.world()))
    assert (desk.opened, desk.mended()) == (set(), [])
    assert desk.words.wanted("E1") is not None
    desk.full = False
    assert run(mend(owing(), "on", desk.world()))
    assert (desk.writes, desk.mended()) == (["E1"], [("E1", "on", R)])
    assert run(mend(owing(), "on", desk.world()))
    assert len(desk.told) == 1, "telling twice is telling once"


@pytest.mark.parametrize(
    ("status", "owed", "wanted"),
    [
        (3, "on", "on"),
        (3, "off", "on"),  # the desk took it back
        (8, "off", "on"),
        (4, "off", "off"),
        (7, "off", "off"),
        (4, "on", None),  # the desk lent it; or it is in the reading room
        (1, "on", "on"),  # it says nothing
        (1, "off", "off"),
        (13, "off", "off"),
    ],
)
def test_the_library_systems_word_goes_before_an_old_one(
    status: int, owed: str, wanted: str | None
) -> None:
    class Asked(Desk):
        async def item(self, item: str) -> ItemAnswer:
            return ItemAnswer(status, "a title")

    assert run(wish(owing(owed), Asked().world())) == wanted


@pytest.mark.parametrize(("owed", "unasked"), [("on", "on"), ("off", None)])
def test_without_the_library_system_a_tag_is_closed_but_never_opened(
    owed: str, unasked: str | None
) -> None:
    """It may have been returned at the desk: then it stands on the shelf, and nobody may open it unasked."""

    class Mute(Desk):
        async def item(self, item: str) -> ItemAnswer:
            raise IlsSilent(Sent.NEVER)

    class Ignorant(Desk):
        async def item(self, item: str) -> ItemAnswer:
            return ItemAnswer(3)

    assert run(wish(owing(owed), Mute().world())) == unasked
    assert run(wish(owing(owed), Ignorant().world())) == owed


def test_a_library_system_that_never_answers_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kiosk.mending.ASKING", 0.05)

    class Hanging(Desk):
        async def item(self, item: str) -> ItemAnswer:
            await asyncio.Event().wait()
            raise AssertionError

    desk = Hanging()
    desk.elsewhere.debts["E1"] = owing()

    async def body(mending: Mending, turn: asyncio.Lock, _: list[Visit]) -> None:
        mending.look()
        await asyncio.sleep(0)
        assert not turn.locked(), "the pad is free meanwhile"
        async with asyncio.timeout(5):
            while not desk.told:
                await asyncio.sleep(0.01)

    rounds(desk, body)
    assert desk.mended() == [("E1", "on", R)]


def test_a_closed_tag_stays_closed_until_the_library_system_says_that_it_is_lent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kiosk.mending.ASKING", 0.02)

    class Hanging(Desk):
        hangs = True

        async def item(self, item: str) -> ItemAnswer:
            if self.hangs:
                await asyncio.Event().wait()
            return await super().item(item)

    desk = Hanging()
    desk.opened.clear()
    desk.loans[A.id] = "somebody's"
    desk.elsewhere.debts["E1"] = replace(owing("off"), item="")

    async def body(mending: Mending, _: asyncio.Lock, __: list[Visit]) -> None:
        await until_done(mending)
        assert (desk.writes, desk.mended()) == ([], [])
        desk.hangs = False
        desk.clock.advance(PAUSE[0])
        await until_done(mending)

    rounds(desk, body)
    assert (desk.mended(), desk.opened) == ([("E1", "off", R)], {"E1"})


async def until_done(mending: Mending) -> None:
    mending.look()
    async with asyncio.timeout(5):
        while mending._task is not None:
            await asyncio.sleep(0.005)


def test_what_the_desk_took_back_is_closed_and_what_it_lent_is_let_be() -> None:
    desk = Desk()
    desk.elsewhere.debts |= {"E1": owing("off"), "E2": owing("on", B)}
    desk.loans["B"] = "somebody's"
    desk.opened.add("E2")

    async def body(mending: Mending, _: asyncio.Lock, __: list[Visit]) -> None:
        await settle(mending)
        await settle(mending)

    rounds(desk, body)
    assert (desk.mended(), desk.opened) == ([("E1", "on", R)], {"E2"})


def test_what_stays_in_the_house_and_is_closed_already_is_told_and_not_written() -> None:
    desk = Desk()
    desk.loans["B"] = "the reading room's"
    desk.elsewhere.debts["E2"] = owing("on", B)

    async def body(mending: Mending, _: asyncio.Lock, __: list[Visit]) -> None:
        await settle(mending)

    rounds(desk, body)
    assert (desk.mended(), desk.writes) == ([("E2", "on", R)], [])


def test_a_lifted_tag_and_one_that_takes_no_write_stay_owed() -> None:
    desk = Desk()
    desk.elsewhere.debts["E1"] = owing()
    desk.stubborn.add("E1")
    assert not run(mend(owing(), "on", desk.world()))
    desk.stubborn.clear()
    desk.here.clear()
    assert not run(mend(owing(), "on", desk.world()))
    assert (desk.told, desk.opened) == ({}, {"E1"})
    assert desk.words.wanted("E1") is not None


def rounds(
    desk: Desk, body: Callable[[Mending, asyncio.Lock, list[Visit]], Awaitable[None]], site: Security | None = None
) -> None:  # fmt: skip
    """Run ``body`` with the loop's own healer over a visit that it may change."""

    async def main() -> None:
        turn, there = asyncio.Lock(), [visit()]
        desk.gate = asyncio.Event()
        desk.gate.set()
        mending = Mending(desk.world(site), turn, lambda: there[0])
        try:
            await body(mending, turn, there)
        finally:
            await mending.end()

    asyncio.run(main())


async def settle(mending: Mending) -> None:
    """One round, to the end of what it began."""
    mending.look()
    async with asyncio.timeout(5):
        while mending._task is not None:
            await asyncio.sleep(0)


def test_one_that_takes_no_write_is_let_rest_longer_each_time_and_the_next_has_its_turn() -> None:
    desk = Desk()
    desk.stubborn.add("E1")
    desk.elsewhere.debts |= {"E1": owing(), "E2": owing("on", B)}
    seen: list[int] = []

    async def body(mending: Mending, _: asyncio.Lock, there: list[Visit]) -> None:
        for seconds in (0, 0, 1, 1, 1, 1, 1):
            desk.clock.advance(seconds)
            await settle(mending)
            seen.append(desk.writes.count("E1"))
        there[0] = visit(pad=())  # lifted and laid again: at once
        await settle(mending)
        there[0] = visit()
        await settle(mending)
        seen.append(desk.writes.count("E1"))

    rounds(desk, body)
    assert desk.mended() == [("E2", "on", R)]
    assert seen == [1, 1, 1, 2, 2, 2, 2, 3]


def test_it_waits_for_the_pad_and_looks_again_who_has_the_tag_then() -> None:
    desk = Desk()
    desk.elsewhere.debts["E1"] = owing()

    async def body(mending: Mending, turn: asyncio.Lock, there: list[Visit]) -> None:
        async with turn:
            mending.look()
            await asyncio.sleep(0)
            there[0] = visit(line(A, Phase.TAKEN), mode=Mode.RETURN)  # meanwhile it is returned
        await settle(mending)
        assert desk.writes == []
        there[0] = visit()
        await settle(mending)

    rounds(desk, body)
    assert desk.mended() == [("E1", "on", R)]


def test_one_is_mended_at_a_time_and_a_stop_ends_it_untold() -> None:
    desk = Desk()
    desk.elsewhere.debts |= {"E1": owing(), "E2": owing("on", B)}

    async def body(mending: Mending, turn: asyncio.Lock, _: list[Visit]) -> None:
        desk.gate.clear()
        for _round in range(3):
            mending.look()
            await asyncio.sleep(0)
        assert turn.locked()
        assert desk.writes == ["E1"]
        await mending.end()
        assert not turn.locked()

    rounds(desk, body)
    assert desk.told == {}


def test_a_bug_or_a_full_disk_stops_the_healing_of_no_other_tag() -> None:
    desk = Desk()
    desk.elsewhere.debts |= {"E1": owing(), "E2": owing("on", B)}

    async def body(mending: Mending, _: asyncio.Lock, __: list[Visit]) -> None:
        desk.broken = True
        await settle(mending)
        desk.broken = False
        await settle(mending)
        assert desk.mended() == [("E2", "on", R)]
        desk.words._db.execute("DROP TABLE pending")
        desk.clock.advance(60)
        await settle(mending)

    rounds(desk, body)
    assert desk.writes == ["E1"], "the second was closed already"


def test_a_site_that_writes_no_tags_mends_none() -> None:
    desk = Desk()
    desk.elsewhere.debts["E1"] = owing()

    async def body(mending: Mending, _: asyncio.Lock, __: list[Visit]) -> None:
        await settle(mending)

    rounds(desk, body, Security(by="database"))
    assert (desk.writes, desk.told) == ([], {})


def test_what_is_told_names_no_patron() -> None:
    fields = set(SecurityMended.model_fields)
    assert fields == {"uid", "mended", "item", "security"}
    one = SecurityMended(uid="E1", mended=R, item="A", security="on")
    assert one.id_at("kiosk-1") == one.model_copy(update={"item": ""}).id_at("kiosk-1")
