"""The branch's network line: a TCP forwarder that the fault ``network-down`` cuts and mends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import mocban.log
from kiosk.emulators.world import World
from mocban.errors import ConfigError
from mocban.web import bind

Forward = tuple[str, int, str, int]
"""Listen host and port, target host and port."""

_CHUNK = 64 * 1024  # bytes held per direction: a slow reader slows its sender
_CALLS = 256  # connections of one line at a time
_PATIENCE = 5.0  # seconds to reach the target
_POLL = 0.05  # seconds between looks at the world

log = mocban.log.get("kiosk.emulators.line")


async def main(world_path: Path | str, forwards: Sequence[Forward], stop: asyncio.Event) -> None:
    """Forward until ``stop``. While ``network-down`` is on nothing listens or is connected.

    ConfigError if a port cannot be had at the start.
    """
    world = World(world_path)
    lines = [Line(forward) for forward in forwards]
    try:
        seen = -1
        while not stop.is_set():
            if (version := world.version()) != seen:
                cut = bool(world.fault("network-down"))
                stand = [await line.cut() if cut else await line.mend() for line in lines]
                seen = version if all(stand) else -1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _POLL)
    finally:
        for line in lines:
            await line.cut()
        world.close()


class Line:
    """One forwarded port."""

    def __init__(self, forward: Forward) -> None:
        self._host, self._port, self._to_host, self._to_port = forward
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._proven = False

    async def mend(self) -> bool:
        """Listen, if it does not yet. ConfigError if the port cannot be had the first time,
        later False: try again.
        """
        if self._server is None:
            try:
                sock = bind(self._host, self._port)
            except ConfigError:
                if not self._proven:
                    raise
                log.warning("line.port-taken", port=self._port)
                return False
            self._server = await asyncio.start_server(self._ring, sock=sock, limit=_CHUNK)
            self._proven = True
            log.info("line.up", port=self._port)
        return True

    async def cut(self) -> bool:
        """Stop listening and drop every connection; returns when all sockets are closed."""
        if self._server is not None:
            self._server.close()
            self._server = None
            log.info("line.down", port=self._port, dropped=len(self._calls))
        while self._calls:  # one may ring between the listener's last look and its end
            for call in self._calls:
                call.cancel()
            await asyncio.wait(set(self._calls))
        return True

    def _ring(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._calls) >= _CALLS or self._server is None:
            writer.transport.abort()
            return
        call = asyncio.create_task(self._call(reader, writer))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        # One that is cut off before it began closes nothing itself.
        call.add_done_callback(lambda _: writer.transport.abort())

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            async with asyncio.timeout(_PATIENCE):
                far_reader, far_writer = await asyncio.open_connection(
                    self._to_host, self._to_port, limit=_CHUNK
                )
            ends.append(far_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, far_writer))
                both.create_task(_pump(far_reader, writer))
            for end in ends:  # the last bytes may still be on their way out
                end.close()
                await end.wait_closed()
        except* OSError as lost:  # TimeoutError and ConnectionError are OSErrors
            log.debug("line.call-lost", port=self._port, why=type(lost.exceptions[0]).__name__)
        finally:
            for end in ends:
                end.transport.abort()
            for end in ends:
                with contextlib.suppress(OSError):
                    await end.wait_closed()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Carry bytes one way until the source ends, then tell the sink: the other way may go on."""
    while data := await source.read(_CHUNK):
        sink.write(data)
        await sink.drain()
    sink.write_eof()
    await sink.drain()
