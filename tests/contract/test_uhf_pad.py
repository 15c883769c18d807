"""UHF pads where the suite of all pads does not go: formats, twins, EAS, their own options, faults."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from kiosk.devices.uhf import UhfPad
from kiosk.devices.uhf18_pad import Uhf18Reader, uhf18_pad
from kiosk.emulators.talk import Said
from kiosk.emulators.uhf18_pad import EmulatedUhf
from kiosk.emulators.uhf_field import UhfField, tid_of
from kiosk.emulators.world import World
from kiosk.wire import epc, gaoxiao, len_frame, uhf18
from kiosk.wire.content import ItemTag, Label
from kiosk.wire.tag import decode
from kiosk.wire.uhf18 import Command, Reply, Request, Series, Status
from mocban.errors import ConfigError, DeviceLost
from tests.support.emulated import demo
from tests.support.wired import Answer, wired

BOTH = pytest.mark.parametrize("series", list(Series), ids=lambda one: one.value)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A demo branch with two twins, which say the same in every byte, and a book of no format."""
    seed = demo()
    pattern = next(tag for tag in seed["tag"] if tag["name"] == "lich-su")
    seed["tag"] += [
        pattern | {"name": "twin-1", "uid": "E004010000000001"},
        pattern | {"name": "twin-2", "uid": "E004010000000002"},
        pattern | {"name": "blank", "uid": "E004010000000003", "data": ""},
    ]
    return World.create(tmp_path / "world.db", seed)


def name(world: World, tag: str) -> str:
    """A tag's UID as a UHF pad reports it."""
    return tid_of(world.tag(tag).uid).hex().upper()


@BOTH
def test_security_in_the_first_byte_of_the_uii_is_read_and_written(
    world: World, series: Series
) -> None:
    uid = world.tag("blank").uid
    made = gaoxiao.encode(Label("T0012345"), on_loan=False)

    async def scenario() -> None:
        reader = EmulatedUhf(UhfField(world, epcs={uid: made}), series)
        async with wired("gaoxiao", len_frame.framer(), reader.answer) as url:
            pad = uhf18_pad(url)
            await pad.open()
            world.lay("blank")
            (tag,) = await pad.tags()
            content = decode(tag.data, epc=tag.epc)
            assert isinstance(content, ItemTag)
            assert (content.id, tag.afi) == ("T0012345", 0x07)
            assert await pad.write_afi(tag.uid, 0xC2)
            assert world.tag("blank").afi == 0xC2
            (lent,) = await pad.tags()
            assert (lent.uid, lent.afi) == (tag.uid, 0xC2)
            assert gaoxiao.lent(lent.epc)
            assert await pad.read_afi(tag.uid) == 0xC2
            assert not await pad.write_afi(tag.uid, 0x21)  # it can say two things only
            assert await pad.write_afi(tag.uid, 0x07)
            await pad.close()

    asyncio.run(scenario())


@BOTH
def test_a_tag_without_a_place_for_security_is_left_alone(world: World, series: Series) -> None:
    written: list[Request] = []

    async def scenario() -> None:
        reader = EmulatedUhf(UhfField(world), series)

        def answer(frame: bytes) -> Said | None:
            request = Request.decode(frame)
            written.extend([request] if request.command == Command.WRITE else [])
            return reader.answer(frame)

        async with wired("nowhere", len_frame.framer(), answer) as url:
            pad = uhf18_pad(url)
            await pad.open()
            world.lay("blank")
            (tag,) = await pad.tags()
            assert tag.afi is None
            assert not await pad.write_afi(tag.uid, 0xC2)
            assert await pad.read_afi(tag.uid) is None
            await pad.close()

    asyncio.run(scenario())
    assert not written


def test_two_tags_of_one_number_are_told_apart_where_the_reader_can(world: World) -> None:
    async def scenario() -> None:
        reader = EmulatedUhf(UhfField(world), Series.R288)
        async with wired("twins", len_frame.framer(), reader.answer) as url:
            pad = uhf18_pad(url)
            await pad.open()
            world.lay("twin-1")
            world.lay("twin-2")
            tags = await pad.tags()
            assert {tag.uid for tag in tags} == {name(world, "twin-1"), name(world, "twin-2")}
            assert await pad.write_afi(name(world, "twin-2"), 0xC2)
            assert (world.tag("twin-1").afi, world.tag("twin-2").afi) == (0x07, 0xC2)
            await pad.close()

    asyncio.run(scenario())


