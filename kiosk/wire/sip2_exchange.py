"""SIP2 without I/O: bytes cut into lines, and one request's way to its answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kiosk.wire.sip2 import Checksum, Message, decode, encode, sealed
from kiosk.wire.sip2_fields import MESSAGES
from mocban.errors import LocalProtocolError, RemoteProtocolError


class LineFramer:
    """Cuts a stream into lines at CR or LF and drops empty ones.

    ``feed`` returns whole lines; ``waiting`` bytes are the begin of the next. A line longer than
    ``cap`` is dropped up to its end and counted in ``dropped``; never more than ``cap`` are held.
    """

    def __init__(self, cap: int = 256 * 1024) -> None:
        self._cap = cap
        self._held = bytearray()
        self._skipping = False
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Bytes held of a line whose end has not come."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes, without their terminators."""
        lines: list[bytes] = []
        *whole, rest = data.replace(b"\n", b"\r").split(b"\r")
        for part in whole:
            self._take(part)
            if self._held and not self._skipping:
                lines.append(bytes(self._held))
            self._held.clear()
            self._skipping = False
        self._take(rest)
        return lines

    def _take(self, part: bytes) -> None:
        if self._skipping:
            return
        if len(self._held) + len(part) > self._cap:
            self._held.clear()
            self._skipping = True
            self.dropped += 1
        else:
            self._held += part


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes and wait anew."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wait:
    """That was not the answer; keep waiting until the same deadline."""


@dataclass(frozen=True, slots=True)
class Done:
    """The answer. ``repeated``: the request went out again and may have been worked on twice."""

    answer: Message
    repeated: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No answer will come; whether the request was worked on is not known."""

    why: str


Step = Send | Wait | Done | GiveUp


class Exchange:
    """One connection's requests, one at a time: numbering, repeats, 96 and 97.

    With error detection a missing answer is asked for again with the same bytes and number, a
    garbled one by 97, ``retries`` times in all; without it a repeat could be worked on twice, so
    silence is final.
    """

    def __init__(self, encoding: str, *, error_detection: bool, retries: int) -> None:
        self._encoding = encoding
        self._checked = error_detection
        self._retries = retries
        self._next = 0
        self._request: Message | None = None
        self._data = b""
        self._left = 0
        self._repeated = False
        self._asked_again = False  # a 97 went out for this request
        self._doubtful = False  # something was repeated: an answer may come twice
        self.strays = 0

    def begin(self, request: Message) -> bytes:
        """Number ``request`` and return its bytes; LocalProtocolError if one is under way."""
        if self._request is not None:
            raise LocalProtocolError("a SIP2 request is under way")
        numbered = replace(request, seq=self._next if self._checked else None)
        if not MESSAGES[request.code].answer:
            raise LocalProtocolError(f"message {request.code} is no request")
        self._data = encode(numbered, self._encoding, trailer=self._checked)
        self._next = (self._next + 1) % 10
        self._request = numbered
        self._left = self._retries
        self._repeated = self._asked_again = False
        return self._data

    def received(self, line: bytes) -> Step:
        """What to do with a line that came."""
        request = self._request
        if request is None:
            self.strays += 1
            return Wait()
        try:
            answer = decode(line, self._encoding)
        except RemoteProtocolError:
            # A garbled answer still has its trailer; anything else is chatter before the answer.
            return self._ask_again() if self._checked and sealed(line) else self._stray()
        if answer.checksum is Checksum.BAD:
            return self._ask_again()
        if answer.code == "96":
            return self._repeat("the library system does not understand the request", worked=False)
        if not self._fits(request, answer):
            return self._stray()
        self._request = None
        return Done(answer, self._repeated)

    def timed_out(self) -> Step:
        """What to do when no answer came in time."""
        if self._request is None:
            return Wait()
        if not self._checked:
            return self._give_up("no answer in time")
        return self._repeat("no answer in time")

    def _repeat(self, why: str, *, worked: bool = True) -> Step:
        """``worked`` False: the first copy is known not to have been worked on."""
        if self._left == 0:
            return self._give_up(why)
        self._left -= 1
        self._doubtful = True
        self._repeated |= worked
        return Send(self._data)

    def _ask_again(self) -> Step:
        if self._left == 0:
            return self._give_up("the answers are garbled")
        self._left -= 1
        self._asked_again = self._doubtful = True
        return Send(encode(Message("97"), self._encoding, trailer=self._checked))

    def _give_up(self, why: str) -> GiveUp:
        self._request = None
        return GiveUp(why)

    def _stray(self) -> Wait:
        self.strays += 1
        return Wait()

    def _fits(self, request: Message, answer: Message) -> bool:
        """Right kind and number (any number after a 97); after a repeat also card and item."""
        if answer.code != MESSAGES[request.code].answer:
            return False
        if answer.seq is not None and answer.seq != request.seq and not self._asked_again:
            return not self._checked
        if self._doubtful:
            for key in ("AA", "AB"):
                if request.has(key) and answer.get(key) and answer.get(key) != request.get(key):
                    return False
        return True
