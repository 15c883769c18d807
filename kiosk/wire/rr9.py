"""RR9 readers (HFReader9, RR9036 and unbranded desk readers): ISO 15693 tags in ``len_frame`` frames.

Request ``LEN ADR CMD STATE data CRC``, answer ``LEN ADR STATUS data CRC``: an answer does not say what it answers, so
its shape must. UIDs go least significant byte first. Command codes are those of ISO 15693.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from kiosk.wire import len_frame
from kiosk.wire.iso15693 import Command, Found, Uid
from mocban.errors import LocalProtocolError, RemoteProtocolError

DEFAULT_ADDRESS = 0x00
BAUDS = (19200, 9600, 38400, 57600, 115200)
"""Speeds to try, the likeliest first. All 8N1."""
MOST = {4: 12, 8: 6}
"""Blocks in one answer, by block size."""
_ROW = 9  # bytes of one tag in an inventory: DSFID, UID


class Scan(IntEnum):
    """STATE of an inventory. The first two name one tag and quiet it."""

    ONE = 0x00
    ONE_AFI = 0x01
    NEW = 0x06  # field off and on, then every tag
    MORE = 0x02  # the tags not told yet
    NEW_AFI = 0x07
    MORE_AFI = 0x03


class State(IntFlag):
    """STATE of every other command."""

    ADDRESSED = 0x00  # a UID follows
    SELECTED = 0x01  # none follows
    WIDE = 0x04  # blocks of eight bytes
    TYPE_B = 0x08  # writes with option flag and a second EOF, as Texas Instruments' tags want


class Own(IntEnum):
    """STATE of command 00: the reader itself."""

    INFO = 0x00
    FIELD_OFF = 0x01
    FIELD_ON = 0x02
    ISO15693 = 0x06  # readers that know several kinds of card


class Status(IntEnum):
    """STATUS of an answer. 00 is certain; the others are recalled, and no decision rests on them alone."""

    OK = 0x00
    LENGTH = 0x01
    UNSUPPORTED = 0x02
    RANGE = 0x03
    FIELD_OFF = 0x05
    EEPROM = 0x06
    TIMEOUT = 0x0A  # the scan time ended before one tag was whole
    INCOMPLETE = 0x0B  # the scan time ended; the tags told are good
    ISO = 0x0C
    NO_TAG = 0x0E
    TAG_ERROR = 0x0F  # the tag's error code follows


_WORDS = {
    Status.OK: "done",
    Status.LENGTH: "the reader expected another length",
    Status.UNSUPPORTED: "the reader does not know this command",
    Status.RANGE: "a parameter is out of range",
    Status.FIELD_OFF: "the reader's field is off",
    Status.EEPROM: "the reader's memory failed",
    Status.TIMEOUT: "the scan time ended before a tag was read",
    Status.INCOMPLETE: "the scan time ended before all tags were read",
    Status.ISO: "the tag's answer was damaged on air",
    Status.NO_TAG: "no tag in the field",
    Status.TAG_ERROR: "the tag answered with an error",
}


def words(status: int) -> str:
    """What ``status`` means; unknown ones by number."""
    return _WORDS[Status(status)] if status in _WORDS else f"status {status:02X}"


@dataclass(frozen=True, slots=True)
class Request:
    """Host to reader. ``state`` is a Scan or a State."""

    command: int
    state: int = 0
    data: bytes = field(default=b"", repr=False)
    address: int = DEFAULT_ADDRESS

    def encode(self) -> bytes:
        """The whole frame."""
        return len_frame.sealed(self.address, bytes((self.command, self.state)) + self.data)

    @classmethod
    def decode(cls, frame: bytes) -> Request:
        """From a whole frame; RemoteProtocolError if it is none."""
        address, body = len_frame.unsealed(frame)
        if len(body) < 2:
            raise RemoteProtocolError("A request has a command and a state.")
        return cls(body[0], body[1], body[2:], address)


@dataclass(frozen=True, slots=True)
class Reply:
    """Reader to host."""

    status: int = Status.OK
    data: bytes = field(default=b"", repr=False)
    address: int = DEFAULT_ADDRESS

    def encode(self) -> bytes:
        """The whole frame."""
        return len_frame.sealed(self.address, bytes((self.status,)) + self.data)

    @classmethod
    def decode(cls, frame: bytes) -> Reply:
        """From a whole frame; RemoteProtocolError if it is none."""
        address, body = len_frame.unsealed(frame)
        return cls(body[0], body[1:], address)


@dataclass(frozen=True, slots=True)
class Info:
    """Answer to 00/00. ``tenths``: the longest scan, in 100 ms."""

    version: tuple[int, int]
    kind: int
    protocols: tuple[int, int]
    tenths: int

    def encode(self) -> bytes:
        """The data of the answer."""
        return bytes((*self.version, self.kind, *self.protocols, self.tenths))

    @classmethod
    def decode(cls, data: bytes) -> Info:
        """From the data of the answer."""
        if len(data) != 6:
            raise RemoteProtocolError("The reader's information has not 6 bytes.")
        return cls((data[0], data[1]), data[2], (data[3], data[4]), data[5])

    def __str__(self) -> str:
        release = f"{self.version[0]:02d}.{self.version[1]:02d}"
        return f"RR9 type {self.kind:02X} release {release}"


def own(what: Own) -> Request:
    """00: a question or an order to the reader itself."""
    return Request(0x00, what)


def inventory(scan: Scan, afi: int | None = None) -> Request:
    """01: tags of one scan. ``afi`` exactly for the scans that have one."""
    if (afi is not None) != bool(scan & 1):
        raise LocalProtocolError("This scan and an AFI do not go together.")
    return Request(Command.INVENTORY, scan, b"" if afi is None else bytes((afi,)))


def encode_found(tags: list[Found]) -> bytes:
    """The data of an inventory's answer."""
    return b"".join(bytes((tag.dsfid or 0,)) + tag.uid.on_air for tag in tags)


