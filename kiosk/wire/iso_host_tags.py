"""FEIG ISO-Host commands B0, B1 and BF: ISO 15693 tags. UIDs go most significant byte first in B0 and B1.

B1 has the custom commands of a tag's maker by name. Readers without it pass whole ISO 15693 frames through by BF.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from kiosk.wire.iso15693 import NXP, Found, SystemInfo, Uid
from kiosk.wire.iso_host import Command, Request
from mocban.errors import LocalProtocolError, RemoteProtocolError

ISO15693 = 0x03  # TR-TYPE
MORE = 0x80  # inventory mode: give me the tags that did not fit into the last answer
MOST_BYTES = 128  # of tag memory in one answer
_T1 = 0x021F  # when to listen, in 590 ns; newer manuals call these bytes reserved


class Sub(IntEnum):
    """Sub-commands of B0; their numbers are those of ISO 15693."""

    INVENTORY = 0x01
    STAY_QUIET = 0x02
    LOCK_BLOCKS = 0x22
    READ_BLOCKS = 0x23
    WRITE_BLOCKS = 0x24
    SELECT = 0x25
    RESET_TO_READY = 0x26
    WRITE_AFI = 0x27
    LOCK_AFI = 0x28
    WRITE_DSFID = 0x29
    LOCK_DSFID = 0x2A
    SYSTEM_INFO = 0x2B
    SECURITY_STATUS = 0x2C


class Custom(IntEnum):
    """Sub-commands of B1 for NXP; their numbers are NXP's."""

    SET_EAS = 0xA2
    RESET_EAS = 0xA3
    LOCK_EAS = 0xA4
    EAS_ALARM = 0xA5


class Mode(IntEnum):
    """ADR bits of the mode byte: which tag is meant."""

    ANY = 0
    ADDRESSED = 1
    SELECTED = 2


@dataclass(frozen=True, slots=True)
class TagCommand:
    """The data of a B0 request. ``uid`` is there exactly when the mode is addressed."""

    sub: int
    mode: int = Mode.ANY
    uid: Uid | None = None
    args: bytes = field(default=b"", repr=False)

    def request(self, *, advanced: bool = False) -> Request:
        """The request that carries it."""
        uid = self.uid.value if self.uid is not None else b""
        data = bytes((self.sub, self.mode)) + uid + self.args
        return Request(Command.ISO, data, advanced=advanced)

    @classmethod
    def decode(cls, data: bytes) -> TagCommand:
        """From the data of a request; RemoteProtocolError if it is cut short."""
        if len(data) < 2:
            raise RemoteProtocolError("A tag command has a sub-command and a mode.")
        sub, mode = data[0], data[1]
        if sub == Sub.INVENTORY or mode & 0x07 != Mode.ADDRESSED:
            return cls(sub, mode, None, data[2:])
        if len(data) < 10:
            raise RemoteProtocolError("An addressed tag command names no tag.")
        return cls(sub, mode, Uid(data[2:10]), data[10:])


@dataclass(frozen=True, slots=True)
class CustomCommand:
    """The data of a B1 request. ``uid`` is there exactly when the mode is addressed."""

    sub: int
    mode: int = Mode.ANY
    uid: Uid | None = None
    maker: int = NXP

    def request(self) -> Request:
        """The request that carries it."""
        uid = self.uid.value if self.uid is not None else b""
        return Request(Command.CUSTOM, bytes((self.maker, self.sub, self.mode)) + uid)

    @classmethod
    def decode(cls, data: bytes) -> CustomCommand:
        """From the data of a request; RemoteProtocolError if it is cut short."""
        if len(data) < 3:
            raise RemoteProtocolError("A custom command has a maker, a sub-command and a mode.")
        if data[2] & 0x07 != Mode.ADDRESSED:
            return cls(data[1], data[2], None, data[0])
        if len(data) < 11:
            raise RemoteProtocolError("An addressed custom command names no tag.")
        return cls(data[1], data[2], Uid(data[3:11]), data[0])


class Pace(IntEnum):
    """When the reader listens for the answer to a frame passed through."""

    READ = 1  # at once, at t1
    WRITE = 2  # from t1 on until 20 ms are over: tags that write are slow


@dataclass(frozen=True, slots=True)
class Through:
    """The data of a BF request: an ISO 15693 frame from its flags on, without CRC.

    ``heard``: bytes of a good answer with flags and CRC. The reader checks the CRC and passes it on all the same.
    """

    frame: bytes = field(repr=False)
    heard: int
    pace: int = Pace.READ

    def request(self) -> Request:
        """The request that carries it."""
        head = bytes((self.pace,)) + self.heard.to_bytes(2, "big") + _T1.to_bytes(2, "big")
        return Request(Command.THROUGH, head + self.frame)

    @classmethod
    def decode(cls, data: bytes) -> Through:
        """From the data of a request; RemoteProtocolError if it is cut short."""
        if len(data) < 7:
            raise RemoteProtocolError("A frame to pass through is too short.")
        return cls(data[5:], int.from_bytes(data[1:3], "big"), data[0] & 0x07)


def set_eas(uid: Uid, *, armed: bool) -> Request:
    """B1 A2, A3: the EAS bit."""
    return CustomCommand(
        Custom.SET_EAS if armed else Custom.RESET_EAS, Mode.ADDRESSED, uid
    ).request()


