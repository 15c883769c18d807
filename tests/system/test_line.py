"""The branch's network line over real sockets: carries everything, and can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kiosk.emulators import line
from kiosk.emulators.things import read_seed
from kiosk.emulators.world import World
from mocban.errors import ConfigError
from mocban.web import bind, port_of

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Rig:
    """A line in front of a peer."""

    world: World
    port: int
    stop: asyncio.Event
    running: asyncio.Task[None]

    async def call(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect through the line, waiting until it stands."""
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(ConnectionError):
                    return await asyncio.open_connection("127.0.0.1", self.port)
                await asyncio.sleep(0.01)

    async def refused(self) -> None:
        """Wait until nobody listens."""
        async with asyncio.timeout(5):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except ConnectionError:
                    return
                await hang_up(writer)
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def rig(tmp_path: Path, talk: Talk, fault: str = "") -> AsyncIterator[Rig]:
    """A line that leads to a server speaking ``talk``."""
    world = World.create(tmp_path / "world.db", read_seed())
    world.set_fault("network-down", fault)
    peer = await asyncio.start_server(talk, "127.0.0.1", 0)
    port, stop = free_port(), asyncio.Event()
    target = port_of(peer.sockets[0])
    running = asyncio.create_task(
        line.main(world.path, [("127.0.0.1", port, "127.0.0.1", target)], stop)
    )
    try:
        yield Rig(world, port, stop, running)
    finally:
        stop.set()
        async with asyncio.timeout(0.5):
            await running
        peer.close()
        await peer.wait_closed()
        world.close()


def free_port() -> int:
    """A port nobody has at this moment."""
    sock = bind("127.0.0.1", 0)
    with sock:
        return port_of(sock)


def open_sockets() -> int:
    """How many sockets this process holds."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    return count


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close, whatever the other side did."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say everything back."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    await hang_up(writer)


async def sum_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer only when the caller has finished: needs a half-closed line."""
    whole = await reader.read(-1)
    writer.write(b"got %d" % len(whole))
    await hang_up(writer)


def test_the_line_carries_bytes_both_ways(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, echo) as branch:
            reader, writer = await branch.call()
            writer.write(b"9900302.00\r")
            assert await reader.readexactly(11) == b"9900302.00\r"
            await hang_up(writer)

    asyncio.run(scenario())


def test_a_half_closed_line_still_brings_the_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, sum_up) as branch:
            reader, writer = await branch.call()
            writer.write(b"x" * 300_000)
            writer.write_eof()
            assert await reader.read() == b"got 300000"
            await hang_up(writer)

    asyncio.run(scenario())


def test_a_cut_drops_everything_refuses_callers_and_mends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, echo) as branch:
            reader, writer = await branch.call()
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            branch.world.set_fault("network-down", "on")
            async with asyncio.timeout(2):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            await hang_up(writer)
            await branch.refused()
            branch.world.set_fault("network-down", "")
            reader, writer = await branch.call()
            writer.write(b"again")
            assert await reader.readexactly(5) == b"again"
            await hang_up(writer)

    asyncio.run(scenario())


def test_a_line_that_starts_cut_listens_only_when_mended(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, echo, fault="on") as branch:
            await branch.refused()
            branch.world.set_fault("network-down", "")
            _, writer = await branch.call()
            await hang_up(writer)

    asyncio.run(scenario())


def test_a_peer_that_is_not_there_hangs_up_on_the_caller(tmp_path: Path) -> None:
    async def scenario() -> None:
        world = World.create(tmp_path / "world.db", read_seed())
        stop, port = asyncio.Event(), free_port()
        forward = ("127.0.0.1", port, "127.0.0.1", free_port())
        running = asyncio.create_task(line.main(world.path, [forward], stop))
        reader, writer = await Rig(world, port, stop, running).call()
        async with asyncio.timeout(2):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        await hang_up(writer)
        stop.set()
        await running
        world.close()

    asyncio.run(scenario())


def test_a_caller_who_does_not_read_stops_the_sender_instead_of_filling_memory(
    tmp_path: Path,
) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionError):
            while sent < 200_000_000:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
        await hang_up(writer)

    async def scenario() -> None:
        async with rig(tmp_path, flood) as branch:
            reader, writer = await branch.call()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            before = -1
            async with asyncio.timeout(20):
                while sent != before or not sent:  # until the flood stands still
                    before = sent
                    await asyncio.sleep(0.3)
            assert sent < 50_000_000
            branch.world.set_fault("network-down", "on")
            await branch.refused()
            writer.transport.abort()
            del reader

    asyncio.run(scenario())


def test_nothing_stays_open_after_many_calls_and_cuts(tmp_path: Path) -> None:
    before = open_sockets()

    async def scenario() -> None:
        async with rig(tmp_path, echo) as branch:
            _, first = await branch.call()
            await hang_up(first)
            for turn in range(5):
                writers = []
                for _ in range(10):
                    reader, writer = await branch.call()
                    writer.write(b"hi")
                    assert await reader.readexactly(2) == b"hi"
                    writers.append(writer)
                if turn % 2:
                    branch.world.set_fault("network-down", "on")
                    await branch.refused()
                    branch.world.set_fault("network-down", "")
                for writer in writers:
                    await hang_up(writer)
            async with asyncio.timeout(5):
                while open_sockets() > before + 4:
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert open_sockets() == before


def test_a_port_in_use_is_said_at_the_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        World.create(tmp_path / "world.db", read_seed()).close()
        with bind("127.0.0.1", 0) as taken:
            forward = ("127.0.0.1", port_of(taken), "127.0.0.1", 9)
            with pytest.raises(ConfigError, match="cannot be had"):
                await line.main(tmp_path / "world.db", [forward], asyncio.Event())

    asyncio.run(scenario())
