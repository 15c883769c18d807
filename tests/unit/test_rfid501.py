"""The 3M model: the published vector, what is another model, and what cannot be said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire.content import (
    NOBODY,
    Damage,
    Damaged,
    ItemTag,
    Label,
    Model,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.rfid501 import decode, encode
from mocban.errors import LocalProtocolError

V3 = b"\x04\x11\x00\x00200901010123" + bytes.fromhex("00000000 FFFFFFFF 7FFFFFFF 00000000")
FIELDS = (("type", "0"), ("branch", "4095"), ("library", "1048575"), ("custom", "2147483647"))
BOOK = bytes.fromhex("04 12 00 01") + b"0000123".ljust(16, b"\x00") + bytes.fromhex(
    "00 30 00 05 FF FF FF FE 00 00 00 00"
)  # fmt: skip


def item(data: bytes) -> ItemTag:
    """What must be an item."""
    tag = decode(data)
    assert isinstance(tag, ItemTag), tag
    return tag


@pytest.mark.parametrize("behind", [b"", bytes(80), b"\x55" * 80, b"others" * 4])
def test_the_published_tag_reads_as_stated(behind: bytes) -> None:
    assert item(V3 + behind) == ItemTag(
        "200901010123", Usage.UNSAID, 1, 1, NOBODY, 0, (Warn.NO_CHECK,), Model.RFID501, 0, FIELDS
    )


def test_every_field_is_where_it_should_be() -> None:
    tag = item(BOOK)
    assert (tag.id, tag.part, tag.parts) == ("0000123", 1, 2)
    assert tag.fields == (("type", "1"), ("branch", "3"), ("library", "5"), ("custom", "-2"))


def test_odd_parts_are_read_with_a_warning() -> None:
    tag = item(V3[:1] + b"\x31" + V3[2:])
    assert (tag.part, tag.parts, tag.warnings) == (1, 3, (Warn.NO_CHECK, Warn.PARTS_SWAPPED))
    tag = item(V3[:1] + b"\x00" + V3[2:])
    assert (tag.part, tag.parts, tag.warnings) == (0, 0, (Warn.NO_CHECK, Warn.PARTS_UNKNOWN))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(32),
        b"\x55" * 24 + bytes(8),
        b"\x05" + V3[1:],
        V3[:2] + b"\x01" + V3[3:],
        V3[:3] + b"\x41" + V3[4:],
        V3[:4] + bytes(16) + V3[20:],
        V3[:4] + b" " * 16 + V3[20:],
        V3[:8] + b"\x00" + V3[9:],
        V3[:8] + b"\x80" + V3[9:],
        V3[:31] + b"\x01",
        V3[:7],
    ],
)
def test_one_wrong_byte_makes_it_another_model(data: bytes) -> None:
    assert decode(data) is None


def test_a_cut_read_says_what_is_missing() -> None:
    for size in range(8, 32):
        assert decode(V3[:size]) == Damaged(Damage.MISSING, 32 - size, Model.RFID501)


def test_the_published_tag_is_written() -> None:
    label = Label("200901010123", fields=FIELDS)
    assert encode(label, 32) == V3
    assert encode(label, 112) == V3 + bytes(80)
    assert encode(label, 112, over=b"\x55" * 112) == V3 + bytes(80)


def test_what_the_label_does_not_say_stays() -> None:
    image = encode(Label("X1", parts=3, part=2), 40, over=BOOK + b"neighbor")
    assert item(image) == replace(item(BOOK), id="X1", parts=3, part=2)
    assert image[32:] == b"neighbor"
    image = encode(Label("X1", fields=(("branch", "7"),)), 32, over=BOOK)
    assert item(image).fields == (
        ("type", "1"), ("branch", "7"), ("library", "5"), ("custom", "-2"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("label", "size"),
    [
        (Label("X1"), 28),
        (Label(""), 32),
        (Label("12345678901234567"), 32),
        (Label("ĐB-1"), 32),
        (Label("A\rB"), 32),
        (Label("X1 "), 32),
        (Label("X1", Owner("VN", "BG01")), 32),
        (Label("X1", usage=Usage.PATRON_CARD), 32),
        (Label("X1", usage=Usage.REFERENCE), 32),
        (Label("X1", sub=1), 32),
        (Label("X1", parts=16), 32),
        (Label("X1", parts=0), 32),
        (Label("X1", parts=2, part=3), 32),
        (Label("X1", fields=(("title", "Số đỏ"),)), 32),
        (Label("X1", fields=(("type", "32"),)), 32),
        (Label("X1", fields=(("branch", "4096"),)), 32),
        (Label("X1", fields=(("branch", "-1"),)), 32),
        (Label("X1", fields=(("custom", "2147483648"),)), 32),
        (Label("X1", fields=(("custom", "x"),)), 32),
    ],
)
def test_what_does_not_fit_is_refused(label: Label, size: int) -> None:
    with pytest.raises(LocalProtocolError):
        encode(label, size)


def test_a_tag_read_in_part_is_not_written() -> None:
    with pytest.raises(LocalProtocolError, match="32 of the tag's 112"):
        encode(Label("X1"), 112, over=V3)


printable = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=16
).filter(lambda text: text.strip(" ") == text)


@given(
    printable, st.integers(1, 15), st.data(), st.integers(0, 31), st.integers(0, 4095),
    st.integers(0, (1 << 20) - 1), st.integers(-(1 << 31), (1 << 31) - 1),
)  # fmt: skip
def test_what_is_written_is_read_back(
    number: str, parts: int, draw: st.DataObject, kind: int, branch: int, library: int, custom: int
) -> None:
    part = draw.draw(st.integers(1, parts))
    fields = (
        ("type", str(kind)), ("branch", str(branch)), ("library", str(library)), ("custom", str(custom)),
    )  # fmt: skip
    tag = item(encode(Label(number, parts=parts, part=part, fields=fields), 112))
    assert (tag.id, tag.parts, tag.part, tag.fields) == (number, parts, part, fields)


@given(st.binary(max_size=64), st.booleans())
def test_random_bytes_never_raise(data: bytes, alike: bool) -> None:
    data = V3[:4] + data if alike else data
    tag = decode(data)
    assert tag is None or isinstance(tag, ItemTag | Damaged)
    if tag is not None:
        assert alike
