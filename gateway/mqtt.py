"""The gateway's MQTT 5 client without I/O: bytes in give happenings, calls give bytes to send.

One connection is one ``Wire``. PUBACKs are ours to send, since they mean "stored". What we publish is QoS 1 within the
broker's Receive Maximum. Not relied on (the demo's broker keeps none): Receive Maximum towards us, DUP, session expiry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

import mqtt5

from gateway.letters import Message
from mocban.errors import PeerUnreachable, RemoteProtocolError

PACKET_MAX = 1024 * 1024
"""Longest packet taken, told to the broker; its own limit has to be lower, or it drops the message."""
SESSION_SECONDS = 3600
"""How long a broker that honours it keeps our session."""
_WINDOW = 100
"""Unacknowledged messages of ours, however many the broker would take."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker took us in; ``resumed``: it still knew our session."""

    resumed: bool


@dataclass(frozen=True, slots=True)
class Subscribed:
    """Every filter was granted with QoS 1."""


@dataclass(frozen=True, slots=True)
class Came:
    """A message, to be acknowledged by ``Wire.acknowledge(packet_id)`` once stored (0: QoS 0, nothing to do)."""

    message: Message
    packet_id: int


Happening = Connected | Subscribed | Came


class Wire:
    """The protocol of one connection."""

    def __init__(
        self, client_id: str, filters: tuple[str, ...], *, keep_alive: int, window: int
    ) -> None:
        self.keep_alive = keep_alive
        self._client_id = client_id
        self._filters = filters
        self._receive_max = window
        self._buffer = bytearray()
        self._free = deque(range(2, 2 + _WINDOW))  # 1 is the SUBSCRIBE
        self._in_flight: set[int] = set()
        self._send_max = _WINDOW

    def connect(self, *, clean: bool) -> bytes:
        """CONNECT. ``clean`` drops what the broker kept for us."""
        return mqtt5.ConnectPacket(
            self._client_id,
            clean_start=clean,
            keep_alive=self.keep_alive,
            session_expiry_interval=SESSION_SECONDS,
            receive_max=self._receive_max,
            max_packet_size=PACKET_MAX,
            topic_alias_max=0,
        ).write()

    def subscribe(self) -> bytes:
        """SUBSCRIBE to every filter with QoS 1."""
        filters = [
            mqtt5.TopicFilter(
                pattern,
                max_qos=mqtt5.QoS.AT_LEAST_ONCE,
                no_local=False,
                retain_as_published=False,
                retain_handling=mqtt5.RetainHandling.SEND_ALWAYS,
            )
            for pattern in self._filters
        ]
        return mqtt5.SubscribePacket(1, filters).write()

    @property
    def room(self) -> int:
        """How many messages may be published now."""
        return self._send_max - len(self._in_flight)

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, expiry: int | None = None
    ) -> bytes:
        """PUBLISH with QoS 1; only while there is ``room``. ``expiry``: seconds the broker may keep it."""
        packet_id = self._free.popleft()
        self._in_flight.add(packet_id)
        return mqtt5.PublishPacket(
            topic,
            payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=retain,
            packet_id=packet_id,
            duplicate=False,
            message_expiry_interval=expiry,
        ).write()

    def acknowledge(self, packet_ids: Iterable[int]) -> bytes:
        """PUBACKs, in one piece."""
        return b"".join(
            mqtt5.PubAckPacket(packet_id).write() for packet_id in packet_ids if packet_id
        )

    def ping(self) -> bytes:
        """PINGREQ; the answer is data like any other."""
        return mqtt5.PingReqPacket().write()

    def disconnect(self) -> bytes:
        """DISCONNECT in good order."""
        return mqtt5.DisconnectPacket(
            reason_code=mqtt5.DisconnectReasonCode.NORMAL_DISCONNECTION
        ).write()

    def feed(self, data: bytes) -> list[Happening]:
        """What ``data`` completes. RemoteProtocolError or PeerUnreachable: this connection is over."""
        self._buffer += data
        whole = bytes(self._buffer)  # a view on the bytearray would forbid cutting it
        view, at = memoryview(whole), 0
        found: list[Happening] = []
        while at < len(whole):
            try:
                packet, size = mqtt5.read(view[at:])
            except IndexError:
                break  # the rest is still on its way
            except ValueError as error:
                raise RemoteProtocolError("the broker sent what is not MQTT 5") from error
            at += size
            happening = self._take(packet)
            if happening is not None:
                found.append(happening)
        del self._buffer[:at]
        if len(self._buffer) > PACKET_MAX:
            raise RemoteProtocolError(f"the broker sends a packet of more than {PACKET_MAX} bytes")
        return found

    def _take(self, packet: mqtt5.Packet) -> Happening | None:
        match packet:
            case mqtt5.PublishPacket():
                return _came(packet)
            case mqtt5.PubAckPacket():
                if packet.packet_id in self._in_flight:
                    self._in_flight.discard(packet.packet_id)
                    self._free.append(packet.packet_id)
                return None
            case mqtt5.PingRespPacket():
                return None
            case mqtt5.ConnAckPacket():
                return self._welcomed(packet)
            case mqtt5.SubAckPacket():
                if any(
                    code != mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE
                    for code in packet.reason_codes
                ):
                    raise PeerUnreachable(
                        "the broker refuses to let us read", "allow the gateway evt and state"
                    )
                return Subscribed()
            case mqtt5.DisconnectPacket():
                raise PeerUnreachable(
                    f"the broker ended the connection: {packet.reason_code.name.lower()}"
                )
            case (
                mqtt5.ConnectPacket() | mqtt5.PubRecPacket() | mqtt5.PubRelPacket() | mqtt5.PubCompPacket()
                | mqtt5.SubscribePacket() | mqtt5.UnsubscribePacket() | mqtt5.UnsubAckPacket()
                | mqtt5.PingReqPacket() | mqtt5.AuthPacket()
            ):  # fmt: skip
                raise RemoteProtocolError(
                    f"the broker sent a {type(packet).__name__} we never asked for"
                )
            case _:
                assert_never(packet)

    def _welcomed(self, packet: mqtt5.ConnAckPacket) -> Connected:
        if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise PeerUnreachable(
                f"the broker refuses us: {packet.reason_code.name.lower()}",
                "check the gateway's credentials",
            )
        self._send_max = min(_WINDOW, packet.receive_max)
        if packet.server_keep_alive is not None:
            self.keep_alive = packet.server_keep_alive
        return Connected(packet.session_present)


def _came(packet: mqtt5.PublishPacket) -> Came:
    if packet.qos == mqtt5.QoS.EXACTLY_ONCE:
        raise RemoteProtocolError("the broker sent QoS 2 to a QoS 1 subscription")
    properties = dict(reversed(packet.user_properties))  # of a repeated name the first counts
    message = Message(
        packet.topic, bytes(packet.payload), properties.get("epoch", ""), properties.get("seq", "")
    )
    return Came(message, packet.packet_id or 0)
