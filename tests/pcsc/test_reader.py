"""What a PC/SC reader does beyond the contract of pads: memory, locks, EAS, one card at a time, strange answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kiosk.devices.base import Lock
from kiosk.devices.pcsc_pad import Way
from kiosk.wire.iso15693 import Uid
from mocban.errors import ConfigError
from tests.pcsc.stand import COLLISION, DAMAGED, SILENCE, Desk, desk, frame, granting, scripted

UID = Uid.parse("E004010012345678")
MIFARE = "3B 8F 80 01 80 4F 0C A0 00 00 03 06 03 00 01 00 00 00 00 6A"


def at(
    link: Path,
    scenario: Callable[[Desk], Awaitable[None]],
    *,
    transparent: bool = True,
    backwards: bool = False,
    keeps: bool = True,
) -> None:
    """Run ``scenario`` at an emulated reader."""

    async def visit() -> None:
        async with desk(link, transparent=transparent, backwards=backwards, keeps=keeps) as one:
            await one.pad.open()
            await scenario(one)

    asyncio.run(visit())


def test_frames_are_the_way_of_a_reader_that_knows_them(pad_link: Path) -> None:
    async def scenario(one: Desk) -> None:
        one.lay("lich-su")
        assert len(await one.pad.tags()) == 1
        assert one.reader.way is Way.FRAMES

    at(pad_link, scenario)


def test_blocks_dsfid_and_what_the_tag_says_of_itself(pad_link: Path) -> None:
    async def scenario(one: Desk) -> None:
        (uid,) = one.lay("de-men")
        tag = one.world.tag(uid)
        info = await one.pad.info(uid)
        assert info is not None
        assert (info.blocks, info.block_size, info.afi) == (tag.blocks, tag.block_size, tag.afi)
        assert await one.pad.read(uid, 0, tag.blocks) == tag.data
        assert await one.pad.read(uid, tag.blocks - 1, 2) == b""
        assert await one.pad.write(uid, 20, bytes(range(8)))
        assert one.world.tag(uid).data[80:88] == bytes(range(8))
        assert await one.pad.write_dsfid(uid, 0x06)
        assert one.world.tag(uid).dsfid == 0x06

    at(pad_link, scenario)


def test_eas_is_switched_and_heard(pad_link: Path) -> None:
    async def scenario(one: Desk) -> None:
        uid, other = one.lay("de-men", "lich-su")
        assert await one.pad.read_eas(uid) is False
        assert await one.pad.write_eas(uid, armed=True)
        assert one.world.tag(uid).eas
        assert not one.world.tag(other).eas
        assert await one.pad.read_eas(uid) is True
        assert await one.pad.write_eas(uid, armed=False)
        assert await one.pad.read_eas(uid) is False
        one.world.lift(uid)
        assert await one.pad.read_eas(uid) is None
        with pytest.raises(ConfigError, match="NXP"):
            await one.pad.write_eas("E002010012345678", armed=True)

    at(pad_link, scenario)


def test_locks_are_for_ever(pad_link: Path) -> None:
    async def scenario(one: Desk) -> None:
        uid, other = one.lay("de-men", "lich-su")
        assert await one.pad.lock(uid, Lock.BLOCKS, first=0, count=2)
        assert await one.pad.lock(uid, Lock.AFI)
        assert await one.pad.lock(uid, Lock.DSFID)
        assert await one.pad.lock(uid, Lock.EAS)
        assert one.world.tag(uid).locks == {"0", "1", "afi", "dsfid", "eas"}
        assert not one.world.tag(other).locks
        assert not await one.pad.lock(uid, Lock.AFI)
        assert not await one.pad.write(uid, 0, bytes(4))
        assert not await one.pad.write_afi(uid, 0xC2)

    at(pad_link, scenario)


def test_the_field_goes_off_and_on_and_the_tags_are_still_spoken_to(pad_link: Path) -> None:
    async def scenario(one: Desk) -> None:
        one.lay("de-men", "lich-su")
        assert len(await one.pad.tags()) == 2
        await one.reader.reset()
        assert len(await one.pad.tags()) == 2

    at(pad_link, scenario)


def test_a_tag_laid_while_a_session_is_open_is_seen_by_the_next_look(pad_link: Path) -> None:
    async def scenario(one: Desk) -> None:
        one.lay("de-men")
        assert len(await one.pad.tags()) == 1
        one.world.lift("de-men")
        assert await one.pad.tags() == []
        one.lay("lich-su", "dat-rung")
        assert len(await one.pad.tags()) == 2

    at(pad_link, scenario)


def test_a_reader_whose_card_goes_with_the_last_tag_begins_anew(pad_link: Path) -> None:
    async def scenario(one: Desk) -> None:
        for name in ("de-men", "lich-su", "de-men"):
            (uid,) = one.lay(name)
            assert [tag.uid for tag in await one.pad.tags()] == [uid]
            assert await one.pad.write_afi(uid, 0xC2)
            one.world.lift(uid)
            assert await one.pad.tags() == []
            assert not await one.pad.write_afi(uid, 0x07)
            assert one.world.tag(uid).afi == 0xC2

    at(pad_link, scenario, keeps=False)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_reader_without_frames_has_one_tag_and_its_blocks(
    pad_link: Path, backwards: bool
) -> None:
    async def scenario(one: Desk) -> None:
        (uid,) = one.lay("de-men")
        (tag,) = await one.pad.tags()
        assert one.reader.way is Way.STORAGE
        assert (tag.uid, tag.data) == (uid, one.world.tag(uid).data[:36])
        assert await one.pad.write(uid, 20, bytes(range(8)))
        assert one.world.tag(uid).data[80:88] == bytes(range(8))
        assert await one.pad.read(uid, 27, 2) == b""
        await one.reader.reset()
        assert [tag.uid for tag in await one.pad.tags()] == [uid]

    at(pad_link, scenario, transparent=False, backwards=backwards)


def test_a_reader_without_frames_says_what_it_cannot_do(pad_link: Path) -> None:
    async def scenario(one: Desk) -> None:
        (uid,) = one.lay("de-men")
        await one.pad.tags()
        for work in (
            one.pad.write_afi(uid, 0xC2),
            one.pad.read_afi(uid),
            one.pad.write_dsfid(uid, 6),
            one.pad.write_eas(uid, armed=True),
            one.pad.read_eas(uid),
            one.pad.lock(uid, Lock.AFI),
        ):
            with pytest.raises(ConfigError, match="no transparent exchange") as caught:
                await work
            assert caught.value.code == "unsupported"
        assert one.world.tag(uid).afi == 0x07

    at(pad_link, scenario, transparent=False)


def test_a_reader_without_frames_never_writes_to_another_tag(pad_link: Path) -> None:
    async def scenario(one: Desk) -> None:
        uid, other = one.lay("de-men", "lich-su")
        before.extend(tag.data for tag in one.world.tags("pad"))
        (seen,) = await one.pad.tags()
        absent = uid if seen.uid == other else other
        assert not await one.pad.write(absent, 20, bytes(4))
        assert await one.pad.read(absent, 0, 1) is None
        assert not await one.pad.write_afi(absent, 0xC2)
        assert [tag.data for tag in one.world.tags("pad")] == before

    before: list[bytes] = []
    at(pad_link, scenario, transparent=False)


def test_tags_of_one_uid_that_differ_elsewhere_are_one(pad_link: Path) -> None:
    """They collide to the last bit: each has another DSFID."""
    value = int.from_bytes(UID.value, "big")

    def heard(asked: bytes) -> bytes:
        if asked[1] != 1:
            return SILENCE
        bits, mask = asked[2], int.from_bytes(asked[3:], "little")
        return COLLISION if value & ((1 << bits) - 1) == mask else SILENCE

    async def scenario() -> None:
        async with scripted(pad_link, granting(heard)) as (reader, _):
            await reader.open()
            assert [one.uid for one in await reader.inventory()] == [UID]

    asyncio.run(scenario())


def test_one_disturbed_answer_hides_no_tag(pad_link: Path) -> None:
    turn = 0

    def heard(asked: bytes) -> bytes:
        nonlocal turn
        turn += 1
        if asked[2]:
            return SILENCE
        return DAMAGED if turn == 1 else frame("00 00 78 56 34 12 00 01 04 E0")

    async def scenario() -> None:
        async with scripted(pad_link, granting(heard)) as (reader, _):
            await reader.open()
            assert [one.uid for one in await reader.inventory()] == [UID]
            assert reader.noise == 3

    asyncio.run(scenario())


def test_a_tag_that_reads_no_blocks_together_is_read_one_by_one(pad_link: Path) -> None:
    def heard(asked: bytes) -> bytes:
        match asked[1]:
            case 0x23:
                return frame("01 01")
            case 0x20 if asked[10] < 3:
                return frame(f"00 {asked[10]:02X} 0A 0B 0C")
            case 0x20:
                return frame("01 10")
        return SILENCE

    async def scenario() -> None:
        async with scripted(pad_link, granting(heard)) as (reader, _):
            await reader.open()
            assert await reader.read(UID, 0, 3) == bytes.fromhex("000A0B0C 010A0B0C 020A0B0C")
            assert await reader.read(UID, 0, 4) == b""

    asyncio.run(scenario())


def test_a_tag_that_is_silent_beyond_its_end_has_not_left(pad_link: Path) -> None:
    def heard(asked: bytes) -> bytes:
        if asked[1] == 0x2B:
            return frame("00 0F 78 56 34 12 00 01 04 E0 00 07 07 03 01")
        return SILENCE

    async def scenario() -> None:
        async with scripted(pad_link, granting(heard)) as (reader, _):
            await reader.open()
            assert await reader.read(UID, 0, 9) == b""
            assert await reader.read(UID, 0, 8) is None

    asyncio.run(scenario())


def test_a_card_that_is_no_such_tag_is_no_tag(pad_link: Path) -> None:
    async def scenario() -> None:
        answer = bytes.fromhex("6A 81")
        async with scripted(pad_link, lambda _: answer, bytes.fromhex(MIFARE)) as (reader, _):
            await reader.open()
            assert await reader.inventory() == []
            assert reader.way is Way.FOREIGN

    asyncio.run(scenario())


def test_what_the_reader_is_asked_first(pad_link: Path) -> None:
    async def scenario() -> None:
        async with scripted(pad_link, granting(lambda _: SILENCE)) as (reader, card):
            await reader.open()
            assert await reader.inventory() == []
            await reader.close()
            assert card.asked == [
                "FFC2000002820000",
                "FFC2000002810000",
                "FFC20002048F02020300",
                "FFC20001125F460410270000FF6E03030105950326010000",
                "FFC2000002820000",
            ]

    asyncio.run(scenario())
