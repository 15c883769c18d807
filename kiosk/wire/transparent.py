"""Transparent exchange, PC/SC part 3 (supplement): frames to tags through a reader, as data objects in FF C2 APDUs.

The reader keeps the timing, and puts the CRC on and takes it off: frames here have none. A session is begun, the
protocol chosen, then every exchange is one frame and one answer. What the reader heard is a frame or a ``Mishap``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum

from kiosk.wire.iso15693 import NXP, Flag, Found, Uid
from mocban.errors import LocalProtocolError, RemoteProtocolError

MOST = 200
"""Bytes of a frame that fit a short APDU together with what stands around them."""
_HEAD = b"\xff\xc2\x00"
_LARGEST = 4096  # bytes of one data object; no answer is longer


class Function(IntEnum):
    """What an FF C2 APDU is for (P2)."""

    SESSION = 0
    EXCHANGE = 1
    PROTOCOL = 2


class Object(IntEnum):
    """Tags of data objects."""

    BEGIN = 0x81
    END = 0x82
    FIELD_OFF = 0x83
    FIELD_ON = 0x84
    PROTOCOL = 0x8F
    BITS = 0x92  # valid bits of the last byte
    TRANSCEIVE = 0x95
    STATUS = 0x96
    RECEIVED = 0x97
    ERROR = 0xC0
    TIMER = 0x5F46  # microseconds, least significant byte first
    PARAMETERS = 0xFF6E


class Status(IntEnum):
    """Bits of the first byte of the response status."""

    CRC = 0x01
    COLLISION = 0x02
    PARITY = 0x04
    FRAMING = 0x08


class Mishap(Enum):
    """Why there is no frame."""

    SILENCE = "silence"
    COLLISION = "collision"  # more than one answered
    DAMAGED = "damaged"
    REFUSED = "refused"  # the reader did not do it


class Wait(Enum):
    """How long the reader listens: microseconds, and the frame waiting time (302 µs times a power of two) beside it.

    Whether readers count to the answer's begin or to its end is not known to us: either must fit.
    """

    SHORT = (10_000, 5)  # an inventory's answer ends after 5 ms
    LONG = (50_000, 7)  # 16 blocks take 21 ms, and a tag may program for 20


class Code(IntEnum):
    """ISO 15693-3 command codes that are asked here, and NXP's."""

    INVENTORY = 0x01
    STAY_QUIET = 0x02
    READ_SINGLE = 0x20
    WRITE_SINGLE = 0x21
    LOCK_BLOCK = 0x22
    READ_MULTIPLE = 0x23
    WRITE_AFI = 0x27
    LOCK_AFI = 0x28
    WRITE_DSFID = 0x29
    LOCK_DSFID = 0x2A
    SYSTEM_INFO = 0x2B
    SET_EAS = 0xA2
    RESET_EAS = 0xA3
    LOCK_EAS = 0xA4
    EAS_ALARM = 0xA5


@dataclass(frozen=True, slots=True)
class Refusal:
    """The tag's own error code; 0 if it gave none."""

    code: int


@dataclass(frozen=True, slots=True)
class DataObject:
    """One data object; ``tag`` as it is written, two bytes where it has two."""

    tag: int
    value: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """Tag, length (short form, 81 or 82) and value."""
        if len(self.value) > 0xFFFF:
            raise LocalProtocolError("A data object holds at most 65535 bytes.")
        tag = self.tag.to_bytes(1 if self.tag < 0x100 else 2, "big")
        size = len(self.value)
        if size < 0x80:
            return tag + bytes((size,)) + self.value
        if size < 0x100:
            return tag + bytes((0x81, size)) + self.value
        return tag + b"\x82" + size.to_bytes(2, "big") + self.value


def decode_objects(data: bytes) -> list[DataObject]:
    """All data objects; RemoteProtocolError if they do not fill ``data`` exactly."""
    objects: list[DataObject] = []
    at = 0
    while at < len(data):
        tag, at = _tag(data, at)
        size, at = _size(data, at)
        if at + size > len(data):
            raise RemoteProtocolError("A data object is cut short.")
        objects.append(DataObject(tag, data[at : at + size]))
        at += size
    return objects


# -- what we say to the reader --


def begin() -> bytes:
    """Begin a session: the reader stops looking for cards by itself."""
    return apdu(Function.SESSION, DataObject(Object.BEGIN))


def end() -> bytes:
    """End the session."""
    return apdu(Function.SESSION, DataObject(Object.END))


def field_off() -> bytes:
    """Switch the field off: every tag forgets its state."""
    return apdu(Function.SESSION, DataObject(Object.FIELD_OFF))


def field_on() -> bytes:
    """Switch the field on; the protocol must be chosen again."""
    return apdu(Function.SESSION, DataObject(Object.FIELD_ON))


def choose() -> bytes:
    """Choose ISO 15693, layer 3."""
    return apdu(Function.PROTOCOL, DataObject(Object.PROTOCOL, b"\x02\x03"))


