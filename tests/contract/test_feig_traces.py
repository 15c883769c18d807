"""Golden frames over a real pty: codec and emulator could be wrong together, these bytes are not ours."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kiosk.devices.base import Lock
from kiosk.devices.feig_gate import FeigGate
from kiosk.devices.feig_pad import feig_pad
from kiosk.emulators import gate, pad
from kiosk.emulators.world import DEMO, World
from kiosk.transports.base import ByteStream, open_stream
from kiosk.transports.memory import MemoryStream
from mocban.errors import ConfigError, DeviceLost

U = "E0 04 01 00 12 34 56 78"  # de-men
MAINS = {"pad": pad.main, "gate": gate.main}


@asynccontextmanager
async def reader(kind: str, folder: Path) -> AsyncIterator[tuple[World, ByteStream]]:
    world = World.create(folder / "world.db", tomllib.loads(DEMO.read_text("utf-8")))
    link, stop = folder / kind, asyncio.Event()
    emulator = asyncio.create_task(MAINS[kind](world.path, link, stop))
    async with asyncio.timeout(5):
        while not link.is_symlink():
            await asyncio.sleep(0.01)
    line = await open_stream(f"serial://{link}?baud=38400&parity=E")
    try:
        yield world, line
    finally:
        await line.close()
        stop.set()
        await emulator
        world.close()


async def said(line: ByteStream, request: str, size: int) -> str:
    """The answer of ``size`` bytes, as hex."""
    await line.write(bytes.fromhex(request))
    data = b""
    async with asyncio.timeout(2):
        while len(data) < size:
            data += await line.read()
    return data.hex(" ").upper()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario()

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("07 FF B0 01 00 1C 56", f"11 00 B0 00 01 03 00 {U} D8 35"),
        (f"0F FF B0 2B 01 {U} 11 A3", f"13 00 B0 00 00 {U} 07 04 1C 01 A2 98"),
        (f"10 FF B0 27 01 {U} C2 79 4F", "06 00 B0 00 D5 72"),
    ],
)
def test_a_tag_on_the_pad_answers_with_the_golden_frame(
    request_: str, answer: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with reader("pad", tmp_path) as (world, line):
            world.lay("de-men")
            assert await said(line, request_, len(bytes.fromhex(answer))) == answer
            assert world.tag("de-men").afi == (0xC2 if " 27 " in request_ else 0x07)

    run(scenario)


def test_an_empty_pad_answers_with_the_golden_frame(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with reader("pad", tmp_path) as (_, line):
            assert await said(line, "07 FF B0 01 00 1C 56", 6) == "06 00 B0 01 5C 63"

    run(scenario)


def test_a_broken_request_gets_no_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with reader("pad", tmp_path) as (_, line):
            await line.write(bytes.fromhex("07 FF B0 01 00 1C 57"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(line.read(), 0.3)
            assert await said(line, "07 FF B0 01 00 1C 56", 6) == "06 00 B0 01 5C 63"

    run(scenario)


def test_blocks_are_written_and_read_back_by_frames(tmp_path: Path) -> None:
    write = "16 FF B0 24 01 E0 04 01 00 12 34 56 78 14 01 04 41 42 43 44"

    async def scenario() -> None:
        async with reader("pad", tmp_path) as (world, line):
            world.lay("de-men")
            assert await said(line, _sealed(write), 6) == "06 00 B0 00 D5 72"
            assert world.tag("de-men").data[80:84] == b"ABCD"

    run(scenario)


def test_the_gates_counter_answers_the_golden_frame(tmp_path: Path) -> None:
    request = "02 00 12 FF 9F 00 0D 02 02 00 08 01 77 00 EE 02 44 31"
    answer = (
        "02 00 20 00 9F 00 02 00 18 01 77 00 00 00 00 00 00 00 00 00 "
        "00 00 00 64 00 00 00 5C 22 8C 81 A3"
    )

    async def scenario() -> None:
        async with reader("gate", tmp_path) as (world, line):
            for number in range(100):
                world.walk([], "in")
                if number < 92:
                    world.walk([], "out")
            assert await said(line, request, 32) == answer
            reset = "02 00 22 FF 9F 00 0D 02 02 00 18 01 78" + " 00" * 17 + " B0 9D 41 38"
            done = "02 00 10 00 9F 00 02 00 08 01 78 00 26 81 6D 1F"
            assert await said(line, reset, 16) == done
            after = await said(line, request, 32)
            assert after[36:83] == " ".join(["00"] * 16)

    run(scenario)


def test_the_gates_siren_takes_the_golden_frame(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with reader("gate", tmp_path) as (world, line):
            await said(line, "02 00 0D FF 72 01 01 81 01 00 0A 39 49", 8)
            assert world.sirens() == 1

    run(scenario)


def _sealed(frame: str) -> str:
    data = bytes.fromhex(frame)
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return (data + register.to_bytes(2, "little")).hex(" ")


def _x25(data: str) -> str:
    """The CRC a tag puts behind its answer."""
    register = 0xFFFF
    for byte in bytes.fromhex(data):
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return " " + (register ^ 0xFFFF).to_bytes(2, "little").hex(" ")


# -- drivers against a scripted reader: what an emulator that behaves well never does --

VERSION = bytes.fromhex(_sealed("0D 00 65 00 04 02 00 21 54 00 08"))
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

    run(scenario)


def test_an_answer_to_another_command_is_noise() -> None:
    async def scenario() -> None:
        async with script("other", VERSION, VERSION + NO_TAG, b""):
            feig = feig_pad("memory://other")
            await feig.open()
            assert await feig.tags() == []
            assert feig.noise == len(VERSION)
            await feig.close()

    run(scenario)


def test_an_inventory_that_does_not_add_up_is_a_lost_reader_and_not_an_empty_pad() -> None:
    wrong = bytes.fromhex(_sealed("08 00 B0 00 02 03"))

    async def scenario() -> None:
        async with script("wrong", VERSION, wrong, b""):
            feig = feig_pad("memory://wrong")
            await feig.open()
            with pytest.raises(DeviceLost):
                await feig.tags()
            await feig.close()

    run(scenario)


def test_an_antenna_fault_is_a_lost_reader_and_not_an_empty_pad() -> None:
    fault = bytes.fromhex(_sealed("06 00 B0 83"))
    reset = bytes.fromhex(_sealed("06 00 69 00"))

    async def scenario() -> None:
        async with script("fault", VERSION, fault, reset, fault, b""):
            feig = feig_pad("memory://fault")
            await feig.open()
            with pytest.raises(DeviceLost, match="antenna"):
                await feig.tags()
            await feig.close()

    run(scenario)


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
    done, unknown = (bytes.fromhex(_sealed(f"06 00 B1 {status}")) for status in ("00", "80"))
    passed = bytes.fromhex(_sealed("09 00 BF 00 00" + _x25("00")))
    pattern = "2FB36270D5A7907FE8B18038D281497682DA9A866FAF8BB0F19CD112A57237EF"
    alarm = bytes.fromhex(_sealed(f"29 00 BF 00 00 {pattern}" + _x25(f"00 {pattern}")))

    async def scenario() -> None:
        by_name = await heard("arm", done, done)
        assert by_name == [
            f"10 FF B1 04 A2 01 {U} FC BB",
            _sealed(f"10 FF B1 04 A5 01 {U}").upper(),
        ]
        through = await heard("arm", unknown, passed, alarm)
        air = "78 56 34 12 00 01 04 E0"
        assert through == [
            f"10 FF B1 04 A2 01 {U} FC BB",
            _sealed(f"15 FF BF 02 00 03 02 1F 22 A2 04 {air}").upper(),
            _sealed(f"15 FF BF 01 00 23 02 1F 22 A5 04 {air}").upper(),
        ]

    run(scenario)


def test_a_password_goes_out_masked_by_the_tags_own_number() -> None:
    number = bytes.fromhex(_sealed("0B 00 BF 00 00 5A 01" + _x25("00 5A 01")))
    done = bytes.fromhex(_sealed("09 00 BF 00 00" + _x25("00")))

    async def scenario() -> None:
        asked = await heard("protect", number, done, done)
        air = "78 56 34 12 00 01 04 E0"
        assert asked == [
            _sealed(f"15 FF BF 01 00 05 02 1F 22 B2 04 {air}").upper(),
            _sealed(f"1A FF BF 01 00 03 02 1F 22 B3 04 {air} 10 5A 01 5A 01").upper(),
            _sealed(f"15 FF BF 02 00 03 02 1F 22 A6 04 {air}").upper(),
        ]

    run(scenario)


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
    stuck = bytes.fromhex(_sealed(f"06 00 B0 {status}"))

    async def scenario() -> None:
        async with script("stuck", VERSION, stuck, b""):
            feig = feig_pad("memory://stuck")
            await feig.open()
            with pytest.raises(DeviceLost, match="refused command B0") as lost:
                await feig.tags()
            assert lost.value.code == code
            assert cure in lost.value.do
            await feig.close()

    run(scenario)


def test_a_disturbed_antenna_still_tells_what_lies_there_in_either_framing() -> None:
    warned = _sealed("11 00 B0 84 01 03 00 " + U)
    wide = _sealed("02 00 13 00 B0 00 01 03 00 " + U)
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

    run(scenario)


def test_an_inventory_that_breaks_off_between_two_answers_begins_anew() -> None:
    more = bytes.fromhex(_sealed("11 00 B0 94 01 03 00 " + U))
    broken = bytes.fromhex(_sealed("06 00 B0 83"))
    reset = bytes.fromhex(_sealed("06 00 69 00"))

    async def scenario() -> None:
        async with script("more", VERSION, more, broken, reset, ONE_TAG, NO_TAG, b""):
            feig = feig_pad("memory://more")
            await feig.open()
            assert [tag.uid for tag in await feig.tags()] == [U.replace(" ", "")]
            await feig.close()

    run(scenario)


def test_a_reader_that_sees_other_kinds_of_tags_says_how_to_set_it() -> None:
    other = bytes.fromhex(_sealed("11 00 B0 00 01 04 00 " + U))

    async def scenario() -> None:
        async with script("kinds", VERSION, other, b""):
            feig = feig_pad("memory://kinds")
            await feig.open()
            with pytest.raises(DeviceLost) as lost:
                await feig.tags()
            assert "ISO 15693 alone" in lost.value.do
            await feig.close()

    run(scenario)


def test_another_devices_answer_is_no_feig_reader_and_a_wrong_option_no_url() -> None:
    empty = bytes.fromhex(_sealed("06 00 65 00"))

    async def scenario() -> None:
        async with script("other-device", empty, b""):
            with pytest.raises(DeviceLost, match="too short") as lost:
                await feig_pad("memory://other-device").open()
            assert "another driver" in lost.value.do
        with pytest.raises(ConfigError, match="standard or advanced"):
            feig_pad("serial:///dev/ttyUSB0?frames=long")

    run(scenario)


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

    run(scenario)
