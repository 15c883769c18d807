"""One suite over every byte stream: serial on a real pty, tcp on a real socket, memory."""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import serial

from kiosk.emulators.tty import TtyLine
from kiosk.transports import serial as serial_lines
from kiosk.transports.base import ByteStream, Inbox, open_stream
from mocban.errors import ConfigError, DeviceLost


class Peer:
    """The other end: ``heard`` fills up, ``say`` sends, ``leave`` goes away."""

    def __init__(self, say: Callable[[bytes], None], leave: Callable[[], None]) -> None:
        self.heard = bytearray()
        self.say = say
        self.leave = leave


@asynccontextmanager
async def serial_pair(folder: Path) -> AsyncIterator[tuple[ByteStream, Peer]]:
    line = TtyLine(folder / "line")
    line.plug()
    sends: set[asyncio.Task[None]] = set()

    def say(data: bytes) -> None:
        sends.add(asyncio.create_task(line.send(data, asyncio.get_running_loop().time())))

    peer = Peer(say, line.unplug)

    async def listen() -> None:
        while True:
            peer.heard += await line.read()

    listening = asyncio.create_task(listen())
    stream = await open_stream(f"serial://{line.link}?baud=38400&parity=E")
    try:
        yield stream, peer
    finally:
        listening.cancel()
        await asyncio.gather(listening, *sends, return_exceptions=True)
        await stream.close()
        line.unplug()


@asynccontextmanager
async def tcp_pair(folder: Path) -> AsyncIterator[tuple[ByteStream, Peer]]:
    del folder
    arrived: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
        asyncio.get_running_loop().create_future()
    )

    def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set_result((reader, writer))

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    stream = await open_stream(f"tcp://127.0.0.1:{port}")
    reader, writer = await arrived
    peer = Peer(writer.write, writer.close)

    async def listen() -> None:
        while data := await reader.read(4096):
            peer.heard += data

    listening = asyncio.create_task(listen())
    try:
        yield stream, peer
    finally:
        await stream.close()
        writer.close()
        server.close()
        await asyncio.gather(listening, writer.wait_closed(), return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def memory_pair(folder: Path) -> AsyncIterator[tuple[ByteStream, Peer]]:
    near = await open_stream(f"memory://{folder.name}")
    far = await open_stream(f"memory://{folder.name}")
    tasks: set[asyncio.Task[None]] = set()
    peer = Peer(
        lambda data: tasks.add(asyncio.create_task(far.write(data))),
        lambda: tasks.add(asyncio.create_task(far.close())),
    )

    async def listen() -> None:
        while True:
            peer.heard += await far.read()

    listening = asyncio.create_task(listen())
    try:
        yield near, peer
    finally:
        await near.close()
        await asyncio.gather(listening, *tasks, return_exceptions=True)


PAIRS = {"serial": serial_pair, "tcp": tcp_pair, "memory": memory_pair}
Scenario = Callable[[ByteStream, Peer], Awaitable[None]]


@pytest.fixture(params=sorted(PAIRS))
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    def start(scenario: Scenario) -> None:
        async def whole() -> None:
            async with asyncio.timeout(20), PAIRS[request.param](tmp_path) as (stream, peer):
                await scenario(stream, peer)

        asyncio.run(whole())

    return start


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def read_all(stream: ByteStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.read()
    return data


EVERY_BYTE = bytes(range(256)) * 4


def test_bytes_arrive_as_they_were_sent_both_ways(run: Callable[[Scenario], None]) -> None:
    async def scenario(stream: ByteStream, peer: Peer) -> None:
        await stream.write(EVERY_BYTE)
        await until(lambda: len(peer.heard) == len(EVERY_BYTE))
        assert bytes(peer.heard) == EVERY_BYTE
        peer.say(EVERY_BYTE)
        assert await read_all(stream, len(EVERY_BYTE)) == EVERY_BYTE

    run(scenario)


def test_take_never_waits(run: Callable[[Scenario], None]) -> None:
    async def scenario(stream: ByteStream, peer: Peer) -> None:
        assert stream.take() == b""
        peer.say(b"abc")
        first = await stream.read()
        rest = await read_all(stream, 3 - len(first)) if len(first) < 3 else b""
        assert first + rest == b"abc"
        assert stream.take() == b""

    run(scenario)


def test_a_peer_that_leaves_is_a_lost_device(run: Callable[[Scenario], None]) -> None:
    async def scenario(stream: ByteStream, peer: Peer) -> None:
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0)
        peer.leave()
        with pytest.raises(DeviceLost):
            await asyncio.wait_for(reading, 2)
        with pytest.raises(DeviceLost):
            await stream.write(b"x")
        with pytest.raises(DeviceLost):
            await stream.read()

    run(scenario)


def test_closing_ends_a_waiting_read_and_can_be_done_twice(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(stream: ByteStream, peer: Peer) -> None:
        del peer
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0)
        await stream.close()
        with pytest.raises(DeviceLost):
            await asyncio.wait_for(reading, 2)
        await stream.close()
        with pytest.raises(DeviceLost):
            await stream.write(b"x")

    run(scenario)


def test_a_read_that_was_cancelled_loses_no_byte(run: Callable[[Scenario], None]) -> None:
    async def scenario(stream: ByteStream, peer: Peer) -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.read(), 0.01)
        peer.say(b"still here")
        assert await read_all(stream, 10) == b"still here"

    run(scenario)


