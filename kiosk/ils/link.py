"""The line to the library system: made, greeted, kept alive, noticed when lost, made again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client import Counter

import mocban.log
from kiosk.ils.port import IlsSilent, Sent
from kiosk.settings import IlsSettings
from kiosk.wire.sip2 import Message
from kiosk.wire.sip2_exchange import Done, Exchange, GiveUp, LineFramer, Send, Step
from mocban.errors import ConfigError, MocbanError, PeerUnreachable, RemoteProtocolError
from mocban.ids import jitter

log = mocban.log.get("kiosk.ils")

_repeats = Counter(
    "mocban_sip2_repeats_total", "Requests sent again, or answers asked for again by 97"
)
_STRAYS = 256  # lines nobody asked for before a peer counts as flooding
_UNREAD = 64  # lines that may wait while one request is under way
_STEADY = 5.0  # seconds a greeting must have held before the back-off begins anew


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: back-off from ``first`` doubling to ``most``, or ``refused`` after a refused login;
    ``idle`` before a 99."""

    first: float = 0.5
    most: float = 10.0
    refused: float = 60.0
    idle: float = 60.0


USUAL = Pace()


class LoginRefused(RemoteProtocolError):
    """The library system does not let this kiosk in; asking often locks accounts."""

    code = "ils-login-refused"


class Link:
    """One SIP2 line. ``run`` keeps it up; ``ask`` uses it, one request at a time.

    ``on_ready`` and ``on_lost`` are called in the loop each time the line comes up or goes down.
    """

    def __init__(
        self,
        settings: IlsSettings,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_lost: Callable[[], None] = lambda: None,
        pace: Pace = USUAL,
    ) -> None:
        self._host, self._port = _address(settings.url)
        self._settings = settings
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._pace = pace
        self._wire: _Wire | None = None
        self._turn = asyncio.Lock()
        self._asked = 0.0  # loop time of the last exchange's end
        self._hints: dict[str, str] = {}  # what 98 says is allowed: logged, not believed

    @property
    def ready(self) -> bool:
        """True if the line is up, greeted and not known to be lost."""
        return self._wire is not None and not self._wire.lost.is_set()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the line up until ``stop``; never raises for anything the other side does."""
        keeping = asyncio.create_task(self._keep())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            keeping.cancel()
            stopping.cancel()
            ends = await asyncio.gather(keeping, stopping, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def ask(self, request: Message) -> tuple[Message, bool]:
        """The answer, and whether the request went out more than once. IlsSilent after at most
        (retries + 1) timeouts once it is our turn."""
        async with self._turn:
            wire = self._wire
            if wire is None or wire.lost.is_set():
                raise IlsSilent(Sent.NEVER, "there is no connection to the library system")
            return await self._through(wire, request)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        tries = 0
        while True:
            began, refused, why = loop.time(), False, ""
            try:
                await self._session()
                why = "the library system closed the connection"
            except LoginRefused as error:
                refused, why = True, error.say
            except (OSError, TimeoutError, MocbanError, IlsSilent) as error:
                why = str(error) or type(error).__name__
            tries = 0 if loop.time() - began >= _STEADY else tries + 1
            longest = self._pace.refused if refused else self._pace.most
            pause = (
                longest
                if refused
                else min(longest, self._pace.first * 2 ** min(max(tries - 1, 0), 16))
            )
            if tries & (tries - 1) == 0:  # a system that is away for a night fills no log
                log.warning("ils.lost", why=why, tries=tries)
            await asyncio.sleep(jitter(pause))

    async def _session(self) -> None:
        """One connection from its beginning to its loss."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                reader, writer = await asyncio.open_connection(self._host, self._port)
        except TimeoutError:
            raise PeerUnreachable("the library system does not take the connection") from None
        wire = _Wire(reader, writer, self._settings)
        greeted = False
        try:
            await self._greet(wire)
            self._wire, greeted = wire, True
            log.info("ils.ready", says=self._hints)
            self._on_ready()
            await self._stay(wire)
        finally:
            self._wire = None
            await wire.close()
            if greeted:
                self._on_lost()

    async def _greet(self, wire: _Wire) -> None:
        settings = self._settings
        if settings.user:
            fields = [("CN", settings.user), ("CO", settings.password.get_secret_value())]
            if settings.location:
                fields.append(("CP", settings.location))
            login = Message("93", {"uid_algorithm": "0", "pwd_algorithm": "0"}, tuple(fields))
            answer, _ = await self._through(wire, login)
            if answer.fixed["ok"] not in "1Y":
                raise LoginRefused("the library system refuses our login", "check [kiosk.ils] user")
        await self._check_status(wire)

    async def _check_status(self, wire: _Wire) -> None:
        fixed = {"status": "0", "print_width": "080", "version": "2.00"}
        answer, _ = await self._through(wire, Message("99", fixed))
        self._hints = {name: answer.fixed[name] for name in ("checkin", "checkout", "offline")}
        if answer.fixed["online"] == "N":
            raise PeerUnreachable("the library system says that it is not on-line")

    async def _stay(self, wire: _Wire) -> None:
        """Until the wire is lost; a 99 whenever nothing was said for a while."""
        loop = asyncio.get_running_loop()
        while not wire.lost.is_set():
            pause = self._asked + self._pace.idle * (0.75 + jitter(0.25)) - loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause, 0)):
                    await wire.lost.wait()
            if loop.time() - self._asked < self._pace.idle * 0.75 or wire.lost.is_set():
                continue
            async with self._turn:
                await self._check_status(wire)

    async def _through(self, wire: _Wire, request: Message) -> tuple[Message, bool]:
        """One exchange. Without an answer the connection ends: the next one would be in doubt."""
        step: Step = Send(wire.exchange.begin(request))
        wire.lines.clear()
        wire.busy = True
        try:
            return await self._steps(wire, step)
        except BaseException:
            wire.abort()
            raise
        finally:
            wire.busy = False
            self._asked = asyncio.get_running_loop().time()

    async def _steps(self, wire: _Wire, step: Step) -> tuple[Message, bool]:
        loop = asyncio.get_running_loop()
        deadline, sent = loop.time(), False
        while True:
            match step:
                case Send(data):
                    if sent:
                        _repeats.inc()
                    sent = True
                    wire.send(data)
                    deadline = loop.time() + self._settings.timeout
                case Done(answer, repeated):
                    return answer, repeated
                case GiveUp(why):
                    raise IlsSilent(Sent.MAYBE, why)
            if wire.exchange.strays > _STRAYS:
                raise IlsSilent(Sent.MAYBE, "the library system says what nobody asked for")
            try:
                line = await wire.line(deadline)
            except TimeoutError:
                step = wire.exchange.timed_out()
            else:
                step = wire.exchange.received(line)


