"""FEIG gates (ISC.LR, LRM, ANT1520/680): buffered reads, people counters and timed outputs by ISO-Host."""

from __future__ import annotations

from kiosk.devices.base import Passage, People
from kiosk.devices.feig import FeigHost, trouble
from kiosk.wire import iso_host_gate
from kiosk.wire.iso_host import Reply, Status
from kiosk.wire.iso_host_gate import Batch, Output, Record
from mocban.errors import DeviceLost, RemoteProtocolError

_SETS = 16  # records in one answer, some 60 bytes each
_ROUNDS = 64  # answers in one call
_DIRECTIONS = {1: "in", 2: "out"}  # as seen from the radar; calibrated on site


class FeigGate:
    """A gate. ``afi``: what it is set to poll, so what every tag it reports holds; None if it polls all.

    ``output``: the relay of siren and lamp (type in bits 7-5, number in bits 4-0).
    """

    def __init__(self, url: str, afi: int | None = 0x07, output: int = 0x81) -> None:
        self._host = FeigHost(url)
        self._afi = afi
        self._output = output

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._host.noise

    async def open(self) -> str:
        return await self._host.open()

    async def close(self) -> None:
        await self._host.close()

    async def passages(self) -> tuple[list[Passage], bool]:
        """Read and clear the buffer. What was read is told even if the line breaks before the clearing:

        the gate then tells it again, twice is better than never.
        """
        found: list[Passage] = []
        lost = False
        for _ in range(_ROUNDS):
            try:
                reply = await self._host.ask(iso_host_gate.read_buffer(_SETS))
                if reply.status == Status.NO_DATA:
                    break
                batch = _batch(reply)
                found += [self._passage(record) for record in batch.records if record.idd]
                lost = lost or reply.status == Status.OVERFLOW or batch.spoilt > 0
                await self._host.ask(iso_host_gate.clear_buffer())
            except (DeviceLost, RemoteProtocolError):
                if found or lost:
                    break
                raise
            if reply.status == Status.OK:
                break
        return found, lost

    async def people(self) -> People | None:
        """Both aisles together. The order of the four counters was seen at one site: calibrate."""
        reply = await self._host.ask(iso_host_gate.get_counters())
        if reply.status != Status.OK:
            return None
        try:
            in_1, out_1, in_2, out_2 = iso_host_gate.decode_counters(reply.data)
        except RemoteProtocolError:
            return None
        return People(in_1 + in_2, out_1 + out_2)

    async def cry(self, seconds: float) -> None:
        """As the Protocol; RemoteProtocolError if the gate has no such output."""
        request = iso_host_gate.set_output(Output.timed(self._output, seconds))
        reply = await self._host.ask(request)
        if reply.status != Status.OK:
            raise trouble(reply)

    def _passage(self, record: Record) -> Passage:
        way = _DIRECTIONS.get(record.inputs[1], "unknown") if record.inputs else "unknown"
        antenna = 1 if record.antenna is None else record.antenna
        return Passage(record.idd.hex().upper(), self._afi, record.data, antenna, way)


def _batch(reply: Reply) -> Batch:
    match reply.status:
        case Status.OK | Status.MORE | Status.OVERFLOW | Status.RF_WARNING:
            return Batch.decode(reply.data)
        case _:
            raise trouble(reply)
