"""What each reason code of MQTT 5 brings about, by hand from the standard, and both our clients to try it on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import mqtt5
import pytest

from gateway.mqtt import Came, Connected, Refused, Subscribed, Wire
from mocban.bus import Bus
from mocban.clock import SetClock
from mocban.errors import PeerUnreachable, RemoteProtocolError
from mocban.events import LoanMade, ReturnMade
from mocban.identity import Identity
from mocban.outbox import Outbox
from mocban.reasons import Course, Packet
from tests.support.scripted_broker import ScriptedBroker

ME = Identity("demo", "kiosk-1", "kiosk")
GO, SKIP, SLOW, BACK_OFF, OURS, PARK, TAKEN_OVER = Course

CONNACK = {
    0x00: GO, 0x80: BACK_OFF, 0x81: OURS, 0x82: OURS, 0x83: BACK_OFF, 0x84: PARK, 0x85: PARK, 0x86: PARK, 0x87: PARK,
    0x88: BACK_OFF, 0x89: BACK_OFF, 0x8A: PARK, 0x8C: PARK, 0x90: PARK, 0x95: OURS, 0x97: BACK_OFF, 0x99: OURS,
    0x9A: BACK_OFF, 0x9B: PARK, 0x9C: BACK_OFF, 0x9D: BACK_OFF, 0x9F: BACK_OFF,
}  # fmt: skip
SUBACK = {
    0x00: GO, 0x01: GO, 0x02: GO, 0x80: BACK_OFF, 0x83: BACK_OFF, 0x87: PARK, 0x8F: PARK, 0x91: OURS, 0x97: BACK_OFF,
    0x9E: OURS, 0xA1: OURS, 0xA2: PARK,
}  # fmt: skip
PUBACK = {
    0x00: GO, 0x10: GO, 0x80: SKIP, 0x83: SKIP, 0x87: PARK, 0x90: SKIP, 0x91: SKIP, 0x97: SLOW, 0x99: SKIP,
}  # fmt: skip
DISCONNECT = {
    0x00: BACK_OFF, 0x04: BACK_OFF, 0x80: BACK_OFF, 0x81: OURS, 0x82: OURS, 0x83: BACK_OFF, 0x87: PARK, 0x89: BACK_OFF,
    0x8B: BACK_OFF, 0x8D: BACK_OFF, 0x8E: TAKEN_OVER, 0x8F: OURS, 0x90: OURS, 0x93: OURS, 0x94: OURS, 0x95: OURS,
    0x96: BACK_OFF, 0x97: BACK_OFF, 0x98: BACK_OFF, 0x99: OURS, 0x9A: BACK_OFF, 0x9B: PARK, 0x9C: BACK_OFF,
    0x9D: BACK_OFF, 0x9E: OURS, 0x9F: BACK_OFF, 0xA0: BACK_OFF, 0xA1: OURS, 0xA2: PARK,
}  # fmt: skip
RULES: dict[Packet, tuple[dict[int, Course], type]] = {
    "connack": (CONNACK, mqtt5.ConnAckReasonCode), "suback": (SUBACK, mqtt5.SubAckReasonCode),
    "puback": (PUBACK, mqtt5.PubAckReasonCode), "disconnect": (DISCONNECT, mqtt5.DisconnectReasonCode),
}  # fmt: skip
AWAY = {PARK, TAKEN_OVER}


def codes(kind: type) -> dict[int, str]:
    """The codec's reason codes; its enums cannot be iterated."""
    return {int(getattr(kind, name)): name for name in dir(kind) if name.isupper()}


def shown(table: dict[int, Course]) -> list[object]:
    return [pytest.param(code, course, id=f"{code:#04x}") for code, course in table.items()]


@asynccontextmanager
async def device(
    broker: ScriptedBroker, path: Path, facts: int = 2
) -> AsyncIterator[tuple[Bus, Outbox]]:
    outbox, stop = Outbox(path / "x.db", ME.device, SetClock()), asyncio.Event()
    for i in range(facts):
        kind = LoanMade if i % 2 == 0 else ReturnMade
        outbox.put(kind(session="s", line=i, item="x"))
    got: list[tuple[str, bytes]] = []
    line = Bus(
        f"mqtt://127.0.0.1:{broker.port}", ME, outbox,
        orders=lambda n, b: got.append((n, b)), feeds=lambda n, b: got.append((n, b)),
    )  # fmt: skip
    task = asyncio.create_task(line.run(stop))
    try:
        yield line, outbox
    finally:
        stop.set()
        await asyncio.wait_for(task, 5)
        outbox.close()


class Reader:
    """A gateway as far as the wire goes: connects, subscribes, acknowledges, and comes again as ``Ingest`` does."""

    def __init__(self, *, window: int = 100) -> None:
        self.window = window
        self.wire: Wire
        self.writer: asyncio.StreamWriter
        self.resumed: list[bool] = []
        self.payloads: list[bytes] = []
        self.refused: list[Refused] = []
        self.clean = False
        self.holding = False
        self.ready = asyncio.Event()

    async def once(self, port: int) -> None:
        """One connection, to its end."""
        self.wire = Wire("gateway.gateway", ("mocban/v1/+/+/evt/#", "mocban/v1/+/+/state"),
                         keep_alive=20, window=self.window)  # fmt: skip
        reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            self.writer.write(self.wire.connect(clean=self.clean))
            while data := await reader.read(65536):
                self._take(data)
        except Refused as error:
            self.refused.append(error)
        except RemoteProtocolError:
            self.clean = True
        except (PeerUnreachable, ConnectionError):
            pass
        finally:
            self.ready.clear()
            self.writer.close()
            with suppress(OSError):
                await self.writer.wait_closed()

    def _take(self, data: bytes) -> None:
        for happening in self.wire.feed(data):
            match happening:
                case Connected(resumed):
                    self.resumed.append(resumed)
                    self.writer.write(self.wire.subscribe())
                case Subscribed():
                    self.clean = False
                    self.ready.set()
                case Came(message, packet_id):
                    self.payloads.append(message.payload)
                    if not self.holding:
                        self.writer.write(self.wire.acknowledge([packet_id]))


@asynccontextmanager
async def reading(broker: ScriptedBroker, reader: Reader) -> AsyncIterator[None]:
    task = asyncio.create_task(reader.once(broker.port))
    try:
        async with asyncio.timeout(5):
            await reader.ready.wait()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
