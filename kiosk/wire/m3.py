"""3M / bibliotheca pads 210 and 810: ``D6 LEN(2) CMD … CRC(2)``, most significant byte first everywhere, UIDs too.

LEN counts the bytes behind itself; the CRC (GENIBUS) covers everything behind the first byte. ``D5`` in place of ``D6``
is a question of the boot loader that no document names. Answers are ``CMD ERR`` and what was asked for; those about
one tag begin with its UID.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from kiosk.wire.crc import GENIBUS
from kiosk.wire.framing import Drop, Framer, Take, Wait
from kiosk.wire.iso15693 import Uid
from mocban.errors import LocalProtocolError, RemoteProtocolError

START = 0xD6
BOOT = 0xD5
LONGEST = 4096
"""Bytes of a frame that we accept; 255 tags take 2,305."""
_HEAD, _CRC = 3, 2
_SHORTEST = 3  # a command and the CRC, as LEN counts


class Command(IntEnum):
    """Command bytes; 01 to 0F are about one tag and carry its UID."""

    QUIET = 0x01
    READ_BLOCKS = 0x02
    CHECK_EAS = 0x03
    WRITE_BLOCKS = 0x04
    WRITE_BLOCK = 0x05
    LOCK_AFI = 0x06
    WRITE_AND_LOCK_BLOCK = 0x07
    LOCK_BLOCK = 0x08
    WRITE_AFI = 0x09
    GET_AFI = 0x0A
    WRITE_DSFID = 0x0B
    SET_EAS = 0x0C
    TAG_INFO = 0x0D
    LOCK_DSFID = 0x0E
    GET_DSFID = 0x0F
    VERSION = 0x11
    INIT = 0x13  # in no document; every known program sends it
    PASS_THROUGH = 0x14
    INVENTORY = 0xFE


class Error(IntEnum):
    """Second byte of an answer."""

    NONE = 0x00
    NOT_IMPLEMENTED = 0x02
    NO_TAG = 0x06  # also: a tag whose EAS bit is off, and a tag that did not understand
    UNKNOWN = 0x0F
    NO_BLOCK = 0x11
    LOCKED = 0x12
    READ = 0x15
    WRITE = 0x16
    TAG_1 = 0x21
    TAG_2 = 0x22
    TAG_3 = 0x23
    READER_0 = 0x30
    READER_1 = 0x31
    READER_2 = 0x32
    READER_FD = 0xFD
    READER_FE = 0xFE


_WORDS = {
    Error.NONE: "done",
    Error.NOT_IMPLEMENTED: "the reader does not know this command",
    Error.NO_TAG: "no tag answered",
    Error.UNKNOWN: "the tag refused without a reason",
    Error.NO_BLOCK: "the tag has no such block",
    Error.LOCKED: "the block is locked",
    Error.READ: "the tag could not be read",
    Error.WRITE: "the tag could not be written",
    Error.TAG_1: "the tag answered with an error (21)",
    Error.TAG_2: "the tag answered with an error (22)",
    Error.TAG_3: "the tag answered with an error (23)",
    Error.READER_0: "the reader reports a fault (30)",
    Error.READER_1: "the reader reports a fault (31)",
    Error.READER_2: "the reader reports a fault (32)",
    Error.READER_FD: "the reader reports a fault (FD)",
    Error.READER_FE: "the reader reports a fault (FE)",
}


def words(error: int) -> str:
    """What ``error`` means; unknown ones by number."""
    return _WORDS[Error(error)] if error in _WORDS else f"error {error:02X}"


def addressed(command: int) -> bool:
    """Whether questions and answers of ``command`` begin with a UID."""
    return Command.QUIET <= command <= Command.GET_DSFID


@dataclass(frozen=True, slots=True)
class Request:
    """Host to reader. ``body`` stays out of repr: it may hold what lies on a patron's card."""

    command: int
    body: bytes = field(default=b"", repr=False)
    start: int = START

    def encode(self) -> bytes:
        """The whole frame; LocalProtocolError if it is too long."""
        return _sealed(self.start, bytes((self.command,)) + self.body)

    @classmethod
    def decode(cls, frame: bytes) -> Request:
        """From a whole frame; RemoteProtocolError if it is none."""
        body = _unsealed(frame)
        return cls(body[0], body[1:], frame[0])

    @property
    def uid(self) -> Uid | None:
        """Which tag is meant; None if the command is not about one tag, or cut short."""
        return _uid(self.start, self.command, self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """Reader to host. ``error`` is kept as it came; ``words`` explains it."""

    command: int
    error: int = Error.NONE
    body: bytes = field(default=b"", repr=False)
    start: int = START

    def encode(self) -> bytes:
        """The whole frame; LocalProtocolError if it is too long."""
        return _sealed(self.start, bytes((self.command, self.error)) + self.body)

    @classmethod
    def decode(cls, frame: bytes) -> Answer:
        """From a whole frame; RemoteProtocolError if it is none."""
        body = _unsealed(frame)
        if len(body) < 2:
            raise RemoteProtocolError("The reader's answer says nothing about success.")
        return cls(body[0], body[1], body[2:], frame[0])

    @property
    def uid(self) -> Uid | None:
        """The tag it is about; None if it names none."""
        return _uid(self.start, self.command, self.body)

    @property
    def rest(self) -> bytes:
        """What stands behind the UID, if there is one."""
        return self.body[8:] if self.uid is not None else self.body

    def answers(self, request: Request) -> bool:
        """Whether this can be the answer to ``request``: same command, and same tag where one is named.

        A refusal may leave the UID out.
        """
        if (self.start, self.command) != (request.start, request.command):
            return False
        if self.uid is None:
            return not addressed(self.command) or self.error != Error.NONE or self.start == BOOT
        return self.uid == request.uid


def framer() -> Framer:
    """A framer for either side; on a wrong CRC it drops one byte and looks again."""
    return Framer(scan, LONGEST)


def scan(buffer: bytes) -> Take | Wait | Drop:
    """What the start of ``buffer`` (not empty) is."""
    if buffer[0] not in (START, BOOT):
        return Drop()
    if len(buffer) < _HEAD:
        return Wait()
    size = int.from_bytes(buffer[1:_HEAD], "big")
    if not _SHORTEST <= size <= LONGEST - _HEAD:
        return Drop()
    end = _HEAD + size
    if len(buffer) < end:
        return Wait()
    right = GENIBUS(buffer[1 : end - _CRC]) == int.from_bytes(buffer[end - _CRC : end], "big")
    return Take(end) if right else Drop()


@dataclass(frozen=True, slots=True)
class Version:
    """Four bytes: which reader, then its firmware as release, level and build."""

    reader: int
    release: int
    level: int
    build: int

    def encode(self) -> bytes:
        """As it stands in an answer."""
        return bytes((self.reader, self.release, self.level, self.build))

    @classmethod
    def decode(cls, data: bytes) -> Version:
        """From four bytes, more are left alone; RemoteProtocolError if there are fewer."""
        if len(data) < 4:
            raise RemoteProtocolError("The reader's version is too short.")
        return cls(*data[:4])

    def __str__(self) -> str:
        firmware = f"{self.release:02d}.{self.level:02d}.{self.build}"
        return f"3M type {self.reader:02X} release {firmware}"


_BOOT_VERSION = b"\x11"


def boot() -> Request:
    """D5 04: who is there? Asked by every known program, in no document."""
    return Request(Command.WRITE_BLOCKS, b"\x00" + _BOOT_VERSION, BOOT)


def decode_boot(answer: Answer) -> Version:
    """The version in the answer to ``boot``; RemoteProtocolError if it is another."""
    if answer.start != BOOT or answer.body[:1] != _BOOT_VERSION:
        raise RemoteProtocolError("The reader answered the boot question with something else.")
    return Version.decode(answer.body[1:])


def encode_boot(version: Version) -> Answer:
    """The answer to ``boot``."""
    return Answer(Command.WRITE_BLOCKS, Error.NONE, _BOOT_VERSION + version.encode(), BOOT)


def init(*settings: int) -> Request:
    """13: ``settings`` by number, each set to 0. What they mean is not known; see INIT_810 and INIT_210."""
    pairs = b"".join(bytes((number, 0)) for number in settings)
    return Request(Command.INIT, bytes((len(settings),)) + pairs)


INIT_810 = init(1, 2, 3, 4)
INIT_210 = init(1, 2, 3, 4, 0x0B, 0x0A)


def version() -> Request:
    """11: the answer's body is a Version."""
    return Request(Command.VERSION)


def _uid(start: int, command: int, body: bytes) -> Uid | None:
    named = start == START and addressed(command) and len(body) >= 8
    return Uid(body[:8]) if named else None


def _sealed(start: int, body: bytes) -> bytes:
    size = len(body) + _CRC
    if size > LONGEST - _HEAD:
        raise LocalProtocolError(f"A frame of {size + _HEAD} bytes is too long for this reader.")
    inner = size.to_bytes(2, "big") + body
    return bytes((start,)) + inner + GENIBUS(inner).to_bytes(2, "big")


def _unsealed(frame: bytes) -> bytes:
    if not frame or scan(frame) != Take(len(frame)):
        raise RemoteProtocolError("Not a whole frame of this reader, or its checksum is wrong.")
    return frame[_HEAD:-_CRC]
