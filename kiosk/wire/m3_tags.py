"""What 3M / bibliotheca pads ask of tags and hear from them; frames are those of ``kiosk.wire.m3``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag

from kiosk.wire.iso15693 import Found, SystemInfo, Uid
from kiosk.wire.m3 import Command, Request
from mocban.errors import LocalProtocolError, RemoteProtocolError

MOST_TAGS = 255
"""In one answer: their number is one byte."""
_SIZES = (4, 8, 16, 32)  # bytes of a block, as tags have them


class Option(IntFlag):
    """Options of an inventory; the answer repeats them. Without UID the answer is only a number of tags."""

    UID = 0x01
    DSFID = 0x02  # before each UID
    SET = 0x04  # what it sets is not known; every known program sends it
    ONE_POLL = 0x20  # the reader otherwise looks twice
    PROTOCOL = 0x40  # a byte more for each tag


class Style(IntFlag):
    """Options of a read; without any the answer has the old form."""

    NEW = 0x04
    NO_LOCKS = 0x08


@dataclass(frozen=True, slots=True)
class Round:
    """Answer to an inventory: ``count`` tags, each in ``tags`` if UIDs were asked for. Twins may stand in it."""

    tags: tuple[Found, ...]
    count: int
    afi: int = 0
    options: int = Option.UID | Option.SET

    def encode(self) -> bytes:
        """The body of the answer."""
        rows = (self._row(tag) for tag in self.tags)
        return bytes((self.afi, self.options, self.count)) + b"".join(rows)

    @classmethod
    def decode(cls, body: bytes) -> Round:
        """From the body of the answer; RemoteProtocolError if its length is not as announced."""
        if len(body) < 3:
            raise RemoteProtocolError("The inventory's answer is cut short.")
        afi, options, count = body[:3]
        ahead = bool(options & Option.DSFID)
        step = 8 * bool(options & Option.UID) + ahead + bool(options & Option.PROTOCOL)
        if len(body) != 3 + count * step:
            raise RemoteProtocolError("The inventory's length does not fit its number of tags.")
        if not options & Option.UID:
            return cls((), count, afi, options)
        rows = [body[at : at + step] for at in range(3, len(body), step)]
        # Where the protocol byte stands is not known; UIDs begin with E0 and nobody here asks for it.
        if options & Option.PROTOCOL:
            raise RemoteProtocolError("The inventory names protocols that nobody asked for.")
        tags = (Found(Uid(row[ahead:]), row[0] if ahead else None) for row in rows)
        return cls(tuple(tags), count, afi, options)

    def _row(self, tag: Found) -> bytes:
        ahead = bytes((tag.dsfid or 0,)) if self.options & Option.DSFID else b""
        return ahead + tag.uid.value if self.options & Option.UID else b""


def inventory(afi: int = 0, options: int = Option.UID | Option.SET) -> Request:
    """FE: the tags of ``afi``, all for 0; the answer is a Round."""
    return Request(Command.INVENTORY, bytes((afi, options)))


def quiet(uid: Uid) -> Request:
    """01: silence one tag."""
    return _to(uid, Command.QUIET)


def read_blocks(
    uid: Uid, first: int, count: int, style: int = Style.NEW | Style.NO_LOCKS
) -> Request:
    """02: ``count`` blocks; the answer is Blocks. Style 0 asks in the old way, with no option byte."""
    asked = bytes((first, count, style)) if style else bytes((first, count))
    return _to(uid, Command.READ_BLOCKS, asked)


def write_blocks(uid: Uid, first: int, size: int, data: bytes) -> Request:
    """04: whole blocks of ``size`` bytes from ``first``."""
    if not data or len(data) % size or len(data) // size > 0xFF:
        raise LocalProtocolError("Only whole blocks can be written, at most 255.")
    return _to(uid, Command.WRITE_BLOCKS, bytes((first, len(data) // size, 0)) + data)


def lock_block(uid: Uid, block: int) -> Request:
    """08: for ever."""
    return _to(uid, Command.LOCK_BLOCK, bytes((block,)))


def get_afi(uid: Uid) -> Request:
    """0A: the answer is one byte."""
    return _to(uid, Command.GET_AFI)


def write_afi(uid: Uid, afi: int) -> Request:
    """09: the security mark of the tag."""
    return _to(uid, Command.WRITE_AFI, bytes((afi,)))


def lock_afi(uid: Uid) -> Request:
    """06: for ever."""
    return _to(uid, Command.LOCK_AFI)


def get_dsfid(uid: Uid) -> Request:
    """0F: the answer is one byte."""
    return _to(uid, Command.GET_DSFID)


def write_dsfid(uid: Uid, dsfid: int) -> Request:
    """0B: how the tag's content is laid out."""
    return _to(uid, Command.WRITE_DSFID, bytes((dsfid,)))


