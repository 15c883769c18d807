"""A TCP line between two processes that can be cut, muted, slowed and broken in the middle of a packet."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Self

HOST = "127.0.0.1"


class Line:
    """Forwards ``port`` to ``to``, both on loopback, from a thread of its own."""

    def __init__(self, port: int, to: int) -> None:
        self.port = port
        self.delay = 0.0
        """Seconds every chunk waits before it goes on."""
        self.made = 0
        """Connections that reached the other end."""
        self._to = to
        self._budget: int | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._talks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._flows.set()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._do(self._cut())

    def mute(self) -> None:
        """Blackhole: connections stand and new ones are taken, but no byte goes through."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def break_after(self, size: int) -> None:
        """Let ``size`` more bytes through, then break every connection once."""
        self._budget = size

    def restore(self) -> None:
        """A good line again."""
        self.delay, self._budget = 0.0, None
        self._loop.call_soon_threadsafe(self._flows.set)
        self._do(self._listen())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._talk, HOST, self.port)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._abort()

    def _abort(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _end(self) -> None:
        await self._cut()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me is not None
        self._talks.add(me)
        self._open.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            back, far = await asyncio.open_connection(HOST, self._to)
            self._open.add(far)
            self.made += 1
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far))
                both.create_task(self._pump(back, writer))
        except* (OSError, EOFError):
            pass
        finally:
            for each in (writer, far):
                if each is not None:
                    each.transport.abort()
                    self._open.discard(each)
                    with contextlib.suppress(OSError):
                        await each.wait_closed()
            self._talks.discard(me)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flows.wait()
            if self._budget is not None:
                data, self._budget = data[: self._budget], self._budget - len(data)
            writer.write(data)
            await writer.drain()
            if self._budget is not None and self._budget <= 0:
                self._budget = None
                self._abort()
        raise EOFError  # one side closed: the other follows
