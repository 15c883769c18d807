"""Byte streams to devices, opened by URL. A driver never knows what kind of line it has."""

from __future__ import annotations

import asyncio
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from mocban.errors import ConfigError, DeviceLost


class ByteStream(Protocol):
    """A line to one device; one reader and one writer at a time."""

    async def read(self) -> bytes:
        """What has arrived, at least one byte; DeviceLost when the line is gone."""
        ...

    def take(self) -> bytes:
        """What has arrived, without waiting; may be empty."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of ``data``; DeviceLost when the line is gone."""
        ...

    async def close(self) -> None:
        """Release the line; safe to call twice. A waiting ``read`` ends with DeviceLost."""
        ...


async def open_stream(url: str) -> ByteStream:
    """``serial:///dev/x?baud=38400&parity=E``, ``tcp://host:port``, ``tcp-listen://host:port``, ``memory://name``.

    ConfigError for a URL that means nothing, DeviceLost if nothing answers there.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "serial":
            from kiosk.transports.serial import open_serial

            return await open_serial(parts)
        case "tcp":
            from kiosk.transports.tcp import open_tcp

            return await open_tcp(parts)
        case "tcp-listen":
            from kiosk.transports.listen import open_listen

            return await open_listen(parts)
        case "memory":
            from kiosk.transports.memory import open_memory

            return open_memory(parts)
        case _:
            raise bad_url(parts, "it begins with serial, tcp, tcp-listen or memory")


def bad_url(parts: SplitResult, rule: str) -> ConfigError:
    """The error for a URL that breaks ``rule``."""
    return ConfigError(
        f"The device address {parts.geturl()} cannot be used: {rule}.", "Correct it."
    )


class Inbox:
    """Bytes on their way from a line to its one reader, with the line's end behind them.

    ``cap`` bounds what an unread line may pile up; the oldest bytes go first and a framer resyncs.
    """

    def __init__(self, cap: int = 1 << 16) -> None:
        self._bytes = bytearray()
        self._wake = asyncio.Event()
        self._end: str | None = None
        self._cap = cap

    def put(self, data: bytes) -> None:
        """More bytes arrived."""
        self._bytes += data
        del self._bytes[: max(0, len(self._bytes) - self._cap)]
        self._wake.set()

    def end(self, say: str) -> None:
        """Nothing more will arrive; the first reason stands."""
        if self._end is None:
            self._end = say
        self._wake.set()

    def check(self) -> None:
        """DeviceLost if the line has ended."""
        if self._end is not None:
            raise DeviceLost(self._end, "Check the cable and the power of the device.")

    def take(self) -> bytes:
        """What is there now."""
        data = bytes(self._bytes)
        self._bytes.clear()
        return data

    async def read(self) -> bytes:
        """At least one byte, or DeviceLost once all was read."""
        while not self._bytes:
            self.check()
            self._wake.clear()
            await self._wake.wait()
        return self.take()
