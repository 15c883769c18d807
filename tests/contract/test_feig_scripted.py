"""FEIG drivers against a scripted reader: what an emulator that behaves well never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kiosk.devices.base import Lock
from kiosk.devices.feig_gate import FeigGate
from kiosk.devices.feig_pad import feig_pad
from kiosk.transports.base import open_stream
from kiosk.transports.memory import MemoryStream
from mocban.errors import ConfigError, DeviceLost
from tests.support.feig import U, sealed, x25

VERSION = bytes.fromhex(sealed("0D 00 65 00 04 02 00 21 54 00 08"))
NO_TAG = bytes.fromhex("06 00 B0 01 5C 63")
ONE_TAG = bytes.fromhex(f"11 00 B0 00 01 03 00 {U} D8 35")


@asynccontextmanager
async def script(name: str, *turns: bytes) -> AsyncIterator[MemoryStream]:
    """A reader that answers its n-th request with the n-th of ``turns``, however wrong."""
    far = await open_stream(f"memory://{name}")
    assert isinstance(far, MemoryStream)

    async def play() -> None:
        for turn in turns:
            await far.read()
            if turn:
                await far.write(turn)
        await far.close()

    playing = asyncio.create_task(play())
    try:
        yield far
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await far.close()


def test_a_late_answer_never_answers_the_next_question() -> None:
    async def scenario() -> None:
        # The first inventory stays unanswered past the deadline; its answer comes with that of the repeat.
        async with script("late", VERSION, b"", NO_TAG + ONE_TAG, NO_TAG, b""):
            feig = feig_pad("memory://late")
            await feig.open()
            assert await feig.tags() == []
            assert await feig.tags() == []
            assert feig.noise == len(ONE_TAG)
            await feig.close()

    asyncio.run(scenario())


def test_an_answer_to_another_command_is_noise() -> None:
    async def scenario() -> None:
        async with script("other", VERSION, VERSION + NO_TAG, b""):
            feig = feig_pad("memory://other")
            await feig.open()
            assert await feig.tags() == []
            assert feig.noise == len(VERSION)
            await feig.close()

    asyncio.run(scenario())


def test_an_inventory_that_does_not_add_up_is_a_lost_reader_and_not_an_empty_pad() -> None:
    wrong = bytes.fromhex(sealed("08 00 B0 00 02 03"))

    async def scenario() -> None:
        async with script("wrong", VERSION, wrong, b""):
            feig = feig_pad("memory://wrong")
            await feig.open()
            with pytest.raises(DeviceLost):
                await feig.tags()
            await feig.close()

    asyncio.run(scenario())


def test_an_antenna_fault_is_a_lost_reader_and_not_an_empty_pad() -> None:
    fault = bytes.fromhex(sealed("06 00 B0 83"))
    reset = bytes.fromhex(sealed("06 00 69 00"))

    async def scenario() -> None:
        async with script("fault", VERSION, fault, reset, fault, b""):
            feig = feig_pad("memory://fault")
            await feig.open()
            with pytest.raises(DeviceLost, match="antenna"):
                await feig.tags()
            await feig.close()

    asyncio.run(scenario())


async def heard(name: str, *turns: bytes) -> list[str]:
    """What a FEIG pad asks while its reader answers by ``turns``, as hex; ``name`` says what it is made to do."""
    asked: list[str] = []
    far = await open_stream(f"memory://{name}")

    async def play() -> None:
        for turn in (VERSION, *turns):
            asked.append((await far.read()).hex(" ").upper())
            await far.write(turn)

    playing = asyncio.create_task(play())
    feig = feig_pad(f"memory://{name}")
    await feig.open()
    match name:
        case "arm":
            await feig.write_eas(U.replace(" ", ""), armed=True)
        case "protect":
            assert await feig.lock(U.replace(" ", ""), Lock.EAS)
    await playing
    await feig.close()
    return asked[1:]


def test_eas_is_asked_by_name_and_passed_through_where_the_reader_has_no_name_for_it() -> None:
    done, unknown = (bytes.fromhex(sealed(f"06 00 B1 {status}")) for status in ("00", "80"))
    passed = bytes.fromhex(sealed("09 00 BF 00 00" + x25("00")))
    pattern = "2FB36270D5A7907FE8B18038D281497682DA9A866FAF8BB0F19CD112A57237EF"
    alarm = bytes.fromhex(sealed(f"29 00 BF 00 00 {pattern}" + x25(f"00 {pattern}")))

    async def scenario() -> None:
        by_name = await heard("arm", done, done)
        assert by_name == [
            f"10 FF B1 04 A2 01 {U} FC BB",
            sealed(f"10 FF B1 04 A5 01 {U}").upper(),
        ]
        through = await heard("arm", unknown, passed, alarm)
        air = "78 56 34 12 00 01 04 E0"
        assert through == [
            f"10 FF B1 04 A2 01 {U} FC BB",
            sealed(f"15 FF BF 02 00 03 02 1F 22 A2 04 {air}").upper(),
            sealed(f"15 FF BF 01 00 23 02 1F 22 A5 04 {air}").upper(),
        ]

    asyncio.run(scenario())


def test_a_password_goes_out_masked_by_the_tags_own_number() -> None:
    number = bytes.fromhex(sealed("0B 00 BF 00 00 5A 01" + x25("00 5A 01")))
    done = bytes.fromhex(sealed("09 00 BF 00 00" + x25("00")))

    async def scenario() -> None:
        asked = await heard("protect", number, done, done)
        air = "78 56 34 12 00 01 04 E0"
        assert asked == [
            sealed(f"15 FF BF 01 00 05 02 1F 22 B2 04 {air}").upper(),
            sealed(f"1A FF BF 01 00 03 02 1F 22 B3 04 {air} 10 5A 01 5A 01").upper(),
            sealed(f"15 FF BF 02 00 03 02 1F 22 A6 04 {air}").upper(),
        ]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("status", "code", "cure"),
    [
        ("82", "scan-mode", "host mode"),
        ("13", "reader-login", "password off"),
        ("F1", "reader-hardware", "plug it in again"),
    ],
)
def test_a_reader_that_a_person_must_help_says_what_to_do(
    status: str, code: str, cure: str
) -> None:
    stuck = bytes.fromhex(sealed(f"06 00 B0 {status}"))

    async def scenario() -> None:
        async with script("stuck", VERSION, stuck, b""):
            feig = feig_pad("memory://stuck")
            await feig.open()
            with pytest.raises(DeviceLost, match="refused command B0") as lost:
                await feig.tags()
            assert lost.value.code == code
            assert cure in lost.value.do
            await feig.close()

    asyncio.run(scenario())


def test_a_disturbed_antenna_still_tells_what_lies_there_in_either_framing() -> None:
    warned = sealed("11 00 B0 84 01 03 00 " + U)
    wide = sealed("02 00 13 00 B0 00 01 03 00 " + U)
    gone = bytes.fromhex("06 00 B0 01 5C 63")

    async def scenario() -> None:
        async with script(
            "warned", VERSION, bytes.fromhex(warned), gone, bytes.fromhex(wide), gone
        ):
            feig = feig_pad("memory://warned")
            await feig.open()
            for _ in range(2):
                (tag,) = await feig.tags()
                assert (tag.uid, tag.data) == (U.replace(" ", ""), b"")
            await feig.close()

    asyncio.run(scenario())


def test_an_inventory_that_breaks_off_between_two_answers_begins_anew() -> None:
    more = bytes.fromhex(sealed("11 00 B0 94 01 03 00 " + U))
    broken = bytes.fromhex(sealed("06 00 B0 83"))
    reset = bytes.fromhex(sealed("06 00 69 00"))

    async def scenario() -> None:
        async with script("more", VERSION, more, broken, reset, ONE_TAG, NO_TAG, b""):
            feig = feig_pad("memory://more")
            await feig.open()
            assert [tag.uid for tag in await feig.tags()] == [U.replace(" ", "")]
            await feig.close()

    asyncio.run(scenario())


def test_a_reader_that_sees_other_kinds_of_tags_says_how_to_set_it() -> None:
    other = bytes.fromhex(sealed("11 00 B0 00 01 04 00 " + U))

    async def scenario() -> None:
        async with script("kinds", VERSION, other, b""):
            feig = feig_pad("memory://kinds")
            await feig.open()
            with pytest.raises(DeviceLost) as lost:
                await feig.tags()
            assert "ISO 15693 alone" in lost.value.do
            await feig.close()

    asyncio.run(scenario())


def test_another_devices_answer_is_no_feig_reader_and_a_wrong_option_no_url() -> None:
    empty = bytes.fromhex(sealed("06 00 65 00"))

    async def scenario() -> None:
        async with script("other-device", empty, b""):
            with pytest.raises(DeviceLost, match="too short") as lost:
                await feig_pad("memory://other-device").open()
            assert "another driver" in lost.value.do
        with pytest.raises(ConfigError, match="advanced, standard"):
            feig_pad("serial:///dev/ttyUSB0?frames=long")

    asyncio.run(scenario())


def test_what_a_gate_told_is_not_lost_when_the_line_breaks_before_it_was_cleared() -> None:
    record = bytes.fromhex(  # pushed by a real gate
        "02 00 40 00 22 00 13 00 01 00 35 03 00 08 E0 04 01 50 0A 20 3F A3 00 09 04"
        "32 01 04 21 32 31 31 30 33 36 34 33 00 00 00 00 F7 00 00 00 44 45 44 49 32 35 2D 45"
        "00 00 00 36 00 00 00 00 04 FE 47"
    )

    async def scenario() -> None:
        async with script("broken", VERSION, record):
            feig = FeigGate("memory://broken")
            await feig.open()
            (passage,), lost = await feig.passages()
            assert (passage.uid, passage.antenna, lost) == ("E00401500A203FA3", 4, False)
            with pytest.raises(DeviceLost):
                await feig.passages()
            await feig.close()

    asyncio.run(scenario())