def eas_alarm(uid: Uid | None = None) -> Request:
    """B1 A5: 00 if the alarm was answered, 01 if not; without ``uid`` by any tag in the field."""
    mode = Mode.ANY if uid is None else Mode.ADDRESSED
    return CustomCommand(Custom.EAS_ALARM, mode, uid).request()


def through(frame: bytes, heard: int, *, writes: bool = False) -> Request:
    """BF: ``frame`` as ``iso15693`` seals it; ``heard``: bytes behind the flags of a good answer, CRC apart."""
    return Through(frame[:-2], heard + 3, Pace.WRITE if writes else Pace.READ).request()


def inventory(*, more: bool = False) -> Request:
    """01: every tag in the field, or with ``more`` those that did not fit before."""
    return TagCommand(Sub.INVENTORY, MORE if more else 0).request()


def stay_quiet(uid: Uid) -> Request:
    """02: silence one tag until RF reset."""
    return _to(uid, Sub.STAY_QUIET)


def select(uid: Uid) -> Request:
    """25: make one tag the selected one."""
    return _to(uid, Sub.SELECT)


def read_blocks(uid: Uid, first: int, count: int) -> Request:
    """23: ``count`` blocks; the answer is Blocks. The reader sends at most MOST_BYTES bytes."""
    return _to(uid, Sub.READ_BLOCKS, bytes((first, count)))


def write_blocks(uid: Uid, first: int, size: int, data: bytes) -> Request:
    """24: whole blocks of ``size`` bytes from ``first``."""
    if not data or len(data) % size:
        raise LocalProtocolError("Only whole blocks can be written.")
    return _to(uid, Sub.WRITE_BLOCKS, bytes((first, len(data) // size, size)) + data)


def write_afi(uid: Uid, afi: int) -> Request:
    """27: the security mark of the tag."""
    return _to(uid, Sub.WRITE_AFI, bytes((afi,)))


def write_dsfid(uid: Uid, dsfid: int) -> Request:
    """29: the data storage format."""
    return _to(uid, Sub.WRITE_DSFID, bytes((dsfid,)))


def lock_afi(uid: Uid) -> Request:
    """28: for ever."""
    return _to(uid, Sub.LOCK_AFI)


def lock_dsfid(uid: Uid) -> Request:
    """2A: for ever."""
    return _to(uid, Sub.LOCK_DSFID)


def lock_blocks(uid: Uid, first: int, count: int) -> Request:
    """22: for ever."""
    return _to(uid, Sub.LOCK_BLOCKS, bytes((first, count)))


def system_info(uid: Uid) -> Request:
    """2B: the answer is ``decode_system_info``."""
    return _to(uid, Sub.SYSTEM_INFO)


def encode_found(tags: list[Found]) -> bytes:
    """The data of an inventory's answer."""
    rows = (bytes((ISO15693, tag.dsfid or 0)) + tag.uid.value for tag in tags)
    return bytes((len(tags),)) + b"".join(rows)


def decode_found(data: bytes) -> list[Found]:
    """Tags of an inventory's answer; RemoteProtocolError if its length or a type is not as announced."""
    if not data or len(data) != 1 + 10 * data[0]:
        raise RemoteProtocolError("The inventory's length does not fit its number of tags.")
    rows = [data[at : at + 10] for at in range(1, len(data), 10)]
    if any(row[0] != ISO15693 for row in rows):
        raise RemoteProtocolError(
            "The inventory holds tags that are no ISO 15693 tags.",
            "Set the reader to ISO 15693 alone with its maker's service program.",
        )
    return [Found(Uid(row[2:]), row[1]) for row in rows]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Answer of a read: blocks of ``size`` bytes, and the lock status of each."""

    size: int
    data: bytes = field(repr=False)
    locks: bytes = b""

    def encode(self) -> bytes:
        """The data of the answer."""
        count = len(self.data) // self.size
        out = bytearray((count, self.size))
        for number in range(count):
            out.append(self.locks[number] if number < len(self.locks) else 0)
            out += self.data[number * self.size : (number + 1) * self.size]
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Blocks:
        """From the data of the answer; RemoteProtocolError if its length is not as announced."""
        if len(data) < 2 or data[1] == 0 or len(data) != 2 + data[0] * (1 + data[1]):
            raise RemoteProtocolError("The read's length does not fit its number of blocks.")
        step = 1 + data[1]
        rows = [data[at : at + step] for at in range(2, len(data), step)]
        memory = b"".join(row[1:] for row in rows)
        return cls(data[1], memory, bytes(row[0] for row in rows))


def encode_system_info(info: SystemInfo) -> bytes:
    """The data of the answer to 2B: DSFID, UID, AFI, block size, number of blocks, IC."""
    size, blocks = info.block_size or 0, info.blocks or 0
    tail = bytes((info.afi or 0, size, blocks, info.ic or 0))
    return bytes((info.dsfid or 0,)) + info.uid.value + tail


def decode_system_info(data: bytes) -> SystemInfo:
    """From the data of the answer to 2B; the low nibble of the first memory byte is the block size."""
    if len(data) != 13:
        raise RemoteProtocolError("The system information has not 13 bytes.")
    uid = Uid(data[1:9])
    return SystemInfo(uid, data[0], data[9], data[11] or None, data[10] & 0x0F or None, data[12])


def _to(uid: Uid, sub: Sub, args: bytes = b"") -> Request:
    return TagCommand(sub, Mode.ADDRESSED, uid, args).request()
