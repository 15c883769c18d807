"""UHFReader18 and UHFReader288 (and their many brands): UHF tags of ISO/IEC 18000-63 in ``len_frame`` frames.

Request ``LEN ADR CMD data CRC``, answer ``LEN ADR CMD STATUS data CRC``. Words are 16 bits, most significant byte
first. The two series differ in how an inventory is asked and answered, and in how one tag is meant: the 18 names it
by its whole UII only, the 288 can also compare any bank (``Mask``; recalled, not seen on a device).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum

from kiosk.wire import len_frame
from mocban.errors import LocalProtocolError, RemoteProtocolError

ANY_ADDRESS = 0xFF
MOST_WORDS = 120
"""Words that one read gives."""
MOST_UII = 15
"""Words of a UII that a request can carry."""
_NO_PASSWORD = bytes(4)


class Series(Enum):
    """Which dialect a reader speaks; ``Info`` tells."""

    R18 = "18"
    R288 = "288"


class Command(IntEnum):
    """Command bytes used here."""

    INVENTORY = 0x01
    READ = 0x02
    WRITE = 0x03
    LOCK = 0x06
    SET_EAS = 0x0C
    CHECK_EAS = 0x0D
    INFO = 0x21
    REGION = 0x22
    SCAN_TIME = 0x25
    BAUD = 0x28
    POWER = 0x2F
    PUSHED = 0xEE  # never asked for: the reader is in its scan mode


class Bank(IntEnum):
    """Memory banks of a tag."""

    RESERVED = 0
    EPC = 1
    TID = 2
    USER = 3


class Status(IntEnum):
    """STATUS of an answer."""

    OK = 0x00
    FOUND = 0x01  # the end of an inventory
    TIMEOUT = 0x02  # the same, but the scan time was too short for all
    MORE = 0x03  # another frame follows by itself
    FULL = 0x04
    PASSWORD = 0x05
    KILL = 0x09
    KILL_PASSWORD_ZERO = 0x0A
    TAG_UNSUPPORTED = 0x0B
    PASSWORD_ZERO = 0x0C
    PROTECTED = 0x0D
    UNPROTECTED = 0x0E
    LOCKED = 0x10
    CANNOT_LOCK = 0x11
    LOCKED_ALREADY = 0x12
    NOT_SAVED = 0x13
    POWER = 0x14
    NO_EAS = 0x19
    STATISTICS = 0x26  # 288: behind an inventory
    ANTENNA = 0xF8
    FAILED = 0xF9
    POOR = 0xFA
    NO_TAG = 0xFB
    TAG_ERROR = 0xFC  # the tag's error code follows
    LENGTH = 0xFD
    ILLEGAL = 0xFE  # with command 00: the request was damaged, or is not known
    PARAMETER = 0xFF


_WORDS = {
    Status.OK: "done",
    Status.FOUND: "the inventory is complete",
    Status.TIMEOUT: "the scan time ended before all tags were read",
    Status.MORE: "more tags follow",
    Status.FULL: "the reader's memory is full",
    Status.PASSWORD: "the access password is wrong",
    Status.KILL: "the tag could not be killed",
    Status.KILL_PASSWORD_ZERO: "a kill password cannot be zero",
    Status.TAG_UNSUPPORTED: "the tag does not know this command",
    Status.PASSWORD_ZERO: "the tag needs an access password that is not zero",
    Status.PROTECTED: "the tag is read-protected already",
    Status.UNPROTECTED: "the tag is not read-protected",
    Status.LOCKED: "some of the tag's bytes are locked",
    Status.CANNOT_LOCK: "the tag cannot be locked",
    Status.LOCKED_ALREADY: "the tag is locked already",
    Status.NOT_SAVED: "the reader could not save the setting",
    Status.POWER: "the reader's power cannot be set",
    Status.NO_EAS: "the tag has no EAS bit, or its access password is zero",
    Status.STATISTICS: "statistics of an inventory",
    Status.ANTENNA: "the reader's antenna has a fault",
    Status.FAILED: "the command failed",
    Status.POOR: "the tag is there but badly heard",
    Status.NO_TAG: "no tag in the field",
    Status.TAG_ERROR: "the tag answered with an error",
    Status.LENGTH: "the reader expected another length",
    Status.ILLEGAL: "the reader does not know this command",
    Status.PARAMETER: "a parameter is out of range",
}
OVERRUN, TAG_LOCKED = 0x03, 0x04
"""Error codes of a tag: no such word; locked."""


def words(status: int) -> str:
    """What ``status`` means; unknown ones by number."""
    return _WORDS[Status(status)] if status in _WORDS else f"status {status:02X}"


@dataclass(frozen=True, slots=True)
class Request:
    """Host to reader."""

    command: int
    data: bytes = field(default=b"", repr=False)
    address: int = ANY_ADDRESS

    def encode(self) -> bytes:
        """The whole frame."""
        return len_frame.sealed(self.address, bytes((self.command,)) + self.data)

    @classmethod
    def decode(cls, frame: bytes) -> Request:
        """From a whole frame; RemoteProtocolError if it is none."""
        address, body = len_frame.unsealed(frame)
        return cls(body[0], body[1:], address)


@dataclass(frozen=True, slots=True)
class Reply:
    """Reader to host."""

    command: int
    status: int = Status.OK
    data: bytes = field(default=b"", repr=False)
    address: int = 0

    def encode(self) -> bytes:
        """The whole frame."""
        return len_frame.sealed(self.address, bytes((self.command, self.status)) + self.data)

    @classmethod
    def decode(cls, frame: bytes) -> Reply:
        """From a whole frame; RemoteProtocolError if it is none."""
        address, body = len_frame.unsealed(frame)
        if len(body) < 2:
            raise RemoteProtocolError("The reader's answer has no status.")
        return cls(body[0], body[1], body[2:], address)


@dataclass(frozen=True, slots=True)
class Mask:
    """288: the tag whose ``bank`` holds ``data`` from bit ``first`` on."""

    bank: Bank
    first: int
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """MaskMem, MaskAdr in bits, MaskLen in bits, MaskData."""
        bits = 8 * len(self.data)
        if not 0 < bits <= 255 or not 0 <= self.first <= 0xFFFF:
            raise LocalProtocolError("A mask has 1 to 31 bytes.")
        return bytes((self.bank,)) + self.first.to_bytes(2, "big") + bytes((bits,)) + self.data


@dataclass(frozen=True, slots=True)
class Uii:
    """The tag (or one of the tags) whose whole UII is ``data``."""

    data: bytes = field(repr=False)


Target = Uii | Mask


def by_tid(tid: bytes) -> Mask:
    """288: exactly the tag with this TID."""
    return Mask(Bank.TID, 0, tid)


# -- inventory --


def inventory(series: Series, *, tid: bool = False, q: int = 4, tenths: int = 5) -> Request:
    """01: the UII of every tag, or the six words of every TID.

    288: session 0, target A, antenna 1; ``q``: 2**q slots to begin with; ``tenths``: the longest it may take.
    """
    tid_words = bytes((0, TID_WORDS)) if tid else b""
    if series is Series.R18:
        return Request(Command.INVENTORY, tid_words)
    return Request(Command.INVENTORY, bytes((q, 0)) + tid_words + bytes((0, 0x80, tenths)))


TID_WORDS = 6


def encode_sightings(series: Series, seen: list[bytes]) -> bytes:
    """The data of an inventory's answer; for the 288 antenna 1 and a signal strength of C8."""
    tail = b"\xc8" if series is Series.R288 else b""
    rows = b"".join(bytes((len(one),)) + one + tail for one in seen)
    head = b"\x01" if series is Series.R288 else b""
    return head + bytes((len(seen),)) + rows


