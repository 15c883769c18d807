"""The gateway's MQTT 5 client without I/O: bytes in give happenings, calls give bytes to send.

One connection is one ``Wire``. PUBACKs are ours to send, since they mean "stored". What we publish is QoS 1 within the
broker's Receive Maximum and Maximum Packet Size; what a refusal means stands in ``mocban.reasons``. Not relied on (the
demo's broker keeps none): Receive Maximum towards us, DUP, session expiry, what it says of a session: we subscribe anew
on every connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

import mqtt5

from gateway.letters import Message
from mocban.errors import PeerUnreachable, RemoteProtocolError
from mocban.flow import publish_size
from mocban.reasons import Packet, Verdict, judge

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


@dataclass(frozen=True, slots=True)
class Unsent:
    """A publish of ours the broker did not take."""

    topic: str
    verdict: Verdict


class Refused(PeerUnreachable):
    """The broker ended the connection, or would not have us; ``verdict.course`` says when to come again."""

    code = "refused"

    def __init__(self, packet: Packet, code: int, say: str, reference: str | None = None) -> None:
        self.verdict = judge(packet, code)
        told = f" (it names {reference})" if reference else ""
        super().__init__(f"{say}: {self.verdict.name}{told}", self.verdict.do)


class Wire:
    """The protocol of one connection."""

    def __init__(
        self, client_id: str, filters: tuple[str, ...], *, keep_alive: int, window: int,
        login: tuple[str, bytes] | None = None,
    ) -> None:  # fmt: skip
        self.keep_alive = keep_alive
        self._client_id = client_id
        self._filters = filters
        self._receive_max = window
        self._login = login
        self._buffer = bytearray()
        self._free = deque(range(2, 2 + _WINDOW))  # 1 is the SUBSCRIBE
        self._in_flight: dict[int, str] = {}  # packet id -> topic
        self._send_max = _WINDOW
        self._packet_max: int | None = None
        self._retain = self._up = False
        self._unsent: deque[Unsent] = deque(maxlen=_WINDOW)

    def connect(self, *, clean: bool) -> bytes:
        """CONNECT. ``clean`` drops what the broker kept for us."""
        return mqtt5.ConnectPacket(
            self._client_id,
            username=self._login[0] if self._login else None,
            password=self._login[1] if self._login else None,
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
        """PUBLISH with QoS 1; only while there is ``room``. ``expiry``: seconds the broker may keep it.

        Nothing, and an ``Unsent``, for what is longer than the broker takes; no retain where it has none.
        """
        size = publish_size(topic, payload, ()) + 5 * (expiry is not None)
        if self._packet_max is not None and size > self._packet_max:
            self._unsent.append(Unsent(topic, judge("disconnect", 0x95)))
            return b""
        packet_id = self._free.popleft()
        self._in_flight[packet_id] = topic
        return mqtt5.PublishPacket(
            topic,
            payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=retain and self._retain,
            packet_id=packet_id,
            duplicate=False,
            message_expiry_interval=expiry,
        ).write()

    def unsent(self) -> list[Unsent]:
        """What the broker did not take since the last call, for the log and the counters."""
        found = list(self._unsent)
        self._unsent.clear()
        return found

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
        if not self._up and not isinstance(packet, mqtt5.ConnAckPacket | mqtt5.DisconnectPacket):
            raise RemoteProtocolError(f"the broker sent a {type(packet).__name__} before CONNACK")
        match packet:
            case mqtt5.PublishPacket():
                return _came(packet)
            case mqtt5.PubAckPacket():
                self._answered(packet)
                return None
            case mqtt5.PingRespPacket():
                return None
            case mqtt5.ConnAckPacket():
                return self._welcomed(packet)
            case mqtt5.SubAckPacket():
                return self._granted(packet)
            case mqtt5.DisconnectPacket():
                raise Refused(
                    "disconnect", int(packet.reason_code), "the broker ended the connection", packet.server_reference
                )  # fmt: skip
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
        if self._up:
            raise RemoteProtocolError("the broker welcomed us twice")
        code = int(packet.reason_code)
        if code < 0x80 and int(packet.max_qos) < 1:
            code = 0x9B
        if code < 0x80 and not packet.wildcard_subscription_available:
            raise Refused("suback", 0xA2, "the broker is of no use")
        if code >= 0x80:
            raise Refused("connack", code, "the broker refuses us", packet.server_reference)
        self._up = True
        self._retain = packet.retain_available
        self._packet_max = packet.max_packet_size
        self._send_max = min(_WINDOW, packet.receive_max)
        if packet.server_keep_alive:  # 0: it does not mind; we still want to know whether it lives
            self.keep_alive = packet.server_keep_alive
        return Connected(packet.session_present)

    def _granted(self, packet: mqtt5.SubAckPacket) -> Subscribed:
        codes = [int(code) for code in packet.reason_codes]
        if packet.packet_id != 1 or len(codes) != len(self._filters):
            raise RemoteProtocolError("the broker granted what we did not ask for")
        for code in codes:
            if code >= 0x80:
                raise Refused("suback", code, "the broker refuses to let us read")
            if code != 1:  # QoS 0 may lose what it was handed
                raise Refused("suback", 0x87, "the broker lets us read with another QoS only")
        return Subscribed()

    def _answered(self, packet: mqtt5.PubAckPacket) -> None:
        topic = self._in_flight.pop(packet.packet_id, None)
        if topic is None:
            return
        self._free.append(packet.packet_id)
        if int(packet.reason_code) != 0:
            self._unsent.append(Unsent(topic, judge("puback", int(packet.reason_code))))


def _came(packet: mqtt5.PublishPacket) -> Came:
    if packet.qos == mqtt5.QoS.EXACTLY_ONCE:
        raise RemoteProtocolError("the broker sent QoS 2 to a QoS 1 subscription")
    properties = dict(reversed(packet.user_properties))  # of a repeated name the first counts
    message = Message(
        packet.topic, bytes(packet.payload), properties.get("epoch", ""), properties.get("seq", "")
    )
    return Came(message, packet.packet_id or 0)