def lock_dsfid(uid: Uid) -> Request:
    """0E: for ever."""
    return _to(uid, Command.LOCK_DSFID)


def check_eas(uid: Uid) -> Request:
    """03: no error while the EAS bit is set; NO_TAG when it is not, and when the tag is gone."""
    return _to(uid, Command.CHECK_EAS)


def set_eas(uid: Uid, *, armed: bool) -> Request:
    """0C: the EAS bit."""
    return _to(uid, Command.SET_EAS, bytes((armed,)))


INFO = 0x0F  # DSFID, AFI, memory, IC


def tag_info(uid: Uid) -> Request:
    """0D: the answer is ``decode_info``."""
    return _to(uid, Command.TAG_INFO, bytes((INFO,)))


@dataclass(frozen=True, slots=True)
class Blocks:
    """Answer to a read: blocks of ``size`` bytes from ``first``, and the lock byte of each where they were told."""

    first: int
    size: int
    data: bytes = field(repr=False)
    locks: bytes = b""

    def encode(self, style: int = Style.NEW | Style.NO_LOCKS) -> bytes:
        """What stands behind the UID of the answer, in the form that was asked for."""
        size = self.size
        rows = [self.data[at : at + size] for at in range(0, len(self.data), size)]
        locks = self.locks.ljust(len(rows), b"\x00")
        if not style & Style.NEW:
            cells = (bytes((self.first + at, locks[at])) + row for at, row in enumerate(rows))
            return bytes((len(rows),)) + b"".join(cells)
        told = not style & Style.NO_LOCKS
        cells = (locks[at : at + told] + row for at, row in enumerate(rows))
        return bytes((self.first, len(rows))) + b"".join(cells)

    @classmethod
    def decode(cls, rest: bytes, first: int, count: int) -> Blocks:
        """What was asked for, in whichever form it came; RemoteProtocolError if it is anything else."""
        if count > 0 and rest[:2] == bytes((first, count)) and (len(rest) - 2) % count == 0:
            step = (len(rest) - 2) // count
            if step in _SIZES:
                return cls(first, step, rest[2:])
            if step - 1 in _SIZES:
                rows = [rest[at : at + step] for at in range(2, len(rest), step)]
                return cls(first, step - 1, *_columns(rows, 1))
        if count > 0 and rest[:1] == bytes((count,)) and (len(rest) - 1) % count == 0:
            step = (len(rest) - 1) // count
            rows = [rest[at : at + step] for at in range(1, len(rest), step or 1)]
            numbers = [row[0] for row in rows]
            if step - 2 in _SIZES and numbers == list(range(first, first + count)):
                return cls(first, step - 2, *_columns(rows, 2))
        raise RemoteProtocolError("The blocks that came are not those that were asked for.")


def decode_byte(rest: bytes) -> int:
    """An AFI or DSFID; RemoteProtocolError unless it is one byte."""
    if len(rest) != 1:
        raise RemoteProtocolError("The reader's answer is not one byte.")
    return rest[0]


def encode_info(info: SystemInfo) -> bytes:
    """What stands behind the UID of the answer to 0D; the memory as tags tell it, each number less one."""
    blocks, size = (info.blocks or 1) - 1, (info.block_size or 1) - 1
    return bytes((INFO, info.dsfid or 0, info.afi or 0, blocks, size, info.ic or 0))


def decode_info(uid: Uid, rest: bytes) -> SystemInfo:
    """From what stands behind the UID of the answer to 0D; RemoteProtocolError if it is anything else.

    No answer of a real reader is known. So the byte that repeats the question may be missing, and the memory may be
    told as tags tell it, each number less one, or plainly: no block has 5, 9, 17 or 33 bytes.
    """
    told = rest[1:] if len(rest) == 6 and rest[0] == INFO else rest
    if len(told) != 5:
        raise RemoteProtocolError("The system information has not five bytes.")
    dsfid, afi, blocks, size, ic = told
    if size + 1 in _SIZES:
        blocks, size = blocks + 1, size + 1
    elif size not in _SIZES or not blocks:
        raise RemoteProtocolError("The system information tells no memory that a tag can have.")
    return SystemInfo(uid, dsfid, afi, blocks, size, ic)


def _columns(rows: list[bytes], at: int) -> tuple[bytes, bytes]:
    return b"".join(row[at:] for row in rows), bytes(row[at - 1] for row in rows)


def _to(uid: Uid, command: Command, args: bytes = b"") -> Request:
    return Request(command, uid.value + args)