class _Wire:
    """One TCP connection: a task reads lines, at most a bounded number wait."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, settings: IlsSettings
    ) -> None:
        self.exchange = Exchange(
            settings.encoding,
            error_detection=settings.error_detection,
            retries=settings.retries,
        )
        self.lines: deque[bytes] = deque()
        self.lost = asyncio.Event()
        self.busy = False
        self._reader = reader
        self._writer = writer
        self._framer = LineFramer()
        self._strays = 0
        self._news = asyncio.Event()
        if (plug := writer.get_extra_info("socket")) is not None:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._reading = asyncio.create_task(self._read())

    def send(self, data: bytes) -> None:
        """Hand bytes to the connection; IlsSilent if it is gone (only then is nothing sent)."""
        if self.lost.is_set():
            raise IlsSilent(Sent.MAYBE, "the connection to the library system was lost")
        self._writer.write(data)

    async def line(self, deadline: float) -> bytes:
        """The next line; TimeoutError at loop time ``deadline``, IlsSilent if the line is lost."""
        async with asyncio.timeout_at(deadline):
            while not self.lines:
                if self.lost.is_set():
                    raise IlsSilent(Sent.MAYBE, "the connection to the library system was lost")
                self._news.clear()
                await self._news.wait()
            return self.lines.popleft()

    def abort(self) -> None:
        """Cut the connection at once."""
        self._writer.transport.abort()
        self.lost.set()
        self._news.set()

    async def close(self) -> None:
        """End the connection and its task; bounded."""
        self._reading.cancel()
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.1):
                await self._writer.wait_closed()
        self._writer.transport.abort()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(65536):
                self._take(self._framer.feed(data))
                if self._framer.dropped or self._strays > _STRAYS or len(self.lines) > _UNREAD:
                    log.warning("ils.flood")
                    break
        except OSError:
            pass  # lost, and said so below
        finally:
            self.abort()

    def _take(self, lines: list[bytes]) -> None:
        if self.busy:
            self.lines.extend(lines)
            self._news.set()
        else:
            self._strays += len(lines)


def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or 6001
        (parts.hostname or "").encode("idna")
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "sip2" or not parts.hostname:
        raise ConfigError(f"{url!r} is no address of a library system", "write sip2://host:6001")
    return parts.hostname, port
