"""RR9 pads where the suite of all pads does not go: speed, kinds of tags, answers that are none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kiosk.devices.rr9_pad import rr9_pad
from kiosk.emulators import rr9_pad as rr9_emulator
from kiosk.emulators.rr9_pad import EmulatedRr9
from kiosk.emulators.talk import Said
from kiosk.emulators.world import World
from kiosk.wire import len_frame
from mocban.errors import DeviceLost
from tests.support.emulated import demo, emulated
from tests.support.wired import wired


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A demo branch with a tag of Texas Instruments and one with blocks of eight bytes."""
    seed = demo()
    pattern = next(tag for tag in seed["tag"] if tag["name"] == "lich-su")
    seed["tag"] += [
        pattern | {"name": "ti", "uid": "E007000000000001"},
        pattern | {"name": "em", "uid": "E016000000000001", "block_size": 8, "blocks": 16},
    ]
    return World.create(tmp_path / "world.db", seed)


@pytest.mark.parametrize("baud", [19200, 38400])
def test_a_pad_without_a_speed_in_its_address_is_found(
    tmp_path: Path, baud: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rr9_emulator, "BAUD", baud)

    async def scenario() -> None:
        link = tmp_path / "pad"
        pad = rr9_pad(f"serial://{link}")
        async with emulated(rr9_emulator.main, link, pad, demo()) as (world, _):
            world.lay("lich-su")
            assert await pad.open() == "RR9 type 66 release 02.07"
            assert [tag.uid for tag in await pad.tags()] == [world.tag("lich-su").uid]
            if baud != 19200:
                assert pad.noise > 0

    asyncio.run(scenario())


@pytest.mark.parametrize(("query", "works"), [("", True), ("?type=b", True), ("?type=a", False)])
def test_tags_of_texas_instruments_are_written_as_they_want_it(
    world: World, query: str, works: bool
) -> None:
    async def scenario() -> None:
        async with wired("ti", len_frame.framer(), EmulatedRr9(world).answer) as url:
            pad = rr9_pad(url + query)
            await pad.open()
            world.lay("ti")
            assert await pad.write_afi(world.tag("ti").uid, 0xC2) is works
            assert world.tag("ti").afi == (0xC2 if works else 0x07)
            await pad.close()

    asyncio.run(scenario())


def test_blocks_of_eight_bytes_are_found_out_and_remembered(world: World) -> None:
    asked: list[int] = []

    async def scenario() -> None:
        reader = EmulatedRr9(world)

        def answer(frame: bytes) -> Said | None:
            asked.append(frame[2])
            return reader.answer(frame)

        async with wired("em", len_frame.framer(), answer) as url:
            pad = rr9_pad(url)
            await pad.open()
            world.lay("em")
            (tag,) = await pad.tags()
            assert tag.data == world.tag("em").data[:72]
            asked.clear()
            assert await pad.read(tag.uid, 0, 6) == world.tag("em").data[:48]
            assert asked == [0x23]
            assert await pad.write(tag.uid, 15, b"ABCDEFGH")
            assert world.tag("em").data.endswith(b"ABCDEFGH")
            await pad.close()

    asyncio.run(scenario())


def test_an_answer_of_another_shape_is_a_stray_and_not_the_answer(world: World) -> None:
    async def scenario() -> None:
        reader = EmulatedRr9(world)

        def answer(frame: bytes) -> Said | None:
            said = reader.answer(frame)
            if said is None or frame[2] != 0x2B:
                return said
            return Said(len_frame.sealed(0, b"\x00" + bytes(27)) + said.data)

        async with wired("shape", len_frame.framer(), answer) as url:
            pad = rr9_pad(url)
            await pad.open()
            world.lay("de-men")
            before = pad.noise
            assert await pad.read_afi(world.tag("de-men").uid) == 0x07
            assert pad.noise == before + 32
            await pad.close()

    asyncio.run(scenario())


def test_a_reader_that_only_refuses_is_lost_and_not_an_empty_pad(world: World) -> None:
    async def scenario() -> None:
        reader = EmulatedRr9(world)
        broken = False

        def answer(frame: bytes) -> Said | None:
            return Said(bytes.fromhex("04 00 05 FF 0D")) if broken else reader.answer(frame)

        async with wired("refuses", len_frame.framer(), answer) as url:
            pad = rr9_pad(url)
            await pad.open()
            broken = True
            with pytest.raises(DeviceLost, match="field is off"):
                await pad.tags()

    asyncio.run(scenario())
