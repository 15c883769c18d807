"""What only a FEIG gate does: its buffer, its EAS alarm, the tags it is asked for by name."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kiosk.devices import open_gate
from kiosk.devices.base import Gate, People
from kiosk.emulators import feig_gate as emulator
from kiosk.emulators.world import DEMO, World
from mocban.errors import DeviceLost, RemoteProtocolError
from tests.support.emulated import emulated

RIGHT = "baud=38400&parity=E"
LIVES = 0.1
"""Seconds after which whoever walked in is found and read."""


def seed(*, eas: tuple[str, ...] = (), at_gate: tuple[str, ...] = ()) -> dict[str, Any]:
    """The demo branch with some tags armed by EAS, and some lying at the gate."""
    raw = tomllib.loads(DEMO.read_text(encoding="utf-8"))
    for tag in raw["tag"]:
        tag["eas"] = tag["name"] in eas
        if tag["name"] in at_gate:
            tag["place"] = "gate"
    return raw


@asynccontextmanager
async def branch(
    folder: Path, raw: dict[str, Any] | None = None, *, query: str = RIGHT, afi: int | None = 0x07,
    custom: bool = True, **options: Any,
) -> AsyncIterator[tuple[World, Gate]]:  # fmt: skip
    link = folder / "gate"
    device = open_gate("feig", f"serial://{link}?{query}", **{"afi": afi, **options})
    main = partial(emulator.be, afi=afi, custom=custom)
    async with emulated(main, link, device, raw or seed()) as (world, gate):
        await gate.open()
        yield world, gate


def play(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(_run(body))


async def _run(body: Callable[[], Awaitable[None]]) -> None:
    await body()


def test_what_passed_while_nobody_listened_waits_in_the_gate(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path) as (world, gate):
            await gate.close()
            world.walk(["lich-su"], "out")
            await asyncio.sleep(LIVES)
            await gate.open()
            found, lost = await gate.passages()
            assert ([one.uid for one in found], lost) == ([world.tag("lich-su").uid], False)
            assert await gate.passages() == ([], False)

    play(body)


def test_who_dies_before_it_is_done_with_a_reading_is_told_the_same_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path) as (world, gate):
            world.walk(["lich-su"], "out")
            await asyncio.sleep(LIVES)
            first = await gate.passages()
            await gate.close()
            await gate.open()
            assert await gate.passages() == first
            await gate.done()
            await gate.close()
            await gate.open()
            assert await gate.passages() == ([], False)

    play(body)


def test_a_crowd_is_read_in_several_answers_without_loss(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path) as (world, gate):
            for _ in range(40):
                world.walk(["lich-su"], "out")
            await asyncio.sleep(LIVES)
            found = []
            while more := await gate.passages():
                if more == ([], False):
                    break
                found += more[0]
                assert not more[1]
            assert len(found) == 40

    play(body)


def test_an_overflow_is_told_and_what_the_buffer_held_is_kept(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path) as (world, gate):
            for _ in range(emulator.ROOM + 5):
                world.walk(["lich-su"], "out")
            await asyncio.sleep(LIVES)
            found, flags = [], []
            while (answer := await gate.passages())[0]:
                found += answer[0]
                flags.append(answer[1])
            assert (len(found), flags[0], any(flags[1:])) == (emulator.ROOM, True, False)

    play(body)


def test_who_carries_only_lent_items_and_a_card_is_counted_and_not_reported(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path) as (world, gate):
            world.walk(["dat-rung", "the-1"], "out")
            await asyncio.sleep(LIVES)
            assert await gate.passages() == ([], False)
            assert await gate.people() == People(0, 1)

    play(body)


def test_a_gate_that_polls_all_families_tells_every_tag_and_no_mark(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, afi=None) as (world, gate):
            world.walk(["dat-rung", "de-men"], "out")
            await asyncio.sleep(LIVES)
            found, _ = await gate.passages()
            assert [(one.uid, one.afi) for one in found] == [
                (world.tag(name).uid, None) for name in ("dat-rung", "de-men")
            ]

    play(body)


def test_a_radar_that_counts_the_other_way_round_is_told_so(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, query=f"{RIGHT}&out=1") as (world, gate):
            world.walk(["de-men"], "in")
            await asyncio.sleep(LIVES)
            assert [one.direction for one in (await gate.passages())[0]] == ["out"]

    play(body)


def test_an_armed_eas_bit_is_felt_without_a_name_and_then_asked_for_its_name(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        raw = seed(eas=("de-men",))
        async with branch(tmp_path, raw, afi=None, eas=True) as (world, gate):
            assert await gate.passages() == ([], False)
            world.walk(["dat-rung", "de-men"], "out")
            (felt,), _ = await gate.passages()
            assert (felt.uid, felt.eas, felt.afi) == ("", True, None)
            near = {one.uid: one for one in await gate.near()}
            assert {uid: one.eas for uid, one in near.items()} == {
                world.tag("dat-rung").uid: False,
                world.tag("de-men").uid: True,
            }
            assert near[world.tag("de-men").uid].data[:4] == world.tag("de-men").data[:4]

    play(body)


def test_a_hybrid_gate_feels_eas_where_no_family_gives_the_item_away(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, seed(eas=("dat-rung",)), eas=True) as (world, gate):
            world.walk(["dat-rung"], "out")
            assert [(one.uid, one.eas) for one in (await gate.passages())[0]] == [("", True)]
            world.walk(["de-men"], "out")
            await asyncio.sleep(LIVES)
            found, _ = await gate.passages()
            assert (world.tag("de-men").uid, 0x07) in [(one.uid, one.afi) for one in found]

    play(body)


def test_a_reader_that_feels_no_eas_is_lost_where_nothing_else_counts_and_else_goes_on(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        async with branch(tmp_path, custom=False, eas=True) as (world, gate):
            assert await gate.passages() == ([], False)
            world.walk(["de-men"], "out")
            await asyncio.sleep(LIVES)
            assert [one.uid for one in (await gate.passages())[0]] == [world.tag("de-men").uid]
        async with branch(tmp_path, custom=False, afi=None, eas=True) as (_, gate):
            with pytest.raises(DeviceLost, match="does not know this command"):
                await gate.passages()

    play(body)


def test_a_tag_that_stays_is_told_again_and_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, seed(at_gate=("de-men",))) as (world, gate):
            seen = 0
            async with asyncio.timeout(5):
                while seen < 3:
                    found, _ = await gate.passages()
                    seen += len(found)
                    assert all(one.uid == world.tag("de-men").uid for one in found)
                    assert all(one.direction == "unknown" for one in found)
                    await gate.rest(0.05)

    play(body)


def test_an_output_the_gate_does_not_have_is_an_error(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, query=f"{RIGHT}&output=0x9F") as (world, gate):
            with pytest.raises(RemoteProtocolError, match="out of range"):
                await gate.cry(1.0)
            assert world.sirens() == 0

    play(body)


@pytest.mark.parametrize("seconds", [0.001, 2.0, 60.0, 6553.4, 1e9])
def test_no_length_of_a_cry_is_for_ever(tmp_path: Path, seconds: float) -> None:
    async def body() -> None:
        async with branch(tmp_path) as (world, gate):
            await gate.cry(seconds)  # the emulator dies of FFFF
            assert world.sirens() == 1
            assert await gate.passages() == ([], False)

    play(body)
