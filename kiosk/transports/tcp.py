"""Devices on the network: ``tcp://host:port``."""

from __future__ import annotations

import asyncio
from urllib.parse import SplitResult

from kiosk.transports.base import Inbox, bad_url
from mocban.errors import DeviceLost

_PATIENCE = 5.0  # seconds to connect, and to get rid of bytes


class TcpStream(asyncio.Protocol):
    """A TCP connection; the end of the connection is the end of the device."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inbox = Inbox()
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._inbox.put(data)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.end(f"The connection to {self._name} ended{f': {exc}' if exc else ''}.")
        self._room.set()
        self._gone.set()

    async def read(self) -> bytes:
        return await self._inbox.read()

    def take(self) -> bytes:
        return self._inbox.take()

    async def write(self, data: bytes) -> None:
        self._inbox.check()
        assert self._transport is not None
        self._transport.write(data)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._room.wait()
        except TimeoutError:
            self._transport.abort()
            raise DeviceLost(f"{self._name} takes no more bytes.", "Check the network.") from None
        self._inbox.check()

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()  # a device owes us nothing any more
            await self._gone.wait()


async def open_tcp(parts: SplitResult) -> TcpStream:
    """Connect; DeviceLost if nobody answers within five seconds."""
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise bad_url(parts, "tcp needs host and port, as in tcp://192.0.2.7:10001")
    name = f"{host}:{port}"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_PATIENCE):
            _, stream = await loop.create_connection(lambda: TcpStream(name), host, port)
    except (OSError, TimeoutError) as error:
        say = f"Nothing answers at {name}: {str(error) or 'no answer in time'}."
        raise DeviceLost(say, "Check the network and the device.") from error
    return stream
