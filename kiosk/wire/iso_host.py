"""FEIG OBID ISO-Host: frames of host and reader, both framings, and the reader's own commands.

Standard ``LEN COM CMD [STATUS] data CRC``, advanced ``02 LENh LENl COM CMD [STATUS] data CRC``; LEN is the whole
frame, the CRC is MCRF4XX, least significant byte first. Nothing here knows which side it plays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from kiosk.wire.crc import MCRF4XX
from kiosk.wire.framing import Drop, Framer, Take, Wait
from mocban.errors import LocalProtocolError, RemoteProtocolError

ANY_ADDRESS = 0xFF
LONGEST = 4096  # bytes of a frame that we accept; the protocol would allow 65,535
_STX = 0x02
_SHORTEST_STANDARD, _LONGEST_STANDARD = 5, 255
_SHORTEST_ADVANCED = 7


class Command(IntEnum):
    """Command bytes used here."""

    READ_BUFFER = 0x22
    BUFFER_INFO = 0x31
    CLEAR_BUFFER = 0x32
    INIT_BUFFER = 0x33
    CPU_RESET = 0x63
    VERSION = 0x65
    READER_INFO = 0x66
    RF_RESET = 0x69
    RF_OUTPUT = 0x6A
    DIAGNOSTIC = 0x6E
    SET_OUTPUT_MASK = 0x71  # pads
    SET_OUTPUT = 0x72  # gates
    GET_COUNTERS = 0x77  # people counter
    SET_COUNTERS = 0x78  # people counter
    PIGGYBACK = 0x9F
    ISO = 0xB0
    CUSTOM = 0xB1
    THROUGH = 0xBF


class Status(IntEnum):
    """Status bytes of an answer."""

    OK = 0x00
    NO_TAG = 0x01
    DATA_FALSE = 0x02
    WRITE_ERROR = 0x03
    ADDRESS_ERROR = 0x04
    WRONG_TYPE = 0x05
    NO_ACCESS = 0x08
    EEPROM = 0x10
    RANGE = 0x11
    LOGIN_WANTED = 0x13
    LOGIN_ERROR = 0x14
    READ_PROTECTED = 0x15
    WRITE_PROTECTED = 0x16
    PERIPHERAL_SILENT = 0x20
    UNKNOWN_COMMAND = 0x80
    LENGTH = 0x81
    NOT_AVAILABLE = 0x82
    RF_ERROR = 0x83
    RF_WARNING = 0x84
    NO_DATA = 0x92
    OVERFLOW = 0x93
    MORE = 0x94
    ISO_ERROR = 0x95
    HARDWARE = 0xF1


_WORDS = {
    Status.OK: "done",
    Status.NO_TAG: "no tag in the field",
    Status.DATA_FALSE: "the tag's data were damaged on air",
    Status.WRITE_ERROR: "the tag could not be written",
    Status.ADDRESS_ERROR: "the tag has no such block",
    Status.WRONG_TYPE: "the tag does not know this command",
    Status.NO_ACCESS: "the tag refuses access",
    Status.EEPROM: "the reader's memory failed",
    Status.RANGE: "a parameter is out of range",
    Status.LOGIN_WANTED: "the reader wants a login",
    Status.LOGIN_ERROR: "the reader refused the login",
    Status.READ_PROTECTED: "the reader's page may not be read",
    Status.WRITE_PROTECTED: "the reader's page may not be written",
    Status.PERIPHERAL_SILENT: "the device behind the reader does not answer",
    Status.UNKNOWN_COMMAND: "the reader does not know this command",
    Status.LENGTH: "the reader expected another length",
    Status.NOT_AVAILABLE: "not available in this mode of the reader",
    Status.RF_ERROR: "the reader's antenna has a fault",
    Status.RF_WARNING: "the reader's antenna is badly tuned or disturbed",
    Status.NO_DATA: "the buffer is empty",
    Status.OVERFLOW: "the buffer overflowed and events were lost",
    Status.MORE: "more data wait",
    Status.ISO_ERROR: "the tag answered with an error",
    Status.HARDWARE: "the reader reports a hardware fault",
}


def words(status: int) -> str:
    """What ``status`` means; unknown ones by number."""
    return _WORDS.get(Status(status), "") if status in _WORDS else f"status {status:02X}"


@dataclass(frozen=True, slots=True)
class Request:
    """Host to reader. ``data`` stays out of repr: it may hold what lies on a patron's card."""

    command: int
    data: bytes = field(default=b"", repr=False)
    address: int = ANY_ADDRESS
    advanced: bool = False

    def encode(self) -> bytes:
        """The whole frame; LocalProtocolError if it does not fit its framing."""
        return _sealed(bytes((self.address, self.command)) + self.data, self.advanced)

    @classmethod
    def decode(cls, frame: bytes) -> Request:
        """From a whole frame; RemoteProtocolError if it is none."""
        body, advanced = _unsealed(frame)
        return cls(body[1], body[2:], body[0], advanced)


