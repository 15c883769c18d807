"""A line on which the reader speaks by itself; what is asked in between gets its answer from among that.

Frames that came are kept until they are taken, so that none is lost while an answer is waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from kiosk.transports.base import ByteStream, open_stream
from kiosk.wire.framing import Framer
from mocban.errors import DeviceLost

MOST = 1000
"""Frames kept; the oldest go, and ``lost`` says so."""
_STALE = 0.1  # seconds of silence after which half a frame is dropped

T = TypeVar("T")


class Pushed:
    """The line at ``url``. ``alive``: seconds after which a reader that said nothing at all is lost; 0: never."""

    def __init__(self, url: str, framer: Callable[[], Framer], alive: float) -> None:
        self._url = url
        self._fresh = framer
        self._framer = framer()
        self._alive = alive
        self._stream: ByteStream | None = None
        self._frames: deque[bytes] = deque()
        self._heard_at = 0.0
        self.lost = False
        """More frames came than are kept; whoever heard of it sets it back."""

    @property
    def noise(self) -> int:
        """Bytes dropped since open."""
        return self._framer.noise

    async def open(self) -> None:
        """Open the line."""
        await self.close()
        self._framer = self._fresh()
        self._frames.clear()
        self._stream = await open_stream(self._url)
        self._heard_at = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Release the line; safe to call twice."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    def take(self) -> list[bytes]:
        """Whole frames that came, the oldest first. DeviceLost if the reader has been silent for too long."""
        self._put(self._line().take())
        if not self._frames:
            silent = asyncio.get_running_loop().time() - self._heard_at
            if self._alive and silent > self._alive:
                raise DeviceLost(
                    f"The reader has said nothing for {silent:.0f} seconds.",
                    "Switch its keep-alive on, and check its power and network.",
                )
        frames = list(self._frames)
        self._frames.clear()
        return frames

    async def rest(self, seconds: float) -> bool:
        """Wait so long, but no longer than until a frame is there; whether one is."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        stream = self._line()
        self._put(stream.take())
        while not self._frames and (left := end - loop.time()) > 0:
            await self._hear(stream, min(left, _STALE) if self._framer.partial else left)
        await asyncio.sleep(0)
        return bool(self._frames)

    async def send(self, data: bytes) -> None:
        """Say something that gets no answer."""
        await self._line().write(data)

    async def ask(
        self, question: bytes, answers: Callable[[bytes], T | None], seconds: float = 1.0
    ) -> T | None:
        """The first frame from now on that ``answers``; None if there is none in time. All others are kept."""
        stream = self._line()
        self._put(stream.take())
        seen = len(self._frames)
        await stream.write(question)
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            await self._hear(stream, min(left, _STALE))
            for at in range(seen, len(self._frames)):
                if (answer := answers(self._frames[at])) is not None:
                    del self._frames[at]
                    return answer
            seen = len(self._frames)
        return None

    async def _hear(self, stream: ByteStream, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                data = await stream.read()
        except TimeoutError:
            data = stream.take()
        self._put(data)
        if not data and self._framer.partial:
            self._keep(self._framer.idle())

    def _put(self, data: bytes) -> None:
        if data:
            self._keep(self._framer.feed(data))

    def _keep(self, frames: list[bytes]) -> None:
        if not frames:
            return
        self._heard_at = asyncio.get_running_loop().time()
        self._frames.extend(frames)
        while len(self._frames) > MOST:
            self._frames.popleft()
            self.lost = True

    def _line(self) -> ByteStream:
        if self._stream is None:
            raise DeviceLost("The reader is not open.", "Open it first.")
        return self._stream
