"""An MQTT 5 broker that keeps the protocol strictly, and lies, refuses and drops exactly when a test says so.

Real bytes (codec ``mqtt5``; its enums are no ints: compare ``int(code)``) over a real socket. iotcore never says 0x10
or 0x87, so these stand here. Whatever a client does against MQTT 5.0 is answered as the standard says, noted in
``faults``, and fails the test at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import mqtt5

from tests.support.broker_sessions import FOR_EVER, Memory, Session, valid

Reason = mqtt5.PubAckReasonCode
Bye = mqtt5.DisconnectReasonCode


class Violation(Exception):
    """The client broke the protocol; ``reason`` goes into the DISCONNECT."""

    def __init__(self, reason: Bye, say: str) -> None:
        super().__init__(say)
        self.reason = reason


class ScriptedBroker:
    """``reason(topic)`` answers each QoS 1 publish (None: never), ``connack`` and ``suback`` the rest."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls
        self.reason: Callable[[str], Reason | None] = lambda _: Reason.SUCCESS
        self.connack: dict[str, Any] = {}
        """Arguments of the CONNACK, ``reason_code`` among them."""
        self.suback: Callable[[str], mqtt5.SubAckReasonCode] = lambda _: (
            mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE
        )
        self.on_publish: Callable[[mqtt5.PublishPacket], None] = lambda _: None
        self.memory = Memory()
        self.received: list[mqtt5.PublishPacket] = []
        self.connects: list[mqtt5.ConnectPacket] = []
        self.presents: list[bool] = []
        self.subscribed: list[str] = []
        self.wills: list[mqtt5.PublishPacket] = []
        self.pings = 0
        self.most = 0
        """Most publishes a client ever had unconfirmed."""
        self.faults: list[str] = []
        self.arrived = asyncio.Condition()
        self._links: dict[str, Peer] = {}
        self._serving: set[asyncio.Task[None] | None] = set()
        self._mourning: dict[str, tuple[asyncio.TimerHandle, Callable[[], None]]] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.drop()
        await self._server.wait_closed()
        while self._serving:
            await asyncio.sleep(0.01)
        for timer, _ in self._mourning.values():
            timer.cancel()
        assert kind is not None or not self.faults, self.faults

    def drop(self) -> None:
        """Cut every connection, as kill -9 of a broker would."""
        for peer in list(self._links.values()):
            peer.writer.transport.abort()

    def send(
        self, topic: str, payload: bytes, *, retain: bool = False, expiry: int | None = None
    ) -> None:
        """Publish to whoever subscribed, with QoS 1."""
        packet = mqtt5.PublishPacket(
            topic,
            payload,
            retain=retain,
            message_expiry_interval=expiry,
            qos=mqtt5.QoS.AT_MOST_ONCE,
        )
        self.spread(packet, "")

    def disconnect(self, reason: Bye, reference: str | None = None) -> None:
        """DISCONNECT to every connection."""
        packet = mqtt5.DisconnectPacket(reason_code=reason, server_reference=reference)
        for peer in list(self._links.values()):
            peer.writer.write(packet.write())
            peer.writer.close()

    def garble(self, data: bytes) -> None:
        """These bytes to every connection."""
        for peer in self._links.values():
            peer.writer.write(data)

    @property
    def connected(self) -> int:
        """How many clients are connected."""
        return len(self._links)

    def facts(self) -> list[bytes]:
        """Payloads that came on event topics, in order."""
        return [bytes(p.payload) for p in self.received if "/evt/" in p.topic]

    async def until(self, true: Callable[[], bool], within: float = 10.0) -> None:
        """Wait until ``true`` after some arrival."""
        async with asyncio.timeout(within), self.arrived:
            await self.arrived.wait_for(true)

    def spread(self, packet: mqtt5.PublishPacket, publisher: str) -> None:
        """Route a message, and send what may go."""
        self.memory.spread(packet, publisher, asyncio.get_running_loop().time())
        for peer in self._links.values():
            peer.push()

    def claim(self, peer: Peer) -> bool:
        """Give this client id to ``peer``: the old connection and its will end as the standard says (3.1.4-3)."""
        packet, old = peer.hello, self._links.get(peer.hello.client_id)
        if old is not None:
            bye = mqtt5.DisconnectPacket(reason_code=Bye.SESSION_TAKEN_OVER)
            old.writer.write(bye.write())
            old.end()
        mourned = self._mourning.pop(packet.client_id, None)
        if mourned is not None:
            mourned[0].cancel()
            if packet.clean_start:
                mourned[1]()  # its session ends now
        self._links[packet.client_id] = peer
        peer.session, present = self.memory.resume(packet, asyncio.get_running_loop().time())
        return present

    def release(self, peer: Peer) -> None:
        """``peer`` is over; its will follows after its delay or with its session, whatever is first (3.1.3.2.2)."""
        packet, loop = peer.hello, asyncio.get_running_loop()
        if self._links.get(packet.client_id) is peer:
            del self._links[packet.client_id]
        peer.session.ended = loop.time()
        will = packet.will
        if will is None or peer.content:
            return

        def speak() -> None:
            self._mourning.pop(packet.client_id, None)
            word = mqtt5.PublishPacket(will.topic, bytes(will.payload or b""), retain=will.retain)
            self.wills.append(word)
            self.spread(word, packet.client_id)

        delay = will.will_delay_interval
        if peer.session.expiry != FOR_EVER:
            delay = min(delay, peer.session.expiry)
        self._mourning[packet.client_id] = (loop.call_later(delay, speak), speak)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        peer = Peer(self, writer)
        try:
            await peer.listen(reader)
        except Violation as broken:
            self.faults.append(str(broken))
            bye = mqtt5.DisconnectPacket(reason_code=broken.reason)
            writer.write(bye.write())
        except (ConnectionError, TimeoutError):
            pass
        finally:
            peer.end()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            async with self.arrived:
                self.arrived.notify_all()
            self._serving.discard(asyncio.current_task())


