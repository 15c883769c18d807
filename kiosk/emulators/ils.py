"""The test library system: SIP2 on TCP, with the faults of the world and knobs for tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import Path

import mocban.log
from kiosk.emulators.ils_desk import Desk
from kiosk.emulators.world import World
from kiosk.wire.sip2 import END, Checksum, Message, decode, encode, seal
from kiosk.wire.sip2_exchange import LineFramer
from kiosk.wire.sip2_fields import MESSAGES
from mocban.clock import Clock, SystemClock
from mocban.errors import LocalProtocolError, RemoteProtocolError
from mocban.web import bind

log = mocban.log.get("kiosk.emulators.ils")

_LINE = 8192  # bytes of one request
_PEERS = 64  # connections at a time
_STRIKES = 3
_IDLE = 600.0  # seconds before a silent kiosk is put out
_POLL = 0.05  # seconds between looks at the world


@dataclass(slots=True)
class Knobs:
    """How this system misbehaves; may be turned while it runs. Counts go down when used."""

    end: bytes = b"\r"
    """Terminator: CR or CRLF."""
    bad_every: int = 0
    """Every n-th answer has a wrong checksum (0: none)."""
    drop_before: str = ""
    """Drop the connection when this message id comes, before working on it."""
    drop_after: str = ""
    """Drop the connection when this message id comes, after working on it."""
    swallow: int = 0
    """So many answers are worked out and never sent."""
    omit: frozenset[str] = frozenset()
    """Fields left out of every answer."""
    split: int = 0
    """Send the first n bytes of an answer, wait a little, then the rest."""
    twice_af: bool = False
    """Send every screen message twice."""
    chatter: bytes = b""
    """A free-text line before every answer."""
    lead: bytes = b""
    """Bytes before every answer, such as LF or NUL."""
    garbage: int = 0
    """So many requests are answered 96 unseen."""
    offline: bool = False
    """98 says that the system is not on-line."""
    seen: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
    """Codes of the latest requests that were worked on."""


class Acs:
    """One library system over a world. ``user`` empty: no login is asked for."""

    def __init__(
        self,
        world: World,
        clock: Clock,
        *,
        user: str = "kiosk",
        password: str = "demo",  # noqa: S107  the demo's own
        knobs: Knobs | None = None,
        zone: tzinfo | None = None,
        desk: Desk | None = None,
    ) -> None:
        self.knobs = knobs or Knobs()
        self.world = world
        self._desk = desk or Desk(world, clock, zone=zone)
        self._user = user
        self._password = password
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._address = ("127.0.0.1", 0)

    @property
    def port(self) -> int:
        """The port it listens or listened on."""
        return self._address[1]

    @property
    def calls(self) -> int:
        """Connections that stand."""
        return len(self._calls)

    async def open(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the port. ConfigError if it is taken."""
        sock = bind(host, port)
        self._address = (host, sock.getsockname()[1])
        self._server = await asyncio.start_server(self._called, sock=sock)
        return self.port

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def run(self, host: str, port: int, stop: asyncio.Event) -> None:
        """Listen until ``stop``, except while the world says ``ils-down``."""
        try:
            await self.open(host, port)
            while not stop.is_set():
                down = bool(self.world.fault("ils-down"))
                if down and self._server is not None:
                    await self.close()
                elif not down and self._server is None:
                    await self.open(*self._address)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _POLL)
        finally:
            await self.close()

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._calls) >= _PEERS:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            await _Call(self, self._desk, self._user, self._password, writer).serve(reader)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # gone, idle too long, or put out by ``close``
        finally:
            self._calls.discard(task)
            writer.transport.abort()


