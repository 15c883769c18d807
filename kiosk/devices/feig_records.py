"""What FEIG gates that are asked and those that tell by themselves have in common: records, counters, outputs."""

from __future__ import annotations

from kiosk.devices.base import Passage, People
from kiosk.devices.feig import FeigHost, trouble
from kiosk.wire import iso_host_gate
from kiosk.wire.iso_host import Reply, Status
from kiosk.wire.iso_host_gate import Batch, Output
from mocban.errors import RemoteProtocolError

RELAY = 0x81
"""Relay 1, where siren and lamp are wired to."""
OUT = 2
"""What the radar says of who goes out; calibrated on site."""


def batch_of(reply: Reply) -> Batch:
    """The records in an answer, or a notification; RemoteProtocolError for a status that brings none."""
    match reply.status:
        case Status.OK | Status.MORE | Status.OVERFLOW | Status.RF_WARNING:
            return Batch.decode(reply.data)
        case _:
            raise trouble(reply)


def passages(batch: Batch, afi: int | None, out: int) -> list[Passage]:
    """The records that name a tag. ``afi``: of every tag this gate tells; ``out``: the radar's number for out."""
    ways = {out: "out", 3 - out: "in"}
    return [
        Passage(
            record.idd.hex().upper(),
            afi,
            record.data,
            1 if record.antenna is None else record.antenna,
            ways.get(record.inputs[1], "unknown") if record.inputs else "unknown",
        )
        for record in batch.records
        if record.idd
    ]


async def people(host: FeigHost) -> People | None:
    """The radar's counters; None without a radar."""
    reply = await host.ask(iso_host_gate.get_counters())
    if reply.status != Status.OK:
        return None
    try:
        in_1, out_1, in_2, out_2 = iso_host_gate.decode_counters(reply.data)
    except RemoteProtocolError:
        return None
    return People(in_1 + in_2, out_1 + out_2)


async def cry(host: FeigHost, output: int, seconds: float) -> None:
    """Siren and lamp by timed output; RemoteProtocolError if there is no such output."""
    request = iso_host_gate.set_output(Output.timed(output, seconds))
    reply = await host.ask(request)
    if reply.status != Status.OK:
        raise trouble(reply)