def decode_sightings(series: Series, data: bytes) -> list[bytes]:
    """UIIs (or TIDs) of an inventory's answer; RemoteProtocolError if its length is not as announced.

    288: bit 7 of a length says that a TID stands behind the UII in the same field (cut off here, six words). Bit 6
    announces phase values; nobody asks for them and their length is not known here, so they are refused.
    """
    plain = series is Series.R18
    at = 0 if plain else 1
    if len(data) <= at:
        raise RemoteProtocolError("The inventory has no number of tags.")
    count, at = data[at], at + 1
    seen: list[bytes] = []
    for _ in range(count):
        size = data[at] if at < len(data) else 0
        length = size if plain else size & 0x3F
        one = data[at + 1 : at + 1 + length]
        at += 1 + length + (0 if plain else 1)
        if at > len(data) or (not plain and size & 0x40):
            break
        fast = not plain and size & 0x80 and length >= 2 * TID_WORDS
        seen.append(one[: -2 * TID_WORDS] if fast else one)
    if len(seen) != count or at != len(data):
        raise RemoteProtocolError("The inventory's length does not fit its number of tags.")
    return seen


@dataclass(frozen=True, slots=True)
class Statistics:
    """288: what it says behind an inventory when asked to. ``rate``: tags a second."""

    antenna: int
    rate: int
    total: int

    def encode(self) -> bytes:
        """The data of the answer."""
        return bytes((self.antenna,)) + self.rate.to_bytes(2, "big") + self.total.to_bytes(4, "big")

    @classmethod
    def decode(cls, data: bytes) -> Statistics:
        """From the data of the answer."""
        if len(data) != 7:
            raise RemoteProtocolError("The statistics have not 7 bytes.")
        return cls(data[0], int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:], "big"))


