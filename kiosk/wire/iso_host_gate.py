"""FEIG ISO-Host for gates: buffered reads (22), timed outputs (72), people counters (9F around 77 and 78)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntFlag

from kiosk.wire.iso_host import Command, Reply, Request
from mocban.errors import LocalProtocolError, RemoteProtocolError

_TIME, _DATE, _STATISTICS, _INPUT, _MAC, _ANTENNA = 4, 5, 7, 2, 6, 6  # bytes of each field


class Has(IntFlag):
    """TR-DATA1 (low byte) and TR-DATA2 (high byte): which fields each record holds."""

    IDD = 0x0001
    BLOCKS = 0x0002
    LSB_FIRST = 0x0008
    ANTENNA = 0x0010
    TIME = 0x0020
    DATE = 0x0040
    SECOND = 0x0080  # TR-DATA2 follows
    INPUT = 0x0100
    MAC = 0x0200
    STATISTICS = 0x0800
    ANTENNAS = 0x1000


@dataclass(frozen=True, slots=True)
class Record:
    """One buffered read. ``None`` and empty: the gate does not send this field.

    ``time``: milliseconds of the reader's day; ``date``: its five bytes as they came;
    ``inputs``: IN and DIRECTION.
    """

    idd: bytes = b""
    tag_type: int = 0
    data: bytes = field(default=b"", repr=False)
    block_size: int = 4
    time: int | None = None
    date: bytes = b""
    antenna: int | None = None
    inputs: tuple[int, int] | None = None
    mac: bytes = b""


@dataclass(frozen=True, slots=True)
class Batch:
    """The data of an answer to 22. ``spoilt``: records that were announced but do not add up."""

    has: Has
    records: tuple[Record, ...]
    spoilt: int = 0

    def encode(self) -> bytes:
        """The data of the answer."""
        out = bytearray((self.has & 0xFF,))
        if self.has & Has.SECOND:
            out.append(self.has >> 8)
        out += len(self.records).to_bytes(2, "big")
        for record in self.records:
            body = _encode_record(record, self.has)
            out += (len(body) + 2).to_bytes(2, "big") + body
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Batch:
        """From the data of the answer; a spoilt record is counted, the others are kept. Never raises."""
        if not data:
            return cls(Has(0), ())
        fields = _Fields(data)
        try:
            has = fields.has()
            count = fields.number(2)
        except _ShortError:
            return cls(Has(0), (), 1)
        records: list[Record] = []
        for _ in range(count):
            try:
                record = _Fields(fields.take(fields.number(2) - 2))
            except _ShortError:
                break
            with suppress(_ShortError):  # this one is spoilt, its length leads to the next
                records.append(_decode_record(record, has))
        return cls(has, tuple(records), count - len(records))


def read_buffer(sets: int) -> Request:
    """22: up to ``sets`` records; they stay until CLEAR_BUFFER."""
    return Request(Command.READ_BUFFER, sets.to_bytes(2, "big"), advanced=True)


def clear_buffer() -> Request:
    """32: forget the records that were read last."""
    return Request(Command.CLEAR_BUFFER, advanced=True)


def init_buffer() -> Request:
    """33: forget every record."""
    return Request(Command.INIT_BUFFER, advanced=True)


def buffer_info() -> Request:
    """31: size of the buffer and how full it is."""
    return Request(Command.BUFFER_INFO, advanced=True)


@dataclass(frozen=True, slots=True)
class Output:
    """One output of 72, switched on for ``tenths`` of a second; it goes off by itself even if we die.

    ``number``: type in bits 7-5, number in bits 4-0, as the model has them.
    """

    number: int
    tenths: int
    state: int = 0x01

    @classmethod
    def timed(cls, number: int, seconds: float) -> Output:
        """On for ``seconds``, at least 0.1; never FFFF, which would be for ever."""
        return cls(number, min(max(round(seconds * 10), 1), 0xFFFE))


def set_output(*outputs: Output) -> Request:
    """72: switch outputs for a time."""
    rows = (bytes((o.number, o.state)) + o.tenths.to_bytes(2, "big") for o in outputs)
    data = bytes((0x01, len(outputs))) + b"".join(rows)
    return Request(Command.SET_OUTPUT, data, advanced=True)


def decode_outputs(data: bytes) -> list[Output]:
    """From the data of 72; RemoteProtocolError if its length is not as announced."""
    if len(data) < 2 or len(data) != 2 + 4 * data[1]:
        raise RemoteProtocolError("The outputs do not fit their number.")
    rows = [data[at : at + 4] for at in range(2, len(data), 4)]
    return [Output(row[0], int.from_bytes(row[2:], "big"), row[1]) for row in rows]


@dataclass(frozen=True, slots=True)
class Piggyback:
    """The data of 9F: a whole frame for a device behind the reader. Defaults: a gate's people counter."""

    frame: bytes
    mode: int = 0x00
    device: int = 0x0D
    port: int = 0x02

    def request(self) -> Request:
        """The request that carries it."""
        head = bytes((self.mode, self.device, self.port))
        return Request(Command.PIGGYBACK, head + self.frame, advanced=True)

    @classmethod
    def decode(cls, data: bytes) -> Piggyback:
        """From the data of the request."""
        if len(data) < 3:
            raise RemoteProtocolError("A piggyback command names no device.")
        return cls(data[3:], data[0], data[1], data[2])


