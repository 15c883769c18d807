"""Published tags of ISO 28560-2, and sets put together by hand."""

from __future__ import annotations

from kiosk.wire.content import (
    Content,
    Damage,
    Damaged,
    ItemTag,
    Model,
    Owner,
    Usage,
)
from kiosk.wire.content import Label as Say
from kiosk.wire.iso15962 import parse
from kiosk.wire.iso28560_2 import decode

V1 = bytes.fromhex(
    "91 00 05 1C BE 99 1A 14 02 01 D0 14 02 04 B3 46 07 44 1C B6 E2 E3 35 D6 83 02 07"
    "AC C0 9E BA A0 6F 6B 00 00"
)
V1_LABEL = Say(
    "123456789012",
    Owner("US", "InU-Mu"),
    Usage.UNSAID,
    parts=12,
    part=3,
    fields=(("shelf-location", "QA268.L55"),),
)
ALONE = bytes.fromhex("91 00 05 1C BE 99 1A 14")
BG = bytes.fromhex("41 08 08 7C 30 C3 1C B3 D3 58")  # "BG00012345"
USAGE = bytes.fromhex("05 01 10")
OCTET_USAGE = bytes.fromhex("65 01 10")
SET_2_1 = bytes.fromhex("14 01 15")
TITLE = bytes.fromhex("7F 02 0A 53 E1 BB 91 20 C4 91 E1 BB 8F")  # "Số đỏ"
PADDED_TITLE = bytes.fromhex("FF 02 02 0A 53 E1 BB 91 20 C4 91 E1 BB 8F 00 00")
USER_BANK = bytes.fromhex(
    "06 02 01 D0 14 02 04 B3 46 07 44 1C B6 E2 E3 35 D6 53 08 AB 4D 6C 9D D5 56 CD EB 00"
)
MISSING_1 = Damaged(Damage.MISSING, 1, Model.ISO28560_2)


def tag(*sets: bytes, size: int = 112) -> bytes:
    return b"".join(sets).ljust(size, b"\x00")


def sets_of(data: bytes) -> bytes:
    """Without terminator and what stands behind it."""
    return data[: parse(data).at]


def item(data: bytes, *, certain: bool = False) -> ItemTag:
    found = decode(data, certain=certain)
    assert isinstance(found, ItemTag), found
    return found


def label(found: Content | None) -> Say:
    assert isinstance(found, ItemTag)
    return Say(found.id, found.owner, found.usage, found.sub, found.parts, found.part, found.fields)