def test_two_tags_of_one_number_are_not_written_where_it_cannot(world: World) -> None:
    async def scenario() -> None:
        reader = EmulatedUhf(UhfField(world), Series.R18)
        async with wired("refused", len_frame.framer(), reader.answer) as url:
            pad = uhf18_pad(url)
            await pad.open()
            world.lay("twin-1")
            (tag,) = await pad.tags()
            assert await pad.write_afi(tag.uid, 0xC2)
            world.lay("twin-2")
            await pad.tags()
            assert not await pad.write_afi(tag.uid, 0x07)
            assert (world.tag("twin-1").afi, world.tag("twin-2").afi) == (0xC2, 0x07)
            world.lift("twin-2")
            await pad.tags()
            assert await pad.write_afi(tag.uid, 0x07)
            await pad.close()

    asyncio.run(scenario())


@BOTH
def test_a_tag_that_took_the_place_of_its_twin_is_not_written_for_it(
    world: World, series: Series
) -> None:
    async def scenario() -> None:
        reader = EmulatedUhf(UhfField(world), series)
        async with wired("place", len_frame.framer(), reader.answer) as url:
            pad = uhf18_pad(url)
            await pad.open()
            world.lay("twin-1")
            await pad.tags()
            world.lift("twin-1")
            world.lay("twin-2")
            assert not await pad.write_afi(name(world, "twin-1"), 0xC2)
            assert (world.tag("twin-1").afi, world.tag("twin-2").afi) == (0x07, 0x07)
            await pad.close()

    asyncio.run(scenario())


@BOTH
def test_a_mark_that_somebody_else_changed_is_seen_and_written_anew(
    world: World, series: Series
) -> None:
    async def scenario() -> None:
        reader = EmulatedUhf(UhfField(world), series)
        async with wired("else", len_frame.framer(), reader.answer) as url:
            pad = uhf18_pad(url)
            await pad.open()
            world.lay("de-men")
            await pad.tags()
            uid = name(world, "de-men")
            assert await pad.write_afi(uid, 0xC2)
            world.set_fault("write-fails", "on")
            assert await pad.write_afi(uid, 0xC2)  # nothing to write
            world.set_fault("write-fails", "")
            world.write_afi("de-men", 0x07)
            assert await pad.write_afi(uid, 0xC2)
            assert world.tag("de-men").afi == 0xC2
            await pad.close()

    asyncio.run(scenario())


def test_a_tag_that_was_written_anew_meanwhile_is_read_before_it_is_marked(world: World) -> None:
    async def scenario() -> None:
        field = UhfField(world)
        async with wired("anew", len_frame.framer(), EmulatedUhf(field, Series.R288).answer) as url:
            pad = uhf18_pad(url)
            await pad.open()
            world.lay("de-men")
            await pad.tags()
            (tag,) = field.present()
            shorter = epc.join(tag.uii[:4], afi=0x07)
            field.write(tag, uhf18.Bank.EPC, 1, shorter)
            uid = name(world, "de-men")
            assert not await pad.write_afi(uid, 0xC2)
            assert field.present()[0].epc == shorter
            assert await pad.write_afi(uid, 0xC2)
            assert field.present()[0].epc == epc.with_afi(shorter, 0xC2)
            await pad.close()

    asyncio.run(scenario())


@BOTH
def test_eas_is_switched_and_proven_on_a_tag_that_lies_alone(world: World, series: Series) -> None:
    password = b"\x01\x02\x03\x04"

    async def scenario() -> None:
        reader = EmulatedUhf(UhfField(world), series, password)
        async with wired("eas", len_frame.framer(), reader.answer) as url:
            pad = UhfPad(Uhf18Reader(url, password))
            await pad.open()
            world.lay("de-men")
            uid = name(world, "de-men")
            assert await pad.read_eas(uid) is False
            assert await pad.write_eas(uid, armed=True)
            assert world.tag("de-men").eas
            assert await pad.read_eas(uid) is True
            world.lay("lich-su")
            assert await pad.read_eas(uid) is None  # whose alarm is it?
            world.lift("lich-su")
            assert await pad.write_eas(uid, armed=False)
            await pad.close()

    asyncio.run(scenario())


@BOTH
def test_user_memory_is_read_and_written_in_words(world: World, series: Series) -> None:
    async def scenario() -> None:
        reader = EmulatedUhf(UhfField(world), series)
        async with wired("words", len_frame.framer(), reader.answer) as url:
            pad = uhf18_pad(url)
            await pad.open()
            world.lay("de-men")
            uid = name(world, "de-men")
            assert await pad.write(uid, 30, b"ABCD")
            assert await pad.read(uid, 30, 2) == b"ABCD"
            assert await pad.read(uid, 31, 2) == b""
            world.lift("de-men")
            assert await pad.read(uid, 30, 2) is None
            with pytest.raises(ConfigError) as refused:
                await pad.info(uid)
            assert refused.value.code == "unsupported"
            await pad.close()

    asyncio.run(scenario())


