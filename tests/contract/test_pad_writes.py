"""What every pad driver writes, and what goes wrong meanwhile: the fixture ``run`` of ``tests/support/pads.py``."""

from __future__ import annotations

import asyncio

import pytest

from kiosk.devices.base import Lock
from kiosk.wire.content import ItemTag
from kiosk.wire.tag import decode
from mocban.errors import ConfigError, LocalProtocolError
from tests.support.emulated import demo
from tests.support.pads import ITEMS, Branch, Run, read_ids, run

__all__ = ["run"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tag_that_leaves_at_its_write_is_no_success(run: Run, when: str) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        for name in ("lich-su", "de-men"):
            branch.world.lay(name)
        await branch.pad.tags()
        branch.world.set_fault("tag-leaves", when)
        async with asyncio.timeout(2):
            assert not await branch.pad.write_afi(branch.uid("lich-su"), 0xC2)
        assert branch.world.tag("lich-su").afi == (0x07 if when == "before" else 0xC2)
        assert [tag.uid for tag in await branch.pad.tags()] == [branch.uid("de-men")]
        assert await branch.pad.write_afi(branch.uid("de-men"), 0xC2)

    run(scenario)


@pytest.mark.parametrize("times", [1, 4, 7])
def test_a_write_that_fails_some_times_is_done_in_the_end(run: Run, times: int) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("lich-su")
        await branch.pad.tags()
        branch.world.set_fault("write-fails", str(times))
        assert await branch.pad.write_afi(branch.uid("lich-su"), 0xC2)
        assert branch.world.tag("lich-su").afi == 0xC2
        assert not branch.world.faults()

    run(scenario)


def test_a_mark_that_stands_already_is_proven_without_a_write(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("lich-su")
        uid = branch.uid("lich-su")
        await branch.pad.tags()
        assert await branch.pad.write_afi(uid, 0xC2)
        branch.world.set_fault("write-fails", "on")
        assert await branch.pad.write_afi(uid, 0xC2)
        branch.world.write_afi("lich-su", 0x07)  # by somebody else
        assert not await branch.pad.write_afi(uid, 0xC2)

    run(scenario, needs="hf")


def test_a_muttering_tag_is_read_and_written_all_the_same(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("lich-su")
        branch.world.set_fault("tag-mutters", "on")
        for _ in range(3):
            if read_ids(await branch.pad.tags()):
                break
        assert list(read_ids(await branch.pad.tags()).values()) == ["11223344"]
        for afi in (0xC2, 0x07, 0xC2):
            assert await branch.pad.write_afi(branch.uid("lich-su"), afi)

    run(scenario, needs="hf")


def test_a_tag_that_the_reader_names_twice_is_one_tag(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        for name in ITEMS:
            branch.world.lay(name)
        branch.world.set_fault("twins", "on")
        tags = await branch.pad.tags()
        assert sorted(tag.uid for tag in tags) == sorted(map(branch.uid, ITEMS))
        assert sorted(read_ids(tags).values()) == sorted(ITEMS.values())

    run(scenario)


def test_items_that_come_and_go_during_the_rounds_end_in_what_lies_there(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        expected = {branch.uid(name): number for name, number in ITEMS.items()}

        async def restless() -> None:
            for turn in range(12):
                for number, name in enumerate(ITEMS):
                    (branch.world.lay if (turn + number) % 2 else branch.world.lift)(name)
                    await asyncio.sleep(0.01)

        moving = asyncio.create_task(restless())
        while not moving.done():
            tags = await branch.pad.tags()
            seen = [tag.uid for tag in tags]
            assert len(seen) == len(set(seen))
            if "hf" not in branch.lacks:
                # A UHF tag that left before its TID was read has a makeshift name.
                assert set(seen) <= expected.keys()
            assert read_ids(tags).items() <= expected.items()
        await moving
        for name in ITEMS:
            branch.world.lay(name)
        await branch.pad.tags()  # what left while it was read is read in the next round
        assert read_ids(await branch.pad.tags()) == expected

    run(scenario)


def test_the_eas_bit_is_switched_on_one_tag_and_proven(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("lich-su")
        branch.world.lay("de-men")
        uid, other = branch.uid("lich-su"), branch.uid("de-men")
        await branch.pad.tags()
        if "eas" in branch.lacks:
            with pytest.raises(ConfigError) as refused:
                await branch.pad.write_eas(uid, armed=True)
            assert refused.value.code == "unsupported"
            return
        assert await branch.pad.read_eas(uid) is False
        assert await branch.pad.write_eas(uid, armed=True)
        assert branch.world.tag("lich-su").eas
        assert await branch.pad.read_eas(uid) is True
        assert await branch.pad.read_eas(other) is False
        branch.world.set_fault("write-fails", "2")
        assert await branch.pad.write_eas(uid, armed=False)
        assert not branch.world.tag("lich-su").eas
        branch.world.lift("lich-su")
        assert await branch.pad.read_eas(uid) is None
        assert not await branch.pad.write_eas(uid, armed=True)

    run(scenario)


def test_a_tag_whose_maker_has_no_eas_is_refused_and_not_lost(run: Run) -> None:
    seed = demo()
    pattern = next(tag for tag in seed["tag"] if tag["name"] == "de-men")
    seed["tag"] += [pattern | {"name": "ti", "uid": "E007000000000001", "place": "pad"}]

    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        with pytest.raises(ConfigError) as refused:
            await branch.pad.write_eas(branch.uid("ti"), armed=True)
        assert refused.value.code == "unsupported"
        assert await branch.pad.write_afi(branch.uid("ti"), 0xC2)

    run(scenario, seed, needs="hf")


def test_the_memory_of_a_tag_is_read_written_and_read_back(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        bench, uid = branch.bench, branch.uid("de-men")
        await bench.open()
        assert await bench.info(uid) is None
        assert await bench.read(uid, 0, 1) is None
        branch.world.lay("de-men")
        info = await bench.info(uid)
        assert info is not None
        assert (info.afi, info.dsfid, info.blocks, info.block_size) == (0x07, 0, 28, 4)
        before = branch.world.tag("de-men").data
        assert await bench.read(uid, 2, 3) == before[8:20]
        assert await bench.read(uid, 0, 28) == before
        assert await bench.read(uid, 27, 2) == b""
        assert await bench.write(uid, 20, b"ABCDEFGH")
        assert branch.world.tag("de-men").data == before[:80] + b"ABCDEFGH" + before[88:]
        with pytest.raises(LocalProtocolError, match="whole blocks"):
            await bench.write(uid, 20, b"ABC")
        branch.world.set_fault("write-fails", "3")
        assert await bench.write(uid, 20, b"12345678")
        branch.world.set_fault("write-fails", "on")
        assert not await bench.write(uid, 20, b"abcdefgh")
        branch.world.set_fault("write-fails", "")
        branch.world.set_fault("tag-leaves", "before")
        assert not await bench.write(uid, 20, b"abcdefgh")
        assert branch.world.tag("de-men").data[80:88] == b"12345678"

    run(scenario, needs="hf")


def test_a_tag_of_blocks_of_eight_bytes_is_read_and_written_whole(run: Run) -> None:
    seed = demo()
    pattern = next(tag for tag in seed["tag"] if tag["name"] == "de-men")
    wide = {"name": "wide", "uid": "E008010000000001", "block_size": 8, "blocks": 40}
    seed["tag"] += [pattern | wide | {"place": "pad"}]

    async def scenario(branch: Branch) -> None:
        bench, uid = branch.bench, branch.uid("wide")
        await bench.open()
        assert await bench.read(uid, 0, 40) == branch.world.tag("wide").data
        assert await bench.write(uid, 38, b"0123456789ABCDEF")
        assert branch.world.tag("wide").data.endswith(b"0123456789ABCDEF")

    run(scenario, seed, needs="wide")


def test_the_dsfid_is_written_and_read_back(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        branch.world.lay("de-men")
        uid = branch.uid("de-men")
        assert await branch.bench.write_dsfid(uid, 0x06)
        assert branch.world.tag("de-men").dsfid == 0x06
        (tag,) = await branch.pad.tags()
        assert tag.dsfid in (0x06, None)
        branch.world.set_fault("write-fails", "on")
        assert not await branch.bench.write_dsfid(uid, 0x3E)

    run(scenario, needs="hf")


def test_a_lock_holds_for_ever_and_on_this_tag_alone(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        bench, uid, other = branch.bench, branch.uid("de-men"), branch.uid("sach-duc")
        await bench.open()
        branch.world.lay("de-men")
        branch.world.lay("sach-duc")
        if "locks" in branch.lacks:
            with pytest.raises(ConfigError) as refused:
                await bench.lock(uid, Lock.AFI)
            assert refused.value.code == "unsupported"
            return
        assert await bench.lock(uid, Lock.BLOCKS, first=20, count=2)
        assert not await bench.write(uid, 21, b"ABCD")
        assert await bench.write(uid, 22, b"ABCD")
        assert await bench.lock(uid, Lock.AFI)
        assert not await bench.write_afi(uid, 0xC2)
        assert await bench.lock(uid, Lock.DSFID)
        assert not await bench.write_dsfid(uid, 0x06)
        assert branch.world.tag("de-men").locks == {"20", "21", "afi", "dsfid"}
        assert await bench.write_afi(other, 0xC2)
        assert not branch.world.tag("sach-duc").locks

    run(scenario, needs="hf")


def test_a_protected_eas_bit_stays_as_it_is(run: Run) -> None:
    async def scenario(branch: Branch) -> None:
        bench, uid = branch.bench, branch.uid("de-men")
        await bench.open()
        branch.world.lay("de-men")
        if branch.lacks & {"eas", "locks", "eas-lock"}:
            with pytest.raises(ConfigError) as refused:
                await bench.lock(uid, Lock.EAS)
            assert refused.value.code == "unsupported"
            return
        assert await bench.write_eas(uid, armed=True)
        assert await bench.lock(uid, Lock.EAS)
        assert branch.world.tag("de-men").locks == {"eas"}
        assert not await bench.write_eas(uid, armed=False)
        assert await bench.read_eas(uid) is True

    run(scenario, needs="hf")


def test_a_tag_of_iso_28560_2_is_read_to_its_end(run: Run) -> None:
    seed = demo()
    pattern = next(tag for tag in seed["tag"] if tag["name"] == "de-men")
    title = "Lịch sử tỉnh Bắc Giang, tập một".encode()
    content = "91 00 05 1C BE 99 1A 14 7F 02" + bytes((len(title),)).hex() + title.hex()
    seed["tag"] += [
        pattern
        | {"name": "long", "uid": "E004010000000003", "dsfid": 6, "data": content, "place": "pad"}
    ]

    async def scenario(branch: Branch) -> None:
        await branch.pad.open()
        (tag,) = await branch.pad.tags()
        assert len(tag.data) == 112
        content = decode(tag.data, dsfid=tag.dsfid)
        assert isinstance(content, ItemTag)
        assert (content.id, dict(content.fields)["title"]) == ("123456789012", title.decode())

    run(scenario, seed, needs="hf")