class _Call:
    """One connection: login, error detection as the kiosk does it, memory of the last answer."""

    def __init__(
        self, acs: Acs, desk: Desk, user: str, password: str, writer: asyncio.StreamWriter
    ) -> None:
        self._acs = acs
        self._desk = desk
        self._login = (user, password)
        self._writer = writer
        self._known = not user
        self._strikes = 0
        self._checked = True  # whether 96 carries a checksum: as the kiosk's last line did
        self._last_request = b""
        self._last_answer = b""
        self._count = 0
        self._over = False

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer until the kiosk goes or is put out."""
        framer = LineFramer(_LINE)
        dropped = 0
        while not self._over:
            async with asyncio.timeout(_IDLE):
                data = await reader.read(4096)
            if not data:
                return
            for line in framer.feed(data):
                if not self._over:
                    await self._line(line)
            if framer.dropped > dropped and not framer.waiting:
                dropped = framer.dropped
                await self._send(self._again())

    async def _line(self, line: bytes) -> None:
        faults = self._acs.world.faults()
        if "ils-silent" in faults:
            return
        if wait := faults.get("slow-ils"):
            await asyncio.sleep(float(wait))
        if answer := self._reply(line):
            await self._send(answer)

    def _reply(self, line: bytes) -> bytes:
        """The bytes to send; none if nothing is to be said."""
        knobs = self._acs.knobs
        try:
            request = decode(line)
        except RemoteProtocolError:
            request = None
        if request is None or request.checksum is Checksum.BAD or knobs.garbage:
            knobs.garbage = max(0, knobs.garbage - 1)
            return self._again()
        if request.code == "97":
            return self._last_answer or self._again()
        self._checked = request.checksum is Checksum.GOOD
        if self._checked and line == self._last_request and self._last_answer:
            return self._last_answer
        if request.code == knobs.drop_before or not (self._known or request.code == "93"):
            self._over = True  # nothing is said before the login
            return b""
        return self._work(line, request)

    def _work(self, line: bytes, request: Message) -> bytes:
        knobs = self._acs.knobs
        login = request.code == "93"
        answer = self._login_answer(request) if login else self._desk.answer(request)
        if answer is None:
            return self._again()
        knobs.seen.append(request.code)
        self._last_request = line
        self._last_answer = self._write(answer, request)
        if request.code == knobs.drop_after:
            self._over = True
            return b""
        if knobs.swallow:
            knobs.swallow -= 1
            return b""
        return self._last_answer

    def _login_answer(self, request: Message) -> Message:
        plain = request.fixed["uid_algorithm"] + request.fixed["pwd_algorithm"] == "00"
        right = not self._login[0] or (request.get("CN"), request.get("CO")) == self._login
        self._known = plain and right
        if not self._known:
            self._strikes += 1
            self._over = self._strikes >= _STRIKES
        return Message("94", {"ok": "1" if self._known else "0"})

    def _write(self, answer: Message, request: Message) -> bytes:
        knobs = self._acs.knobs
        if knobs.offline and answer.code == "98":
            answer = replace(answer, fixed={**answer.fixed, "online": "N"})
        fields = list(answer.fields)
        if knobs.twice_af:
            fields += [pair for pair in fields if pair[0] == "AF"]
        whole = replace(answer, fields=tuple(fields), seq=request.seq)
        try:
            line = encode(whole, trailer=False)
        except LocalProtocolError:  # the kiosk left out or made up what is to be echoed
            log.warning("ils.unanswerable", code=answer.code)
            return self._again()
        line = _without(line, answer.code, knobs.omit)
        return seal(line, request.seq) if self._checked else line

    def _again(self) -> bytes:
        return encode(Message("96"), trailer=self._checked)

    async def _send(self, line: bytes) -> None:
        knobs = self._acs.knobs
        self._count += 1
        if self._checked and knobs.bad_every and self._count % knobs.bad_every == 0:
            line = _spoil(line)
        data = knobs.lead + line[:-1] + knobs.end
        if knobs.chatter:
            data = knobs.chatter + knobs.end + data
        if 0 < knobs.split < len(data):
            self._writer.write(data[: knobs.split])
            await self._writer.drain()
            await asyncio.sleep(0.01)
            data = data[knobs.split :]
        self._writer.write(data)
        async with asyncio.timeout(_IDLE):
            await self._writer.drain()


async def main(
    world_path: Path,
    host: str,
    port: int,
    stop: asyncio.Event,
    *,
    user: str = "kiosk",
    password: str = "demo",  # noqa: S107  the demo's own
) -> None:
    """Serve the world at ``world_path`` until ``stop``. ConfigError if the port is taken."""
    world = World(world_path)
    acs = Acs(world, SystemClock(), user=user, password=password)
    try:
        await acs.run(host, port, stop)
    finally:
        world.close()


def _spoil(line: bytes) -> bytes:
    """The line with one digit of its checksum changed."""
    last = line[-2:-1]
    return line[:-2] + (b"0" if last != b"0" else b"1") + line[-1:]


def _without(line: bytes, code: str, ids: frozenset[str]) -> bytes:
    """The line, which has no trailer, with some fields cut out: a strict encoder would not."""
    start = 2 + MESSAGES[code].width
    pieces = line[start:].removesuffix(END).split(b"|")[:-1]
    kept = [piece + b"|" for piece in pieces if piece[:2].decode() not in ids]
    return line[:start] + b"".join(kept) + END
