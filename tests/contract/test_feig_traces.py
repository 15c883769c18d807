"""FEIG readers: golden frames over a real pty: codec and emulator could be wrong together, these bytes are not ours."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kiosk.emulators import feig_gate
from kiosk.emulators import feig_pad as pad
from tests.support.emulated import line_to, said
from tests.support.feig import U, sealed

LINE = "baud=38400&parity=E"


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
        async with line_to(pad.main, tmp_path / "pad", LINE) as (world, line):
            world.lay("de-men")
            assert await said(line, request_, len(bytes.fromhex(answer))) == answer
            assert world.tag("de-men").afi == (0xC2 if " 27 " in request_ else 0x07)

    asyncio.run(scenario())


def test_an_empty_pad_answers_with_the_golden_frame(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line_to(pad.main, tmp_path / "pad", LINE) as (_, line):
            assert await said(line, "07 FF B0 01 00 1C 56", 6) == "06 00 B0 01 5C 63"

    asyncio.run(scenario())


def test_a_broken_request_gets_no_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line_to(pad.main, tmp_path / "pad", LINE) as (_, line):
            await line.write(bytes.fromhex("07 FF B0 01 00 1C 57"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(line.read(), 0.3)
            assert await said(line, "07 FF B0 01 00 1C 56", 6) == "06 00 B0 01 5C 63"

    asyncio.run(scenario())


def test_blocks_are_written_and_read_back_by_frames(tmp_path: Path) -> None:
    write = "16 FF B0 24 01 E0 04 01 00 12 34 56 78 14 01 04 41 42 43 44"

    async def scenario() -> None:
        async with line_to(pad.main, tmp_path / "pad", LINE) as (world, line):
            world.lay("de-men")
            assert await said(line, sealed(write), 6) == "06 00 B0 00 D5 72"
            assert world.tag("de-men").data[80:84] == b"ABCD"

    asyncio.run(scenario())


def test_the_gates_counter_answers_the_golden_frame(tmp_path: Path) -> None:
    request = "02 00 12 FF 9F 00 0D 02 02 00 08 01 77 00 EE 02 44 31"
    answer = (
        "02 00 20 00 9F 00 02 00 18 01 77 00 00 00 00 00 00 00 00 00 "
        "00 00 00 64 00 00 00 5C 22 8C 81 A3"
    )

    async def scenario() -> None:
        async with line_to(feig_gate.main, tmp_path / "gate", LINE) as (world, line):
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

    asyncio.run(scenario())


def test_the_gates_siren_takes_the_golden_frame(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with line_to(feig_gate.main, tmp_path / "gate", LINE) as (world, line):
            await said(line, "02 00 0D FF 72 01 01 81 01 00 0A 39 49", 8)
            assert world.sirens() == 1

    asyncio.run(scenario())