# -- one tag --


def read(
    target: Target, bank: Bank, first: int, count: int, password: bytes = _NO_PASSWORD
) -> Request:
    """02: ``count`` words of a bank from word ``first``; the answer's data are the words."""
    if not 1 <= count <= MOST_WORDS:
        raise LocalProtocolError(f"One read gives 1 to {MOST_WORDS} words.")
    args = bytes((bank, first, count)) + password
    return Request(Command.READ, _aimed(target, args))


def write(
    target: Target, bank: Bank, first: int, data: bytes, password: bytes = _NO_PASSWORD
) -> Request:
    """03: whole words into a bank from word ``first``."""
    if not data or len(data) % 2 or len(data) > 64:
        raise LocalProtocolError("One write takes 1 to 32 words.")
    args = bytes((bank, first)) + data + password
    return Request(Command.WRITE, bytes((len(data) // 2,)) + _aimed(target, args))


def set_eas(target: Target, *, armed: bool, password: bytes = _NO_PASSWORD) -> Request:
    """0C: NXP UCODE only, and only with an access password that is not zero."""
    return Request(Command.SET_EAS, _aimed(target, password + bytes((armed,))))


def check_eas() -> Request:
    """0D: OK if any tag in the field has its EAS bit set, NO_TAG if none has."""
    return Request(Command.CHECK_EAS)


@dataclass(frozen=True, slots=True)
class Aimed:
    """A request to one tag taken apart: what ``read``, ``write`` and ``set_eas`` put together."""

    target: Target
    args: bytes = field(repr=False)

    @classmethod
    def decode(cls, data: bytes, size: int) -> Aimed:
        """``size``: bytes of the arguments between target and mask; RemoteProtocolError if it does not add up."""
        count = data[0] if data else 0
        if data and count == _MASKED:
            args, tail = data[1 : 1 + size], data[1 + size :]
            if len(tail) < 5 or 8 * len(tail[4:]) != tail[3] or tail[0] not in list(Bank):
                raise RemoteProtocolError("The mask does not add up.")
            return cls(Mask(Bank(tail[0]), int.from_bytes(tail[1:3], "big"), tail[4:]), args)
        if not data or count > MOST_UII or len(data) != 1 + 2 * count + size:
            raise RemoteProtocolError("The request to a tag does not add up.")
        return cls(Uii(data[1 : 1 + 2 * count]), data[1 + 2 * count :])


_MASKED = 0xFF  # in place of a UII's length


def _aimed(target: Target, args: bytes) -> bytes:
    match target:
        case Uii(data):
            if len(data) % 2 or len(data) > 2 * MOST_UII:
                raise LocalProtocolError(f"A UII has at most {MOST_UII} words here.")
            return bytes((len(data) // 2,)) + data + args
        case Mask():
            return bytes((_MASKED,)) + args + target.encode()
