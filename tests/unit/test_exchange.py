"""One question, one answer: what comes late, twice, in parts or from nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from kiosk.devices.exchange import SLICE, Exchange, Verdict
from kiosk.transports.base import open_stream
from kiosk.transports.memory import MemoryStream
from kiosk.wire.framing import Drop, Framer, Take, Wait
from mocban.errors import DeviceLost, RemoteProtocolError


def line_framer() -> Framer:
    """Frames are small letters up to a full stop."""

    def scan(buffer: bytes) -> Take | Wait | Drop:
        if not buffer[:1].islower():
            return Drop()
        end = buffer.find(b".")
        return Take(end + 1) if end >= 0 else Wait()

    return Framer(scan, 64)


def whole(frames: Sequence[bytes]) -> bytes | Verdict:
    """``p…`` is a part, ``x…`` a stray, all else ends an answer."""
    match frames[-1][:1]:
        case b"p":
            return Verdict.PART
        case b"x":
            return Verdict.STRAY
        case _:
            return b"".join(frames)


@asynccontextmanager
async def talk(name: str, **options: float) -> AsyncIterator[tuple[Exchange, MemoryStream]]:
    exchange = Exchange(f"memory://exchange-{name}", line_framer, **options)
    await exchange.open()
    far = await open_stream(exchange.url)
    assert isinstance(far, MemoryStream)
    try:
        yield exchange, far
    finally:
        await exchange.close()
        await far.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        async with asyncio.timeout(8):
            await scenario()

    asyncio.run(all_of_it())


async def reply(far: MemoryStream, *turns: bytes) -> list[bytes]:
    """Answer each question with the next of ``turns``; b"" keeps silent. Gives the questions."""
    asked: list[bytes] = []
    for turn in turns:
        asked.append(await far.read())
        if turn:
            await far.write(turn)
    return asked


def test_an_answer_is_given_to_the_one_who_asked() -> None:
    async def scenario() -> None:
        async with talk("plain") as (exchange, far):
            replying = asyncio.create_task(reply(far, b"one.", b"two."))
            first = asyncio.create_task(exchange.ask(b"first?", whole))
            second = asyncio.create_task(exchange.ask(b"second?", whole))
            assert (await first, await second) == (b"one.", b"two.")
            assert await replying == [b"first?", b"second?"]
            assert exchange.noise == 0

    run(scenario)


def test_parts_make_one_answer_and_strays_none() -> None:
    async def scenario() -> None:
        async with talk("parts") as (exchange, far):
            replying = asyncio.create_task(reply(far, b"pa.xyz.p"))
            asking = asyncio.create_task(exchange.ask(b"?", whole))
            await replying
            await asyncio.sleep(2 * SLICE)
            await far.write(b"b.end.")
            assert await asking == b"pa.pb.end."
            assert exchange.noise == len(b"xyz.")

    run(scenario)


def test_parts_of_an_answer_that_never_ended_are_not_put_before_the_next() -> None:
    async def scenario() -> None:
        async with talk("torn") as (exchange, far):
            replying = asyncio.create_task(reply(far, b"pa.", b"pb.end."))
            assert await exchange.ask(b"?", whole) == b"pb.end."
            assert await replying == [b"?", b"?"]

    run(scenario)


def test_our_own_echo_and_a_second_answer_are_noise() -> None:
    async def scenario() -> None:
        async with talk("echo") as (exchange, far):
            replying = asyncio.create_task(reply(far, b"ask.one.again."))
            assert await exchange.ask(b"ask.", whole) == b"one."
            await replying
            assert exchange.noise == len(b"ask.again.")

    run(scenario)


def test_after_a_repeat_the_first_answer_may_come_later_and_answers_nothing() -> None:
    async def scenario() -> None:
        async with talk("late") as (exchange, far):

            async def slowly() -> None:
                await reply(far, b"", b"one.")
                await asyncio.sleep(2 * SLICE)
                await far.write(b"late.")
                await reply(far, b"two.")

            replying = asyncio.create_task(slowly())
            assert await exchange.ask(b"?", whole) == b"one."
            assert await exchange.ask(b"!", whole) == b"two."
            await replying
            assert exchange.noise == len(b"late.")

    run(scenario)


def test_silence_twice_closes_the_line() -> None:
    async def scenario() -> None:
        async with talk("silent") as (exchange, far):
            replying = asyncio.create_task(reply(far, b"", b""))
            with pytest.raises(DeviceLost, match="does not answer"):
                await exchange.ask(b"?", whole)
            assert await replying == [b"?", b"?"]
            with pytest.raises(DeviceLost, match="not open"):
                await exchange.ask(b"?", whole)

    run(scenario)


def test_a_probe_is_asked_once_and_leaves_the_line_open() -> None:
    async def scenario() -> None:
        async with talk("probe") as (exchange, far):
            replying = asyncio.create_task(reply(far, b"", b"one.", b"two."))
            assert await exchange.probe(b"!", whole, slices=2) is None
            assert await exchange.probe(b"!", whole, slices=2) == b"one."
            assert await exchange.ask(b"?", whole) == b"two."
            assert await replying == [b"!", b"!", b"?"]

    run(scenario)


def test_a_line_that_babbles_is_given_up() -> None:
    async def scenario() -> None:
        async with talk("babble", babble=0.2) as (exchange, far):

            async def babble() -> None:
                while True:
                    await far.write(b"x.0")
                    await asyncio.sleep(0.005)

            babbling = asyncio.create_task(babble())
            with pytest.raises(DeviceLost, match="does not answer"):
                await exchange.ask(b"?", whole)
            babbling.cancel()
            await asyncio.gather(babbling, return_exceptions=True)

    run(scenario)


def test_half_an_answer_is_forgotten_and_the_whole_one_behind_it_found() -> None:
    async def scenario() -> None:
        async with talk("half") as (exchange, far):
            replying = asyncio.create_task(reply(far, b"ha", b"one."))
            assert await exchange.ask(b"?", whole) == b"one."
            await replying
            assert exchange.noise == len(b"ha")

    run(scenario)


def test_what_a_cancelled_asker_left_behind_is_noise() -> None:
    async def scenario() -> None:
        async with talk("cancelled") as (exchange, far):
            asking = asyncio.create_task(exchange.ask(b"?", whole))
            assert await far.read() == b"?"
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            next_one = asyncio.create_task(exchange.ask(b"!", whole))
            await asyncio.sleep(2 * SLICE)
            await far.write(b"late.")
            replying = asyncio.create_task(reply(far, b"right."))
            assert await next_one == b"right."
            assert await replying == [b"!"]
            assert exchange.noise == len(b"late.")

    run(scenario)


def test_a_reader_gets_the_silence_it_wants() -> None:
    async def scenario() -> None:
        async with talk("gap", gap=0.1) as (exchange, far):
            loop = asyncio.get_running_loop()
            replying = asyncio.create_task(reply(far, b"one.", b"two."))
            await exchange.ask(b"?", whole)
            began = loop.time()
            await exchange.ask(b"?", whole)
            assert loop.time() - began >= 0.095
            await replying

    run(scenario)


def test_a_line_that_ends_is_a_lost_device_at_once() -> None:
    async def scenario() -> None:
        async with talk("ends") as (exchange, far):
            asking = asyncio.create_task(exchange.ask(b"?", whole))
            await far.read()
            await far.close()
            async with asyncio.timeout(0.5):
                with pytest.raises(DeviceLost):
                    await asking

    run(scenario)


def test_a_frame_that_cannot_be_an_answer_is_noise() -> None:
    def picky(frames: Sequence[bytes]) -> bytes:
        if frames[-1] == b"odd.":
            raise RemoteProtocolError("That is none.")
        return frames[-1]

    async def scenario() -> None:
        async with talk("picky") as (exchange, far):
            replying = asyncio.create_task(reply(far, b"odd.one."))
            assert await exchange.ask(b"?", picky) == b"one."
            await replying
            assert exchange.noise == len(b"odd.")

    run(scenario)
