"""APDUs of contactless readers, PC/SC part 3: storage cards without a session, their ATR, the status word.

A storage card is the one tag a reader shows as "the card". It is not addressed: whoever reads or writes it asks first
which UID it has. Frames to many tags are ``kiosk.wire.transparent``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kiosk.wire.iso15693 import Uid
from mocban.errors import LocalProtocolError, RemoteProtocolError

OK = 0x9000
_CLASS = 0xFF  # answered by the reader, never sent to the card
_GET_DATA, _READ, _UPDATE = 0xCA, 0xB0, 0xD6
_RID = bytes.fromhex("A000000306")  # the PC/SC workgroup
_VICINITY = 0x0B  # ISO 15693 part 3
_SLI = "3B8F8001804F0CA0000003060B00140000000077"
ATR = bytes.fromhex(_SLI)
"""What an ICODE SLI tag looks like to PC/SC, from a real reader."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: data and the status word ``sw``."""

    data: bytes = field(repr=False)
    sw: int = OK

    @property
    def ok(self) -> bool:
        """Whether the status is 90 00."""
        return self.sw == OK

    @classmethod
    def decode(cls, raw: bytes) -> Response:
        """From the bytes of the wire; RemoteProtocolError below two of them."""
        if len(raw) < 2:
            raise RemoteProtocolError("The reader's answer has no status word.")
        return cls(raw[:-2], int.from_bytes(raw[-2:], "big"))

    def encode(self) -> bytes:
        """The bytes of the wire."""
        return self.data + self.sw.to_bytes(2, "big")


def get_uid() -> bytes:
    """Ask the card's UID."""
    return bytes((_CLASS, _GET_DATA, 0, 0, 0))


def read_block(block: int, size: int) -> bytes:
    """Read block ``block`` (0-based), ``size`` bytes."""
    return bytes((_CLASS, _READ, *_place(block), size))


def write_block(block: int, data: bytes) -> bytes:
    """Write block ``block`` (0-based)."""
    return bytes((_CLASS, _UPDATE, *_place(block), len(data))) + data


def shorter(apdu: bytes, response: Response) -> bytes | None:
    """The same question with the length that the reader wants (status 6C xx); None if it was no matter of length."""
    if response.sw >> 8 != 0x6C or len(apdu) != 5:
        return None
    return apdu[:4] + bytes((response.sw & 0xFF,))


def uid_of(data: bytes) -> Uid:
    """The UID in the answer to ``get_uid``. Readers differ in which end they send first; a UID begins with E0.

    Where both ends are E0, the end behind which a known maker stands is the beginning. RemoteProtocolError: no UID of
    an ISO 15693 tag.
    """
    if len(data) == 8:
        orders = [Uid(order) for order in (data, data[::-1]) if order[0] == 0xE0]
        for uid in orders:
            if uid.manufacturer:
                return uid
        if orders:
            return orders[0]
    raise RemoteProtocolError("The card is no ISO 15693 tag.")


def is_vicinity(atr: bytes) -> bool:
    """Whether the card behind ``atr`` is an ISO 15693 tag: standard byte 0B behind the RID, nothing else counts."""
    return _storage(atr)[:1] == bytes((_VICINITY,))


def _place(block: int) -> bytes:
    if not 0 <= block <= 0xFFFF:
        raise LocalProtocolError("A block's number has two bytes.")
    return block.to_bytes(2, "big")


def _storage(atr: bytes) -> bytes:
    """What follows the RID in the historical bytes; b"" if this is no storage card."""
    if len(atr) < 2 or atr[0] not in (0x3B, 0x3F):
        return b""
    at, bits, count = 2, atr[1] >> 4, atr[1] & 0x0F
    while True:
        at += (bits & 7).bit_count()  # TA, TB, TC
        if not bits & 8:
            break
        if at >= len(atr):
            return b""
        bits = atr[at] >> 4  # TD says what follows it
        at += 1
    history = atr[at : at + count]
    if history[:2] != b"\x80\x4f" or history[3:8] != _RID:
        return b""
    return history[8 : 3 + history[2]]
