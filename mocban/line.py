"""paho-mqtt behind one small door; the only file that imports it. One ``Line`` is one connection, never used again.

paho keeps no state of ours: it neither reads the broker's Receive Maximum nor forgets what it queued while down, so the
caller counts what is unconfirmed and publishes only while connected.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

CONNECT_SECONDS = 5.0


class Listener(Protocol):
    """Who hears what the broker says; always on the loop."""

    def welcomed(self, code: int, limits: dict[str, Any]) -> None:
        """CONNACK; ``limits`` are its properties by their names in MQTT 5 without spaces."""

    def gone(self, code: int | None, reference: str) -> None:
        """The connection is over; ``code`` and server reference if the broker said so itself."""

    def confirmed(self, mid: int, code: int) -> None:
        """PUBACK."""

    def granted(self, codes: list[int]) -> None:
        """SUBACK."""

    def came(self, topic: str, payload: bytes) -> None:
        """A message."""


class Line:
    """One connection. paho's thread calls in; everything else runs on the loop."""

    def __init__(
        self, client_id: str, will: tuple[str, bytes, bool], will_delay: int, inflight: int, listener: Listener,
        login: tuple[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5, reconnect_on_failure=False
        )
        client.max_inflight_messages_set(inflight)  # cannot change once connected
        if login is not None:
            client.username_pw_set(*login)
        properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        properties.WillDelayInterval = will_delay
        topic, payload, retain = will
        client.will_set(topic, payload, qos=1, retain=retain, properties=properties)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message

    async def open(
        self, host: str, port: int, *, tls: bool, ca_file: Path | None, keep_alive: int, session: int,
        packet_max: int,
    ) -> None:  # fmt: skip
        """Send CONNECT with a clean start; OSError if nobody is there."""
        context = ssl.create_default_context(cafile=ca_file) if tls else None
        # A cancellable connect and handshake first: paho's own blocks a thread, for as long as a dead line likes, and
        # leaves its socket open when it does not believe the certificate.
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        if context is not None:
            self._client.tls_set_context(context)
        self._client.connect_timeout = CONNECT_SECONDS
        hello = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        # A session of 0 seconds would end with the connection, and its will be told at once (MQTT 5.0, 3.1.3.2.2).
        hello.SessionExpiryInterval = session
        hello.MaximumPacketSize = packet_max
        await asyncio.to_thread(
            self._client.connect, host, port, keep_alive, clean_start=True, properties=hello
        )
        self._client.loop_start()

    def subscribe(self, filters: Iterable[str]) -> None:
        """SUBSCRIBE with QoS 1."""
        self._client.subscribe([(pattern, SubscribeOptions(qos=1)) for pattern in filters])

    def publish(
        self, topic: str, payload: bytes, user: list[tuple[str, str]],
        *, retain: bool = False, qos: int = 1,
    ) -> int | None:  # fmt: skip
        """PUBLISH; its packet id, or None if the line is gone, which is heard in a moment."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if user:
            properties.UserProperty = user
        info = self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        return info.mid if info.rc == 0 else None

    async def close(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """A last word if there is a connection, then the end of paho's thread."""
        if self._client.is_connected():
            self._client.publish(topic, payload, qos=0, retain=retain)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    # paho's thread:

    def _on_connect(
        self, _c: Client, _u: Any, _f: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:  # fmt: skip
        limits = dict(vars(properties)) if properties is not None else {}
        self._call(self._listener.welcomed, int(reason.value), limits)

    def _on_disconnect(
        self, _c: Client, _u: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:  # fmt: skip
        code = int(reason.value) if flags.is_disconnect_packet_from_server else None
        self._call(self._listener.gone, code, getattr(properties, "ServerReference", ""))

    def _on_publish(self, _c: Client, _u: Any, mid: int, reason: ReasonCode, _p: Any) -> None:
        self._call(self._listener.confirmed, mid, int(reason.value))

    def _on_subscribe(
        self, _c: Client, _u: Any, _mid: int, reasons: list[ReasonCode], _p: Any
    ) -> None:
        self._call(self._listener.granted, [int(reason.value) for reason in reasons])

    def _on_message(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        with contextlib.suppress(
            UnicodeDecodeError
        ):  # no topic of ours; raised here it would end paho's thread
            self._call(self._listener.came, message.topic, bytes(message.payload))

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: we are stopping
            self._loop.call_soon_threadsafe(function, *args)
