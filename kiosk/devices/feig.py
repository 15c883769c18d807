"""What FEIG pads and gates share: one ISO-Host conversation over one stream."""

from __future__ import annotations

import asyncio

from kiosk.transports.base import ByteStream, open_stream
from kiosk.wire import iso_host
from kiosk.wire.iso_host import Reply, Request
from mocban.errors import DeviceLost, RemoteProtocolError

# Waiting is counted in slices, not by the clock: a computer that stood still for a second finds the bytes of that
# second in its buffers, and no reader is lost by it.
_SLICE = 0.025  # seconds
_ANSWER = 40  # silent slices until an answer counts as missing; a reader needs 10 to 100 ms
_STALE = 4  # silent slices after which a partial frame is dropped; the reader's own limit is 12 ms
_BABBLE = 5.0  # seconds after which a line that never falls silent and never answers is given up
_GAP = 0.005  # seconds of silence a reader wants before a new frame
_TRIES = 2


class FeigHost:
    """Asks and gets answers, one at a time. ``noise``: bytes dropped since open, ours to watch."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._stream: ByteStream | None = None
        self._framer = iso_host.framer()
        self._stray = 0  # bytes of whole frames that answered nothing
        self._quiet_at = 0.0
        self._one = asyncio.Lock()

    @property
    def noise(self) -> int:
        """Bytes dropped since open: no frame, or an answer nobody asked for."""
        return self._framer.noise + self._stray

    async def open(self) -> str:
        """Open the line and ask who is there; the version as text."""
        await self.close()
        self._framer = iso_host.framer()
        self._stray = 0
        self._stream = await open_stream(self.url)
        try:
            reply = await self.ask(iso_host.version())
            return str(iso_host.Version.decode(reply.data))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Release the line; safe to call twice."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def ask(self, request: Request) -> Reply:
        """The reader's answer, whatever its status; unanswered twice: the line is closed, DeviceLost."""
        async with self._one:
            try:
                for attempt in range(_TRIES):
                    reply = await self._exchange(request)
                    if reply is not None:
                        if attempt:
                            await self._settle()
                        return reply
            except DeviceLost:
                await self.close()
                raise
            await self.close()
        raise DeviceLost(
            "The reader does not answer.", "Check its power, and speed and parity of its line."
        )

    async def _exchange(self, request: Request) -> Reply | None:
        stream = self._line()
        loop = asyncio.get_running_loop()
        self._discard(stream.take())
        await asyncio.sleep(max(0.0, self._quiet_at + _GAP - loop.time()))
        await stream.write(request.encode())
        try:
            return await self._answer(stream, request, loop.time() + _BABBLE)
        finally:
            self._quiet_at = loop.time()

    async def _answer(self, stream: ByteStream, request: Request, end: float) -> Reply | None:
        loop = asyncio.get_running_loop()
        silent = waited = 0
        while waited < _ANSWER and loop.time() < end:
            if data := await _slice(stream):
                silent = 0
                frames = self._framer.feed(data)
            else:
                silent += 1
                waited += 1
                frames = self._framer.idle() if silent >= _STALE else []
            if (reply := self._judge(frames, request)) is not None:
                return reply
        return None

    def _judge(self, frames: list[bytes], request: Request) -> Reply | None:
        """The answer to ``request`` among ``frames``; all others, our own echo too, are strays."""
        answer: Reply | None = None
        for frame in frames:
            try:
                reply = Reply.decode(frame)
            except RemoteProtocolError:  # a whole frame too short for a status
                reply = None
            ours = reply is not None and reply.command == request.command
            if answer is None and ours and frame != request.encode():
                answer = reply
            else:
                self._stray += len(frame)
        return answer

    async def _settle(self) -> None:
        """After a repeat the first answer may still come, late: it must not answer the next question."""
        stream = self._line()
        silent = 0
        for _ in range(_ANSWER):
            data = await _slice(stream)
            self._discard(data)
            silent = 0 if data else silent + 1
            if silent >= _STALE:
                break

    def _discard(self, data: bytes) -> None:
        self._stray += sum(map(len, self._framer.feed(data)))
        self._stray += sum(map(len, self._framer.idle()))

    def _line(self) -> ByteStream:
        if self._stream is None:
            raise DeviceLost("The reader is not open.", "Open it first.")
        return self._stream


async def _slice(stream: ByteStream) -> bytes:
    """What arrives within one slice; may be empty. (wait_for of 3.11 can swallow a cancellation.)"""
    try:
        async with asyncio.timeout(_SLICE):
            return await stream.read()
    except TimeoutError:
        return stream.take()


def trouble(reply: Reply) -> RemoteProtocolError:
    """The error for an answer whose status leaves nothing to go on with."""
    return RemoteProtocolError(
        f"The reader refused command {reply.command:02X}: {iso_host.words(reply.status)}.",
        "Check the reader's configuration and antenna.",
        code="reader-refused",
    )
