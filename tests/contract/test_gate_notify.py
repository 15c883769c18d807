"""A FEIG gate that connects to us and tells by itself, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kiosk.devices import open_gate
from kiosk.devices.base import Gate, Passage
from kiosk.emulators import feig_gate as asked
from kiosk.emulators import feig_notify as emulator
from kiosk.emulators.world import World
from kiosk.transports import listen
from mocban.errors import ConfigError, DeviceLost, RemoteProtocolError
from tests.support.emulated import demo, until

KEEP_ALIVE = bytes.fromhex("02 00 0A 00 6E 00 00 00 4B 69")
# A tag told by a real gate, as published with a program for such gates; its checksum is right.
REAL = bytes.fromhex(
    "02 00 40 00 22 00 13 00 01 00 35 03 00 08 E0 04 01 50 0A 20 3F A3 00 09 04"
    "32 01 04 21 32 31 31 30 33 36 34 33 00 00 00 00 F7 00 00 00 44 45 44 49 32 35 2D 45 00 00 00 36 00 00 00 00"
    "04 FE 47"
)
ACKNOWLEDGED = bytes.fromhex("02 00 07 FF 32 54 47")


def free() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def branch(
    folder: Path, query: str = "", siren: str = "", **options: Any
) -> AsyncIterator[tuple[World, Gate]]:
    """A gate that tells, and the driver, open."""
    world = World.create(folder / "world.db", demo())
    port, stop = free(), asyncio.Event()
    gate = open_gate("feig", f"tcp-listen://127.0.0.1:{port}?mode=notify{query}", siren=siren)
    peer = asyncio.create_task(emulator.main(world.path, "127.0.0.1", port, stop, **options))
    try:
        await gate.open()
        yield world, gate
    finally:
        await gate.close()
        stop.set()
        await peer
        world.close()


async def heard(gate: Gate, count: int = 1) -> list[Passage]:
    found: list[Passage] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            await gate.rest(0.5)
            found += (await gate.passages())[0]
    return found


@contextlib.asynccontextmanager
async def listening(query: str = "") -> AsyncIterator[tuple[Gate, int]]:
    """The driver alone; whoever connects to the port is the reader. It opens once somebody does."""
    port = free()
    gate = open_gate("feig", f"tcp-listen://127.0.0.1:{port}?mode=notify{query}")
    try:
        yield gate, port
    finally:
        await gate.close()
        for writer in _writers:
            writer.close()
        _writers.clear()


_writers: list[asyncio.StreamWriter] = []


async def connect(
    port: int, source: str = "127.0.0.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As soon as somebody listens."""
    async with asyncio.timeout(5):
        while True:
            try:
                pair = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
                _writers.append(pair[1])
                return pair
            except OSError:
                await asyncio.sleep(0.01)


async def opened(gate: Gate, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    opening = asyncio.create_task(gate.open())
    pair = await connect(port)
    await opening
    return pair


def test_a_tag_is_told_without_a_question_and_at_once(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path) as (world, gate):
            world.walk(["de-men"], "out")
            loop = asyncio.get_running_loop()
            start = loop.time()
            (one,) = await heard(gate)
            assert loop.time() - start < 0.4, "rest ends when something comes"
            assert (one.uid, one.direction, one.afi) == (world.tag("de-men").uid, "out", 0x07)
            assert await gate.near() == []
            assert await gate.people() is None

    asyncio.run(body())


def test_the_frame_of_a_real_gate_is_read_and_its_keep_alive_says_nothing() -> None:
    async def body() -> None:
        async with listening() as (gate, port):
            _, writer = await opened(gate, port)
            writer.write(KEEP_ALIVE + REAL[:10])
            await writer.drain()
            assert await gate.passages() == ([], False)
            writer.write(REAL[10:])
            (one,) = await heard(gate)
            assert (one.uid, one.antenna, one.direction) == ("E00401500A203FA3", 4, "unknown")
            assert len(one.data) == 36
            assert gate.noise == 0

    asyncio.run(body())


def test_spoilt_and_strange_frames_are_noise_or_told_as_lost_and_the_next_is_read() -> None:
    async def body() -> None:
        async with listening() as (gate, port):
            _, writer = await opened(gate, port)
            writer.write(REAL[:-1] + b"\x00" + bytes.fromhex("07 01 02"))
            assert await gate.passages() == ([], False)
            await asyncio.sleep(0.2)
            writer.write(REAL)
            assert len(await heard(gate)) == 1
            assert gate.noise > 0

    asyncio.run(body())


def test_only_where_it_is_asked_for_each_record_is_acknowledged_once_it_was_handled() -> None:
    async def body() -> None:
        async with listening("&ack=1") as (gate, port):
            reader, writer = await opened(gate, port)
            writer.write(REAL)
            await heard(gate)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read(100)
            await gate.done()
            assert await reader.readexactly(7) == ACKNOWLEDGED
        async with listening() as (gate, port):
            reader, writer = await opened(gate, port)
            writer.write(REAL)
            await heard(gate)
            await gate.done()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read(100)

    asyncio.run(body())


def test_a_record_that_nobody_acknowledged_comes_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with branch(tmp_path, ack=True, patience=0.2) as (world, gate):
            world.walk(["de-men"], "out")
            assert len({one.uid for one in await heard(gate, 3)}) == 1

    asyncio.run(body())


def test_a_reader_that_connects_anew_takes_the_place_of_its_old_self() -> None:
    async def body() -> None:
        async with listening() as (gate, port):
            old, old_writer = await opened(gate, port)
            old_writer.write(REAL[:20])  # half a frame, and then the reader was reset
            await old_writer.drain()
            await asyncio.sleep(0.05)
            _, writer = await connect(port)
            with contextlib.suppress(ConnectionError):
                assert await old.read(1) == b""
            writer.write(REAL)
            assert [one.uid for one in await heard(gate)] == ["E00401500A203FA3"]

    asyncio.run(body())


def test_a_second_reader_is_turned_away_while_the_first_is_there() -> None:
    async def body() -> None:
        async with listening() as (gate, port):
            _, writer = await opened(gate, port)
            reader, _ = await connect(port, "127.0.0.2")
            with contextlib.suppress(ConnectionError):
                assert await reader.read(1) == b""
            writer.write(REAL)
            assert len(await heard(gate)) == 1

    asyncio.run(body())


def test_where_an_address_is_named_nobody_else_may_connect() -> None:
    async def body() -> None:
        async with listening("&from=127.0.0.3") as (gate, port):
            opening = asyncio.create_task(gate.open())
            reader, _ = await connect(port)
            with contextlib.suppress(ConnectionError):
                assert await reader.read(1) == b""
            assert not opening.done()
            _, writer = await connect(port, "127.0.0.3")
            await opening
            writer.write(REAL)
            assert len(await heard(gate)) == 1

    asyncio.run(body())


def test_a_reader_may_go_and_come_but_not_be_silent_for_long() -> None:
    async def body() -> None:
        async with listening("&alive=1") as (gate, port):
            _, writer = await opened(gate, port)
            writer.close()
            await asyncio.sleep(0.2)
            _, writer = await connect(port)
            writer.write(KEEP_ALIVE)
            await gate.rest(0.3)
            assert await gate.passages() == ([], False)
            with pytest.raises(DeviceLost, match="has said nothing"):
                async with asyncio.timeout(3):
                    while True:
                        await gate.rest(0.2)
                        await gate.passages()

    asyncio.run(body())


def test_a_reader_that_never_connects_is_lost_with_a_sentence_that_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen, "PATIENCE", 0.1)

    async def body() -> None:
        async with listening() as (gate, _):
            with pytest.raises(DeviceLost, match="No reader has connected") as caught:
                await gate.open()
            assert "destination" in caught.value.do

    asyncio.run(body())


