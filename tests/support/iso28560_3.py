"""Published tags of ISO 28560-3 and their pieces."""

from __future__ import annotations

from kiosk.wire.content import ItemTag, Owner
from kiosk.wire.iso28560_3 import decode

V2 = bytes.fromhex("11010131313232333334340000000000000000513E4445373035000000000000")
DE_MEN = bytes.fromhex(
    "11 01 01 42 47 30 30 30 31 32 33 34 35 00 00 00 00 00 00 03 17 56 4E 42 47 30 31 00 00 00 00 00"
)
DE_MEN_REVERSED = bytes.fromhex(
    "42 01 01 11 30 30 30 47 34 33 32 31 00 00 00 35 03 00 00 00 42 4E 56 17 00 31 30 47 00 00 00 00"
)
RUSSIAN = bytes.fromhex(
    "81 01 01 32 39 33 35 30 30 30 30 30 33 36 34 39 00 00 00 87 93 52 55 32 39 33 00 00 00 00 00 00"
)
PART_2_OF_3 = bytes.fromhex(
    "11 03 02 42 47 30 30 30 35 34 33 32 31 00 00 00 00 00 00 FC 98"
    "56 4E 42 47 30 31 00 00 00 00 00 00 00"
)
GATE_FRAME = bytes.fromhex(
    "32 01 04 21 32 31 31 30 33 36 34 33 00 00 00 00 F7 00 00 00 44 45 44 49 32 35 2D 45"
    "00 00 00 36 00 00 00 00"
)
CARD = bytes.fromhex(
    "18 01 01 54 56 32 34 30 30 30 30 31 00 00 00 00 00 00 00 88 08 56 4E 42 47 30 31 00 00 00 00 00"
)
RFID501 = b"\x04\x11\x00\x00200901010123" + bytes.fromhex("00000000 FFFFFFFF 7FFFFFFF 00000000")
ISO28560_2 = bytes.fromhex(
    "91 00 05 1C BE 99 1A 14 02 01 D0 14 02 04 B3 46 07 44 1C B6 E2 E3 35 D6 83 02 07"
    "AC C0 9E BA A0 6F 6B 00 00"
)
MEDIA = bytes.fromhex("05 01 00 05 01")
TITLE = bytes.fromhex("0E 04 00 32 53 E1 BB 91 20 C4 91 E1 BB 8F")
SHELF = bytes.fromhex("0E 03 00 03 56 56 2D 38 39 35 2E 39 32 32")
VENDOR = bytes.fromhex("07 6B 00 6C 00 41 41")
BG01 = Owner("VN", "BG01")


def block(head: bytes, number: bytes, owner: bytes, size: int = 34) -> bytes:
    """A basic block written from the table of the standard, with the test's own arithmetic."""
    front = head + number.ljust(16, b"\x00")
    back = owner.ljust(13, b"\x00")
    register = 0xFFFF
    for byte in front + back:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1 ^ 0x1021 if register & 0x8000 else register << 1) & 0xFFFF
    return (front + register.to_bytes(2, "little") + back)[:size]


def extension(number: int, payload: bytes) -> bytes:
    """An extension block, with the test's own arithmetic."""
    head = bytes((4 + len(payload),)) + number.to_bytes(2, "little")
    parity = 0
    for byte in head + payload:
        parity ^= byte
    return head + bytes((parity,)) + payload


def item(data: bytes, *, swapped: bool = False) -> ItemTag:
    """What must be an item."""
    tag = decode(data, swapped=swapped)
    assert isinstance(tag, ItemTag), tag
    return tag
