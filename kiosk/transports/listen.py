"""Devices that connect to us: ``tcp-listen://127.0.0.1:10005``, and with ``?from=192.0.2.7`` that device only.

One connection at a time. A second one from the same address takes the place of the first, which a device that was cut
off without noticing leaves behind; one from elsewhere is turned away while the first stands. A device may go and come
back: that is no end of the line. Without a host, or with one that names no other, only this computer can connect.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any
from urllib.parse import SplitResult, parse_qsl

from kiosk.transports.base import Inbox, bad_url
from mocban import log
from mocban.errors import ConfigError, DeviceLost

PATIENCE = 15.0
"""Seconds that ``open_listen`` waits for the device."""
_HOST = "127.0.0.1"
_WRITE_PATIENCE = 2.0  # seconds to get rid of bytes

_log = log.get("kiosk.listen")


class ListenStream:
    """An open port and, most of the time, a device connected to it."""

    def __init__(self, name: str, peer: str) -> None:
        self.name = name
        self._only = peer
        self._inbox = Inbox()
        self._now: _Connection | None = None
        self._server: asyncio.Server | None = None
        self.came = asyncio.Event()
        """A device connected, once at least."""

    async def read(self) -> bytes:
        return await self._inbox.read()

    def take(self) -> bytes:
        return self._inbox.take()

    async def write(self, data: bytes) -> None:
        """DeviceLost while nobody is connected."""
        self._inbox.check()
        if self._now is None:
            raise DeviceLost(f"Nobody is connected to {self.name}.", "Check the reader's network.")
        await self._now.write(data)

    async def close(self) -> None:
        self._inbox.end(f"The port {self.name} was closed.")
        server, self._server = self._server, None
        now, self._now = self._now, None
        if now is not None:
            now.drop()
        if server is not None:
            server.close()
            await server.wait_closed()

    async def listen(self, host: str, port: int) -> None:
        """Open the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), host, port, backlog=4, reuse_address=True
        )

    @property
    def port(self) -> int:
        """The port that was opened."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def _met(self, connection: _Connection) -> bool:
        """Whether this connection may stay."""
        now = self._now
        wrong = bool(self._only) and connection.peer != self._only
        if wrong or (now is not None and now.peer != connection.peer):
            _log.warning("listen.refused", port=self.name, peer=connection.peer)
            return False
        self._now = connection
        if now is not None:
            now.drop()
        _log.info("listen.connected", port=self.name, peer=connection.peer)
        self.came.set()
        return True

    def _heard(self, connection: _Connection, data: bytes) -> None:
        if connection is self._now:
            self._inbox.put(data)

    def _left(self, connection: _Connection) -> None:
        if connection is self._now:
            self._now = None


class _Connection(asyncio.Protocol):
    """One connection, whoever made it."""

    def __init__(self, stream: ListenStream) -> None:
        self._stream = stream
        self._transport: asyncio.Transport | None = None
        self._room = asyncio.Event()
        self._room.set()
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = _address(transport.get_extra_info("peername"))
        _probe(transport.get_extra_info("socket"))
        if not self._stream._met(self):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._stream._heard(self, data)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._room.set()
        self._stream._left(self)

    def drop(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    async def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)
        try:
            async with asyncio.timeout(_WRITE_PATIENCE):
                await self._room.wait()
        except TimeoutError:
            self.drop()
            raise DeviceLost("The reader takes no more bytes.", "Check the network.") from None


async def open_listen(parts: SplitResult) -> ListenStream:
    """Listen; DeviceLost if no device connects within fifteen seconds, ConfigError if the port cannot be had."""
    try:
        host, port = parts.hostname or _HOST, parts.port
    except ValueError:
        host, port = _HOST, None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    peer = options.pop("from", "")
    if port is None or options or (peer and not _is_address(peer)):
        rule = "it takes a port and perhaps from=ADDRESS, as in tcp-listen://0.0.0.0:10005?from=192.0.2.7"
        raise bad_url(parts, rule)
    stream = ListenStream(f"{host}:{port}", peer)
    try:
        await stream.listen(host, port)
    except OSError as error:
        raise ConfigError(
            f"The port {host}:{port} cannot be opened: {error.strerror or error}.",
            "Choose another port, or end the program that has it.",
        ) from error
    if not peer and host not in {_HOST, "localhost", "::1"}:
        _log.warning("listen.open", port=stream.name, do="add from=ADDRESS of the reader")
    try:
        async with asyncio.timeout(PATIENCE):
            await stream.came.wait()
    except TimeoutError:
        await stream.close()
        raise DeviceLost(
            f"No reader has connected to {host}:{port}.",
            "Set this computer and this port as the reader's destination, and check the network.",
        ) from None
    except BaseException:
        await stream.close()
        raise
    return stream


def _address(peername: Any) -> str:
    return str(ipaddress.ip_address(peername[0].partition("%")[0])) if peername else ""


def _is_address(text: str) -> bool:
    try:
        return str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False


def _probe(sock: socket.socket | None) -> None:
    """Have the system notice a device that is gone without a word."""
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