def decode_found(data: bytes) -> list[Found]:
    """Tags of an inventory's answer; RemoteProtocolError if it is no whole number of tags."""
    if len(data) % _ROW:
        raise RemoteProtocolError("The inventory is no whole number of tags.")
    rows = [data[at : at + _ROW] for at in range(0, len(data), _ROW)]
    return [Found(Uid(row[:0:-1]), row[0]) for row in rows]


def stay_quiet(uid: Uid) -> Request:
    """02: silence one tag until the field was off."""
    return addressed(Command.STAY_QUIET, uid)


def read_blocks(uid: Uid, first: int, count: int, *, size: int = 4) -> Request:
    """23: ``count`` blocks, at most MOST[size]; the count goes as it is, not less one as on air."""
    if not 1 <= count <= MOST.get(size, 0):
        raise LocalProtocolError("This reader does not give so many blocks at once.")
    return addressed(Command.READ_MULTIPLE, uid, bytes((first, count)), _wide(size))


def encode_blocks(data: bytes, size: int, locks: bytes = b"") -> bytes:
    """The data of a read's answer: the lock status before each block."""
    rows = range(0, len(data), size)
    return b"".join(
        locks[at // size : at // size + 1].ljust(1, b"\x00") + data[at : at + size] for at in rows
    )


def decode_blocks(data: bytes, count: int, size: int) -> bytes:
    """The blocks of a read's answer without their lock status; RemoteProtocolError if they are not as asked for."""
    step = size + 1
    if len(data) != count * step:
        raise RemoteProtocolError("The read's length does not fit its number of blocks.")
    return b"".join(data[at + 1 : at + step] for at in range(0, len(data), step))


def write_block(uid: Uid, block: int, data: bytes, *, type_b: bool = False) -> Request:
    """21: one block of four or eight bytes."""
    state = _wide(len(data)) | _kind(type_b)
    return addressed(Command.WRITE_SINGLE, uid, bytes((block,)) + data, state)


def write_afi(uid: Uid, afi: int, *, type_b: bool = False) -> Request:
    """27: the security mark. (A published library sends 29 here, and writes the DSFID.)"""
    return addressed(Command.WRITE_AFI, uid, bytes((afi,)), _kind(type_b))


def write_dsfid(uid: Uid, dsfid: int, *, type_b: bool = False) -> Request:
    """29: the DSFID."""
    return addressed(Command.WRITE_DSFID, uid, bytes((dsfid,)), _kind(type_b))


def lock_block(uid: Uid, block: int, *, type_b: bool = False) -> Request:
    """22: one block, for ever."""
    return addressed(LOCK_BLOCK, uid, bytes((block,)), _kind(type_b))


def lock_afi(uid: Uid, *, type_b: bool = False) -> Request:
    """28: the AFI, for ever."""
    return addressed(LOCK_AFI, uid, state=_kind(type_b))


def lock_dsfid(uid: Uid, *, type_b: bool = False) -> Request:
    """2A: the DSFID, for ever."""
    return addressed(LOCK_DSFID, uid, state=_kind(type_b))


def system_info(uid: Uid) -> Request:
    """2B: the answer's data are those on air, ``iso15693.decode_system_info``."""
    return addressed(Command.SYSTEM_INFO, uid)


LOCK_BLOCK, LOCK_AFI, LOCK_DSFID = 0x22, 0x28, 0x2A


def addressed(command: int, uid: Uid, args: bytes = b"", state: int = State.ADDRESSED) -> Request:
    """A request to one tag."""
    return Request(command, state, uid.on_air + args)


def addressee(request: Request) -> tuple[Uid, bytes]:
    """The tag an addressed request names, and what follows; RemoteProtocolError if it names none."""
    if request.state & State.SELECTED or len(request.data) < 8:
        raise RemoteProtocolError("The request names no tag.")
    return Uid(request.data[7::-1]), request.data[8:]


def _wide(size: int) -> int:
    if size not in MOST:
        raise LocalProtocolError("This reader knows blocks of four or eight bytes.")
    return State.WIDE if size == 8 else State.ADDRESSED


def _kind(type_b: bool) -> int:
    return State.TYPE_B if type_b else State.ADDRESSED
