"""Golden frames over a real pty: codec and emulator could be wrong together, these bytes are not ours."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kiosk.devices.feig_gate import FeigGate
from kiosk.devices.feig_pad import feig_pad
from kiosk.emulators import gate, pad
from kiosk.emulators.world import DEMO, World
from kiosk.transports.base import ByteStream, open_stream
from kiosk.transports.memory import MemoryStream
from mocban.errors import DeviceLost

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
