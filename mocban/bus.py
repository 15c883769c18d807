"""The way from an outbox to the gateway: paho-mqtt behind one small door; the only file that imports paho.

A PUBACK proves nothing: rows leave the outbox by the gateway's watermark alone. paho keeps no state of ours: we publish
only while connected, and every connection is a new client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
)
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from prometheus_client import Counter

from mocban import log
from mocban.identity import Identity
from mocban.ids import jitter
from mocban.outbox import Outbox

WINDOW = 50  # unconfirmed publishes at a time
KEEP_ALIVE = 30  # seconds
WILL_DELAY = (
    10  # seconds before the broker tells others that we are gone: hides a short break of the line
)
BACKOFF = (0.2, 30.0)  # first and longest pause before connecting again, seconds
RESEND = (
    2.0,
    60.0,
)  # first and longest wait for the watermark before everything waiting is sent again, seconds
PARKED = 60.0  # pause after the broker said "not authorized", seconds

_log = log.get("bus")
_published = Counter("mocban_bus_published_total", "Facts handed to the broker, repeats included")
_refused = Counter("mocban_bus_refused_total", "PUBACKs with a reason of failure", ["reason"])


class Bus:
    """Keeps one process connected and its outbox draining."""

    def __init__(self, url: str, identity: Identity, outbox: Outbox) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "mqtts"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (8883 if self._tls else 1883)
        self._identity = identity
        self._outbox = outbox
        self._loop: asyncio.AbstractEventLoop
        self._wake = asyncio.Event()
        self.connected = False

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, drain, connect again, until ``stop``."""
        self._loop = asyncio.get_running_loop()
        self._outbox.on_put = lambda: self._poke()
        pause = BACKOFF[0]
        while not stop.is_set():
            link = Link(self)
            session = asyncio.create_task(self._session(link, stop))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({session, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if await self._ended(session, stopped):
                pause = BACKOFF[0]
            self.connected = False
            await link.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), jitter(pause) + (PARKED if link.parked else 0))
            pause = min(pause * 2, BACKOFF[1])

    async def _session(self, link: Link, stop: asyncio.Event) -> bool:
        """One connection from first byte to last; True if there was one."""
        try:
            await link.open(self._host, self._port, tls=self._tls)
        except (OSError, ValueError) as error:
            _log.info("bus.down", why=type(error).__name__)
            return False
        await link.drain(stop)
        return True

    async def _ended(self, session: asyncio.Task[bool], stopped: asyncio.Task[bool]) -> bool:
        """Let go of a connection at once when we stop, even one that never answers."""
        if not session.done():
            done, _ = await asyncio.wait({session}, timeout=0.1)  # the drain sees stop by itself
            if not done:
                session.cancel()
        stopped.cancel()
        results = await asyncio.gather(session, stopped, return_exceptions=True)
        fault = results[0]
        if isinstance(fault, Exception):
            raise fault
        return fault is True

    def _poke(self) -> None:
        """Wake the drain; called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is gone: we are stopping
            self._loop.call_soon_threadsafe(self._wake.set)

    def state(self, *, online: bool) -> bytes:
        """The retained ``state`` of this process; it carries the epoch, so a late will cannot speak for a new one."""
        return json.dumps(
            {
                "v": 1,
                "online": online,
                "app": self._identity.app,
                "epoch": self._outbox.epoch,
                "version": version("mocban"),
            }
        ).encode()


class Link:
    """One connection, from CONNECT to its end. paho's thread calls in; everything else runs on the loop."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._flying: dict[int, int] = {}  # mid -> seq
        self._sent = 0  # highest seq handed to paho on this connection
        self.parked = False
        identity = bus._identity
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            identity.client_id,
            protocol=MQTTv5,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(
            WINDOW + 1
        )  # paho queues beyond 20 by itself; one more is the state
        will = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        will.WillDelayInterval = WILL_DELAY
        client.will_set(
            identity.topic("state"), bus.state(online=False), qos=1, retain=True, properties=will
        )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    async def open(self, host: str, port: int, *, tls: bool) -> None:
        """Connect and subscribe to our watermark; OSError if that fails."""
        # A plain cancellable connect first: paho's own blocks a thread, for as long as a dead line likes.
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        if tls:
            self._client.tls_set()
        self._client.connect_timeout = 5
        await asyncio.to_thread(self._client.connect, host, port, KEEP_ALIVE, clean_start=True)
        self._client.loop_start()
        async with asyncio.timeout(5):
            await self._up.wait()
        if self._lost.is_set():
            raise OSError("the broker refused the connection")
        identity = self._bus._identity
        self._client.subscribe(identity.topic("ack"), qos=1)
        self._client.publish(
            identity.topic("state"), self._bus.state(online=True), qos=1, retain=True
        )
        self._bus.connected = True
        _log.info("bus.up")

    async def drain(self, stop: asyncio.Event) -> None:
        """Publish what waits, within the window; begin again when the watermark stands still."""
        wait, mark = RESEND[0], self._outbox_floor()
        wake = self._bus._wake
        stopped = asyncio.create_task(stop.wait())
        stopped.add_done_callback(lambda _: wake.set())
        try:
            while not (stop.is_set() or self._lost.is_set()):
                wake.clear()
                self._publish()
                try:
                    async with asyncio.timeout(wait):
                        await wake.wait()
                except TimeoutError:
                    floor = self._outbox_floor()
                    if floor is None or floor != mark:
                        wait = RESEND[0]
                    elif not self._flying:
                        # Everything was confirmed by the broker, yet the gateway never said so: it was dropped.
                        self._sent, wait = 0, min(wait * 2, RESEND[1])
                    mark = floor
        finally:
            stopped.cancel()

    async def close(self) -> None:
        """Say goodbye and end paho's thread."""
        if self._client.is_connected():
            topic = self._bus._identity.topic("state")
            self._client.publish(topic, self._bus.state(online=False), qos=0, retain=True)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _outbox_floor(self) -> int | None:
        rows = self._bus._outbox.rows(0, 1)
        return rows[0].seq if rows else None

    def _publish(self) -> None:
        room = WINDOW - len(self._flying)
        if room <= 0 or self._lost.is_set():
            return
        for row in self._bus._outbox.rows(self._sent, room):
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.UserProperty = [("epoch", self._bus._outbox.epoch), ("seq", str(row.seq))]
            topic = self._bus._identity.topic("evt", row.kind)
            info = self._client.publish(topic, row.payload, qos=1, properties=properties)
            if info.rc != 0:
                return  # the drop is noticed in a moment; this client is never asked again
            self._flying[info.mid] = row.seq
            self._sent = row.seq
            _published.inc()

    # paho's thread:

    def _on_connect(
        self, _c: Client, _u: Any, _f: ConnectFlags, reason: ReasonCode, _p: Any
    ) -> None:
        if reason.is_failure:
            self._call(self._lost.set)
        self._call(self._up.set)

    def _on_disconnect(
        self, _c: Client, _u: Any, _f: DisconnectFlags, _r: ReasonCode, _p: Any
    ) -> None:
        self._call(self._lost.set)
        self._call(self._up.set)
        self._call(self._bus._wake.set)

    def _on_publish(self, _c: Client, _u: Any, mid: int, reason: ReasonCode, _p: Any) -> None:
        self._call(self._confirmed, mid, int(reason.value))

    def _on_message(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        self._call(self._watermark, bytes(message.payload))

    def _call(self, function: Any, *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: we are stopping
            self._bus._loop.call_soon_threadsafe(function, *args)

    # the loop again:

    def _confirmed(self, mid: int, reason: int) -> None:
        self._flying.pop(mid, None)
        if reason >= 0x80 or reason == 0x10:
            _refused.labels(f"0x{reason:02x}").inc()
        if reason == 0x87:  # not authorized: repeating it at once only fills the broker's log
            self.parked = True
            self._lost.set()
            _log.error(
                "bus.not-authorized",
                do="check the device's certificate and the broker's access list",
            )
        self._bus._wake.set()

    def _watermark(self, payload: bytes) -> None:
        try:
            body = json.loads(payload[:512])
            epoch, upto = str(body["epoch"]), int(body["upto"])
        except (ValueError, TypeError, KeyError):
            _log.warning("bus.bad-ack")
            return
        self._bus._outbox.acked(epoch, upto)
        self._bus._wake.set()