def test_a_pty_can_be_opened_again_at_8e1_and_reconfigured_in_between(tmp_path: Path) -> None:
    async def scenario() -> None:
        line = TtyLine(tmp_path / "line")
        line.plug()
        url = f"serial://{line.link}?baud=38400&parity=E"
        try:
            for _ in range(3):
                stream = await open_stream(url)
                assert isinstance(stream, serial_lines.SerialStream)
                port = stream._port
                port.timeout = 0.5
                port.inter_byte_timeout = 0.01
                port.inter_byte_timeout = None
                port.timeout = None
                assert line.right_speed()
                await stream.write(b"ping")
                assert await asyncio.wait_for(line.read(), 2) == b"ping"
                await stream.close()
        finally:
            line.unplug()

    asyncio.run(scenario())


def test_the_trap_that_the_serial_line_steps_around_is_still_there() -> None:
    """If this fails, the kernel or pyserial changed and the override in transports can go."""
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        with pytest.raises(termios.error) as caught:
            for _ in range(2):
                serial.Serial(os.ttyname(slave), 38400, parity="E").close()
        assert caught.value.args[0] == 22
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    "url",
    [
        "bluetooth://pad",
        "serial://ttyUSB0",
        "serial:///dev/null?bauds=9600",
        "serial:///dev/null?baud=fast",
        "serial:///dev/null?parity=X",
        "tcp://reader",
        "tcp://reader:99999",
        "memory://",
        "pad",
    ],
)
def test_an_address_that_means_nothing_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        asyncio.run(_open_and_close(url))


@pytest.mark.parametrize(
    "url", ["serial:///dev/no-such-pad", "serial:///dev/null", "tcp://127.0.0.1:1"]
)
def test_an_address_where_nothing_answers_is_a_lost_device(url: str) -> None:
    with pytest.raises(DeviceLost) as caught:
        asyncio.run(_open_and_close(url))
    assert caught.value.do


async def _open_and_close(url: str) -> None:
    stream = await open_stream(url)
    await stream.close()


def test_a_line_at_another_speed_is_seen_by_the_emulator(tmp_path: Path) -> None:
    async def scenario() -> None:
        line = TtyLine(tmp_path / "line")
        line.plug()
        try:
            stream = await open_stream(f"serial://{line.link}?baud=9600&parity=E")
            assert not line.right_speed()
            await stream.close()
        finally:
            line.unplug()

    asyncio.run(scenario())


def test_an_emulated_line_takes_the_time_that_its_bytes_take(tmp_path: Path) -> None:
    async def scenario() -> None:
        line = TtyLine(tmp_path / "line")
        line.plug()
        loop = asyncio.get_running_loop()
        try:
            stream = await open_stream(f"serial://{line.link}?baud=38400&parity=E")
            start = loop.time()
            sending = asyncio.create_task(line.send(bytes(100), start))
            await read_all(stream, 100)
            assert loop.time() - start >= 100 * 11 / 38400
            await sending
            await stream.close()
        finally:
            line.unplug()

    asyncio.run(scenario())


def test_an_emulated_line_leaves_foreign_files_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        first, second = TtyLine(tmp_path / "line"), TtyLine(tmp_path / "line")
        first.plug()
        second.plug()  # took the name over
        first.unplug()
        assert (tmp_path / "line").is_symlink()
        second.unplug()

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []


def test_an_unread_line_piles_up_no_more_than_its_bound() -> None:
    async def scenario() -> None:
        inbox = Inbox(cap=10)
        for number in range(100):
            inbox.put(bytes((number,)))
        assert inbox.take() == bytes(range(90, 100))

    asyncio.run(scenario())
