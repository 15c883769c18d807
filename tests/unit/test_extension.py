"""Extension blocks of ISO 28560-3: bytes of the reference first, then properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire.content import Fields
from kiosk.wire.extension import START, Block, build, chain, compose, untouched
from mocban.errors import LocalProtocolError

MEDIA = bytes.fromhex("05 01 00 05 01")
TITLE = bytes.fromhex("0E 04 00 32 53 E1 BB 91 20 C4 91 E1 BB 8F")
SHELF = bytes.fromhex("0E 03 00 03 56 56 2D 38 39 35 2E 39 32 32")
BASIC = bytes(START)
VENDOR = bytes.fromhex("07 6B 00 6C 00 41 41")


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (MEDIA, (("media-format", "1"),)),
        (TITLE, (("title", "Số đỏ"),)),
        (SHELF, (("shelf-location", "VV-895.922"),)),
    ],
)
def test_the_blocks_of_the_reference_read_and_write(raw: bytes, fields: Fields) -> None:
    assert Block(START, raw).fields == fields
    assert compose(fields) == [raw]


def test_an_empty_field_is_one_00_and_the_tail_is_left_out() -> None:
    fields = (("supplier", "Fahasa"), ("order-number", "0042"))
    raw = bytes.fromhex("10 02 00") + b"\x00" + b"Fahasa\x00\x00" + b"0042"
    raw = raw[:3] + bytes((_xor(raw),)) + raw[4:]
    assert compose(fields) == [raw]
    assert Block(START, raw).fields == fields


def test_an_ending_00_and_empty_tail_fields_are_no_fields() -> None:
    assert Block(START, build(4, b"So do\x00")).fields == (("title", "So do"),)
    assert Block(START, build(1, b"\x00\x00\x00")).fields == ()
    assert Block(START, build(3, b"\x00\x00\x00\x00")).fields == ()


def test_the_supply_stage_is_one_byte_behind_five_texts() -> None:
    raw = build(2, b"F\x00\x00\x00\x008934974000000\x00\x03")
    assert Block(START, raw).fields == (
        ("supplier", "F"),
        ("gs1-product", "8934974000000"),
        ("supply-stage", "3"),
    )


def test_the_older_layout_with_the_xor_at_the_end_is_read() -> None:
    raw = bytes.fromhex("0C 03 00") + b"VV-895.9"
    raw += bytes((_xor(raw),))
    assert raw[-1] < 0x20  # else nothing tells the layouts apart
    assert Block(START, raw).fields == (("shelf-location", "VV-895.9"),)


@pytest.mark.parametrize(
    ("number", "payload", "fields"),
    [
        (4, "Đất rừng phương Nam".encode(), (("title", "Đất rừng phương Nam"),)),
        (4, "Nhật ký trong tù".encode(), (("title", "Nhật ký trong tù"),)),
        (
            1,
            b"\x01VN-2026-0123456789-LONG\x00VN-BG01",
            (
                ("media-format", "1"),
                ("alternative-id", "VN-2026-0123456789-LONG"),
                ("alternative-owner", "VN-BG01"),
            ),
        ),
    ],
)
def test_the_older_layout_is_known_by_utf_8_or_the_media_format(
    number: int, payload: bytes, fields: Fields
) -> None:
    raw = bytes((len(payload) + 4, number, 0)) + payload
    raw += bytes((_xor(raw),))
    assert raw[-1] >= 0x20
    assert Block(START, raw).fields == fields


def test_latin_1_behind_the_xor_is_no_older_layout() -> None:
    assert Block(START, build(4, b"Caf\xe9")).fields == (("title", "Café"),)


@pytest.mark.parametrize(
    ("number", "payload"),
    [
        (4, b"\x07\x08"),  # control characters
        (4, b"one\x00two"),  # more fields than the type has
        (3, b"A\x00xyz"),  # a MARC media format has two characters
        (2, b"\x00\x00\x00\x00notdigits"),
        (6, b"later edition"),
        (107, b"AA"),
        (0xFEFF, b""),
    ],
)
def test_what_does_not_fit_stays_opaque(number: int, payload: bytes) -> None:
    block = Block(START, build(number, payload))
    assert block.fields == ((f"block-{number}", payload.hex()),)
    assert compose(block.fields) == [block.raw]


def test_an_id_of_24_bits_goes_lsb_ff_middle_msb() -> None:
    raw = bytes.fromhex("09 70 FF 11 01 00 41 42 43")
    raw = raw[:5] + bytes((_xor(raw),)) + raw[6:]
    block = Block(START, raw)
    assert (block.number, block.fields) == (0x011170, (("wide-block-70000", "414243"),))
    assert compose(block.fields) == [raw]
    # Wherever the check byte stands, nothing is lost: the XOR of the others is the byte left out.
    moved = raw[:5] + raw[6:7] + raw[5:6] + raw[7:]
    assert compose(Block(START, moved).fields) == [moved]


def test_a_block_that_is_wrong_says_nothing() -> None:
    for raw in (TITLE[:-1] + b"\x00", b"\x02\x02", b"\x03\x01\x02", b"\x05\xff\xff\x05\x00"):
        assert Block(START, raw).fields == ()
        assert not Block(START, raw).right


def test_a_chain_knows_fillers_ends_and_what_is_missing() -> None:
    data = BASIC + b"\x01\x01" + TITLE + b"\x01" + VENDOR + b"\x00" + b"behind"
    place = chain(data)
    assert [(each.at, each.raw) for each in place.blocks] == [(36, TITLE), (51, VENDOR)]
    assert (place.end, place.lack) == (58, 0)
    assert chain(data[:40]).lack == 10
    assert chain(data[:36]).lack == 1
    assert chain(data[:58]).lack == 1
    assert chain(data[:30]).lack == 5


@pytest.mark.parametrize(
    "filler", [b"", b"\x00" * 9, b"\x55" * 90, b"\xff" * 9, b"\x55" * 8 + bytes(4)]
)
def test_factory_memory_holds_no_blocks(filler: bytes) -> None:
    assert untouched(filler)
    assert chain(BASIC + filler).blocks == ()


def test_a_long_id_and_an_owner_share_the_library_block() -> None:
    (raw,) = compose((("media-format", "2"),), long_id="VN-LONG", owner="O-X")
    assert raw == build(1, b"\x02VN-LONG\x00O-X")
    (raw,) = compose((), owner="O-X")
    assert raw[4:] == b"\x00\x00O-X"
    with pytest.raises(LocalProtocolError, match="alternative-id"):
        compose((("alternative-id", "A"),), long_id="VN-LONG")


def test_an_element_told_twice_takes_two_blocks() -> None:
    raws = compose((("title", "One"), ("media-format", "1"), ("title", "Two")))
    assert raws == [MEDIA, build(4, b"One"), build(4, b"Two")]


@pytest.mark.parametrize(
    "field",
    [
        ("local-a", "x"),
        ("type", "1"),
        ("block-", "00"),
        ("block-70000", "00"),
        ("block-65312", "00"),
        ("wide-block-16777216", "00"),
        ("block-107", "not hex"),
        ("block-107", "00" * 252),
        ("media-format", "0"),
        ("media-format", "32"),
        ("supply-stage", "256"),
        ("media-format", "x"),
        ("title", ""),
        ("title", "two\nlines"),
        ("title", "x" * 252),
        ("marc-media", "abc"),
        ("gs1-product", "893x"),
    ],
)
def test_what_the_model_cannot_say_is_refused(field: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        compose((field,))


texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
known = st.one_of(
    st.tuples(st.sampled_from(["title", "supplier", "shelf-location", "subsidiary", "invoice",
                               "ill-transaction", "alternative-id"]), texts),
    st.tuples(st.just("media-format"), st.integers(1, 31).map(str)),
    st.tuples(st.just("supply-stage"), st.integers(1, 255).map(str)),
    st.tuples(st.integers(6, 0xFEFF).map("block-{}".format), st.binary(max_size=20).map(bytes.hex)),
    st.tuples(st.integers(0, 0xFFFFFF).map("wide-block-{}".format), st.binary(max_size=20).map(bytes.hex)),
)  # fmt: skip


@given(st.lists(known, max_size=8))
def test_what_is_composed_is_read_back(fields: list[tuple[str, str]]) -> None:
    raws = compose(tuple(fields))
    place = chain(BASIC + b"".join(raws))
    assert all(each.right for each in place.blocks)
    assert sorted(pair for each in place.blocks for pair in each.fields) == sorted(fields)


@given(st.binary(max_size=400))
def test_random_bytes_never_raise(data: bytes) -> None:
    place = chain(data, 0)
    assert sum(len(each.raw) for each in place.blocks) <= len(data)
    for each in place.blocks:
        if each.right:
            assert [each.raw] == compose(((each.name, each.raw[4 + 2 * each.wide :].hex()),))
        else:
            assert each.fields == ()


def _xor(raw: bytes) -> int:
    parity = 0
    for byte in raw:
        parity ^= byte
    return parity
