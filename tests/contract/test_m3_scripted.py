"""The 3M driver against scripted readers, which do what an emulator that behaves well never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from kiosk.devices.exchange import SLICE
from kiosk.devices.hf import HfPad
from kiosk.devices.m3_pad import m3_pad
from kiosk.transports.base import open_stream
from kiosk.transports.memory import MemoryStream
from mocban.errors import ConfigError, DeviceLost
from tests.support.m3 import UID, U, sealed

BASIC = "11 01 01 42 47 30 30 30 31 32 33 34 35 00 00 00 00 00 00 03 17 56 4E 42 47 30 31 00 00 00 00 00"
BOOT = (
    bytes.fromhex("D5 00 05 04 00 11 8C 66"),
    bytes.fromhex("D5 00 09 04 00 11 0A 05 02 1B 97 2A"),
)
VERSION = (bytes.fromhex("D6 00 03 11 64 20"), bytes.fromhex("D6 00 08 11 00 0A 05 02 19 64 69"))
INIT = (
    bytes.fromhex("D6 00 10 13 06 01 00 02 00 03 00 04 00 0B 00 0A 00 FD BF"),
    sealed("13 00 02 01 01 03 02 02 03 00"),
)
OPENING = (BOOT[1], VERSION[1], INIT[1])
NONE = sealed("FE 00 00 27 00")
ONE = sealed(f"FE 00 00 27 01 00 {U}")
AFI_07 = bytes.fromhex(f"D6 00 0D 0A 00 {U} 07 8B E4")
DONE = bytes.fromhex(f"D6 00 0C 09 00 {U} ED B2")


@asynccontextmanager
async def script(name: str, turns: Sequence[bytes]) -> AsyncIterator[list[bytes]]:
    """A reader that answers its n-th question with the n-th of ``turns``, however wrong; gives what it was asked.

    After the last turn it keeps silent.
    """
    far = await open_stream(f"memory://{name}")
    assert isinstance(far, MemoryStream)
    asked: list[bytes] = []

    async def play() -> None:
        for turn in (*turns, *[b""] * 99):
            asked.append(await far.read())
            if turn:
                await far.write(turn)

    playing = asyncio.create_task(play())
    try:
        yield asked
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await far.close()


def against(
    name: str,
    scenario: Callable[[HfPad, list[bytes]], Awaitable[None]],
    turns: Sequence[bytes],
    opening: Sequence[bytes] = OPENING,
) -> None:
    """``scenario`` with a pad that was opened; its list holds what was asked since then."""

    async def visit() -> None:
        async with script(f"m3-{name}", [*opening, *turns]) as asked:
            pad = m3_pad(f"memory://m3-{name}")
            await pad.open()
            asked.clear()
            await scenario(pad, asked)
            await pad.close()

    asyncio.run(visit())


def test_a_cold_tag_costs_one_look_and_one_read_by_the_shortest_frames() -> None:
    read = sealed(f"02 00 {U} 00 09 {BASIC} 00 00 00 00")
    turns = (sealed(f"FE 00 00 27 01 00 {U}"), read)

    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        (tag,) = await pad.tags()
        assert (tag.uid, tag.dsfid, tag.data[:32].hex(" ").upper()) == (UID, 0, BASIC)
        assert asked == [sealed("FE 00 27"), sealed(f"02 {U} 00 09 0C")]

    against("cold", scenario, turns)


@pytest.mark.parametrize(
    ("name", "turns", "asked", "text"),
    [
        ("210", OPENING, (BOOT[0], VERSION[0], INIT[0]), "05.02.25"),
        ("mute", (b"", VERSION[1], b""), (BOOT[0], VERSION[0], INIT[0]), "05.02.25"),
        ("bare", (BOOT[1], sealed("11 02"), INIT[1]), (BOOT[0], VERSION[0], INIT[0]), "05.02.27"),
        (
            "810",
            (
                bytes.fromhex("D5 00 09 04 00 11 0A 05 00 02 72 50"),
                sealed("11 00 0A 05 00 02"),
                INIT[1],
            ),
            (BOOT[0], VERSION[0], bytes.fromhex("D6 00 0C 13 04 01 00 02 00 03 00 04 00 AA F2")),
            "05.00.2",
        ),
        (
            "refuses",
            (BOOT[1], VERSION[1], sealed("13 02"), INIT[1]),
            (
                BOOT[0],
                VERSION[0],
                INIT[0],
                bytes.fromhex("D6 00 0C 13 04 01 00 02 00 03 00 04 00 AA F2"),
            ),
            "05.02.25",
        ),
    ],
)
def test_readers_are_opened_whatever_they_answer_to_what_no_document_names(
    name: str, turns: tuple[bytes, ...], asked: tuple[bytes, ...], text: str
) -> None:
    async def scenario() -> None:
        async with script(f"m3-open-{name}", turns) as heard:
            pad = m3_pad(f"memory://m3-open-{name}")
            assert await pad.open() == f"3M type 0A release {text}"
            assert heard == list(asked)
            assert pad.noise == 0
            await pad.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "turns"),
    [("version", (BOOT[1], sealed("11 00 0A"))), ("nothing", (b"", sealed("11 02")))],
)
def test_a_reader_that_is_no_3m_is_a_lost_device(name: str, turns: tuple[bytes, ...]) -> None:
    async def scenario() -> None:
        async with script(f"m3-not-{name}", turns):
            with pytest.raises(DeviceLost) as lost:
                await m3_pad(f"memory://m3-not-{name}").open()
            assert "3M pad" in lost.value.do

    asyncio.run(scenario())


def test_a_late_answer_never_answers_the_next_question() -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        assert await pad.tags() == []
        assert await pad.tags() == []
        assert pad.noise == len(ONE)
        assert asked == [sealed("FE 00 27")] * 3

    # The first look stays unanswered past the deadline; its answer comes behind that of the repeat.
    against("late", scenario, (b"", NONE + ONE, NONE))


def test_the_answer_that_a_cancelled_asker_left_behind_serves_nobody() -> None:
    async def scenario() -> None:
        far = await open_stream("memory://m3-cancelled")
        pad = m3_pad("memory://m3-cancelled")

        async def answer(*turns: bytes) -> None:
            for turn in turns:
                await far.read()
                await far.write(turn)

        opening = asyncio.create_task(answer(*OPENING))
        await pad.open()
        await opening
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2 * SLICE):
                await pad.read_afi(UID)
        assert await far.read() == sealed(f"0A {U}")
        asking = asyncio.create_task(pad.read_afi(UID))
        await far.write(AFI_07)  # to the question of the one who left
        replying = asyncio.create_task(answer(sealed(f"0A 00 {U} C2")))
        assert await asking == 0xC2
        assert pad.noise == len(AFI_07)
        await replying
        await pad.close()
        await far.close()

    asyncio.run(scenario())


def test_an_answer_about_another_tag_is_noise() -> None:
    other = sealed("0A 00 E0 04 01 00 9A BC DE F0 C2")

    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        assert await pad.read_afi(UID) == 0x07
        assert pad.noise == len(other)
        assert len(asked) == 1

    against("other", scenario, (other + AFI_07,))


def test_a_late_inventory_does_not_answer_a_read() -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        del asked
        assert await pad.read(UID, 0, 1) == b"\x11\x01\x01\x42"
        assert pad.noise == len(ONE)

    against("mixed", scenario, (ONE + sealed(f"02 00 {U} 00 01 11 01 01 42"),))


@pytest.mark.parametrize("noise", [b"\xd6\x01\x20", b"\xd5\xd6\x00\x0d", b"\x00\xff", NONE[:7]])
def test_garbage_before_an_answer_only_delays_it(noise: bytes) -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        assert await pad.read_afi(UID) == 0x07
        assert pad.noise == len(noise)
        assert len(asked) == 1

    against(f"noise-{noise.hex()}", scenario, (noise + AFI_07,))


def test_an_answer_with_a_wrong_bit_is_asked_for_again() -> None:
    broken = AFI_07[:14] + b"\xc2" + AFI_07[15:]

    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        assert await pad.read_afi(UID) == 0x07
        assert asked == [sealed(f"0A {U}")] * 2

    against("broken", scenario, (broken, AFI_07))


def test_an_echo_of_the_question_is_no_answer() -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        del asked
        assert await pad.write_afi(UID, 0x07)

    # An echoed 09 says "error E0, tag 04 01 …": it must not pass for an answer.
    against("echo", scenario, (sealed(f"09 {U} 07") + DONE, sealed(f"0A {U}") + AFI_07))


def test_a_reader_that_does_not_know_the_short_look_is_asked_for_the_long_one() -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        assert await pad.tags() == []
        assert await pad.tags() == []
        assert asked == [sealed("FE 00 27"), sealed("FE 00 07"), sealed("FE 00 07")]

    none = bytes.fromhex("D6 00 07 FE 00 00 07 00 AF 19")
    against("poll", scenario, (sealed("FE 02"), none, none))


def test_a_reader_that_reads_only_the_old_way_is_read_the_old_way() -> None:
    old = sealed(f"02 00 {U} 02 00 00 11 01 01 42 01 00 47 30 30 30")

    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        assert await pad.read(UID, 0, 2) == bytes.fromhex("11 01 01 42 47 30 30 30")
        assert await pad.read(UID, 0, 2) == bytes.fromhex("11 01 01 42 47 30 30 30")
        assert asked == [sealed(f"02 {U} 00 02 0C")] + [sealed(f"02 {U} 00 02")] * 2

    against("old", scenario, (sealed(f"02 02 {U}"), old, old))


def test_a_small_tag_that_keeps_silent_when_asked_for_too_much_is_read_all_the_same() -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        (tag,) = await pad.tags()
        assert tag.data.hex(" ").upper() == BASIC
        nine, eight = sealed(f"02 {U} 00 09 0C"), sealed(f"02 {U} 00 08 0C")
        assert asked == [sealed("FE 00 27"), nine, sealed(f"0A {U}"), eight]

    against(
        "small", scenario, (ONE, sealed(f"02 06 {U}"), AFI_07, sealed(f"02 00 {U} 00 08 {BASIC}"))
    )


def test_a_reader_that_tells_no_tag_info_is_asked_for_afi_and_dsfid() -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        info = await pad.info(UID)
        assert info is not None
        assert (info.afi, info.dsfid, info.blocks, info.block_size) == (0x07, 0x06, None, None)
        assert asked == [sealed(f"0D {U} 0F"), sealed(f"0A {U}"), sealed(f"0F {U}")]

    against("info", scenario, (sealed("0D 02"), AFI_07, sealed(f"0F 00 {U} 06")))


@pytest.mark.parametrize(
    ("name", "answers", "match"),
    [
        ("fault", (sealed("FE FD"), sealed("FE FD")), "fault"),
        ("sum", (sealed(f"FE 00 00 27 02 00 {U}"),), "number of tags"),
    ],
)
def test_an_inventory_that_says_nothing_is_a_lost_reader_and_not_an_empty_pad(
    name: str, answers: tuple[bytes, ...], match: str
) -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        del asked
        with pytest.raises(DeviceLost, match=match):
            await pad.tags()
        with pytest.raises(DeviceLost, match="not open"):
            await pad.tags()

    against(name, scenario, answers)


@pytest.mark.parametrize(
    "answer",
    [sealed(f"02 15 {U}"), sealed(f"02 00 {U} 00 01"), sealed(f"02 00 {U} 01 01 00 00 00 00")],
)
def test_blocks_that_did_not_come_are_none(answer: bytes) -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        del asked
        assert await pad.read(UID, 0, 1) is None

    against(f"blocks-{answer.hex()}", scenario, (answer,))


def test_a_reader_without_eas_says_so() -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        del asked
        with pytest.raises(ConfigError, match="hear EAS"):
            await pad.read_eas(UID)
        with pytest.raises(ConfigError, match="switch EAS"):
            await pad.write_eas(UID, armed=True)

    against("eas", scenario, (sealed("03 02"), sealed("0C 02")))


def test_an_eas_answer_that_could_not_be_read_was_one() -> None:
    async def scenario(pad: HfPad, asked: list[bytes]) -> None:
        assert await pad.read_eas(UID) is True
        assert asked == [sealed(f"03 {U}")]

    against("heard", scenario, (sealed(f"03 15 {U}"),))
