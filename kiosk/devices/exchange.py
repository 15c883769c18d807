"""One question, one answer: the conversation with every reader that speaks only when it is asked.

What the frames look like is the driver's: it brings a framer and, with each question, a judge of what came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeVar

from kiosk.transports.base import ByteStream, open_stream
from kiosk.wire.framing import Framer
from mocban.errors import DeviceLost, RemoteProtocolError

# Waiting is counted in slices, not by the clock: a computer that stood still for a second finds the bytes of that
# second in its buffers, and no reader is lost by it.
SLICE = 0.025
"""Seconds of a slice."""
_ANSWER = 40  # silent slices until an answer counts as missing; a reader needs 10 to 500 ms
_STALE = 4  # silent slices after which a partial frame is dropped
_TRIES = 2

T = TypeVar("T")


def patience(tenths: int) -> int:
    """Silent slices for a reader that may work on an answer for ``tenths`` of a second."""
    return _ANSWER + round(tenths * 0.1 / SLICE)


class Verdict(Enum):
    """What a judge says of a frame that is no whole answer."""

    STRAY = "stray"  # answers nothing that we asked
    PART = "part"  # belongs to the answer, and more is to come


Judge = Callable[[Sequence[bytes]], T | Verdict]
"""Judges the last of the frames it is given; before it stand those of this answer that were PART.

It gives the answer, whatever that says. RemoteProtocolError, the one error it may raise, means STRAY: a whole frame,
but none that can be an answer. Our own question, echoed, never gets to it.
"""


class Exchange:
    """Asks and gets answers, one at a time, over the line at ``url``.

    ``gap``: seconds of silence that the reader wants before a question. ``babble``: seconds after which a line that
    never falls silent and never answers is given up.
    """

    def __init__(
        self, url: str, framer: Callable[[], Framer], gap: float = 0.0, babble: float = 5.0
    ) -> None:
        self.url = url
        self._fresh = framer
        self._framer = framer()
        self._gap = gap
        self._babble = babble
        self._stream: ByteStream | None = None
        self._stray = 0  # bytes of whole frames that answered nothing
        self._quiet_at = 0.0
        self._owed = False  # a question went out and its answer has not come
        self._one = asyncio.Lock()

    @property
    def noise(self) -> int:
        """Bytes dropped since open: no frame, or an answer nobody asked for."""
        return self._framer.noise + self._stray

    async def open(self) -> None:
        """Open the line; nothing is asked yet."""
        await self.close()
        self._framer = self._fresh()
        self._stray = 0
        self._owed = False
        self._stream = await open_stream(self.url)

    async def close(self) -> None:
        """Release the line; safe to call twice."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def ask(self, question: bytes, judge: Judge[T], slices: int = _ANSWER) -> T:
        """The reader's answer; unanswered for ``slices`` (a second) twice: the line is closed, DeviceLost."""
        async with self._one:
            try:
                for attempt in range(_TRIES):
                    answer = await self._once(question, judge, slices)
                    if not isinstance(answer, Verdict):
                        if attempt:  # that of the first time may still come
                            await self._settle(_STALE)
                        return answer
            except DeviceLost:
                await self.close()
                raise
            await self.close()
        raise DeviceLost(
            "The reader does not answer.", "Check its power, and speed and parity of its line."
        )

    async def probe(self, question: bytes, judge: Judge[T], slices: int = 8) -> T | None:
        """The answer to a question that not every reader understands, asked once; None if it keeps silent."""
        async with self._one:
            try:
                answer = await self._once(question, judge, slices)
            except DeviceLost:
                await self.close()
                raise
            # It kept silent on purpose: nothing is owed, and the next question need not wait for it.
            self._owed = False
            return None if isinstance(answer, Verdict) else answer

    async def _once(self, question: bytes, judge: Judge[T], slices: int) -> T | Verdict:
        stream = self._line()
        loop = asyncio.get_running_loop()
        if self._owed:
            await self._settle(slices)
        self._discard(stream.take())
        await asyncio.sleep(max(0.0, self._quiet_at + self._gap - loop.time()))
        self._owed = True  # stays so if the asker is cancelled: the answer then comes and must not serve the next
        await stream.write(question)
        try:
            answer = await self._answer(stream, question, judge, slices)
            self._owed = False
            return answer
        finally:
            self._quiet_at = loop.time()

    async def _answer(
        self, stream: ByteStream, question: bytes, judge: Judge[T], slices: int
    ) -> T | Verdict:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._babble * slices / _ANSWER
        parts: list[bytes] = []
        silent = waited = 0
        while waited < slices and loop.time() < end:
            if data := await _slice(stream):
                silent = 0
                frames = self._framer.feed(data)
            else:
                silent += 1
                waited += 1
                frames = self._framer.idle() if silent >= _STALE else []
            had = len(parts)
            answer = self._judge(frames, question, parts, judge)
            if not isinstance(answer, Verdict):
                return answer
            if len(parts) > had:
                waited = 0
        return Verdict.STRAY

    def _judge(
        self, frames: list[bytes], question: bytes, parts: list[bytes], judge: Judge[T]
    ) -> T | Verdict:
        """The answer that ends among ``frames``; what belongs to none, our own echo too, is stray."""
        answer: T | Verdict = Verdict.STRAY
        for frame in frames:
            if isinstance(answer, Verdict) and frame != question:
                try:
                    answer = judge((*parts, frame))
                except RemoteProtocolError:
                    answer = Verdict.STRAY
                if answer is Verdict.PART:
                    parts.append(frame)
                if answer is not Verdict.STRAY:
                    continue
            self._stray += len(frame)
        return answer

    async def _settle(self, slices: int) -> None:
        """Let an answer that is still owed go by: it must not answer the next question.

        It is waited for ``slices``; once something came, until the line has been silent for a moment.
        """
        stream = self._line()
        silent = 0
        for _ in range(_ANSWER):
            if data := await _slice(stream):
                silent = 0
                slices = _STALE
                self._stray += sum(map(len, self._framer.feed(data)))
            else:
                silent += 1
            if silent >= slices:
                break
        self._discard(b"")
        self._owed = False

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
        async with asyncio.timeout(SLICE):
            return await stream.read()
    except TimeoutError:
        return stream.take()