class Peer:
    """One connection of a client, watched."""

    def __init__(self, broker: ScriptedBroker, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.hello: mqtt5.ConnectPacket
        self.session: Session
        self.content = False
        """It said goodbye in good order: no will."""
        self._broker = broker
        self._in: set[int] = set()  # its publishes we have not confirmed
        self._limits = mqtt5.ConnAckPacket()
        self._silence: float | None = 5.0  # a CONNECT has to come within this
        self._up = self._over = False

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Until the end of the connection; Violation."""
        buffer = b""
        while not self._over:
            try:
                async with asyncio.timeout(self._silence):
                    data = await reader.read(65536)
            except TimeoutError:
                bye = mqtt5.DisconnectPacket(reason_code=Bye.KEEP_ALIVE_TIMEOUT)
                self.writer.write(bye.write())
                raise
            if not data:
                return
            buffer += data
            while not self._over:
                try:
                    packet, used = mqtt5.read(memoryview(buffer))
                except IndexError:
                    break
                except ValueError as error:
                    raise Violation(Bye.MALFORMED_PACKET, f"malformed: {error}") from error
                buffer = buffer[used:]
                if not self._up and not isinstance(packet, mqtt5.ConnectPacket):
                    raise Violation(Bye.PROTOCOL_ERROR, f"{type(packet).__name__} before CONNECT")
                self._answer(packet, used)
                async with self._broker.arrived:
                    self._broker.arrived.notify_all()

    def push(self) -> None:
        """Send what waits for this client."""
        now = asyncio.get_running_loop().time()
        self.writer.write(self.session.due(now, self.hello.receive_max, self.hello.max_packet_size))

    def end(self) -> None:
        """Once: close, and let the will follow."""
        if self._up and not self._over:
            self._over = True
            self._broker.release(self)
        self._over = True
        self.writer.close()

    def _answer(self, packet: mqtt5.Packet, size: int) -> None:
        match packet:
            case mqtt5.ConnectPacket():
                self._connect(packet)
            case mqtt5.SubscribePacket():
                self._subscribe(packet)
            case mqtt5.UnsubscribePacket():
                codes = [
                    mqtt5.UnsubAckReasonCode.SUCCESS if self.session.filters.pop(p, None)
                    else mqtt5.UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED
                    for p in packet.patterns
                ]  # fmt: skip
                self.writer.write(mqtt5.UnsubAckPacket(packet.packet_id, codes).write())
            case mqtt5.PublishPacket():
                self._publish(packet, size)
            case mqtt5.PubAckPacket():
                if self.session.flying.pop(packet.packet_id, None) is None:
                    raise Violation(Bye.PROTOCOL_ERROR, f"PUBACK of {packet.packet_id}: not sent")
                self.push()
            case mqtt5.PingReqPacket():
                self._broker.pings += 1
                self.writer.write(mqtt5.PingRespPacket().write())
            case mqtt5.DisconnectPacket():
                self.content = packet.reason_code == Bye.NORMAL_DISCONNECTION
                if packet.session_expiry_interval is not None:
                    self.session.expiry = packet.session_expiry_interval
                self.end()
            case _:
                raise Violation(Bye.PROTOCOL_ERROR, f"a {type(packet).__name__} from a client")

    def _connect(self, packet: mqtt5.ConnectPacket) -> None:
        if self._up:
            raise Violation(Bye.PROTOCOL_ERROR, "a second CONNECT")
        self._broker.connects.append(packet)
        said = dict(self._broker.connack)
        reason = mqtt5.ConnAckReasonCode
        if packet.will and packet.will.retain and not said.get("retain_available", True):
            said["reason_code"] = reason.RETAIN_NOT_SUPPORTED
        if int(said.get("reason_code", 0)) >= 0x80:
            self.writer.write(mqtt5.ConnAckPacket(**said).write())
            self._over = True
            return
        self.hello = packet
        present = self._broker.claim(self)
        self._up = True
        self._broker.presents.append(present)
        self._limits = mqtt5.ConnAckPacket(**{"session_present": present, **said})
        keep_alive = self._limits.server_keep_alive
        every = packet.keep_alive if keep_alive is None else keep_alive
        self._silence = every * 1.5 or None
        self.writer.write(self._limits.write())
        self.writer.write(self.session.again(asyncio.get_running_loop().time()))
        self.push()

    def _subscribe(self, packet: mqtt5.SubscribePacket) -> None:
        codes = []
        for one in packet.topic_filters:
            if not valid(one.pattern):
                raise Violation(Bye.TOPIC_FILTER_INVALID, f"no filter: {one.pattern}")
            code = self._broker.suback(one.pattern)
            codes.append(code)
            self._broker.subscribed.append(one.pattern)
            if int(code) < 0x80:
                self._broker.memory.subscribe(self.session, one)
        self.writer.write(mqtt5.SubAckPacket(packet.packet_id, reason_codes=codes).write())
        self.push()

    def _publish(self, packet: mqtt5.PublishPacket, size: int) -> None:
        limits, packet_id = self._limits, packet.packet_id
        if packet.topic_alias is not None and packet.topic_alias > limits.topic_alias_max:
            raise Violation(Bye.TOPIC_ALIAS_INVALID, f"alias {packet.topic_alias}")
        if set(packet.topic) & {"#", "+"} or not packet.topic:
            raise Violation(Bye.TOPIC_NAME_INVALID, f"no topic: {packet.topic}")
        if limits.max_packet_size is not None and size > limits.max_packet_size:
            raise Violation(Bye.PACKET_TOO_LARGE, f"{size} bytes on {packet.topic}")
        if int(packet.qos) > min(int(limits.max_qos), 1):
            raise Violation(Bye.QOS_NOT_SUPPORTED, f"QoS {packet.qos}")
        if packet.retain and not limits.retain_available:
            raise Violation(Bye.RETAIN_NOT_SUPPORTED, f"retain on {packet.topic}")
        reason: Reason | None = Reason.SUCCESS
        if packet_id:
            if packet_id in self._in:
                raise Violation(Bye.PROTOCOL_ERROR, f"packet id {packet_id} used twice")
            self._in.add(packet_id)
            self._broker.most = max(self._broker.most, len(self._in))
            if len(self._in) > limits.receive_max:
                raise Violation(Bye.RECEIVE_MAX_EXCEEDED, f"{len(self._in)} unconfirmed")
            reason = self._broker.reason(packet.topic)
            if reason is not None:
                self._in.discard(packet_id)
                self.writer.write(mqtt5.PubAckPacket(packet_id, reason_code=reason).write())
        self._broker.received.append(packet)
        if reason == Reason.SUCCESS:
            self._broker.spread(packet, self.hello.client_id)
        self._broker.on_publish(packet)
