"""Extension blocks behind the basic block of ISO 28560-3: fields, owners of another form, long ids."""

from __future__ import annotations

import pytest

from kiosk.wire.content import (
    Damage,
    Damaged,
    Foreign,
    ItemTag,
    Look,
    Owner,
    Warn,
)
from kiosk.wire.iso28560_3 import decode, turn_blocks
from tests.support.iso28560_3 import (
    BG01,
    DE_MEN,
    MEDIA,
    SHELF,
    TITLE,
    block,
    extension,
    item,
)

FULL = 34 * 8


def test_extension_blocks_become_fields() -> None:
    tag = item(DE_MEN + bytes(2) + MEDIA + b"\x01" + SHELF + TITLE + bytes(20))
    assert tag.fields == (
        ("media-format", "1"),
        ("shelf-location", "VV-895.922"),
        ("title", "Số đỏ"),
    )
    assert tag.warnings == ()


def test_a_broken_extension_block_is_left_out_with_a_warning() -> None:
    broken = TITLE[:5] + b"\x00" + TITLE[6:]
    tag = item(DE_MEN + bytes(2) + broken + SHELF)
    assert (tag.fields, tag.warnings) == (
        (("shelf-location", "VV-895.922"),),
        (Warn.EXTENSION,),
    )


def test_a_reversed_tag_has_its_extension_reversed_too() -> None:
    data = DE_MEN + bytes(2) + TITLE
    tag = item(turn_blocks(data + bytes(-len(data) % 4)))
    assert tag.fields == (("title", "Số đỏ"),)
    assert tag.warnings == (Warn.BLOCKS_REVERSED,)


def test_an_owner_of_another_form_stands_in_the_library_block() -> None:
    tag = item(block(b"\x11\x01\x01", b"X1", b"") + extension(1, b"\x01\x00O-DSTEK"))
    assert (tag.owner.isil, tag.warnings) == ("O-DSTEK", ())
    assert tag.fields == (("media-format", "1"),)
    tag = item(block(b"\x11\x01\x01", b"X1", b"") + extension(1, b"\x00\x00VN-A-LONG-LIBRARY"))
    assert tag.owner == Owner("VN", "A-LONG-LIBRARY")
    tag = item(DE_MEN + bytes(2) + extension(1, b"\x00\x00VN-OTHER"))
    assert (tag.owner, tag.fields) == (BG01, (("alternative-owner", "VN-OTHER"),))
    assert item(block(b"\x11\x01\x01", b"X1", b"")).warnings == (Warn.COUNTRY,)


@pytest.mark.parametrize("gap", [b"", b"\x00"])
def test_blocks_right_behind_a_short_owner_are_found(gap: bytes) -> None:
    tag_bytes = block(b"\x11\x01\x01", b"X1", b"VNBG" + gap + MEDIA)
    tag = item(tag_bytes + bytes(8))
    assert (tag.owner, tag.fields) == (Owner("VN", "BG"), (("media-format", "1"),))
    assert tag.warnings == (Warn.EXTENSION_EARLY,)
    longer = block(b"\x11\x01\x01", b"X1", b"VNBG" + gap + (MEDIA + TITLE)[: 9 - len(gap)])
    tag = item(longer + (MEDIA + TITLE)[9 - len(gap) :])
    assert tag.fields == (("media-format", "1"), ("title", "Số đỏ"))


def test_a_long_id_stands_in_the_library_extension_block() -> None:
    long_id = extension(1, b"\x00" + b"VN-2026-0123456789-LONG")
    basic = block(b"\x11\x01\x01", b"\x01", b"VNBG01")
    tag = item(basic + b"\x01" + long_id + b"\x00")
    assert (tag.id, tag.warnings) == ("VN-2026-0123456789-LONG", (Warn.LONG_ID,))
    assert tag.fields == ()
    assert decode(basic + long_id[:4]) == Damaged(Damage.MISSING, 24)
    assert decode(basic) == Damaged(Damage.MISSING, 1)
    assert decode(basic[:32]) == Damaged(Damage.MISSING, 3)
    assert decode(basic + MEDIA + TITLE + b"\x00") == Foreign(Look.NO_ID)


def test_a_long_id_in_the_older_layout_keeps_its_first_letter() -> None:
    text = b"\x01" + b"VN-2026-0123456789-LONG"
    old = extension(1, text)
    old = old[:3] + old[4:] + old[3:4]
    tag = item(block(b"\x11\x01\x01", b"\x01", b"VNBG01") + old + b"\x00")
    assert (tag.id, tag.fields) == ("VN-2026-0123456789-LONG", (("media-format", "1"),))


@pytest.mark.parametrize("head", ["61 14", "71 14", "E1 01 14", "F1 01 14"])
def test_a_long_number_in_octets_is_no_broken_block(head: str) -> None:
    octets = bytes.fromhex(head) + b"12345678901234567890"
    assert decode(octets.ljust(112, b"\x00")) is None


def test_every_single_flipped_bit_of_a_long_id_is_noticed() -> None:
    long_id = extension(1, b"\x00" + b"VN-2026-0123456789-LONG")
    data = block(b"\x11\x01\x01", b"\x01", b"VNBG01") + long_id + bytes(4)
    for bit in range(FULL, FULL + len(long_id) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not isinstance(decode(bytes(flipped)), ItemTag), bit


@pytest.mark.parametrize(
    ("unit", "count"),
    [
        (b"\x01", 0),
        (b"\x02", 0),
        (b"\x04\x01\x00\x05", 0),
        (MEDIA, 1631),
        (TITLE, 582),
        (b"\xff\x6b\x00", 0),
    ],
)
def test_eight_kibibytes_of_blocks_come_to_an_end(unit: bytes, count: int) -> None:
    data = DE_MEN + bytes(2) + unit * 8156
    assert len(item(data[:8192]).fields) == count
    assert len(item(turn_blocks(data[:8192])).fields) == count
