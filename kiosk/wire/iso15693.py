"""ISO 15693-3: UIDs, request flags and ready-made air frames (CRC X-25, least significant byte first)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from kiosk.wire.crc import X25
from mocban.errors import LocalProtocolError, RemoteProtocolError

_MANUFACTURERS = {
    0x02: "ST",
    0x04: "NXP",
    0x05: "Infineon",
    0x07: "Texas Instruments",
    0x08: "Fujitsu",
    0x16: "EM",
    0x2B: "Maxim",
}


@dataclass(frozen=True, slots=True)
class Uid:
    """A tag's unique id: 8 bytes, most significant first (E0, manufacturer, serial)."""

    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) != 8:
            raise LocalProtocolError("A UID has 8 bytes.")

    @classmethod
    def parse(cls, text: str) -> Uid:
        """From 16 hex digits, most significant first."""
        try:
            return cls(bytes.fromhex(text))
        except ValueError:
            raise LocalProtocolError("A UID is written as 16 hex digits.") from None

    @property
    def on_air(self) -> bytes:
        """Least significant byte first, as the air interface sends it."""
        return self.value[::-1]

    @property
    def manufacturer(self) -> str:
        """The maker by ISO/IEC 7816-6 code; "" if unknown or not an ISO 15693 UID."""
        return _MANUFACTURERS.get(self.value[1], "") if self.value[0] == 0xE0 else ""

    def __str__(self) -> str:
        return self.value.hex().upper()


class Flag(IntFlag):
    """Request flags; the upper four mean different things in an inventory."""

    TWO_SUBCARRIERS = 0x01
    HIGH_RATE = 0x02
    INVENTORY = 0x04
    EXTENSION = 0x08
    SELECT = 0x10
    ADDRESS = 0x20
    OPTION = 0x40
    AFI = 0x10  # in an inventory
    ONE_SLOT = 0x20  # in an inventory


class Command(IntEnum):
    """Command codes, mandatory and optional."""

    INVENTORY = 0x01
    STAY_QUIET = 0x02
    READ_SINGLE = 0x20
    WRITE_SINGLE = 0x21
    LOCK_BLOCK = 0x22
    READ_MULTIPLE = 0x23
    WRITE_MULTIPLE = 0x24
    SELECT = 0x25
    RESET_TO_READY = 0x26
    WRITE_AFI = 0x27
    LOCK_AFI = 0x28
    WRITE_DSFID = 0x29
    LOCK_DSFID = 0x2A
    SYSTEM_INFO = 0x2B
    SECURITY_STATUS = 0x2C
    NXP_SET_EAS = 0xA2
    NXP_RESET_EAS = 0xA3
    NXP_LOCK_EAS = 0xA4
    NXP_EAS_ALARM = 0xA5
    NXP_PROTECT = 0xA6  # EAS, with the option flag AFI: from then on only with the password
    NXP_GET_RANDOM = 0xB2
    NXP_SET_PASSWORD = 0xB3


