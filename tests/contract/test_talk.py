"""The life of an emulated reader on its line: time, speed, noise, half requests, plugging."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kiosk.emulators.talk import Said, serve
from kiosk.emulators.things import read_seed
from kiosk.emulators.tty import TtyLine
from kiosk.emulators.world import World
from kiosk.transports.base import ByteStream, open_stream
from kiosk.wire.framing import Drop, Framer, Take, Wait
from tests.support.emulated import until

AIR, THINK = 0.03, 0.01


def scan(buffer: bytes) -> Take | Wait | Drop:
    """A frame is an exclamation: four letters and a mark."""
    if len(buffer) < 5:
        return Wait()
    return Take(5) if buffer[4:5] == b"!" else Drop()


def answer(frame: bytes) -> Said | None:
    """Ten times what was said, unless it was nothing to answer."""
    return None if frame == b"hush!" else Said(frame * 10, AIR, THINK)


@asynccontextmanager
async def reader(
    folder: Path, baud: int, bits: int, lines: list[TtyLine]
) -> AsyncIterator[tuple[World, Path]]:
    world = World.create(folder / "world.db", read_seed())
    link, stop = folder / "reader", asyncio.Event()
    serving = asyncio.create_task(
        serve(
            world.path, link, stop, baud=baud, bits=bits, framer=lambda: Framer(scan, 64),
            answer=lambda _: answer, timing=lines.append,
        )
    )  # fmt: skip
    try:
        await until(link.is_symlink)
        yield world, link
    finally:
        stop.set()
        await serving
        world.close()
    assert not link.is_symlink()


async def ask(line: ByteStream, size: int) -> bytes:
    """``size`` bytes of whatever comes."""
    data = b""
    async with asyncio.timeout(3):
        while len(data) < size:
            data += await line.read()
    return data


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario()

    asyncio.run(whole())


@pytest.mark.parametrize(("baud", "bits"), [(9600, 10), (19200, 10), (38400, 11), (115200, 10)])
def test_an_answer_takes_line_thinking_and_air_and_its_lateness_is_told(
    baud: int, bits: int, tmp_path: Path
) -> None:
    lines: list[TtyLine] = []

    async def scenario() -> None:
        async with reader(tmp_path, baud, bits, lines) as (_, link):
            line = await open_stream(f"serial://{link}?baud={baud}")
            start = time.perf_counter()
            await line.write(b"tell!")
            assert await ask(line, 50) == b"tell!" * 10
            spent = time.perf_counter() - start
            assert spent >= 55 * bits / baud + AIR + THINK
            await line.close()
        (told,) = lines
        (late,) = told.lateness
        assert 0 <= late < spent - AIR - THINK

    run(scenario)


def test_a_wrong_speed_hears_no_frame_and_the_right_one_is_heard_afterwards(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with reader(tmp_path, 57600, 10, []) as (_, link):
            wrong = await open_stream(f"serial://{link}?baud=9600")
            await wrong.write(b"tell!")
            heard = await ask(wrong, 5)
            assert all(byte & 0x80 for byte in heard)
            await wrong.close()
            right = await open_stream(f"serial://{link}?baud=57600")
            await right.write(b"tell!")
            assert await ask(right, 50) == b"tell!" * 10
            await right.close()

    run(scenario)


def test_half_a_request_is_forgotten_and_some_requests_get_no_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with reader(tmp_path, 115200, 10, []) as (_, link):
            line = await open_stream(f"serial://{link}?baud=115200")
            await line.write(b"te")
            await asyncio.sleep(0.2)  # the reader's own patience, four times over
            await line.write(b"hush!")
            await line.write(b"tell!")
            assert await ask(line, 50) == b"tell!" * 10
            await line.close()

    run(scenario)


def test_noise_stands_before_an_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with reader(tmp_path, 115200, 10, []) as (world, link):
            world.set_fault("pad-noise", "on")
            line = await open_stream(f"serial://{link}?baud=115200")
            await line.write(b"tell!")
            heard = await ask(line, 52)
            assert heard.endswith(b"tell!" * 10)
            await line.close()

    run(scenario)
