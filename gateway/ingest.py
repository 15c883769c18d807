"""From the broker into the store: read, judge, commit, and only then acknowledge.

A batch is what the socket returned. While the disk refuses, nothing is acknowledged and nothing more is read, so memory
stays bounded and the broker and the outboxes hold the facts.

The broker's session is kept (``clean_start`` false), so that what came while we were away is here at once; correctness
does not rest on it, since outboxes send again whatever no watermark covers. After a protocol error the session is
dropped: a packet that cannot be read would otherwise come back for ever.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import assert_never
from urllib.parse import urlsplit

from gateway.letters import Desk, Message
from gateway.meters import Meters
from gateway.mqtt import Came, Connected, Refused, Subscribed, Wire
from gateway.post import Post
from gateway.store.port import Letter, Outcome, Store
from mocban import log, supervise, topics
from mocban.clock import Clock
from mocban.errors import PeerUnreachable, RemoteProtocolError, StorageError
from mocban.health import Health
from mocban.identity import Identity
from mocban.ids import jitter, new_id
from mocban.messages import Ack
from mocban.reasons import Course

BACKOFF = (0.1, 5.0)
"""First and longest pause before the broker, or the disk, is tried again, in seconds."""
AWAY = {Course.PARK: 60.0, Course.TAKEN_OVER: 600.0}
"""Seconds before we try again what only a person can cure."""
SLOW = 5.0
"""Seconds in which we publish nothing to a broker for which it was too much."""
TURN = 30.0
"""Seconds within which the loop turns again, its waits on purpose aside: what takes longer hangs."""
HANDSHAKE = 8.0
"""Seconds from connecting until the canary must have come back."""
_READ = 65536
_log = log.get("gateway.ingest")


@dataclass(frozen=True, slots=True)
class Orders:
    """Where to, who as, how much at once; ``clean``: begin with a session that the broker knows nothing of.

    Some brokers send retained states to new sessions only.
    """

    url: str
    identity: Identity
    batch: int = 200
    keep_alive: int = 20
    ca_file: Path | None = None
    clean: bool = False
    password: str = ""


class Stopped(Exception):
    """We are told to end."""


class Ingest:
    """Keeps one connection to the broker, stores what it brings, and publishes what lies in the post.

    ``on_outcome`` after every commit, ``on_ready`` whenever a connection has proven itself (the post is empty then),
    ``on_change`` when our condition may be another one, ``on_beat`` for a heartbeat, which is never stored.
    """

    def __init__(
        self, orders: Orders, store: Store, desk: Desk, clock: Clock, health: Health, meters: Meters,
        post: Post, on_outcome: Callable[[Outcome], None] = lambda _: None,
        on_ready: Callable[[], None] = lambda: None, on_change: Callable[[], None] = lambda: None,
        on_beat: Callable[[Message, datetime], None] = lambda _, __: None,
    ) -> None:  # fmt: skip
        self._orders = orders
        self._store = store
        self._desk = desk
        self._clock = clock
        self._health = health
        self._meters = meters
        self._post = post
        self._on_outcome = on_outcome
        self._on_ready = on_ready
        self._on_change = on_change
        self._on_beat = on_beat
        self._clean = orders.clean
        self.ready = asyncio.Event()
        health.check("store", True)
        health.expect("ingest", TURN)

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, ingest, connect again, until ``stop``; on return nobody writes any more."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="gateway-store")
        pause = BACKOFF[0]
        try:
            while not stop.is_set():
                try:
                    await self._connection(stop, thread)
                except Stopped:
                    break
                except (OSError, PeerUnreachable, RemoteProtocolError) as error:
                    pause = BACKOFF[0] if self.ready.is_set() else min(pause * 2, BACKOFF[1])
                    self._down(error)
                    away = (
                        AWAY.get(error.verdict.course, 0.0) if isinstance(error, Refused) else 0.0
                    )
                    self._health.pulse("ingest", away + pause)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), away + jitter(pause))
        finally:
            self.ready.clear()
            self._meters.connected.set(0)
            await asyncio.to_thread(thread.shutdown)

    def _down(self, error: Exception) -> None:
        self._clean |= isinstance(error, RemoteProtocolError)
        self.ready.clear()
        self._meters.connected.set(0)
        why = _why(error)
        self._health.check("broker", False, f"no broker: {why}")
        self._on_change()
        _log.warning("broker.lost", why=why)

    async def _connection(self, stop: asyncio.Event, thread: ThreadPoolExecutor) -> None:
        url = urlsplit(self._orders.url)
        tls = (
            ssl.create_default_context(cafile=self._orders.ca_file)
            if url.scheme == "mqtts"
            else None
        )
        port = url.port or (8883 if tls else 1883)
        async with asyncio.timeout(HANDSHAKE):
            connecting = asyncio.open_connection(url.hostname, port, ssl=tls)
            link = await supervise.unless(stop, connecting)
        if link is None:
            raise Stopped
        reader, writer = link
        line = _Line(self, reader, writer, stop, thread)
        self._post.on_put = line.wake
        try:
            await line.work()
        finally:
            self._post.on_put = lambda: None
            line.shut()
            self._post.clear()
            writer.close()
            with suppress(OSError):
                async with asyncio.timeout(0.2):
                    await writer.wait_closed()


class _Line:
    """One connection."""

    def __init__(
        self, ingest: Ingest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: asyncio.Event,
        thread: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        self._in = ingest
        self._reader = reader
        self._writer = writer
        self._stop = stop
        self._thread = thread
        orders = ingest._orders
        # Of every tenant: a device set up for a foreign one shall be seen among the dead letters, not be silent.
        filters = tuple(topics.every("+", channel) for channel in ("evt", "state", "rsp", "tel"))
        self._wire = Wire(
            orders.identity.client_id, filters, keep_alive=orders.keep_alive, window=orders.batch,
            login=(orders.identity.device, orders.password.encode()) if orders.password else None,
        )  # fmt: skip
        self._canary = (orders.identity.topic("evt", "canary"), new_id().encode())
        self._loop = asyncio.get_running_loop()
        self._heard = self._pinged = self._loop.time()
        self._may_publish = self._woken = self._shut = False

    def wake(self) -> None:
        """Something was put into the post; from any thread. Many puts make one call."""
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop ended meanwhile
                self._loop.call_soon_threadsafe(self._pay)

    def shut(self) -> None:
        """Publish nothing any more."""
        self._may_publish, self._shut = False, True

    async def work(self) -> None:
        """Handshake, then store and acknowledge until something ends it."""
        self._writer.write(self._wire.connect(clean=self._in._clean))
        deadline = self._loop.time() + HANDSHAKE
        while True:
            try:
                data = await self._read()
            except Stopped:
                self._writer.write(self._wire.disconnect())
                raise
            for messages, packet_ids in self._batches(data):
                await self._take(messages, packet_ids)
            self._pay()
            self._in._health.pulse("ingest", self._wire.keep_alive)
            async with asyncio.timeout(self._wire.keep_alive):
                await self._writer.drain()
            if not self._in.ready.is_set() and self._loop.time() > deadline:
                raise PeerUnreachable(
                    "what we publish does not come back", "look at the broker's access list"
                )

    async def _read(self) -> bytes:
        """The next bytes; pings while there are none. PeerUnreachable if the broker is silent or gone."""
        reading = asyncio.ensure_future(self._reader.read(_READ))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            while not self._stop.is_set():
                every = self._wire.keep_alive / 2 if self._in.ready.is_set() else HANDSHAKE
                self._in._health.pulse("ingest", every)
                await asyncio.wait(
                    {reading, stopping}, timeout=every, return_when=asyncio.FIRST_COMPLETED
                )
                if reading.done():
                    data = reading.result()
                    if not data:
                        raise PeerUnreachable("the broker closed the connection")
                    self._heard = self._loop.time()
                    return data
                if (
                    not self._in.ready.is_set()
                    or self._loop.time() - self._heard > 1.5 * self._wire.keep_alive
                ):
                    raise PeerUnreachable("the broker is silent")
                self._ping()
            raise Stopped
        finally:
            for task in (reading, stopping):
                task.cancel()
            await asyncio.gather(reading, stopping, return_exceptions=True)

    def _ping(self) -> None:
        self._pinged = self._loop.time()
        self._writer.write(self._wire.ping())

    def _batches(self, data: bytes) -> list[tuple[list[Message], list[int]]]:
        """What ``data`` brought, in batches within the bound; handshake and canary are dealt with on the way."""
        batches: list[tuple[list[Message], list[int]]] = [([], [])]
        for happening in self._wire.feed(data):
            match happening:
                case Connected():
                    self._writer.write(self._wire.subscribe())
                case Subscribed():
                    self._may_publish = True
                    self._writer.write(self._wire.publish(*self._canary))
                case Came(message, packet_id):
                    if len(batches[-1][1]) >= self._in._orders.batch:
                        batches.append(([], []))
                    batches[-1][1].append(packet_id)
                    if message.topic != self._canary[0]:
                        batches[-1][0].append(message)
                    elif message.payload == self._canary[1]:
                        self._ready()
                case _:
                    assert_never(happening)
        return batches if batches[0][1] else []

    def _ready(self) -> None:
        self._in.ready.set()
        self._in._clean = False
        self._in._meters.connections.inc()
        self._in._meters.connected.set(1)
        self._in._health.check("broker", True)
        self._in._on_change()
        self._in._on_ready()
        _log.info("broker.ready")

    async def _take(self, messages: Sequence[Message], packet_ids: Sequence[int]) -> None:
        """Store one batch, then tell broker and devices."""
        rx = self._in._clock.now()
        for m in messages:
            if m.topic.endswith("/tel"):
                self._in._on_beat(m, rx)
        messages = [m for m in messages if not m.topic.endswith("/tel")]
        letters = [letter for m in messages if (letter := self._in._desk.read(m, rx)) is not None]
        if letters:
            outcome = await self._store(letters)
            for mark in outcome.watermarks:
                ack = Ack(epoch=mark.epoch, upto=mark.upto, chain=mark.chain or None)
                self._in._post.ack(mark.device, ack)
            for reason, times in outcome.dead.items():
                _log.warning("letters.dead", reason=reason, times=times)
            self._in._on_outcome(outcome)
        self._writer.write(self._wire.acknowledge(packet_ids))
        self._pay()

    async def _store(self, letters: Sequence[Letter]) -> Outcome:
        """Append, again and again while the disk refuses; the line is kept alive meanwhile."""
        ingest, pause = self._in, BACKOFF[0]
        while True:
            began = self._loop.time()
            ingest._health.pulse("ingest")
            try:
                outcome = await self._loop.run_in_executor(
                    self._thread, ingest._store.append, letters
                )
            except StorageError as error:
                ingest._meters.storage_failures.inc()
                ingest._health.check("store", False, error.say)
                ingest._on_change()
                _log.error("store.failed", say=error.say, do=error.do)
            else:
                ingest._meters.batch.observe(len(letters))
                ingest._meters.commit.observe(self._loop.time() - began)
                ingest._health.check("store", True)
                return outcome
            if self._loop.time() - self._pinged > self._wire.keep_alive / 2:
                self._ping()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), jitter(pause))
            if self._stop.is_set():
                raise Stopped
            pause = min(pause * 2, BACKOFF[1])

    def _pay(self) -> None:
        """Publish what lies in the post, as far as the broker's window allows."""
        self._woken = False  # before looking: what is put from here on wakes us again
        self._mind()
        while self._may_publish and self._wire.room > 0:
            out = self._in._post.take()
            if out is None:
                return
            self._writer.write(
                self._wire.publish(out.topic, out.payload, retain=out.retain, expiry=out.expiry)
            )

    def _mind(self) -> None:
        """What the broker did not take: counted; whoever put it will put it again."""
        for topic, verdict in ((lost.topic, lost.verdict) for lost in self._wire.unsent()):
            self._in._meters.unsent.labels(verdict.name).inc()
            if verdict.course is not Course.GO:  # nobody listening is nothing new
                _log.warning("publish.refused", topic=topic, why=verdict.name, do=verdict.do)
            if verdict.course is Course.SLOW and self._may_publish:
                self._may_publish = False
                self._loop.call_later(SLOW, self._go_on)

    def _go_on(self) -> None:
        self._may_publish = not self._shut
        self._pay()


def _why(error: Exception) -> str:
    """A few words for a person."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