COUNTER = 0x01  # bus address of the people counter


def get_counters() -> Request:
    """9F around 77: read the four people counters; the answer is ``decode_counters``."""
    inner = Request(Command.GET_COUNTERS, b"\x00", COUNTER, advanced=True)
    return Piggyback(inner.encode()).request()


def set_counters(values: tuple[int, int, int, int]) -> Request:
    """9F around 78: set all four; zeros reset."""
    inner = Request(Command.SET_COUNTERS, b"\x00" + encode_counters(values), COUNTER, advanced=True)
    return Piggyback(inner.encode()).request()


def encode_counters(values: tuple[int, int, int, int]) -> bytes:
    """Aisle 1 in, out, aisle 2 in, out: 32 bits each, most significant byte first."""
    if any(not 0 <= value < 1 << 32 for value in values):
        raise LocalProtocolError("A counter has 32 bits.")
    return b"".join(value.to_bytes(4, "big") for value in values)


def decode_counters(data: bytes) -> tuple[int, int, int, int]:
    """From the data of a piggyback answer around 77."""
    inner = Reply.decode(data)
    if inner.command != Command.GET_COUNTERS or len(inner.data) != 16:
        raise RemoteProtocolError("The people counter's answer has not four counters.")
    a, b, c, d = (int.from_bytes(inner.data[at : at + 4], "big") for at in range(0, 16, 4))
    return a, b, c, d


class _ShortError(Exception):
    """A field reaches beyond its record."""


class _Fields:
    """Reads fields off the front of a record."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size < 0 or size > self.left:
            self._at = len(self._data)
            raise _ShortError
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def has(self) -> Has:
        has = Has(self.number(1))
        return has | Has(self.number(1) << 8) if has & Has.SECOND else has


def _decode_record(fields: _Fields, has: Has) -> Record:
    tag_type, idd, data, size = 0, b"", b"", 4
    if has & Has.IDD:
        tag_type = fields.number(1)
        fields.take(1)  # IDDIB
        idd = fields.take(fields.number(1))
    if has & Has.BLOCKS:
        count, size = fields.number(2), fields.number(1)
        data = fields.take(count * size)
    time = fields.number(_TIME) if has & Has.TIME else None
    date = fields.take(_DATE) if has & Has.DATE else b""
    antenna = fields.number(1) if has & Has.ANTENNA else None
    if has & Has.ANTENNA and has & Has.STATISTICS:
        fields.take(_STATISTICS)
    inputs = (fields.number(1), fields.number(1)) if has & Has.INPUT else None
    mac = fields.take(_MAC) if has & Has.MAC else b""
    if has & Has.ANTENNAS:
        fields.take(fields.number(1) * _ANTENNA)
    return Record(idd, tag_type, data, size, time, date, antenna, inputs, mac)


def _encode_record(record: Record, has: Has) -> bytes:
    if has & (Has.STATISTICS | Has.ANTENNAS):
        raise LocalProtocolError("Antenna statistics are read, never written.")
    out = bytearray()
    if has & Has.IDD:
        out += bytes((record.tag_type, 0, len(record.idd))) + record.idd
    if has & Has.BLOCKS:
        count = len(record.data) // record.block_size if record.block_size else 0
        out += count.to_bytes(2, "big") + bytes((record.block_size,))
        out += record.data[: count * record.block_size]
    if has & Has.TIME:
        out += (record.time or 0).to_bytes(_TIME, "big")
    if has & Has.DATE:
        out += record.date[:_DATE].ljust(_DATE, b"\x00")
    if has & Has.ANTENNA:
        out.append(record.antenna or 0)
    if has & Has.INPUT:
        out += bytes(record.inputs or (0, 0))
    if has & Has.MAC:
        out += record.mac[:_MAC].ljust(_MAC, b"\x00")
    return bytes(out)
