"""The way from an outbox to the gateway and from the gateway to us.

A PUBACK proves nothing: rows leave the outbox by the gateway's watermark alone. Every connection is a new ``Line``;
what it may send stands in ``mocban.flow``, what a broker's refusal means in ``mocban.reasons``.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import Counter

from mocban import log
from mocban.alarm import Alarm
from mocban.commands import ORDER_MAX
from mocban.errors import RemoteProtocolError, StorageError
from mocban.feeds import FEED_MAX
from mocban.flow import Flow, publish_size
from mocban.heart import Heart
from mocban.identity import Identity
from mocban.ids import jitter
from mocban.line import CONNECT_SECONDS, Line
from mocban.messages import MESSAGE_MAX, Ack, State
from mocban.outbox import Outbox
from mocban.reasons import Course, Packet, Verdict, judge

WINDOW = 50  # unconfirmed publishes at a time, or the broker's Receive Maximum if that is less
KEEP_ALIVE = 30  # seconds, unless the broker names its own
WILL_DELAY = 10  # seconds before others hear that we are gone: hides a short break of the line
BACKOFF = (0.2, 30.0)  # first and longest pause before connecting again, seconds
RESEND = (2.0, 60.0)  # first and longest wait for the watermark before all is sent again, seconds
PARKED = 60.0  # pause after a refusal that only a person can cure, seconds
TAKEN_OVER = 600.0  # pause after somebody else came with our identity, seconds
RECEIPTS = 64  # receipts waiting for room; an order whose receipt is lost comes again
PACKET_MAX = FEED_MAX + 4096  # longest packet we take, told to the broker
LONGEST = {"ack": MESSAGE_MAX, "cmd": ORDER_MAX, "feed": FEED_MAX}

Take = Callable[[str, bytes], None]
"""Gets the name of an order or a feed, and its payload."""

_log = log.get("bus")
_published = Counter("mocban_bus_published_total", "Facts handed to the broker, repeats included")
_refused = Counter("mocban_bus_refused_total", "Publishes the broker did not take", ["reason"])
_ended = Counter("mocban_bus_ended_total", "Connections the broker ended", ["packet", "reason"])
_dropped = Counter("mocban_bus_dropped_total", "Messages to us that were no use", ["channel"])


class Bus:
    """Keeps one process connected and its outbox draining."""

    def __init__(
        self, url: str, identity: Identity, outbox: Outbox, *, ca_file: Path | None = None, password: str = "",
        orders: Take | None = None, feeds: Take | None = None, heart: Heart | None = None,
    ) -> None:  # fmt: skip
        parts = urlsplit(url)
        self._tls = parts.scheme == "mqtts"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (8883 if self._tls else 1883)
        self._ca_file = ca_file
        self._identity = identity
        self._login = (identity.device, password) if password else None
        self._outbox = outbox
        self._takes = {"cmd": orders, "feed": feeds}
        self._heart = heart
        self._loop: asyncio.AbstractEventLoop
        self._wake = asyncio.Event()
        self._link: Link | None = None
        self._retain = True  # until the broker says that it cannot
        self._alarm = Alarm(identity.device, lambda say: self.on_alarm(say))
        self.connected = False
        self.mode = ""
        self.feed_versions: dict[str, int] = {}
        self.on_alarm: Callable[[str], None] = lambda _: None
        """Called on the loop with what a person has to do, and with "" once it is over."""

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, drain, connect again, until ``stop``."""
        self._loop = asyncio.get_running_loop()
        self._outbox.on_put = lambda: self._poke()
        pause = BACKOFF[0]
        while not stop.is_set():
            link = self._link = Link(self)
            session = asyncio.create_task(self._session(link, stop))
            stopped = asyncio.create_task(stop.wait())
            began = self._loop.time()
            await asyncio.wait({session, stopped}, return_when=asyncio.FIRST_COMPLETED)
            try:
                await self._settled(session, stopped)
            finally:
                self.connected, self._link = False, None
                await link.close()
            if link.useful or self._loop.time() - began > BACKOFF[1]:
                pause = BACKOFF[0]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), link.rest(pause))
            pause = min(pause * 2, BACKOFF[1])

    def receipt(self, name: str, payload: bytes) -> None:
        """Publish on ``rsp/{name}``; dropped while there is no connection, since the order comes again. On the loop."""
        if self._link is not None and self.connected:
            self._link.receipts.append((name, payload))
            self._wake.set()

    def say(self) -> None:
        """Publish the retained state again, for ``mode`` or ``feed_versions`` changed. On the loop."""
        if self._link is not None:
            self._link.saying = True
            self._wake.set()

    @property
    def alarm(self) -> str:
        """What a person has to do before anything flows again; empty if nothing."""
        return self._alarm.say

    def state(self, *, online: bool) -> bytes:
        """The retained ``state`` of this process; it carries the epoch, so a late will cannot speak for a new one."""
        outbox = self._outbox
        return State(
            online=online, app=self._identity.app, epoch=outbox.epoch, version=version("mocban"),
            mode=self.mode, upto=outbox.upto, told=outbox.told, feeds=dict(self.feed_versions),
        ).encode()  # fmt: skip

    async def _session(self, link: Link, stop: asyncio.Event) -> None:
        """One connection from first byte to last."""
        try:
            await link.open(self._host, self._port, self._ca_file, tls=self._tls)
        except (OSError, ValueError) as error:  # no name, no peer, no certificate
            if link.verdict is None:  # else it was logged by its name
                _log.info("bus.down", why=type(error).__name__)
            return
        await link.drain(stop)

    async def _settled(self, session: asyncio.Task[None], stopped: asyncio.Task[bool]) -> None:
        """Let go of a connection at once when we stop, even one that never answers."""
        if not session.done():
            done, _ = await asyncio.wait({session}, timeout=0.1)  # the drain sees stop by itself
            if not done:
                session.cancel()
        stopped.cancel()
        results = await asyncio.gather(session, stopped, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    def _poke(self) -> None:
        """Wake the drain; called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is gone: we are stopping
            self._loop.call_soon_threadsafe(self._wake.set)


class Link:
    """One connection, from CONNECT to its end."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._epoch = bus._outbox.epoch
        self._renewed = False
        self._own = bus._identity.topic("state").removesuffix("state")
        self._flow = Flow(WINDOW, RESEND, bus._loop.time(), self._floor())
        self._packet_max: int | None = None
        self._oversize: set[str] = set()  # said once a connection
        self._will = bus.state(online=False)
        self._line = Line(
            bus._identity.client_id, (self._own + "state", self._will, bus._retain), WILL_DELAY, WINDOW + 1, self,
            bus._login,
        )  # fmt: skip
        self.saying = True
        self.receipts: deque[tuple[str, bytes]] = deque(maxlen=RECEIPTS)
        self.verdict: Verdict | None = None
        self.useful = False  # a watermark came

    async def open(self, host: str, port: int, ca_file: Path | None, *, tls: bool) -> None:
        """Connect and subscribe to what is ours; OSError if that fails."""
        await self._line.open(
            host, port, tls=tls, ca_file=ca_file, keep_alive=KEEP_ALIVE, session=WILL_DELAY, packet_max=PACKET_MAX
        )  # fmt: skip
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._up.wait()
        if self._lost.is_set():
            raise OSError("the broker refused the connection")
        if self._bus._heart is not None:
            self._bus._heart.begin(self._bus._poke)
        filters = ["ack", *(f"{name}/#" for name, take in self._bus._takes.items() if take)]
        self._line.subscribe(self._own + name for name in filters)
        self._bus.connected = True
        _log.info("bus.up")

    async def drain(self, stop: asyncio.Event) -> None:
        """Publish what waits, within the window; begin again when the watermark stands still."""
        clock, wake = self._bus._loop.time, self._bus._wake
        stopped = asyncio.create_task(stop.wait())
        stopped.add_done_callback(lambda _: wake.set())
        try:
            while not (stop.is_set() or self._lost.is_set()):
                if self._bus._outbox.epoch != self._epoch:
                    self._renewed = True  # the will speaks for the old one
                    return
                wake.clear()
                self._publish()
                beat = self._beat(clock())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(min(self._flow.until(clock()), beat)):
                        await wake.wait()
                if self._flow.due(now := clock()) and not self._flow.tick(now, self._floor()):
                    _log.warning("bus.mute")
                    return
        finally:
            stopped.cancel()

    async def close(self) -> None:
        """Say goodbye, for the epoch this connection spoke for."""
        words = self._will if self._renewed else self._bus.state(online=False)
        await self._line.close(self._own + "state", words, retain=self._bus._retain)

    def rest(self, pause: float) -> float:
        """Seconds until the next connection, if the usual pause is ``pause``."""
        longer = {Course.PARK: PARKED, Course.TAKEN_OVER: TAKEN_OVER}
        more = longer.get(self.verdict.course, 0.0) if self.verdict else 0.0
        return 0.0 if self._renewed else more + jitter(pause)

    def _floor(self) -> int | None:
        rows = self._bus._outbox.rows(0, 1)
        return rows[0].seq if rows else None

    def _publish(self) -> None:
        """Fill the window: first what is awaited, then facts in order."""
        if self._lost.is_set() or self._flow.held(self._bus._loop.time()):
            return
        if self.saying and self._flow.room > 0:
            self.saying = False
            self._send("state", self._bus.state(online=True), retain=self._bus._retain)
        while self.receipts and self._flow.room > 0:
            name, payload = self.receipts.popleft()
            self._send(f"rsp/{name}", payload)
        for row in self._flow.turns(self._bus._outbox.rows):
            if not self._send(f"evt/{row.kind}", row.payload, row.seq):
                return

    def _beat(self, now: float) -> float:
        """A heartbeat if one is due, and when the next one is. QoS 0: it needs no room, and nobody answers."""
        heart, topic = self._bus._heart, self._own + "tel"
        if heart is None or self._lost.is_set():
            return math.inf
        payload = heart.turn(now, self._bus.mode)
        if payload and publish_size(topic, payload, ()) <= (self._packet_max or math.inf):
            self._line.publish(topic, payload, [], qos=0)
        return heart.next

    def _send(self, tail: str, payload: bytes, seq: int = 0, *, retain: bool = False) -> bool:
        """One publish, or its count if the broker takes none so long; False if the line is gone."""
        topic = self._own + tail
        user = [("epoch", self._epoch), ("seq", str(seq))] if seq else []
        size = publish_size(topic, payload, user)
        if self._packet_max is not None and size > self._packet_max:
            _refused.labels("packet-too-large").inc()
            if tail not in self._oversize:
                self._oversize.add(tail)
                _log.error("bus.oversize", topic=tail, bytes=size, limit=self._packet_max)
            return True
        packet_id = self._line.publish(topic, payload, user, retain=retain)
        if packet_id is None:
            return False
        self._flow.sent(packet_id, seq)
        if seq:
            _published.inc()
        return True

    # what the broker says:

    def welcomed(self, code: int, limits: dict[str, Any]) -> None:
        """CONNACK."""
        if limits.get("MaximumQoS", 1) < 1 and code < 0x80:
            code = 0x9B  # it will not take what we have to say
        if code >= 0x80:
            self._end("connack", code, limits.get("ServerReference", ""))
        self._flow.narrow(limits.get("ReceiveMaximum", 65_535))
        self._packet_max = limits.get("MaximumPacketSize")
        if not limits.get("RetainAvailable", 1):
            self._bus._retain = False
        self._up.set()

    def gone(self, code: int | None, reference: str) -> None:
        """DISCONNECT, or the bare end of the connection."""
        if code is not None:
            self._end("disconnect", code, reference)
        self._lost.set()
        self._up.set()
        self._bus._wake.set()

    def granted(self, codes: list[int]) -> None:
        """SUBACK; without our watermark nothing would ever be deleted, without orders and feeds we still tell."""
        for code in codes[1:]:
            if code >= 0x80:
                _log.error("bus.deaf", reason=judge("suback", code).name)
        if codes[0] >= 0x80:
            self._end("suback", codes[0])
        else:
            self._bus._alarm.granted()

    def confirmed(self, mid: int, code: int) -> None:
        """PUBACK."""
        seq, verdict = self._flow.confirmed(mid), judge("puback", code)
        if code != 0x00:
            _refused.labels(verdict.name).inc()
        if verdict.course is Course.GO and seq:
            self._flow.eased()
        elif verdict.course is Course.SLOW:
            self._flow.hold(self._bus._loop.time(), seq)
        elif verdict.course is Course.PARK and seq:  # a refused state or receipt stops no facts
            self._bus._alarm.block(seq)
            self._end("puback", code)  # repeating it at once only fills the broker's log
        if verdict.course is not Course.GO:
            _log.warning("bus.refused", reason=verdict.name, seq=seq)
        self._bus._wake.set()

    def came(self, topic: str, payload: bytes) -> None:
        """A watermark, an order or a feed."""
        channel, _, name = topic.removeprefix(self._own).partition("/")
        longest = LONGEST.get(channel)
        if not topic.startswith(self._own) or longest is None:
            return
        if len(payload) > longest:
            _dropped.labels(channel).inc()
            _log.warning("bus.too-long", channel=channel, bytes=len(payload))
            return
        take = self._bus._takes.get(channel)
        try:
            if channel == "ack":
                self._watermark(payload)
            elif take is not None:
                take(name, payload)
        except Exception as error:  # noqa: BLE001  whatever an order meets, the line stays
            _dropped.labels(channel).inc()
            _log.error("bus.fault", channel=channel, why=type(error).__name__)

    def _watermark(self, payload: bytes) -> None:
        try:
            ack = Ack.parse(payload)
        except RemoteProtocolError:
            _dropped.labels("ack").inc()
            _log.warning("bus.bad-ack")
            return
        self.useful = True
        outbox = self._bus._outbox
        try:
            outbox.acked(ack)
        except StorageError as error:  # the facts are sent again, and the watermark comes again
            _log.error("bus.ack-failed", say=error.say)
            return
        self._bus._alarm.passed(outbox.upto, renewed=outbox.epoch != self._epoch)
        self._bus._wake.set()

    def _end(self, packet: Packet, code: int, reference: str = "") -> None:
        """The broker ended it, or what it said makes us end it; its first word counts."""
        if self.verdict is not None:
            return
        self.verdict = verdict = judge(packet, code)
        _ended.labels(packet, verdict.name).inc()
        tell = _log.error if verdict.alarm or verdict.course is Course.OURS else _log.warning
        tell("bus.ended", packet=packet, reason=verdict.name, do=verdict.do, reference=reference)
        if code == 0x9A:
            self._bus._retain = False
        if verdict.alarm or packet == "suback":
            self._bus._alarm.ring(packet, verdict)
        self._lost.set()
        self._bus._wake.set()
