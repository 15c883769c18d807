"""An MQTT 5 broker that says whatever a test wants: PUBACK reasons, silence, dropped messages.

It speaks the real bytes (codec ``mqtt5``) over a real socket. iotcore never says 0x10 or 0x87, so these stand here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

import mqtt5

Reason = mqtt5.PubAckReasonCode


class ScriptedBroker:
    """Takes QoS 1 publishes; ``reason(topic)`` answers each, ``on_publish`` may publish back."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.reason: Callable[[str], Reason | None] = lambda _: Reason.SUCCESS
        self.received: list[mqtt5.PublishPacket] = []
        self.connects: list[mqtt5.ConnectPacket] = []
        self.arrived = asyncio.Condition()
        self._links: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
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

    def drop(self) -> None:
        """Cut every connection, as kill -9 of a broker would."""
        for link in list(self._links):
            link.transport.abort()

    def send(self, topic: str, payload: bytes) -> None:
        """Publish QoS 0 to every connection."""
        data = mqtt5.PublishPacket(topic, payload).write()
        for link in self._links:
            link.write(data)

    def facts(self) -> list[bytes]:
        """Payloads that came on event topics, in order."""
        return [bytes(p.payload) for p in self.received if "/evt/" in p.topic]

    async def until(self, true: Callable[[], bool], within: float = 10.0) -> None:
        """Wait until ``true`` after some arrival."""
        async with asyncio.timeout(within), self.arrived:
            await self.arrived.wait_for(true)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(writer)
        self._serving.add(asyncio.current_task())
        buffer = b""
        try:
            while data := await reader.read(65536):
                buffer += data
                while True:
                    try:
                        packet, used = mqtt5.read(memoryview(buffer))
                    except IndexError:
                        break
                    buffer = buffer[used:]
                    self._answer(packet, writer)
                    async with self.arrived:
                        self.arrived.notify_all()
        except (ConnectionError, ValueError):
            pass
        finally:
            self._links.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._serving.discard(asyncio.current_task())

    def _answer(self, packet: object, writer: asyncio.StreamWriter) -> None:
        match packet:
            case mqtt5.ConnectPacket():
                self.connects.append(packet)
                writer.write(mqtt5.ConnAckPacket().write())
            case mqtt5.SubscribePacket():
                codes = [
                    mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE for _ in packet.topic_filters
                ]
                writer.write(mqtt5.SubAckPacket(packet.packet_id, reason_codes=codes).write())
            case mqtt5.PublishPacket():
                self.received.append(packet)
                reason = self.reason(packet.topic)
                if packet.packet_id and reason is not None:
                    writer.write(mqtt5.PubAckPacket(packet.packet_id, reason_code=reason).write())
            case mqtt5.PingReqPacket():
                writer.write(mqtt5.PingRespPacket().write())
