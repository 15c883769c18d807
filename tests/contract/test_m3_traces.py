"""3M pads: golden frames over a real pty: codec and emulator could be wrong together, these bytes are not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kiosk.devices.base import Lock
from kiosk.devices.hf import HfPad
from kiosk.devices.m3_pad import m3_pad
from kiosk.emulators import m3_pad as emulator
from kiosk.emulators.m3_pad import EmulatedM3
from kiosk.emulators.world import World
from kiosk.wire.m3 import Version
from mocban.errors import ConfigError
from tests.support.emulated import demo, emulated, line_to, said
from tests.support.m3 import UID, U, sealed

LINE = "baud=19200"

# -- golden frames over a pty --


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("D5 00 05 04 00 11 8C 66", sealed("04 00 11 0A 05 02 19", "D5").hex(" ").upper()),
        ("D6 00 03 11 64 20", "D6 00 08 11 00 0A 05 02 19 64 69"),
        ("D6 00 05 FE 00 05 FA 40", sealed(f"FE 00 00 05 01 {U}").hex(" ").upper()),
        (f"D6 00 0B 0A {U} 7F 9F", f"D6 00 0D 0A 00 {U} 07 8B E4"),
        (f"D6 00 0C 09 {U} C2 6F 0B", f"D6 00 0C 09 00 {U} ED B2"),
        (
            f"D6 00 0D 02 {U} 00 08 A0 79",
            sealed(
                f"02 00 {U} 08 00 00 11 01 01 42 01 00 47 30 30 30 02 00 31 32 33 34 03 00 35 00 00 00"
                " 04 00 00 00 00 03 05 00 17 56 4E 42 06 00 47 30 31 00 07 00 00 00 00 00"
            )
            .hex(" ")
            .upper(),
        ),
    ],
)
def test_a_reader_answers_with_the_golden_frame(request_: str, answer: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line_to(emulator.main, tmp_path / "pad", LINE) as (world, line):
            world.lay("de-men")
            size = len(bytes.fromhex(answer))
            assert await said(line, request_, size) == answer
            assert world.tag("de-men").afi == (0xC2 if " 09 " in request_ else 0x07)

    asyncio.run(scenario())


def test_an_empty_pad_and_a_tag_that_is_not_there_answer_with_golden_frames(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with line_to(emulator.main, tmp_path / "pad", LINE) as (_, line):
            none = await said(line, "D6 00 05 FE 00 05 FA 40", 10)
            assert none == "D6 00 07 FE 00 00 05 00 C9 7B"
            gone = await said(line, f"D6 00 0C 09 {U} 07 E6 E2", 15)
            assert gone == f"D6 00 0C 09 06 {U} B7 3A"

    asyncio.run(scenario())


def test_a_broken_question_gets_no_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line_to(emulator.main, tmp_path / "pad", LINE) as (_, line):
            await line.write(bytes.fromhex("D6 00 03 11 64 21"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(line.read(), 0.3)
            version = await said(line, "D6 00 03 11 64 20", 11)
            assert version == "D6 00 08 11 00 0A 05 02 19 64 69"

    asyncio.run(scenario())


def test_only_tags_of_the_family_that_was_asked_for_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line_to(emulator.main, tmp_path / "pad", LINE) as (world, line):
            world.lay("de-men")
            world.lay("dat-rung")  # on loan: C2
            one = await said(line, "D6 00 05 FE 07 05 63 D7", 18)
            assert one == sealed(f"FE 00 07 05 01 {U}").hex(" ").upper()
            quiet = sealed(f"01 00 {U}").hex(" ").upper()
            assert await said(line, sealed(f"01 {U}"), 15) == quiet
            none = await said(line, "D6 00 05 FE 07 05 63 D7", 10)
            assert none == sealed("FE 00 07 05 00").hex(" ").upper()

    asyncio.run(scenario())


# -- the driver against its emulator: what the common suite does not ask --


def at_the_pad(folder: Path, scenario: Callable[[World, HfPad], Awaitable[None]]) -> None:
    async def visit() -> None:
        link = folder / "pad"
        pad = m3_pad(f"serial://{link}?baud=19200")
        async with emulated(emulator.main, link, pad, demo()) as (world, _):
            world.lay("de-men")
            await pad.open()
            await scenario(world, pad)

    asyncio.run(visit())


def test_locks_are_for_ever_and_eas_cannot_be_locked(tmp_path: Path) -> None:
    async def scenario(world: World, pad: HfPad) -> None:
        assert await pad.lock(UID, Lock.BLOCKS, first=0, count=3)
        assert await pad.lock(UID, Lock.AFI)
        assert await pad.lock(UID, Lock.DSFID)
        assert world.tag("de-men").locks == {"0", "1", "2", "afi", "dsfid"}
        assert not await pad.lock(UID, Lock.BLOCKS, first=2, count=2)
        assert not await pad.lock(UID, Lock.BLOCKS, first=99, count=1)
        assert not await pad.lock(UID, Lock.BLOCKS)
        assert not await pad.lock("E0040100FFFFFFFF", Lock.AFI)
        assert not await pad.write_afi(UID, 0xC2)
        with pytest.raises(ConfigError, match="lock EAS"):
            await pad.lock(UID, Lock.EAS)

    at_the_pad(tmp_path, scenario)


def test_eas_is_switched_and_a_tag_that_is_gone_is_not_called_off(tmp_path: Path) -> None:
    async def scenario(world: World, pad: HfPad) -> None:
        assert await pad.read_eas(UID) is False
        assert await pad.write_eas(UID, armed=True)
        assert await pad.read_eas(UID) is True
        assert world.tag("de-men").eas
        assert await pad.write_eas(UID, armed=False)
        assert not world.tag("de-men").eas
        world.lift("de-men")
        assert await pad.read_eas(UID) is None

    at_the_pad(tmp_path, scenario)


def test_a_whole_tag_is_told_read_and_written(tmp_path: Path) -> None:
    async def scenario(world: World, pad: HfPad) -> None:
        info = await pad.info(UID)
        assert info is not None
        assert (info.blocks, info.block_size, info.afi, info.dsfid) == (28, 4, 0x07, 0)
        assert await pad.read(UID, 0, 28) == world.tag("de-men").data
        assert await pad.read(UID, 20, 9) == b""
        assert await pad.write(UID, 8, b"mocban--" * 10)
        assert world.tag("de-men").data[32:] == b"mocban--" * 10
        assert await pad.write_dsfid(UID, 0x06)
        assert [tag.dsfid for tag in await pad.tags()] == [0x06]
        world.lift("de-men")
        assert await pad.info(UID) is None
        assert await pad.read(UID, 0, 9) is None

    at_the_pad(tmp_path, scenario)


def test_a_tag_that_stands_twice_in_an_answer_lies_there_once(tmp_path: Path) -> None:
    async def scenario(world: World, pad: HfPad) -> None:
        world.set_fault("twins", "on")
        assert [tag.uid for tag in await pad.tags()] == [UID]

    at_the_pad(tmp_path, scenario)


def test_the_emulator_can_be_an_older_reader(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world.db", demo())
    world.lay("de-men")
    old = EmulatedM3(world, Version(0x0A, 5, 0, 2), boots=False, old=True)
    assert old.answer(bytes.fromhex("D5 00 05 04 00 11 8C 66")) is None
    said = old.answer(sealed(f"02 {U} 00 09 0C"))
    assert said is not None
    assert said.data == sealed("02 02")
    short, whole = old.answer(sealed("FE 00 27")), old.answer(sealed("FE 00 07"))
    short_new = EmulatedM3(world).answer(sealed("FE 00 27"))
    assert short is not None
    assert whole is not None
    assert short_new is not None
    assert short.data == sealed("FE 02")
    assert whole.air == pytest.approx(2 * short_new.air)
    world.close()
