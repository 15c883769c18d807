"""Writing ISO 28560-3: the reference's bytes, what is refused, and what a rewrite spares."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.wire.content import (
    NOBODY,
    CardTag,
    Damage,
    Damaged,
    ItemTag,
    Label,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.extension import chain
from kiosk.wire.iso28560_3 import checksum, decode, turn_blocks
from kiosk.wire.iso28560_3_write import encode
from mocban.errors import LocalProtocolError
from tests.support.iso28560_3 import (
    BG01,
    CARD,
    DE_MEN,
    DE_MEN_REVERSED,
    GATE_FRAME,
    MEDIA,
    PART_2_OF_3,
    RUSSIAN,
    SHELF,
    TITLE,
    V2,
    VENDOR,
)

BOOK = Label("BG00012345", BG01)
TITLED = replace(BOOK, fields=(("title", "Số đỏ"),))


def relabel(data: bytes, **changes: object) -> Label:
    """The label of a tag as it is, with ``changes``."""
    tag = decode(data)
    assert isinstance(tag, ItemTag)
    label = Label(tag.id, tag.owner, tag.usage, 0, tag.parts, tag.part, tag.fields)
    return replace(label, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "data"),
    [
        (Label("11223344", Owner("DE", "705")), V2),
        (BOOK, DE_MEN),
        (Label("TV2400001", BG01, Usage.PATRON_CARD), CARD),
        (Label("BG00054321", BG01, parts=3, part=2), PART_2_OF_3),
    ],
)
def test_the_dumps_of_the_reference_are_written(label: Label, data: bytes) -> None:
    assert encode(label, len(data)) == data
    assert encode(label, 112) == data.ljust(112, b"\x00")


def test_extension_blocks_follow_in_the_order_of_their_ids() -> None:
    fields = (("title", "Số đỏ"), ("media-format", "1"), ("shelf-location", "VV-895.922"))
    image = encode(replace(BOOK, fields=fields), 112)
    assert image == (DE_MEN + bytes(2) + MEDIA + SHELF + TITLE).ljust(112, b"\x00")


def test_a_tag_that_is_read_and_written_again_is_the_same() -> None:
    for data in (
        V2, DE_MEN, DE_MEN_REVERSED, RUSSIAN, PART_2_OF_3,
        DE_MEN + bytes(2) + b"\x01\x01" + VENDOR + b"\x01" + TITLE + VENDOR + bytes(3) + b"other",
        turn_blocks(DE_MEN + bytes(2) + TITLE + VENDOR + bytes(3)) + b"xy",
        DE_MEN + bytes(2) + b"\x55" * 78,
    ):  # fmt: skip
        again = encode(relabel(data), len(data), over=data)
        assert again[:34] == data[:34]
        assert again[35:] == data[35:]  # an end may be put where there was none
        assert decode(again) == decode(data)


def test_the_order_found_and_the_version_found_stay() -> None:
    image = encode(relabel(DE_MEN_REVERSED, usage=Usage.DISCARDED), 32, over=DE_MEN_REVERSED)
    tag = decode(image)
    assert isinstance(tag, ItemTag)
    assert (tag.usage, tag.warnings) == (Usage.DISCARDED, (Warn.BLOCKS_REVERSED,))
    image = encode(relabel(GATE_FRAME, part=2), 36, over=GATE_FRAME)
    assert image[:4] == bytes.fromhex("32 02 04 21")
    assert encode(relabel(RUSSIAN, usage=Usage.REFERENCE), 32, over=RUSSIAN)[0] == 0x82


def test_a_site_with_swapped_nibbles_gets_the_standard_order_and_reads_it() -> None:
    old = encode(replace(BOOK, usage=Usage(1)), 32, over=b"\x21" + DE_MEN[1:])
    assert old[0] == 0x21  # version 2, says everybody else
    for usage in (Usage.CIRCULATING, Usage.REFERENCE, Usage.DISCARDED):
        image = encode(replace(BOOK, usage=usage), 32, over=old, swapped=True)
        tag = decode(image, swapped=True)
        assert isinstance(tag, ItemTag)
        assert (image[0] >> 4, tag.usage) == (1, usage)


def test_unknown_blocks_and_what_lies_behind_stay_in_their_places() -> None:
    broken = b"\x06\x04\x00\x00ab"
    old = DE_MEN + bytes(2) + TITLE + VENDOR + SHELF + broken + b"\x00" + b"Z" * 20
    old += bytes(112 - len(old))
    image = encode(Label("BG00099999", BG01, fields=(("media-format", "1"),)), 112, over=old)
    at = 34 + len(TITLE)
    assert image[34:39] == MEDIA
    assert image[39:at] == b"\x01" * (len(TITLE) - 5)  # fillers where the title was
    assert image[at : at + 7] == VENDOR
    behind = 34 + len(TITLE + VENDOR + SHELF + broken)
    assert image[behind - 6 : behind] == broken
    assert image[behind:] == old[behind:]
    tag = decode(image)
    assert isinstance(tag, ItemTag)
    assert (tag.id, tag.fields) == (
        "BG00099999",
        (("media-format", "1"), ("block-107", "004141")),
    )


def test_a_label_that_names_an_unknown_block_replaces_it() -> None:
    old = (DE_MEN + bytes(2) + VENDOR + SHELF).ljust(112, b"\x00")
    image = encode(replace(BOOK, fields=(("block-107", "0042"),)), 112, over=old)
    tag = decode(image)
    assert isinstance(tag, ItemTag)
    assert tag.fields == (("block-107", "0042"),)


def test_two_same_blocks_are_not_doubled() -> None:
    old = (DE_MEN + bytes(2) + TITLE + TITLE).ljust(112, b"\x00")
    assert decode(encode(TITLED, 112, over=old)) == decode(encode(TITLED, 112))
    assert encode(relabel(old), 112, over=old) == old


def test_the_data_of_another_maker_are_not_written_over() -> None:
    old = DE_MEN + bytes(2) + b"\x00" * 10 + b"Z" * 20
    with pytest.raises(LocalProtocolError, match="another maker"):
        encode(TITLED, len(old), over=old)
    nobody_knows = DE_MEN + bytes(2) + b"\xe7" + b"Z" * 20
    with pytest.raises(LocalProtocolError, match="another maker"):
        encode(TITLED, len(nobody_knows), over=nobody_knows)
    again = encode(replace(BOOK, usage=Usage.DISCARDED), len(nobody_knows), over=nobody_knows)
    assert again[34:] == nobody_knows[34:]


@pytest.mark.parametrize("filler", [b"\x55" * 80, b"\xff" * 80, b"\x55" * 76 + bytes(4)])
def test_a_factory_filler_behind_32_bytes_gives_way(filler: bytes) -> None:
    old = DE_MEN + filler
    image = encode(BOOK, len(old), over=old)
    assert image[:35] == DE_MEN + bytes(3)
    assert image[35:] == old[35:]
    tag = decode(image)
    assert isinstance(tag, ItemTag)
    assert tag.warnings == ()
    assert isinstance(titled := decode(encode(TITLED, len(old), over=old)), ItemTag)
    assert (titled.fields, titled.warnings) == (TITLED.fields, ())


def test_a_tag_written_for_32_bytes_keeps_that_form_before_other_data() -> None:
    old = DE_MEN + b"OTHER DATA" + bytes(6)
    image = encode(Label("X1", BG01), len(old), over=old)
    tag = decode(image)
    assert isinstance(tag, ItemTag)
    assert (tag.id, tag.owner, tag.warnings) == ("X1", BG01, (Warn.CRC_32,))
    assert image[32:] == old[32:]
    with pytest.raises(LocalProtocolError, match="32 bytes have no room"):
        encode(TITLED, len(old), over=old)


def test_blocks_before_their_place_move_behind_the_basic_block() -> None:
    basic = bytearray(b"\x11\x01\x01X1".ljust(21, b"\x00") + b"VNBG" + MEDIA + VENDOR[:4])
    basic[19:21] = checksum(bytes(basic)).to_bytes(2, "little")
    old = bytes(basic) + VENDOR[4:] + bytes(40)
    image = encode(Label("X1", Owner("VN", "BG"), fields=(("title", "Số đỏ"),)), len(old), over=old)
    tag = decode(image)
    assert isinstance(tag, ItemTag)
    assert (tag.owner, tag.warnings) == (Owner("VN", "BG"), ())
    assert image[23:34] == b"BG".ljust(11, b"\x00")
    assert image[34:] == (TITLE + VENDOR).ljust(len(image) - 34, b"\x00")


def test_a_tag_of_another_model_or_a_blank_one_is_written_anew() -> None:
    for old in (b"\x55" * 112, b"33500000123456".ljust(112, b"\x00"), b"\x04\x11" + bytes(110)):
        assert encode(BOOK, 112, over=old) == DE_MEN.ljust(112, b"\x00")


def test_a_half_written_tag_is_finished_in_its_order() -> None:
    new = encode(replace(TITLED, id="BG00067890"), 112, over=DE_MEN.ljust(112, b"\x00"))
    for order in (bytes, turn_blocks):
        old, whole = order(DE_MEN.ljust(112, b"\x00")), order(new)
        for cut in range(4, 112, 4):
            torn = whole[:cut] + old[cut:]
            finished = encode(replace(TITLED, id="BG00067890"), 112, over=torn)
            tag = decode(finished)
            assert isinstance(tag, ItemTag)
            assert (tag.id, tag.fields) == ("BG00067890", TITLED.fields)


def test_a_long_id_and_a_long_owner_go_to_the_library_block() -> None:
    label = Label("VN-2026-0123456789-LONG", Owner("VN", "A-LONG-LIBRARY"))
    image = encode(label, 112)
    assert image[3:19] == b"\x01".ljust(16, b"\x00")
    assert image[21:34] == bytes(13)
    assert image[34:37] == bytes((4 + 1 + 23 + 1 + 17, 1, 0))
    tag = decode(image)
    assert isinstance(tag, ItemTag)
    assert (tag.id, tag.owner, tag.warnings) == (label.id, label.owner, (Warn.LONG_ID,))


@pytest.mark.parametrize(
    ("owner", "isil"),
    [
        (Owner("O", "DSTEK"), "O-DSTEK"),
        (Owner("", "O-DSTEK"), "O-DSTEK"),
        (Owner("", "BG01"), "BG01"),
        (Owner("VN", "-A"), "VN--A"),
        (Owner("VN", "VN-1"), "VN-VN-1"),
        (Owner("vn", "BG01"), "vn-BG01"),
        (Owner("VN", "ELEVEN-1234"), "VN-ELEVEN-1234"),
    ],
)
def test_every_owner_is_read_back_as_it_was(owner: Owner, isil: str) -> None:
    image = encode(Label("X1", owner), 64)
    tag = decode(image)
    assert isinstance(tag, ItemTag)
    assert (tag.owner.isil, tag.warnings) == (isil, ())
    if isil != "VN-ELEVEN-1234":
        assert image[21:34] == bytes(13)


@pytest.mark.parametrize(
    ("label", "size"),
    [
        (BOOK, 31),
        (Label(""), 112),
        (Label("A\rB"), 112),
        (Label(" A"), 112),
        (Label("A\x00B"), 112),
        (Label("A" * 17), 32),
        (Label("A" * 260), 512),
        (Label("X1", Owner("VN", "ELEVEN-1234")), 32),
        (Label("X1", Owner("O", "DSTEK")), 32),
        (Label("X1", Owner("VN", "ha noi")), 112),
        (Label("X1", Owner("V", "")), 112),
        (TITLED, 32),
        (TITLED, 47),
        (replace(BOOK, parts=0, part=0), 112),
        (replace(BOOK, parts=0, part=1), 112),
        (replace(BOOK, parts=2, part=3), 112),
        (replace(BOOK, parts=2, part=0), 112),
        (replace(BOOK, parts=256, part=1), 112),
        (replace(BOOK, sub=1), 112),
        (replace(BOOK, usage=Usage.PATRON_CARD, parts=2), 112),
        (replace(BOOK, fields=(("local-a", "x"),)), 112),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(label: Label, size: int) -> None:
    with pytest.raises(LocalProtocolError) as refused:
        encode(label, size)
    assert refused.value.say.endswith(".")
    if len(label.id) > 3:
        assert label.id not in refused.value.say  # it may be a card's number


def test_the_first_size_that_holds_a_label_does() -> None:
    image = encode(TITLED, 48)
    assert image == DE_MEN + bytes(2) + TITLE
    assert isinstance(decode(image), ItemTag)


def test_a_tag_read_in_part_is_not_written() -> None:
    with pytest.raises(LocalProtocolError, match="36 of the tag's 112"):
        encode(BOOK, 112, over=DE_MEN + bytes(4))


def test_a_usage_that_a_reversed_tag_would_not_be_known_by_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        encode(replace(BOOK, usage=Usage.FUTURE_12), 32, over=DE_MEN_REVERSED)
    assert decode(encode(replace(BOOK, usage=Usage.FUTURE_12), 32)) is not None


ids = st.one_of(
    st.text("0123456789", min_size=1, max_size=16),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-./ ", min_size=1, max_size=40).filter(
        lambda text: text.strip(" ") == text
    ),
)
isils = st.one_of(
    st.just(NOBODY),
    st.builds(
        Owner,
        st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2),
        st.text("ABCDEFabcdef0123456789-/:", min_size=1, max_size=14),
    ),
    st.text("ABCDEFabcdef0123456789/:", min_size=1, max_size=14).map(lambda text: Owner("", text)),
)
texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
extras = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["title", "supplier", "shelf-location", "invoice"]), texts),
        st.tuples(st.just("media-format"), st.integers(1, 31).map(str)),
        st.tuples(st.integers(6, 999).map("block-{}".format), st.binary(max_size=9).map(bytes.hex)),
    ),
    max_size=4,
)


@st.composite
def labels(draw: st.DrawFn) -> Label:
    usage = draw(st.sampled_from([Usage(code) for code in range(10)]))
    parts = 1 if usage is Usage.PATRON_CARD else draw(st.integers(1, 255))
    part = draw(st.integers(1, parts))
    return Label(draw(ids), draw(isils), usage, 0, parts, part, tuple(draw(extras)))


def says(data: bytes) -> tuple[object, ...]:
    tag = decode(data)
    assert isinstance(tag, ItemTag | CardTag), tag
    parts = (tag.usage, tag.parts, tag.part) if isinstance(tag, ItemTag) else (8, 1, 1)
    return (tag.id, tag.owner.isil, *parts, sorted(tag.fields))


def wants(label: Label) -> tuple[object, ...]:
    isil = label.owner.isil
    return (label.id, isil, label.usage, label.parts, label.part, sorted(label.fields))


@given(labels())
def test_what_is_written_is_read_back(label: Label) -> None:
    assert says(encode(label, 512)) == wants(label)


@given(labels(), labels(), st.booleans())
def test_a_rewrite_says_the_new_label_and_nothing_of_the_old(
    first: Label, second: Label, turn: bool
) -> None:
    first = replace(first, fields=tuple(f for f in first.fields if not f[0].startswith("block-")))
    old = encode(first, 512)
    old = turn_blocks(old) if turn else old
    image = encode(second, 512, over=old)
    assert says(image) == wants(second)
    reversed_ = Warn.BLOCKS_REVERSED in getattr(decode(image), "warnings", ())
    assert reversed_ == turn


@given(labels(), labels(), st.binary(min_size=1, max_size=30))
def test_unknown_blocks_survive_every_rewrite(first: Label, second: Label, payload: bytes) -> None:
    first = replace(first, fields=(*first.fields, ("block-4242", payload.hex())))
    old = encode(first, 512)
    (at,) = (each.at for each in chain(old).blocks if each.number == 4242)
    image = encode(second, 512, over=old)
    length = 4 + len(payload)
    assert image[at : at + length] == old[at : at + length]
    tag = decode(image)
    assert isinstance(tag, ItemTag | CardTag)
    assert ("block-4242", payload.hex()) in tag.fields


@settings(max_examples=300)
@given(st.binary(min_size=32, max_size=160), labels())
def test_any_bytes_are_written_over_or_refused(old: bytes, label: Label) -> None:
    try:
        image = encode(label, len(old), over=old)
    except LocalProtocolError:
        return
    assert len(image) == len(old)
    assert says(image)[0] == label.id


@given(labels(), st.integers(0, 34 * 8 - 1))
def test_a_flipped_bit_of_what_we_write_is_noticed(label: Label, bit: int) -> None:
    data = bytearray(encode(label, 512))
    data[bit // 8] ^= 1 << bit % 8
    assert isinstance(decode(bytes(data)), Damaged | None)


def test_a_cut_image_of_ours_says_how_much_is_missing() -> None:
    image = encode(Label("VN-2026-0123456789-LONG", BG01), 112)
    assert decode(image[:36]) == Damaged(Damage.MISSING, 26)
