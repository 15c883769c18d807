"""ISO 28560-3 against published dumps and independently computed vectors; then properties."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.wire.content import (
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
from tests.support.iso28560_3 import (
    BG01,
    CARD,
    DE_MEN,
    DE_MEN_REVERSED,
    GATE_FRAME,
    ISO28560_2,
    PART_2_OF_3,
    RFID501,
    RUSSIAN,
    V2,
    block,
    extension,
    item,
)

FULL = 34 * 8


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
        (RFID501, None),
        (ISO28560_2, None),
        (b"\xe1\x40\x0e\x01" + bytes(28), None),
        (b"33500000123456" + bytes(18), None),
        (b"LIB-BOOK-AND-OTHER-THINGS-IN-ASCII", None),
        (bytes(32), None),
        (b"\xff" * 32, None),
        (b"\x55" * 24 + bytes(8), None),
        (b"\x55" * 32, None),
    ],
)
def test_a_real_dump_is_what_it_is(data: bytes, content: object) -> None:
    assert decode(data) == content
    assert decode(data + bytes(112 - len(data))) == content  # in a larger tag


def test_another_model_cut_short_is_not_claimed() -> None:
    for data in (
        RFID501,
        ISO28560_2,
        b"33500000123456",
        bytes.fromhex("11051CBE991A14"),
        b"",
        b"\x11",
    ):
        for size in range(min(len(data), 31)):
            assert decode(data[:size]) is None, (data, size)


def test_the_owner_is_normalised_to_one_isil() -> None:
    assert [item(data).owner.isil for data in (V2, GATE_FRAME, DE_MEN)] == [
        "DE-705",
        "DE-526",
        "VN-BG01",
    ]


def test_the_two_virtual_zeros_of_a_small_tag_belong_to_the_checksum() -> None:
    assert checksum(V2) == 0x3E51
    assert CCITT_FALSE(V2[:19] + V2[21:]) == 0x2272
    assert checksum(turn_blocks(GATE_FRAME)) == 0x49F7


def test_a_card_number_is_in_no_repr() -> None:
    tag = decode(CARD + bytes(2) + extension(101, b"TV24"))
    assert isinstance(tag, CardTag)
    assert tag.fields == (("block-101", "54563234"),)
    assert "TV24" not in repr(tag) and "54563234" not in repr(tag)


def test_a_cut_read_says_that_bytes_are_missing_and_not_that_they_are_wrong() -> None:
    full = block(b"\x11\x01\x01", b"BG00012345", b"VNBG01-A1234X")
    assert isinstance(decode(full), ItemTag)
    assert decode(full[:32]) == Damaged(Damage.MISSING, 2)
    assert decode(full[:33]) == Damaged(Damage.MISSING, 1)
    assert decode(full[:28]) == Damaged(Damage.MISSING, 4)
    assert decode(full[:8]) == Damaged(Damage.MISSING, 24)
    reversed_ = turn_blocks(full + bytes(2))
    assert decode(reversed_[:32]) == Damaged(Damage.MISSING, 2)
    assert decode(reversed_[:28]) == Damaged(Damage.MISSING, 4)
    assert isinstance(decode(reversed_), ItemTag)
    spoilt = bytearray(full[:32])
    spoilt[19] ^= 0xFF
    assert decode(bytes(spoilt)) == Damaged(Damage.CHECKSUM)


@given(
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", min_size=10, max_size=11),
    st.text("0123456789", min_size=1, max_size=16),
)
def test_a_32_byte_read_of_any_34_byte_owner_is_missing_and_not_wrong(
    library: str, number: str
) -> None:
    full = block(b"\x11\x01\x01", number.encode(), b"VN" + library.encode())
    assert decode(full[:32]) == Damaged(Damage.MISSING, 2)


def test_a_wrong_checksum_is_damage_and_not_a_foreign_tag() -> None:
    assert decode(DE_MEN[:12] + b"\x36" + DE_MEN[13:]) == Damaged(Damage.CHECKSUM)
    assert decode(DE_MEN_REVERSED[:9] + b"\x36" + DE_MEN_REVERSED[10:]) == Damaged(Damage.CHECKSUM)
    without_owner = bytearray(block(b"\x11\x01\x01", b"BG00012345", b""))
    without_owner[12] ^= 1
    assert decode(bytes(without_owner)) == Damaged(Damage.CHECKSUM)


def test_parts_the_wrong_way_round_are_turned_with_a_warning() -> None:
    tag = item(block(b"\x11\x02\x03", b"X1", b"VNBG01"))
    assert (tag.parts, tag.part, tag.warnings) == (3, 2, (Warn.PARTS_SWAPPED,))


def test_no_parts_means_unknown() -> None:
    tag = item(block(b"\x11\x00\x01", b"X1", b"VNBG01"))
    assert (tag.parts, tag.part, tag.warnings) == (0, 1, (Warn.PARTS_UNKNOWN,))


@pytest.mark.parametrize(
    "filler", [b"\x55" * 80, b"\xff" * 80, b"\x55" * 76 + bytes(4), b"OTHER DATA" + bytes(6)]
)
def test_other_data_behind_32_written_bytes_are_accepted_with_a_warning(filler: bytes) -> None:
    tag = item(DE_MEN + filler)
    assert (tag.id, tag.owner, tag.warnings) == ("BG00012345", BG01, (Warn.CRC_32,))
    turned = item(turn_blocks(DE_MEN + filler))
    assert (tag.id, turned.warnings) == ("BG00012345", (Warn.CRC_32, Warn.BLOCKS_REVERSED))


@pytest.mark.parametrize(
    ("first", "plain", "swapped"),
    [
        (0x11, (1, 1), (1, 1)),
        (0x12, (1, 2), (1, 2)),
        (0x21, (2, 1), (1, 2)),
        (0x71, (7, 1), (1, 7)),
        (0x81, (8, 1), (1, 8)),
        (0x22, (2, 2), (2, 2)),
        (0xA1, (10, 1), (10, 1)),
    ],
)
def test_nibbles_are_swapped_for_a_site_that_says_so_alone(
    first: int, plain: tuple[int, int], swapped: tuple[int, int]
) -> None:
    data = block(bytes((first, 1, 1)), b"X1", b"VNBG01")
    tag = item(data)
    assert (tag.version, tag.usage) == plain
    other = decode(data, swapped=True)
    if swapped[1] == Usage.PATRON_CARD:
        assert isinstance(other, CardTag)
    else:
        assert isinstance(other, ItemTag)
        assert (other.version, other.usage) == swapped
        assert (Warn.NIBBLES_SWAPPED in other.warnings) == (plain != swapped)


@pytest.mark.parametrize("number", [b"", b"A\rB", b"\x7f\x02", b"   "])
def test_an_id_that_cannot_travel_is_no_id(number: bytes) -> None:
    assert decode(block(b"\x11\x01\x01", number, b"VNBG01")) == Foreign(Look.NO_ID)


def test_a_vietnamese_id_is_read_as_utf8_and_an_old_one_as_latin() -> None:
    assert item(block(b"\x11\x01\x01", "ĐB-1".encode(), b"VNBG01")).id == "ĐB-1"
    old = item(block(b"\x11\x01\x01", b"\xd0B", b"VNBG01"))
    assert old.warnings == (Warn.ID_NOT_UTF8,)


@pytest.mark.parametrize("data", [V2 + bytes(2), DE_MEN + bytes(2), PART_2_OF_3, CARD + bytes(2)])
def test_every_single_flipped_bit_of_a_real_tag_is_noticed(data: bytes) -> None:
    for bit in range(FULL):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not isinstance(decode(bytes(flipped)), ItemTag | CardTag), bit


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
    turned = item(turn_blocks(data + bytes(2)))
    assert (turned.id, turned.warnings) == (number, (Warn.BLOCKS_REVERSED,))


@given(names, owners, st.integers(0, FULL - 1), st.booleans())
def test_a_single_flipped_bit_is_noticed(number: str, owner: str, bit: int, turn: bool) -> None:
    data = bytearray(block(b"\x11\x01\x01", number.encode(), b"VN" + owner.encode()))
    data[bit // 8] ^= 1 << bit % 8
    tag = turn_blocks(bytes(data) + bytes(2)) if turn else bytes(data)
    assert isinstance(decode(tag), Damaged | None)


@settings(max_examples=300)
@given(st.binary(max_size=160), st.booleans())
def test_random_bytes_never_raise(data: bytes, swapped: bool) -> None:
    tag = decode(data, swapped=swapped)
    assert tag is None or isinstance(tag, ItemTag | CardTag | Foreign | Damaged)


@given(st.integers(0, 255), st.binary(min_size=2, max_size=2), st.binary(max_size=300))
def test_right_checksums_over_random_content_never_raise(
    first: int, parts: bytes, rest: bytes
) -> None:
    data = block(bytes((first,)) + parts, rest[:16], rest[16:29]) + rest[29:]
    for tag in (decode(data), decode(turn_blocks(data))):
        assert tag is None or isinstance(tag, ItemTag | CardTag | Foreign | Damaged)


@pytest.mark.parametrize(
    "data",
    [
        "11 05 1C BE 99 27 34 00",  # an integer whose bytes pass for a text
        "11 05 0C 47 60 0C DB 02 02 60 02 14 01 1F 05 01 10 7F 02 08 65 41 45 44 63 62 44 62",
        "31 02 51 94 02 02 20 02 05 01 10 7F 02 0A C4 90 C4 91 42 45 65 42 47 41",
    ],
)
def test_capitals_in_a_tag_of_iso_28560_2_are_no_owner(data: str) -> None:
    for size in (28, 32, 36, 112):
        assert decode(bytes.fromhex(data).ljust(size, b"\x00")[:size]) is None
