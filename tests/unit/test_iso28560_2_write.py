"""ISO 28560-2 written: the bytes of the standard, what is refused, what a rewrite spares; then properties."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.wire.content import (
    NOBODY,
    Damaged,
    Element,
    ItemTag,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.content import Label as Say
from kiosk.wire.iso15962 import DataSet, Stop, parse
from kiosk.wire.iso28560_2 import Elements, decode, elements, encode, lockable
from mocban.errors import LocalProtocolError
from tests.support.iso28560_2 import (
    ALONE,
    BG,
    OCTET_USAGE,
    SET_2_1,
    TITLE,
    USAGE,
    USER_BANK,
    V1,
    V1_LABEL,
    item,
    label,
    sets_of,
    tag,
)


def test_the_example_of_the_standard_is_written_as_it_stands_there() -> None:
    assert encode(V1_LABEL, 36, over=V1) == V1
    assert encode(V1_LABEL, 112, over=tag(V1)) == tag(V1)
    assert encode(Say("123456789012", usage=Usage.UNSAID), 8, lock_id=True) == ALONE


def test_a_new_tag_is_id_list_and_the_rest_by_number() -> None:
    said = Say("BG00012345", Owner("VN", "BG01"), parts=2, fields=(("title", "Số đỏ"),))
    data = encode(said, 112)
    owner = bytes.fromhex("03 05 B3 80 23 F8 07")  # V N - B G, digits: 0 1, pad 11
    assert data == tag(BG, bytes.fromhex("02 02 E0 02"), owner, SET_2_1, USAGE, TITLE)
    assert label(decode(data)) == said


def test_an_id_to_lock_fills_its_blocks() -> None:
    for number in ("1234567", "BG00012345", "VN-12", "ĐB 1", "00012345678"):
        data = encode(Say(number), 64, lock_id=True)
        blocks = lockable(data)
        assert blocks is not None
        first, count = blocks
        assert first == 0
        assert parse(data[: count * 4]).sets == (parse(data).sets[0],)
        assert item(data).id == number
    assert lockable(tag(BG, USAGE)) is None
    assert lockable(ALONE) == (0, 2)
    assert lockable(ALONE, block=8) == (0, 1)
    assert lockable(b"") is None
    assert lockable(tag(USAGE, BG)) is None


def test_a_padded_id_keeps_its_form_and_its_blocks() -> None:
    old = encode(Say("BG00012345"), 64, lock_id=True)
    new = encode(Say("BG00012345", Owner("VN", "BG01"), parts=3), 64, over=old)
    assert new[:12] == old[:12]
    assert lockable(new) == (0, 3)
    other = encode(Say("BG99"), 64, over=old)
    assert (lockable(other), item(other).id) == ((0, 2), "BG99")


def test_a_locked_run_stays_and_the_set_before_it_is_padded() -> None:
    said = Say(
        "123456789012", Owner("US", "InU-Mu"), Usage.UNSAID, fields=(("shelf-location", "A1"),)
    )
    data = encode(said, 112, over=tag(V1))
    assert data[:8] == V1[:8]
    assert data[24:36] == V1[24:36]
    assert label(decode(data)) == said
    assert item(data).warnings == ()
    assert any(one.pads and one.end == 24 for one in parse(data).sets)


def test_what_does_not_go_around_a_locked_run_is_refused() -> None:
    moved = DataSet(1, 6, b"ABCDEF")
    data = tag(bytes(moved), bytes(DataSet(3, 6, b"VN-BG01-123", b"", 8).whole(4)))
    said = Say("A-MUCH-LONGER-ID", Owner("VN", "BG01-123"), Usage.UNSAID)
    with pytest.raises(LocalProtocolError) as caught:
        encode(said, 112, over=data)
    assert caught.value.code == "tag-fixed"


def test_what_nobody_knows_survives_byte_for_byte() -> None:
    unknown = b"\x7f\x0e\x03\x01\x02\x03"
    odd = b"\x76\x02\xff\xfe"
    old = tag(BG, b"\x02\x04\x30\x00\x00\x20", odd, USAGE, unknown, b"\x00VENDOR")
    new = encode(Say("BG7", fields=(("oid-29", "010203"),)), 112, over=old)
    assert unknown in new
    assert odd in new
    found = item(new)
    assert (found.id, found.warnings) == ("BG7", (Warn.UNREADABLE,))
    assert found.fields == (("oid-6", "fffe"), ("oid-29", "010203"))
    at = old.index(b"VENDOR")
    assert new[at : at + 6] == b"VENDOR"
    long = b"\x7f\x02\x81\x05" + b"a" * 20
    kept = encode(Say("BG7"), 112, over=tag(BG, b"\x02\x02\x20\x02", USAGE, long))
    assert kept.rstrip(b"\x00").endswith(USAGE + long)
    assert item(kept).warnings == (Warn.LONG_ELEMENT,)


def test_what_a_label_leaves_out_is_gone() -> None:
    data = encode(Say("BG00012345"), 112, over=tag(BG, b"\x02\x02\x20\x02", USAGE, TITLE))
    assert item(data).fields == ()
    assert TITLE[3:] not in data


def test_the_form_of_what_stays_is_kept() -> None:
    old = tag(b"\x61\x0aBG00012345", b"\x02\x01\x20", OCTET_USAGE)
    assert encode(Say("BG00012345"), 112, over=old) == old
    other = encode(Say("BG00012345", usage=Usage.REFERENCE), 112, over=old)
    assert other == old.replace(OCTET_USAGE, b"\x05\x01\x20")


def test_another_model_below_leaves_nothing() -> None:
    fresh = encode(Say("BG00012345"), 112)
    for over in (b"\xff" * 112, b"A0001234".ljust(112, b"\x00"), bytes(112), b"\x55" * 112):
        assert encode(Say("BG00012345"), 112, over=over) == fresh


def test_a_tag_read_in_part_is_not_written_over() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        encode(Say("BG1"), 112, over=V1[:32])
    assert caught.value.code == "tag-cut"
    half_written = V1[:32]  # of a tag of 32
    assert item(encode(Say("BG1"), 32, over=half_written)).id == "BG1"


def test_an_id_too_long_for_us_stays_where_it_is() -> None:
    old = tag(b"\x61\x28" + b"a" * 40)
    said = Say("a" * 40)
    assert decode(old) is None
    assert item(encode(said, 112, over=old, certain=True), certain=True).id == said.id
    with pytest.raises(LocalProtocolError):
        encode(said, 112)


def test_the_user_memory_of_a_uhf_tag_is_written_without_id() -> None:
    data = encode(V1_LABEL, 27, over=USER_BANK[1:], id_apart=True)
    assert set(parse(data).sets) == set(parse(USER_BANK[1:]).sets)
    fresh = encode(V1_LABEL, 32, id_apart=True)
    said = elements(fresh, certain=True)
    assert isinstance(said, Elements)
    assert (said.id, said.owner, said.warnings) == ("", V1_LABEL.owner, ())


@pytest.mark.parametrize(
    ("said", "size"),
    [
        (Say(""), 112),
        (Say(" A"), 112),
        (Say("A\rB"), 112),
        (Say("é" * 16), 112),
        (Say("1" * 64), 112),
        (Say("A1", parts=0), 112),
        (Say("A1", parts=2, part=3), 112),
        (Say("A1", parts=1000), 112),
        (Say("A1", part=0), 112),
        (Say("A1", sub=16), 112),
        (Say("A1", Owner("VN", "")), 112),
        (Say("A1", fields=(("title", "a" * 128),)), 200),
        (Say("A1", fields=(("title", "a\nb"),)), 112),
        (Say("A1", fields=(("title", "a"), ("title", "b"))), 112),
        (Say("A1", Owner("", "B7"), fields=(("alternative-owner", "b"),)), 112),
        (Say("A1", fields=(("gs1-product", "97860"), ("gs1-product", "1"))), 112),
        (Say("A1", fields=(("gs1-product", "978604X"),)), 112),
        (Say("A1", fields=(("gs1-product", "12345678901234"),)), 112),
        (Say("A1", fields=(("media-format", "256"),)), 112),
        (Say("A1", fields=(("media-format", "book"),)), 112),
        (Say("A1", fields=(("owner", "VN-1"),)), 112),
        (Say("A1", fields=(("oid-29", "00"),)), 112),
        (Say("A1", fields=(("block-107", "00"),)), 112),
        (Say("A1", fields=(("title", "Truyện Kiều, bản in năm 1871"),)), 32),
        (Say("BG00012345"), 15),
    ],
)
def test_what_does_not_go_on_a_tag_is_refused_with_a_reason(said: Say, size: int) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        encode(said, size)
    assert caught.value.say.endswith(".")
    assert caught.value.do.endswith(".")
    assert said.id not in caught.value.say or len(said.id) < 2


def test_a_full_tag_has_no_terminator() -> None:
    full = encode(Say("BG00012345"), 16)
    assert parse(full).stop is Stop.EDGE
    assert item(full).id == "BG00012345"


vietnamese = "aăâbcdđeêghiklmnoôơpqrstuưvxyàáảãạằắẳẵặầấẩẫậèéẻẽẹềếểễệỳýỷỹỵ ,.0123456789"
ids = st.one_of(
    st.text("0123456789", min_size=1, max_size=22),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=16),
    st.text("ABCXYZ0123456789-./", min_size=1, max_size=16),
    st.text("abcXYZ0189_~", min_size=1, max_size=16),
    st.text("ĐđABab01", min_size=1, max_size=12),
)
owners = st.one_of(
    st.just(NOBODY),
    st.builds(
        Owner,
        st.sampled_from(("VN", "DE", "US")),
        st.text("ABCxyz0189-/:", min_size=1, max_size=13),
    ),
    st.builds(Owner, st.just(""), st.text("ABCxyz0189 đ", min_size=1, max_size=16)),
)
WORDS = (
    Element.SHELF_LOCATION,
    Element.ONIX_MEDIA,
    Element.SUPPLIER,
    Element.ORDER_NUMBER,
    Element.ILL_BORROWER,
    Element.LOCAL_A,
    Element.LOCAL_B,
    Element.TITLE,
    Element.INVOICE,
    Element.SUBSIDIARY,
    Element.LOCAL_C,
)
words = st.dictionaries(
    st.sampled_from(WORDS), st.text(vietnamese, min_size=1, max_size=12), max_size=3
)
numbers = st.dictionaries(
    st.sampled_from((Element.MEDIA_FORMAT, Element.SUPPLY_STAGE)),
    st.integers(0, 255).map(str),
    max_size=2,
)


@st.composite
def labels(draw: st.DrawFn) -> Say:
    parts = draw(st.integers(1, 999))
    fields = draw(words) | draw(numbers)
    if draw(st.booleans()):
        fields[Element.GS1_PRODUCT] = draw(st.text("0123456789", min_size=13, max_size=13))
    return Say(
        draw(ids),
        draw(owners),
        draw(st.sampled_from([usage for usage in Usage if usage is not Usage.PATRON_CARD])),
        draw(st.integers(0, 15)),
        parts,
        draw(st.integers(1, parts)),
        tuple((element.label, fields[element]) for element in sorted(fields)),
    )


@given(labels(), st.booleans())
def test_what_is_written_is_read_back(said: Say, lock_id: bool) -> None:
    data = encode(said, 320, lock_id=lock_id)
    found = item(data)
    assert (label(found), found.warnings) == (said, ())
    assert decode(data, certain=True) == found
    assert (lockable(data) is not None) or not lock_id
    assert encode(said, 320, over=data) == data


@settings(max_examples=60)
@given(labels(), labels(), st.booleans())
def test_a_label_over_another_says_the_new_one_only(old: Say, new: Say, lock_id: bool) -> None:
    data = encode(old, 400, lock_id=lock_id)
    over = encode(new, 400, over=data)
    assert label(decode(over)) == new
    assert item(over).warnings == ()


@settings(max_examples=60)
@given(labels(), labels(), st.integers(27, 31), st.integers(0, 7), st.binary(max_size=20))
def test_an_unknown_set_survives_any_label(
    old: Say, new: Say, oid: int, code: int, data: bytes
) -> None:
    unknown = bytes(DataSet(oid, code, data))
    over = tag(sets_of(encode(old, 400)), unknown, size=480)
    after = encode(new, 480, over=over, certain=True)
    assert unknown in after
    found = decode(after)
    assert isinstance(found, ItemTag)
    assert (f"oid-{oid}", data.hex()) in found.fields


def test_a_long_element_that_the_list_names_needs_no_dsfid() -> None:
    where = ("shelf-location", "Kho sách thiếu nhi, tầng 2, kệ số 3")
    found = decode(encode(Say("BG00012345", fields=(where,)), 112))
    assert isinstance(found, ItemTag)
    assert found.fields == (where,)


@settings(max_examples=60)
@given(labels())
def test_a_cut_tag_never_says_another_id(said: Say) -> None:
    data = sets_of(encode(said, 400))
    for cut in range(len(data)):
        found = decode(data[:cut])
        assert found is None or isinstance(found, Damaged) or label(found).id == said.id


@settings(max_examples=300)
@given(st.integers(0, 7), st.binary(min_size=1, max_size=40), st.binary(max_size=100))
def test_random_sets_behind_an_id_never_raise(code: int, first: bytes, rest: bytes) -> None:
    data = bytes(DataSet(1, code, first)) + rest
    for certain in (False, True):
        decode(data, certain=certain)
    try:
        encode(Say("BG00012345"), 160, over=data, certain=True)
    except LocalProtocolError as error:
        assert error.code in ("tag-cut", "tag-fixed", "tag-too-small")
    whole = data.ljust(160, b"\x00")
    try:
        encode(Say("BG00012345"), 160, over=whole, certain=True)
    except LocalProtocolError as error:
        assert error.code in ("tag-fixed", "tag-too-small")
