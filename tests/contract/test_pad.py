"""Every pad driver against its emulator, over a real pty through pyserial.

What is written, locked and lost on the way is in ``test_pad_writes.py``. Both take the fixture ``run`` from
``tests/support/pads.py``, where each driver has its emulator. A driver that needs more than a pty runs the same
scenarios with a ``run`` of its own.
"""

from __future__ import annotations

import asyncio
import os
import re

import pytest

from kiosk.devices import open_pad
from kiosk.wire import iso28560_3_write
from kiosk.wire.content import Label
from kiosk.wire.tag import decode
from mocban.errors import ConfigError, DeviceLost
from tests.support.emulated import demo, until
from tests.support.pads import DRIVERS, EMULATORS, ITEMS, Branch, Run, read_ids, run

__all__ = ["run"]


def test_a_pad_says_which_reader_it_is(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        assert re.search(r"release \d\d\.\d\d", await branch.pad.open())

    run(scenario)


def test_an_empty_pad_reports_no_tags(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        assert await branch.pad.tags() == []

    run(scenario)


def test_a_stack_is_read_whole_with_its_security_marks(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        for name in ITEMS:
            branch.world.lay(name)
        tags = await branch.pad.tags()
        expected = {branch.uid(name): number for name, number in ITEMS.items()}
        assert read_ids(tags) == expected
        for name in ITEMS:
            afi = await branch.pad.read_afi(branch.uid(name))
            assert afi == (0xC2 if name == "dat-rung" else 0x07)
        if "hf" not in branch.lacks:
            assert {len(tag.data) for tag in tags} == {32, 36}  # all of 8 blocks, 9 of 28

    run(scenario)


def test_a_patron_card_is_read_and_its_number_is_in_no_repr(
    run: Run,
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("the-1")
        tags = await branch.pad.tags()
        assert list(read_ids(tags).values()) == ["TV2400001"]
        assert "TV24" not in repr(tags) + repr([decode(tag.data, epc=tag.epc) for tag in tags])

    run(scenario)


def test_a_tag_is_read_once_while_it_lies_and_anew_when_it_came_back(
    run: Run,
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("lich-su")
        (before,) = await branch.pad.tags()
        branch.world.write_block("lich-su", 7, b"\x00\x00\x00\x41")
        assert await branch.pad.tags() == [before]
        branch.world.lift("lich-su")
        assert await branch.pad.tags() == []
        branch.world.lay("lich-su")
        (after,) = await branch.pad.tags()
        assert after.data == before.data[:31] + b"\x41"

    run(scenario, needs="hf")


def test_a_written_mark_is_on_the_tag_and_on_no_other(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("de-men")
        branch.world.lay("lich-su")
        uid = branch.uid("de-men")
        await branch.pad.tags()
        assert await branch.pad.write_afi(uid, 0xC2)
        assert await branch.pad.read_afi(uid) == 0xC2
        assert branch.world.tag("de-men").afi == 0xC2
        assert branch.world.tag("lich-su").afi == 0x07

    run(scenario)


def test_writing_a_tag_that_was_lifted_says_no(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("lich-su")
        await branch.pad.tags()
        branch.world.lift("lich-su")
        uid = branch.uid("lich-su")
        assert not await branch.pad.write_afi(uid, 0xC2)
        assert await branch.pad.read_afi(uid) is None
        assert branch.world.tag("lich-su").afi == 0x07

    run(scenario)


def test_a_tag_that_refuses_writes_says_no_in_bounded_time(
    run: Run,
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("lich-su")
        branch.world.set_fault("write-fails", "on")
        uid = branch.uid("lich-su")
        async with asyncio.timeout(5):
            assert not await branch.pad.write_afi(uid, 0xC2)
        assert await branch.pad.read_afi(uid) == 0x07
        branch.world.set_fault("write-fails", "")
        assert await branch.pad.write_afi(uid, 0xC2)

    run(scenario)


def test_more_tags_than_one_answer_holds_are_all_found(run: Run) -> None:
    seed = demo()
    pattern = next(tag for tag in seed["tag"] if tag["name"] == "lich-su")
    seed["tag"] += [
        pattern
        | {"name": f"copy-{n}", "uid": f"E0040100FF0000{n:02X}", "place": "pad"}
        | {"data": iso28560_3_write.encode(Label(f"BG{n:08d}"), 32).hex()}
        for n in range(53)
    ]

    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        tags = await branch.pad.tags()
        assert {tag.uid for tag in tags} == {
            branch.name(f"E0040100FF0000{n:02X}") for n in range(53)
        }
        assert all(tag.data or tag.epc for tag in tags)

    run(scenario, seed)


def test_tags_of_other_sizes_are_read_as_far_as_their_content_goes(
    run: Run,
) -> None:
    seed = demo()
    pattern = next(tag for tag in seed["tag"] if tag["name"] == "de-men")
    wide = {"name": "wide", "uid": "E008010000000001", "block_size": 8, "blocks": 250}
    # An id of 20 characters stands in the library extension block, behind the 9 blocks of every tag.
    long_id = (
        "11 01 01 01" + " 00" * 15 + " 4D 6A 56 4E 42 47 30 31" + " 00" * 7 + " 01"
        "19 01 00 1E 00 56 4E 2D 42 47 30 31 2D 32 30 32 36 2D 30 30 30 30 30 30 31"
    )
    long = {"name": "long", "uid": "E004010000000002", "data": long_id}
    seed["tag"] += [pattern | wide | {"place": "pad"}, pattern | long | {"place": "pad"}]

    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        tags = {tag.uid: tag for tag in await branch.pad.tags()}
        assert len(tags["E008010000000001"].data) == 72
        assert len(tags["E004010000000002"].data) == 112
        assert read_ids(list(tags.values())) == {
            "E008010000000001": "BG00012345",
            "E004010000000002": "VN-BG01-2026-0000001",
        }

    run(scenario, seed, needs="hf")


def test_an_unplugged_pad_is_lost_at_once_and_works_again_when_it_is_back(
    run: Run,
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("lich-su")
        assert len(await branch.pad.tags()) == 1
        branch.world.set_fault("pad-unplugged", "on")
        await until(lambda: not branch.link.is_symlink())
        async with asyncio.timeout(0.5):
            with pytest.raises(DeviceLost):
                await branch.pad.tags()
        with pytest.raises(DeviceLost):
            await branch.pad.open()
        branch.world.set_fault("pad-unplugged", "")
        await until(branch.link.is_symlink)
        await branch.pad.open()
        assert list(read_ids(await branch.pad.tags()).values()) == ["11223344"]

    run(scenario)


def test_a_pad_unplugged_in_the_middle_of_an_inventory_is_lost(
    run: Run,
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        for name in ITEMS:
            branch.world.lay(name)

        async def look_for_ever() -> None:
            while True:
                await branch.pad.tags()

        looking = asyncio.create_task(look_for_ever())
        branch.world.set_fault("pad-unplugged", "on")
        with pytest.raises(DeviceLost):
            await asyncio.wait_for(looking, 3)

    run(scenario)


def test_noise_on_the_line_is_counted_and_changes_no_answer(
    run: Run,
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        assert branch.pad.noise == 0
        branch.world.set_fault("pad-noise", "on")
        for name in ITEMS:
            branch.world.lay(name)
        assert sorted(read_ids(await branch.pad.tags()).values()) == sorted(ITEMS.values())
        assert await branch.pad.write_afi(branch.uid("lich-su"), 0xC2)
        assert branch.pad.noise > 0

    run(scenario)


def test_the_wrong_speed_is_a_lost_device_and_not_a_wrong_answer(
    run: Run,
) -> None:
    async def scenario(branch: Branch) -> None:
        wrong = open_pad(branch.driver, branch.url(EMULATORS[branch.driver].wrong))
        with pytest.raises(DeviceLost) as lost:
            await wrong.open()
        assert "speed" in lost.value.do
        assert wrong.noise > 0
        await branch.pad.open()

    run(scenario)


def test_a_pad_in_use_cannot_be_opened_a_second_time(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        other = open_pad(branch.driver, branch.url(EMULATORS[branch.driver].right))
        with pytest.raises(DeviceLost) as refused:
            await other.open()
        assert "no other program" in refused.value.do
        assert await branch.pad.tags() == []

    run(scenario)


def test_a_kiosk_that_restarts_finds_its_pad_again(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        branch.world.lay("lich-su")
        for _ in range(3):
            await branch.pad.open()
            assert len(await branch.pad.tags()) == 1
            await branch.pad.close()
            await branch.pad.close()

    run(scenario)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_reader_that_never_answers_is_lost_within_the_deadline(driver: str) -> None:
    async def scenario() -> None:
        master, slave = os.openpty()
        pad = open_pad(driver, f"serial://{os.ttyname(slave)}?{EMULATORS[driver].right}")
        try:
            async with asyncio.timeout(4):
                with pytest.raises(DeviceLost, match="does not answer"):
                    await pad.open()
        finally:
            os.close(slave)
            os.close(master)

    asyncio.run(scenario())


def test_an_unknown_driver_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="no pad driver called abacus"):
        open_pad("abacus", "memory://pad")