@dataclass(frozen=True, slots=True)
class Reply:
    """Reader to host. ``status`` is kept as it came; ``words`` explains it."""

    command: int
    status: int = Status.OK
    data: bytes = field(default=b"", repr=False)
    address: int = 0
    advanced: bool = False

    def encode(self) -> bytes:
        """The whole frame; LocalProtocolError if it does not fit its framing."""
        return _sealed(bytes((self.address, self.command, self.status)) + self.data, self.advanced)

    @classmethod
    def decode(cls, frame: bytes) -> Reply:
        """From a whole frame; RemoteProtocolError if it is none."""
        body, advanced = _unsealed(frame)
        if len(body) < 3:
            raise RemoteProtocolError("The reader's answer has no status.")
        return cls(body[1], body[2], body[3:], body[0], advanced)


def framer() -> Framer:
    """A framer for either side and both framings; on a wrong CRC it drops one byte and looks again."""
    return Framer(scan, LONGEST)


def scan(buffer: bytes) -> Take | Wait | Drop:
    """What the start of ``buffer`` (not empty) is. LEN 2 is impossible, so 02 means advanced."""
    if buffer[0] == _STX:
        if len(buffer) < 3:
            return Wait()
        size, shortest, longest = int.from_bytes(buffer[1:3], "big"), _SHORTEST_ADVANCED, LONGEST
    else:
        size, shortest, longest = buffer[0], _SHORTEST_STANDARD, _LONGEST_STANDARD
    if not shortest <= size <= longest:
        return Drop()
    if len(buffer) < size:
        return Wait()
    # The residue over a frame and its CRC is 0.
    return Take(size) if MCRF4XX(buffer[:size]) == 0 else Drop()


@dataclass(frozen=True, slots=True)
class Version:
    """Answer to 65: software release (2 bytes), hardware and software types, and what follows as it came."""

    software: tuple[int, int]
    hardware: int = 0
    hardware_type: int = 0
    software_type: int = 0
    rest: bytes = b""

    def encode(self) -> bytes:
        """The data of the answer."""
        kinds = bytes((self.hardware, self.hardware_type, self.software_type))
        return bytes(self.software) + kinds + self.rest

    @classmethod
    def decode(cls, data: bytes) -> Version:
        """From the data of the answer; readers differ in length, two bytes are the least."""
        if len(data) < 2:
            raise RemoteProtocolError("The reader's version is too short.")
        kinds = data[2:5].ljust(3, b"\x00")
        return cls((data[0], data[1]), kinds[0], kinds[1], kinds[2], data[5:])

    def __str__(self) -> str:
        release = f"{self.software[0]:02d}.{self.software[1]:02d}"
        return f"FEIG type {self.software_type:02X} release {release}"


def version() -> Request:
    """65: which reader is this?"""
    return Request(Command.VERSION)


def reader_info(mode: int = 0) -> Request:
    """66: one page of reader information."""
    return Request(Command.READER_INFO, bytes((mode,)))


def cpu_reset() -> Request:
    """63: restart the reader."""
    return Request(Command.CPU_RESET)


def rf_reset() -> Request:
    """69: field off for 15 ms; every tag forgets its state."""
    return Request(Command.RF_RESET)


def rf_output(antenna: int) -> Request:
    """6A: field off (0) or on at one antenna."""
    return Request(Command.RF_OUTPUT, bytes((antenna,)))


@dataclass(frozen=True, slots=True)
class OutputMask:
    """Data of 71 (pads): two bits an output, 00 leave, 01 on, 10 off, 11 flash; time in 100 ms.

    Which bit is which lamp or relay depends on the model.
    """

    states: int
    flash: int
    tenths: int
    tail: int = 0

    def encode(self) -> bytes:
        """The data of the request."""
        return b"".join(part.to_bytes(2, "big") for part in self._fields())

    @classmethod
    def decode(cls, data: bytes) -> OutputMask:
        """From the data of the request."""
        if len(data) != 8:
            raise RemoteProtocolError("An output mask has 8 bytes.")
        return cls(*(int.from_bytes(data[at : at + 2], "big") for at in range(0, 8, 2)))

    def _fields(self) -> tuple[int, int, int, int]:
        return self.states, self.flash, self.tenths, self.tail


def set_output_mask(mask: OutputMask) -> Request:
    """71: lamps and relay of a pad."""
    return Request(Command.SET_OUTPUT_MASK, mask.encode())


def _sealed(body: bytes, advanced: bool) -> bytes:
    size = len(body) + (5 if advanced else 3)
    if size > (LONGEST if advanced else _LONGEST_STANDARD):
        raise LocalProtocolError(f"A frame of {size} bytes is too long for this framing.")
    head = bytes((_STX,)) + size.to_bytes(2, "big") if advanced else bytes((size,))
    frame = head + body
    return frame + MCRF4XX(frame).to_bytes(2, "little")


def _unsealed(frame: bytes) -> tuple[bytes, bool]:
    """Address, command and the rest, and whether the framing is advanced."""
    if not frame or scan(frame) != Take(len(frame)):
        raise RemoteProtocolError("Not a whole ISO-Host frame, or its checksum is wrong.")
    advanced = frame[0] == _STX
    return frame[3 if advanced else 1 : -2], advanced