def test_a_port_that_is_taken_and_an_address_that_is_none_are_configuration_errors() -> None:
    async def body() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            taken = sock.getsockname()[1]
            for line in (
                f"tcp-listen://127.0.0.1:{taken}",
                "tcp-listen://127.0.0.1",
                "tcp-listen://127.0.0.1:9?from=somebody",
                "tcp-listen://127.0.0.1:9?to=127.0.0.1",
            ):
                gate = open_gate("feig", f"{line}{'&' if '?' in line else '?'}mode=notify")
                with pytest.raises(ConfigError):
                    await gate.open()

    asyncio.run(body())


def test_without_a_host_only_this_computer_can_connect() -> None:
    async def body() -> None:
        port = free()
        gate = open_gate("feig", f"tcp-listen://:{port}?mode=notify")
        opening = asyncio.create_task(gate.open())
        _, writer = await connect(port)
        await opening
        addresses = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
        mine = [
            row.split()[1]
            for row in addresses
            if row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A"
        ]
        assert mine == [f"0100007F:{port:04X}"]
        writer.close()
        await gate.close()

    asyncio.run(body())


def test_it_cries_on_its_own_line_if_the_reader_listens_there_and_says_so_if_not(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        async with branch(tmp_path) as (world, gate):
            world.walk(["de-men"], "out")
            await asyncio.sleep(0.2)
            await gate.cry(2.0)  # what is told meanwhile is kept
            assert world.sirens() == 1
            assert len(await heard(gate)) == 1
        async with branch(tmp_path, deaf=True) as (world, gate):
            with pytest.raises(RemoteProtocolError, match="may be silent") as caught:
                await gate.cry(2.0)
            assert "gate.siren" in caught.value.do
            assert world.sirens() == 0

    asyncio.run(body())


def test_with_a_line_of_its_own_the_siren_sounds_there_and_people_are_counted(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        link, stop = tmp_path / "siren", asyncio.Event()
        World.create(tmp_path / "world.db", demo()).close()
        peer = asyncio.create_task(asked.main(tmp_path / "world.db", link, stop))
        await until(link.is_symlink)
        siren = f"serial://{link}?baud=38400&parity=E"
        try:
            async with branch(tmp_path, siren=siren, deaf=True) as (world, gate):
                await gate.cry(2.0)
                assert world.sirens() == 1
                assert await gate.people() is not None
        finally:
            stop.set()
            await peer

    asyncio.run(body())


def test_a_gate_whose_siren_cannot_be_reached_is_lost(tmp_path: Path) -> None:
    async def body() -> None:
        gate = open_gate(
            "feig",
            f"tcp-listen://127.0.0.1:{free()}?mode=notify",
            siren=f"serial://{tmp_path}/none",
        )
        with pytest.raises(DeviceLost):
            await gate.open()

    asyncio.run(body())