def exchange(frame: bytes, wait: Wait = Wait.LONG) -> bytes:
    """Send ``frame`` and hear one answer."""
    if not 1 <= len(frame) <= MOST:
        raise LocalProtocolError(f"A frame has 1 to {MOST} bytes.")
    micros, index = wait.value
    return apdu(
        Function.EXCHANGE,
        DataObject(Object.TIMER, micros.to_bytes(4, "little")),
        DataObject(Object.PARAMETERS, bytes((3, 1, index))),
        DataObject(Object.TRANSCEIVE, frame),
    )


def apdu(function: Function, *objects: DataObject) -> bytes:
    """Data objects as one APDU that expects an answer."""
    body = b"".join(one.encode() for one in objects)
    return _HEAD + bytes((function, len(body))) + body + b"\0"


# -- what the reader says --


def granted(body: bytes) -> bool:
    """Whether a session or protocol request was granted; ``body``: the answer without its status word."""
    return _errors(decode_objects(body)) is None


def decode_exchange(body: bytes) -> bytes | Mishap:
    """What was heard: a frame from its flags on, or why not. RemoteProtocolError if ``body`` makes no sense."""
    objects = decode_objects(body)
    error = _errors(objects)
    status = next((one.value[:1] for one in objects if one.tag == Object.STATUS), b"")
    bits = next((one.value[:1] for one in objects if one.tag == Object.BITS), b"")
    heard = next((one.value for one in objects if one.tag == Object.RECEIVED), b"")
    flags = status[0] if status else 0
    if flags & Status.COLLISION:
        return Mishap.COLLISION
    if flags & 0x0F or (bits and bits[0] & 0x07):
        return Mishap.DAMAGED
    if error is not None:
        return error
    return heard or Mishap.SILENCE


def size_of(body: bytes) -> int:
    """Bytes of a frame that was heard damaged; 0 if none stands there."""
    return sum(len(one.value) for one in decode_objects(body) if one.tag == Object.RECEIVED)


# -- frames, without CRC --


def inventory(mask: int = 0, bits: int = 0) -> bytes:
    """One slot: every tag answers whose UID ends with the lowest ``bits`` bits of ``mask`` (at most 64)."""
    if not 0 <= bits <= 64 or mask >> bits:
        raise LocalProtocolError("A mask has at most 64 bits.")
    flags = Flag.HIGH_RATE | Flag.INVENTORY | Flag.ONE_SLOT
    return bytes((flags, Code.INVENTORY, bits)) + mask.to_bytes((bits + 7) // 8, "little")


def addressed(code: Code, uid: Uid, args: bytes = b"") -> bytes:
    """A request to one tag; the maker's byte of NXP's commands is put in."""
    head = bytes((Flag.HIGH_RATE | Flag.ADDRESS, code))
    return head + (bytes((NXP,)) if code >= 0xA0 else b"") + uid.on_air + args


def opened(frame: bytes) -> bytes | Refusal:
    """A tag's answer without its flags, or its refusal. RemoteProtocolError if it is empty."""
    if not frame:
        raise RemoteProtocolError("A tag's answer is empty.")
    if frame[0] & 0x01:
        return Refusal(frame[1] if len(frame) > 1 else 0)
    return frame[1:]


def found(frame: bytes, mask: int, bits: int) -> Found | None:
    """The tag that answered an inventory under ``mask``; None if this answers something else."""
    body = opened(frame)
    if isinstance(body, Refusal) or len(body) != 9:
        return None
    uid = Uid(body[:0:-1])
    if int.from_bytes(uid.value, "big") & ((1 << bits) - 1) != mask:
        return None
    return Found(uid, body[0])


def _errors(objects: list[DataObject]) -> Mishap | None:
    """The first error object that is no 90 00."""
    for one in objects:
        if one.tag != Object.ERROR:
            continue
        if len(one.value) != 3:
            raise RemoteProtocolError("The reader's error object is malformed.")
        match int.from_bytes(one.value[1:], "big"):
            case 0x9000:
                continue
            case 0x6401 | 0x6400 | 0x6300:  # no answer from the tag; from the air; no information
                return Mishap.SILENCE
            case 0x6301 | 0x6F00:
                return Mishap.DAMAGED
            case _:
                return Mishap.REFUSED
    return None


def _tag(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first & 0x1F != 0x1F:
        return first, at + 1
    if at + 1 >= len(data) or data[at + 1] & 0x80:
        raise RemoteProtocolError("A data object's tag is malformed.")
    return first << 8 | data[at + 1], at + 2


def _size(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise RemoteProtocolError("A data object has no length.")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    size = int.from_bytes(data[at + 1 : at + 1 + count], "big")
    if count not in (1, 2) or at + 1 + count > len(data) or size > _LARGEST:
        raise RemoteProtocolError("A data object's length is malformed.")
    return size, at + 1 + count
