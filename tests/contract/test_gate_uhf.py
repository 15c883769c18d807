"""What only a UHF gate does: control words, beams, a relay with a time of its own, its real-time mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kiosk.devices import open_gate
from kiosk.devices.base import Gate, Passage, People
from kiosk.emulators import uhf288_gate as emulator
from kiosk.emulators.world import World
from kiosk.wire import gaoxiao
from kiosk.wire.content import ItemTag, Label
from kiosk.wire.tag import decode
from kiosk.wire.uhf18_gate import GateCommand
from mocban.errors import DeviceLost, RemoteProtocolError
from tests.support.emulated import demo, emulated, until

BOOK, LENT = "de-men", "dat-rung"


@asynccontextmanager
async def branch(
    folder: Path, query: str = "", *, eas: bool = False, **be: Any
) -> AsyncIterator[tuple[World, Gate]]:
    link = folder / "gate"
    device = open_gate("uhf288", f"serial://{link}?baud=57600{query}", eas=eas)
    async with emulated(partial(emulator.be, **be), link, device, demo()) as (world, gate):
        await gate.open()
        yield world, gate


async def seen(gate: Gate, enough: Callable[[list[Passage]], bool]) -> list[Passage]:
    found: list[Passage] = []
    async with asyncio.timeout(5):
        while not enough(found):
            found += (await gate.passages())[0]
            await gate.rest(0.02)
    return found


def test_a_new_tag_is_asked_for_its_control_word_once_and_that_makes_sure_of_it(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        async with branch(tmp_path) as (world, gate):
            world.walk([BOOK], "out")
            found, _ = await gate.passages()
            assert [one.afi for one in found] == [None, 0x07]
            assert len({one.uid for one in found}) == 1
            found, _ = await gate.passages()
            assert [one.afi for one in found] == [0x07]

    asyncio.run(body())


def test_a_lent_item_tells_so_in_its_control_word(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path) as (world, gate):
            world.walk([LENT], "out")
            found = await seen(gate, lambda all_: any(one.afi for one in all_))
            assert {one.afi for one in found} == {None, 0xC2}

    asyncio.run(body())


def test_the_bit_of_gaoxiao_is_read_in_both_modes(tmp_path: Path) -> None:
    world = World.create(tmp_path / "seed.db", demo())
    uids = {name: world.tag(name).uid for name in (BOOK, LENT)}
    world.close()
    epcs = {
        uids[BOOK]: gaoxiao.encode(Label("BG00012345"), on_loan=False),
        uids[LENT]: gaoxiao.encode(Label("BG00012346"), on_loan=True),
    }

    async def body(query: str, *, real_time: bool) -> None:
        async with branch(tmp_path, query, epcs=epcs, real_time=real_time) as (world, gate):
            world.walk([BOOK, LENT], "out")
            found = await seen(gate, lambda all_: len({one.epc for one in all_ if one.epc}) == 2)
            said = {gaoxiao.lent(one.epc) for one in found if one.epc}
            assert said == {True, False}
            assert all(one.afi is None for one in found)

    asyncio.run(body("", real_time=False))
    asyncio.run(body("&mode=push&format=gaoxiao", real_time=True))


def test_in_its_real_time_mode_it_tells_by_itself_and_names_no_family(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, "&mode=push", real_time=True) as (world, gate):
            world.walk([BOOK], "out")
            found = await seen(gate, lambda all_: len(all_) >= 4)
            assert {(one.afi, one.epc) for one in found} == {(None, b"")}
            assert len({one.uid for one in found}) == 1
            await gate.cry(1.0)
            assert world.sirens() == 1

    asyncio.run(body())


def test_a_reader_in_real_time_mode_that_falls_silent_is_lost(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, "&mode=push&alive=1", real_time=True, alive=0.2) as (_, gate):
            await gate.rest(0.3)
            assert await gate.passages() == ([], False)
        async with branch(tmp_path, "&mode=push&alive=1", real_time=True, alive=60.0) as (_, gate):
            with pytest.raises(DeviceLost, match="has said nothing"):
                async with asyncio.timeout(4):
                    while True:
                        await gate.rest(0.2)
                        await gate.passages()

    asyncio.run(body())


RELAY, BUZZER, INPUTS = GateCommand.RELAY, GateCommand.BUZZER, GateCommand.INPUTS


@pytest.mark.parametrize(
    ("query", "lacks"), [("", ()), ("", (RELAY,)), ("&siren=buzzer", (RELAY,)), ("", (BUZZER,))]
)
def test_it_cries_by_the_relays_time_or_else_by_the_buzzer(
    tmp_path: Path, query: str, lacks: tuple[GateCommand, ...]
) -> None:
    async def body() -> None:
        async with branch(tmp_path, query, lacks=frozenset(lacks)) as (world, gate):
            await gate.cry(2.0)
            assert world.sirens() == 1

    asyncio.run(body())


def test_a_reader_with_neither_says_that_it_is_silent(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, lacks=frozenset({RELAY, BUZZER})) as (world, gate):
            with pytest.raises(RemoteProtocolError, match="neither its relay nor its buzzer"):
                await gate.cry(2.0)
            assert world.sirens() == 0

    asyncio.run(body())


async def walked(gate: Gate, people: People) -> None:
    """Until the gate counted them."""
    async with asyncio.timeout(5):
        while await gate.people() != people:
            await gate.passages()
            await gate.rest(0.02)


def test_who_crosses_the_beams_is_counted_and_gives_tags_their_way(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, "&beams=1,2") as (world, gate):
            world.walk([BOOK], "in")
            found = await seen(gate, lambda all_: any(one.direction == "in" for one in all_))
            assert {one.direction for one in found} <= {"in", "unknown"}
            await walked(gate, People(1, 0))

    asyncio.run(body())


def test_beams_that_are_wired_the_other_way_round_are_a_matter_of_settings(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, "&beams=2,1") as (world, gate):
            world.walk([], "in")
            await walked(gate, People(0, 1))

    asyncio.run(body())


def test_a_uhf_alarm_without_a_name_is_given_one_if_a_single_tag_is_there(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, eas=True) as (world, gate):
            world.write_eas(world.tag(BOOK).uid, armed=True)
            world.walk([BOOK], "out")
            found, _ = await gate.passages()
            assert ("", True) in [(one.uid, one.eas) for one in found]
            (near,) = {one.uid: one for one in await gate.near()}.values()
            assert near.eas
            content = decode(b"", epc=near.epc)
            assert isinstance(content, ItemTag)
            world.walk([BOOK, LENT], "out")
            assert not any(one.eas for one in await gate.near())

    asyncio.run(body())


def test_a_reader_that_tells_no_inputs_counts_nobody_and_goes_on(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, "&beams=1,2", lacks=frozenset({INPUTS})) as (world, gate):
            world.walk([BOOK], "out")
            await seen(gate, lambda all_: any(one.afi == 0x07 for one in all_))
            await seen(gate, lambda all_: len(all_) > 4)
            assert await gate.people() is None

    asyncio.run(body())


def test_the_line_may_be_pulled_in_real_time_mode_too(tmp_path: Path) -> None:
    async def body() -> None:
        world = World.create(tmp_path / "world.db", demo())
        link, stop = tmp_path / "gate", asyncio.Event()
        peer = asyncio.create_task(emulator.push(world.path, link, stop))
        await until(link.is_symlink)
        gate = open_gate("uhf288", f"serial://{link}?mode=push")
        await gate.open()
        stop.set()
        await peer
        with pytest.raises(DeviceLost):
            async with asyncio.timeout(1):
                while True:
                    await gate.rest(0.1)
                    await gate.passages()
        await gate.close()
        world.close()

    asyncio.run(body())