NXP = 0x04  # follows an NXP custom command
EAS_PASSWORD = 0x10  # which of a tag's passwords guards EAS and AFI
EAS_PATTERN = bytes.fromhex("2FB36270D5A7907FE8B18038D281497682DA9A866FAF8BB0F19CD112A57237EF")
"""What an NXP tag whose EAS bit is set answers to the alarm command."""


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """What a tag says about itself. ``None``: not told. Memory is ``blocks`` times ``block_size`` bytes."""

    uid: Uid
    dsfid: int | None = None
    afi: int | None = None
    blocks: int | None = None
    block_size: int | None = None
    ic: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One tag of an inventory. ``dsfid`` is None where the reader does not pass it on."""

    uid: Uid
    dsfid: int | None = None


class TagError(RemoteProtocolError):
    """The tag answered with an error code."""

    code = "tag-error"


def inventory(afi: int | None = None, *, one_slot: bool = False) -> bytes:
    """An inventory without mask; with ``afi`` only tags of that family answer."""
    flags = Flag.HIGH_RATE | Flag.INVENTORY
    if one_slot:
        flags |= Flag.ONE_SLOT
    if afi is None:
        return sealed(bytes((flags, Command.INVENTORY, 0)))
    return sealed(bytes((flags | Flag.AFI, Command.INVENTORY, afi, 0)))


def stay_quiet(uid: Uid) -> bytes:
    """Silence one tag until reset or power-off; it does not answer."""
    return addressed(Command.STAY_QUIET, uid)


def read_blocks(uid: Uid, first: int, count: int) -> bytes:
    """Read ``count`` blocks; on air the count is sent less one."""
    return addressed(Command.READ_MULTIPLE, uid, bytes((first, count - 1)))


def write_block(uid: Uid, block: int, data: bytes) -> bytes:
    """Write one block (ICODE SLIX knows no multiple write)."""
    return addressed(Command.WRITE_SINGLE, uid, bytes((block,)) + data)


def write_afi(uid: Uid, afi: int) -> bytes:
    """Write the application family identifier."""
    return addressed(Command.WRITE_AFI, uid, bytes((afi,)))


def system_info(uid: Uid) -> bytes:
    """Ask for DSFID, AFI, memory size and IC reference."""
    return addressed(Command.SYSTEM_INFO, uid)


def set_eas(uid: Uid, *, armed: bool) -> bytes:
    """NXP: switch the EAS bit."""
    return addressed(Command.NXP_SET_EAS if armed else Command.NXP_RESET_EAS, uid)


def eas_alarm(uid: Uid) -> bytes:
    """NXP: answered with a constant pattern only while the EAS bit is set."""
    return addressed(Command.NXP_EAS_ALARM, uid)


def get_random(uid: Uid) -> bytes:
    """NXP: two bytes that mask the next password."""
    return addressed(Command.NXP_GET_RANDOM, uid)


def set_password(uid: Uid, random: bytes, password: bytes = bytes(4)) -> bytes:
    """NXP: show the EAS and AFI password, by default as the maker leaves it. A wrong one mutes the tag until RF reset.

    ``random``: the answer to ``get_random``.
    """
    if len(random) != 2 or len(password) != 4:
        raise LocalProtocolError("A password has 4 bytes, its mask 2.")
    masked = bytes(a ^ b for a, b in zip(password, random * 2, strict=True))
    return addressed(Command.NXP_SET_PASSWORD, uid, bytes((EAS_PASSWORD,)) + masked)


def protect_eas(uid: Uid) -> bytes:
    """NXP: from now on, for ever, the EAS bit changes only after its password was shown."""
    return addressed(Command.NXP_PROTECT, uid)


def addressed(command: Command, uid: Uid, args: bytes = b"") -> bytes:
    """A frame to one tag; the manufacturer byte of custom commands is put in."""
    head = bytes((Flag.HIGH_RATE | Flag.ADDRESS, command))
    return sealed(head + (bytes((NXP,)) if command >= 0xA0 else b"") + uid.on_air + args)


def sealed(frame: bytes) -> bytes:
    """``frame`` with its CRC."""
    return frame + X25(frame).to_bytes(2, "little")


def unsealed(frame: bytes) -> bytes:
    """An answer without its CRC and flags; TagError if the tag refused, RemoteProtocolError if damaged."""
    if len(frame) < 3 or X25(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
        raise RemoteProtocolError("A tag's answer was damaged on air.")
    flags, body = frame[0], frame[1:-2]
    if flags & 0x01:
        raise TagError(f"The tag refused with error {body[0]:02X}." if body else "The tag refused.")
    return body


def decode_system_info(body: bytes) -> SystemInfo:
    """The body of a system information answer; which fields follow is told by its first byte."""
    if len(body) < 9:
        raise RemoteProtocolError("The system information is too short.")
    info, uid, rest = body[0], Uid(body[1:9][::-1]), body[9:]
    wanted = sum(size for bit, size in ((1, 1), (2, 1), (4, 2), (8, 1)) if info & bit)
    if len(rest) < wanted:
        raise RemoteProtocolError("The system information is too short.")
    fields = iter(rest)
    dsfid = next(fields) if info & 1 else None
    afi = next(fields) if info & 2 else None
    blocks = next(fields) + 1 if info & 4 else None
    size = (next(fields) & 0x1F) + 1 if info & 4 else None
    return SystemInfo(uid, dsfid, afi, blocks, size, next(fields) if info & 8 else None)
