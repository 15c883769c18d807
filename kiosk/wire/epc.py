"""Bank 01 of a UHF tag (ISO/IEC 18000-63): StoredCRC | protocol control word | UII; PC and UII are called an *epc*.

The protocol control word (PC) says how long the UII is and, where its toggle is set, carries the AFI. The tag computes
the StoredCRC itself at power-up, over PC and UII: a reader on air needs none of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kiosk.wire.crc import GENIBUS
from mocban.errors import LocalProtocolError

IN_STOCK, ON_LOAN = 0x07, 0xC2  # AFIs of ISO 28560 items
MOST_WORDS = 31  # what the length field can say


@dataclass(frozen=True, slots=True)
class Pc:
    """Protocol control word. ``words``: 16-bit words of the UII; ``attribute``: the AFI where ``iso`` (the toggle)."""

    words: int
    umi: bool = False  # user memory is in use
    xpc: bool = False  # further control words follow on air
    iso: bool = False
    attribute: int = 0

    @classmethod
    def parse(cls, word: bytes) -> Pc:
        """From its two bytes."""
        high, low = word
        return cls(high >> 3, bool(high & 4), bool(high & 2), bool(high & 1), low)

    @property
    def afi(self) -> int | None:
        """The application family; None on a tag that follows GS1."""
        return self.attribute if self.iso else None

    def __bytes__(self) -> bytes:
        return bytes((self.words << 3 | self.umi << 2 | self.xpc << 1 | self.iso, self.attribute))


@dataclass(frozen=True, slots=True)
class Epc:
    """A PC and as much of its UII as was read. ``missing``: bytes of the UII that were not."""

    pc: Pc
    uii: bytes = field(repr=False)
    missing: int = 0

    def __bytes__(self) -> bytes:
        return bytes(self.pc) + self.uii


def split(epc: bytes) -> Epc | None:
    """PC and UII as an inventory gives them; None without a PC. What lies behind the UII is cut off."""
    if len(epc) < 2:
        return None
    pc = Pc.parse(epc[:2])
    uii = epc[2 : 2 + 2 * pc.words]
    return Epc(pc, uii, 2 * pc.words - len(uii))


def join(uii: bytes, *, afi: int | None, umi: bool = False) -> bytes:
    """A UII with its PC; ``afi`` None: toggle 0. LocalProtocolError if it is longer than a PC can say."""
    if len(uii) % 2 or not 0 < len(uii) <= 2 * MOST_WORDS:
        raise LocalProtocolError(f"A UII has 1 to {MOST_WORDS} words of two bytes.")
    return bytes(Pc(len(uii) // 2, umi=umi, iso=afi is not None, attribute=afi or 0)) + uii


def checksum(epc: bytes) -> int:
    """The StoredCRC of PC and UII."""
    return GENIBUS(epc)


def bank(epc: bytes) -> bytes:
    """The whole of bank 01: the StoredCRC in front."""
    return checksum(epc).to_bytes(2, "big") + epc


def with_afi(epc: bytes, afi: int) -> bytes:
    """The same tag with another AFI; LocalProtocolError where the PC holds none (toggle 0)."""
    found = split(epc)
    if found is None or not found.pc.iso:
        raise LocalProtocolError("This UHF tag holds no AFI.")
    return bytes((epc[0], afi)) + epc[2:]


@dataclass(frozen=True, slots=True)
class Bank:
    """Bytes that are bank 01, or its part without the CRC. ``checked``: None if no StoredCRC is there to be checked."""

    epc: bytes = field(repr=False)
    checked: bool | None


def recognise(data: bytes) -> Bank | None:
    """Whether memory of an unknown tag is a whole bank 01, with its StoredCRC or without; None: nothing says so.

    A right StoredCRC is proof. Without one, the length of the PC must fit to the byte, and the PC must carry the AFI
    of a library item. A StoredCRC of 0000 counts as not told: some readers leave it out.
    """
    stored = int.from_bytes(data[:2], "big")
    whole = split(data[2:])
    if whole is not None and whole.pc.words and not whole.missing:
        right = stored == checksum(bytes(whole))
        if right or (_library(whole.pc) and len(data) == 4 + len(whole.uii)):
            return Bank(bytes(whole), True if right else None if stored == 0 else False)
    bare = split(data)
    if bare is not None and _library(bare.pc) and len(data) == 2 + 2 * bare.pc.words:
        return Bank(data, None)
    return None


def _library(pc: Pc) -> bool:
    return pc.words > 0 and not pc.xpc and pc.afi in (IN_STOCK, ON_LOAN)
