"""ISO 28560-3 against published dumps and independently computed vectors; then properties."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.wire.content import (
    Blank,
    CardTag,
    Damage,
    Damaged,
    Foreign,
    ItemTag,
    Look,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.crc import CCITT_FALSE
from kiosk.wire.iso28560_3 import checksum, decode, turn_blocks

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


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (V2, ItemTag("11223344", Usage.CIRCULATING, 1, 1, Owner("DE", "705"))),
        (DE_MEN, ItemTag("BG00012345", Usage.CIRCULATING, 1, 1, BG01)),
        (
            DE_MEN_REVERSED,
            ItemTag("BG00012345", Usage.CIRCULATING, 1, 1, BG01, 1, (Warn.BLOCKS_REVERSED,)),
        ),
        (
            RUSSIAN,
            ItemTag(
                "2935000003649",
                Usage.CIRCULATING,
                1,
                1,
                Owner("RU", "293"),
                8,
                (Warn.VERSION,),
            ),
        ),
        (PART_2_OF_3, ItemTag("BG00054321", Usage.CIRCULATING, 3, 2, BG01)),
        (
            GATE_FRAME,
            ItemTag(
                "201123463",
                Usage.CIRCULATING,
                4,
                1,
                Owner("DE", "526"),
                2,
                (Warn.BLOCKS_REVERSED, Warn.OWNER_REPEATS_COUNTRY),
            ),
        ),
        (CARD, CardTag("TV2400001", BG01)),
        (RFID501, Foreign(Look.RFID501)),
        (ISO28560_2, Foreign(Look.ISO28560_2)),
        (b"\xe1\x40\x0e\x01" + bytes(28), Foreign(Look.NDEF)),
        (b"33500000123456" + bytes(18), Foreign(Look.TEXT)),
        (bytes(32), Blank()),
        (bytes(112), Blank()),
        (b"\xff" * 32, Blank()),
        (b"\x55" * 24 + bytes(8), Blank()),
        (b"\x55" * 32, Blank()),
    ],
)
def test_a_real_dump_is_what_it_is(data: bytes, content: object) -> None:
    assert decode(data) == content
    assert decode(data + bytes(112 - len(data))) == content  # in a larger tag


def test_the_owner_is_normalised_to_one_isil() -> None:
    tags = [decode(data) for data in (V2, GATE_FRAME, DE_MEN)]
    isils = [tag.owner.isil for tag in tags if isinstance(tag, ItemTag)]
    assert isils == ["DE-705", "DE-526", "VN-BG01"]


def test_the_two_virtual_zeros_of_a_small_tag_belong_to_the_checksum() -> None:
    assert checksum(V2) == 0x3E51
    assert CCITT_FALSE(V2[:19] + V2[21:]) == 0x2272


def test_a_card_number_is_in_no_repr() -> None:
    assert "TV24" not in repr(decode(CARD))
    assert "TV24" not in str(decode(CARD))


def test_a_cut_read_says_that_bytes_are_missing_and_not_that_they_are_wrong() -> None:
    full = block(b"\x11\x01\x01", b"BG00012345", b"VNBG01-A1234X")
    assert isinstance(decode(full), ItemTag)
    assert decode(full[:32]) == Damaged(Damage.MISSING, 2)
    assert decode(full[:33]) == Damaged(Damage.MISSING, 1)
    assert decode(full[:28]) == Damaged(Damage.MISSING, 4)
    reversed_ = turn_blocks(full + bytes(2))
    assert decode(reversed_[:32]) == Damaged(Damage.MISSING, 2)
    assert isinstance(decode(reversed_), ItemTag)
    spoilt = bytearray(full[:32])
    spoilt[19] ^= 0xFF
    assert decode(bytes(spoilt)) == Damaged(Damage.CHECKSUM)
    assert decode(b"") == Damaged(Damage.MISSING, 32)


def test_a_wrong_checksum_is_damage_and_not_a_foreign_tag() -> None:
    assert decode(DE_MEN[:12] + b"\x36" + DE_MEN[13:]) == Damaged(Damage.CHECKSUM)


def test_parts_the_wrong_way_round_are_turned_with_a_warning() -> None:
    tag = decode(block(b"\x11\x02\x03", b"X1", b"VNBG01"))
    assert isinstance(tag, ItemTag)
    assert (tag.parts, tag.part, tag.warnings) == (3, 2, (Warn.PARTS_SWAPPED,))


def test_no_parts_means_unknown() -> None:
    tag = decode(block(b"\x11\x00\x01", b"X1", b"VNBG01"))
    assert isinstance(tag, ItemTag)
    assert (tag.parts, tag.part, tag.warnings) == (0, 1, (Warn.PARTS_UNKNOWN,))


def test_a_factory_filler_behind_32_written_bytes_is_accepted_with_a_warning() -> None:
    tag = decode(DE_MEN + b"\x55" * 80)
    assert isinstance(tag, ItemTag)
    assert (tag.id, tag.owner, tag.warnings) == ("BG00012345", BG01, (Warn.CRC_32,))


def test_a_long_id_stands_in_the_library_extension_block() -> None:
    payload = b"\x00" + b"VN-2026-0123456789-LONG"
    head = bytes((4 + len(payload), 0x01, 0x00))
    parity = 0
    for byte in head + payload:
        parity ^= byte
    basic = block(b"\x11\x01\x01", b"\x01", b"VNBG01")
    tag = decode(basic + b"\x01" + head + bytes((parity,)) + payload + b"\x00")
    assert isinstance(tag, ItemTag)
    assert tag.id == "VN-2026-0123456789-LONG"
    cut = decode(basic + head)
    assert cut == Damaged(Damage.MISSING, 25)


@pytest.mark.parametrize("number", [b"", b"A\rB", b"\x7f\x02", b"   "])
def test_an_id_that_cannot_travel_is_no_id(number: bytes) -> None:
    assert decode(block(b"\x11\x01\x01", number, b"VNBG01")) == Foreign(Look.NO_ID)


def test_a_vietnamese_id_is_read_as_utf8_and_an_old_one_as_latin() -> None:
    tag = decode(block(b"\x11\x01\x01", "ĐB-1".encode(), b"VNBG01"))
    assert isinstance(tag, ItemTag)
    assert tag.id == "ĐB-1"
    old = decode(block(b"\x11\x01\x01", b"\xd0B", b"VNBG01"))
    assert isinstance(old, ItemTag)
    assert old.warnings == (Warn.ID_NOT_UTF8,)


@pytest.mark.parametrize("data", [V2 + bytes(2), DE_MEN + bytes(2), PART_2_OF_3, CARD + bytes(2)])
def test_every_single_flipped_bit_of_a_real_tag_is_noticed(data: bytes) -> None:
    for bit in range(34 * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert isinstance(decode(bytes(flipped)), Damaged | Foreign), bit


names = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.", min_size=1, max_size=16)
owners = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=11)


@given(names, owners, st.integers(1, 255), st.data())
def test_what_the_table_says_is_read_back(
    number: str, owner: str, parts: int, draw: st.DataObject
) -> None:
    part = draw.draw(st.integers(1, parts))
    data = block(bytes((0x11, parts, part)), number.encode(), b"VN" + owner.encode())
    expected = ItemTag(number, Usage.CIRCULATING, parts, part, Owner("VN", owner))
    assert decode(data) == expected
    turned = decode(turn_blocks(data + bytes(2)))
    if not isinstance(turned, Damaged):  # more than 99 parts are odd enough to doubt the order
        assert isinstance(turned, ItemTag)
        assert (turned.id, turned.warnings) == (number, (Warn.BLOCKS_REVERSED,))
    else:
        assert parts > 99


@given(names, owners, st.integers(0, 34 * 8 - 1))
def test_a_single_flipped_bit_is_noticed(number: str, owner: str, bit: int) -> None:
    data = bytearray(block(b"\x11\x01\x01", number.encode(), b"VN" + owner.encode()))
    data[bit // 8] ^= 1 << bit % 8
    assert isinstance(decode(bytes(data)), Damaged | Foreign)


@settings(max_examples=300)
@given(st.binary(max_size=160))
def test_random_bytes_never_raise(data: bytes) -> None:
    assert isinstance(decode(data), ItemTag | CardTag | Blank | Foreign | Damaged)


@given(st.integers(0, 255), st.binary(min_size=2, max_size=2), st.binary(max_size=80))
def test_right_checksums_over_random_content_never_raise(
    first: int, parts: bytes, rest: bytes
) -> None:
    data = block(bytes((first,)) + parts, rest[:16], rest[16:29]) + rest[29:]
    assert isinstance(decode(data), ItemTag | CardTag | Blank | Foreign | Damaged)