@BOTH
def test_power_and_region_are_written_only_where_the_address_asks_for_them(
    world: World, series: Series
) -> None:
    async def scenario() -> None:
        reader = EmulatedUhf(UhfField(world), series)
        async with wired("plain", len_frame.framer(), reader.answer) as url:
            pad = uhf18_pad(url)
            await pad.open()
            await pad.close()
        assert reader.settings == {}
        async with wired("tuned", len_frame.framer(), reader.answer) as url:
            pad = uhf18_pad(f"{url}?power=23&region=vn&scan=3")
            await pad.open()
            await pad.close()
        assert reader.settings == {
            Command.POWER: b"\x17",
            Command.REGION: b"\x0b\x40",
            Command.SCAN_TIME: b"\x03",
        }

    asyncio.run(scenario())


def scripted(*inventories: bytes, reads: Reply | None = None) -> Answer:
    """A reader of the 18 series that gives these answers to one inventory after the other, the last for ever."""
    info = bytes.fromhex("0D 00 21 00 02 44 09 03 4E 00 17 0A")
    left = list(inventories)

    def answer(frame: bytes) -> Said | None:
        match Request.decode(frame).command:
            case Command.INFO:
                return Said(len_frame.sealed(info[1], info[2:]))
            case Command.INVENTORY:
                return Said(left.pop(0) if len(left) > 1 else left[0])
            case command:
                return Said((reads or Reply(command, Status.POOR)).encode())

    return answer


def sighted(status: Status, *uiis: bytes) -> bytes:
    data = uhf18.encode_sightings(Series.R18, list(uiis))
    return Reply(Command.INVENTORY, status, data).encode()


def look(name: str, answer: Answer) -> list[str]:
    """The names of what a pad sees."""

    async def scenario() -> list[str]:
        async with wired(name, len_frame.framer(), answer) as url:
            pad = uhf18_pad(url)
            await pad.open()
            try:
                return [tag.uid for tag in await pad.tags()]
            finally:
                await pad.close()

    return asyncio.run(scenario())


def test_a_tag_that_cannot_be_read_is_there_and_shows_nothing_of_its_number() -> None:
    uii = b"TV2400001!"
    seen = look("poor", scripted(sighted(Status.FOUND, uii)))
    assert len(seen) == 1
    assert re.fullmatch("00000000[0-9A-F]{16}", seen[0])
    assert uii.hex().upper() not in seen[0]


def test_a_round_that_was_too_short_is_followed_by_another() -> None:
    one, two = b"AAAA", b"BBBB"
    answers = sighted(Status.TIMEOUT, one), sighted(Status.FOUND, one, two)
    assert len(look("short", scripted(*answers))) == 2


def test_a_tag_with_no_number_at_all_is_not_taken_for_every_tag() -> None:
    assert len(look("empty", scripted(sighted(Status.FOUND, b"", b"AAAA")))) == 2


def test_an_answer_in_several_frames_is_one_answer() -> None:
    frames = sighted(Status.MORE, b"AAAA") + sighted(Status.MORE, b"BBBB")
    assert len(look("parts", scripted(frames + sighted(Status.FOUND, b"CCCC")))) == 3


@pytest.mark.parametrize("status", [Status.ANTENNA, Status.FAILED, 0x42])
def test_a_fault_is_a_lost_reader_and_not_an_empty_pad(status: int) -> None:
    with pytest.raises(DeviceLost, match=uhf18.words(status)):
        look("fault", scripted(Reply(Command.INVENTORY, status).encode()))


def test_an_inventory_that_does_not_add_up_is_a_lost_reader() -> None:
    reply = Reply(Command.INVENTORY, Status.FOUND, b"\x02\x04AAAA")
    with pytest.raises(DeviceLost, match="number of tags"):
        look("sum", scripted(reply.encode()))


def test_a_request_damaged_on_its_way_is_sent_again() -> None:
    damaged = Reply(0, Status.ILLEGAL).encode()
    assert len(look("again", scripted(damaged, sighted(Status.FOUND, b"AAAA")))) == 1


def test_the_emulated_bank_01_is_that_of_the_standard(world: World) -> None:
    world.lay("de-men")
    (tag,) = UhfField(world).present()
    found = epc.split(tag.epc)
    assert found is not None
    assert (found.pc.iso, found.pc.umi, found.pc.afi) == (True, True, 0x07)
    content = decode(tag.user, epc=tag.epc)
    assert isinstance(content, ItemTag)
    assert (content.id, content.owner.isil) == ("BG00012345", "VN-BG01")
