"""UHFReader288 at a gate: outputs that end by themselves, inputs, and what it tells in its real-time mode.

``EE STATUS Ant Len UII RSSI`` comes unasked for every sighting, and ``EE 28 …`` as a heartbeat when there is nothing
(a manual of the series). It tells no control word, so not the AFI. ``45 time`` closes the relay for a time and ``33``
sounds the buzzer so many times (programs for the series; that their unit is 50 ms is recalled, not seen). ``46`` would
switch outputs until they are switched off: nothing here can say that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from kiosk.wire.uhf18 import Command, Reply, Request, Status
from mocban.errors import RemoteProtocolError

UNIT = 0.05
"""Seconds that a relay's or buzzer's time is counted in."""
_BEEP, _PAUSE = 4, 2  # units


class GateCommand(IntEnum):
    """Command bytes used here."""

    BUZZER = 0x33
    RELAY = 0x45
    INPUTS = 0x47


HEARTBEAT = 0x28
"""STATUS of a frame that says: still here, and no tag."""


def relay(seconds: float, unit: float = UNIT) -> Request:
    """45: the relay for ``seconds``, one to 255 units; it falls off by itself."""
    return Request(GateCommand.RELAY, bytes((min(max(round(seconds / unit), 1), 255),)))


def buzzer(seconds: float, unit: float = UNIT) -> Request:
    """33: buzzer and lamp, 0.2 s on and 0.1 s off, until about ``seconds`` are over."""
    times = min(max(round(seconds / unit / (_BEEP + _PAUSE)), 1), 255)
    return Request(GateCommand.BUZZER, bytes((_BEEP, _PAUSE, times)))


def inputs() -> Request:
    """47: how inputs and outputs stand."""
    return Request(GateCommand.INPUTS)


def decode_inputs(reply: Reply) -> int:
    """Bit 0 is input 1 and so on; RemoteProtocolError if it does not tell. The upper half are outputs."""
    if reply.status != Status.OK or len(reply.data) != 1:
        raise RemoteProtocolError("The reader does not tell its inputs.")
    return reply.data[0] & 0x0F


@dataclass(frozen=True, slots=True)
class Sighting:
    """One tag seen in real-time mode. ``antennas``: bit 0 is antenna 1; ``rssi`` as the reader counts."""

    uii: bytes = field(repr=False)
    antennas: int = 1
    rssi: int = 0

    def encode(self) -> bytes:
        """The data of the frame."""
        return bytes((self.antennas, len(self.uii))) + self.uii + bytes((self.rssi,))

    @classmethod
    def decode(cls, data: bytes) -> Sighting:
        """From the data of the frame; RemoteProtocolError if its length is not as announced."""
        if len(data) < 3 or len(data) != 3 + data[1] or data[1] % 2:
            raise RemoteProtocolError("The sighting's length does not fit its tag.")
        return cls(data[2:-1], data[0], data[-1])

    @property
    def antenna(self) -> int:
        """The lowest antenna that saw it, from 1."""
        return max(1, (self.antennas & -self.antennas).bit_length())


def told(frame: bytes) -> Sighting | None:
    """The sighting in a frame that came unasked; None for whatever else it is. Never raises."""
    try:
        reply = Reply.decode(frame)
        if reply.command == Command.PUSHED and reply.status == Status.OK:
            return Sighting.decode(reply.data)
    except RemoteProtocolError:
        return None
    return None
