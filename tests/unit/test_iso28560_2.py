"""ISO 28560-2 read: published tags and bytes put together by hand; then any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.wire.content import (
    NOBODY,
    CardTag,
    Damage,
    Damaged,
    Foreign,
    ItemTag,
    Look,
    Model,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.content import Label as Say
from kiosk.wire.iso15962 import DataSet
from kiosk.wire.iso28560_2 import Elements, decode, elements, encode
from tests.support.iso28560_2 import (
    ALONE,
    BG,
    MISSING_1,
    OCTET_USAGE,
    PADDED_TITLE,
    SET_2_1,
    TITLE,
    USAGE,
    USER_BANK,
    V1,
    item,
    tag,
)


@pytest.mark.parametrize("certain", [False, True])
def test_the_example_of_the_standard_is_what_it_says(certain: bool) -> None:
    whole = ItemTag(
        "123456789012",
        Usage.UNSAID,
        12,
        3,
        Owner("US", "InU-Mu"),
        model=Model.ISO28560_2,
        fields=(("shelf-location", "QA268.L55"),),
    )
    assert decode(V1, certain=certain) == whole
    assert decode(tag(V1), certain=certain) == whole
    assert whole.owner.isil == "US-InU-Mu"


def test_a_tag_with_nothing_but_an_id() -> None:
    found = item(tag(ALONE))
    assert (found.id, found.parts, found.part, found.owner) == ("123456789012", 1, 1, NOBODY)
    assert (found.usage, found.warnings) == (Usage.UNSAID, ())


def test_the_pieces_of_a_vietnamese_book() -> None:
    listed = bytes.fromhex("02 02 60 02")  # 4, 5, 17
    found = item(tag(BG, listed, SET_2_1, USAGE, TITLE))
    assert (found.id, found.parts, found.part) == ("BG00012345", 2, 1)
    assert (found.usage, found.sub, found.fields) == (Usage.CIRCULATING, 0, (("title", "Số đỏ"),))
    assert found.warnings == ()
    assert item(tag(BG, listed, SET_2_1, OCTET_USAGE, PADDED_TITLE)) == found
    assert item(tag(BG, listed, SET_2_1, b"\x15\x01\x10", TITLE)) == found


def test_the_user_memory_of_a_uhf_tag_has_no_id_but_the_rest() -> None:
    said = elements(USER_BANK[1:], certain=True)
    assert said == Elements(
        owner=Owner("US", "InU-Mu"), parts=12, part=3, fields=(("shelf-location", "QA268.L55"),)
    )
    assert elements(USER_BANK[1:]) is None
    assert decode(USER_BANK[1:], certain=True) == Foreign(Look.NO_ID)


def test_a_cut_read_says_that_bytes_are_missing() -> None:
    assert decode(V1[:32]) == Damaged(Damage.MISSING, 4, Model.ISO28560_2)
    assert decode(V1[:35]) == MISSING_1
    assert decode(V1[:24]) == Damaged(Damage.MISSING, 2, Model.ISO28560_2)  # 3 is listed
    assert decode(V1[:4]) == Damaged(Damage.MISSING, 4, Model.ISO28560_2)
    assert decode(BG[:4]) == Damaged(Damage.MISSING, 6, Model.ISO28560_2)
    for cut in range(9, len(V1)):
        assert isinstance(decode(V1[:cut]), Damaged), cut


def test_a_card_is_a_card_and_its_number_is_in_no_repr() -> None:
    card = decode(encode(Say("TV2400001", usage=Usage.PATRON_CARD), 32))
    assert card == CardTag("TV2400001", NOBODY, model=Model.ISO28560_2)
    assert "TV24" not in repr(card)
    assert "TV24" not in repr(elements(encode(Say("TV2400001", usage=Usage.PATRON_CARD), 32)))


@pytest.mark.parametrize(
    ("one", "owner"),
    [
        (b"\x63\x04BG01", Owner("", "BG01")),
        (b"\x03\x07\xac\xc0\x9e\xba\xa0\x6f\x6b", Owner("US", "InU-Mu")),
        (b"\x53\x08\xab\x4d\x6c\x9d\xd5\x56\xcd\xeb", Owner("US", "InU-Mu")),
        (b"\x7f\x08\x06Kho 01", Owner("", "Kho 01")),
        (b"\x7f\x08\x07VN-BG01", Owner("VN", "BG01")),
    ],
)
def test_an_owner_stands_in_either_element(one: bytes, owner: Owner) -> None:
    found = item(tag(BG, one))
    assert (found.owner, found.fields, found.warnings) == (owner, (), ())


def test_of_two_owners_the_isil_counts_and_the_other_is_a_field() -> None:
    found = item(
        tag(BG, DataSet(3, 0, bytes.fromhex("ACC09EBAA06F6B")).__bytes__(), b"\x7f\x08\x02B7")
    )
    assert found.owner == Owner("US", "InU-Mu")
    assert found.fields == (("alternative-owner", "B7"),)


@pytest.mark.parametrize(
    ("one", "field"),
    [
        (b"\x0f\x04\x01\x02", ("media-format", "2")),
        (b"\x1f\x04\x01\x02", ("media-format", "2")),
        (b"\x6f\x05\x01\x07", ("supply-stage", "7")),
        (b"\x0d\x06\x08\xe6\x7d\x82\xf4\x87", ("gs1-product", "9786041234567")),
        (b"\x1d\x06\x08\xe6\x7d\x82\xf4\x87", ("gs1-product", "9786041234567")),
        (b"\x1d\x02\x01\x00", ("gs1-product", "0000000000256")),
        (b"\x68\x02\xe9a", ("marc-media", "éa")),
        (b"\x0b\x07\xac\xc0\x9e\xba\xa0\x6f\x6b", ("ill-borrower", "US-InU-Mu")),
        (b"\x7f\x0e\x03\x01\x02\x03", ("oid-29", "010203")),
    ],
)
def test_each_writer_s_form_is_read(one: bytes, field: tuple[str, str]) -> None:
    found = item(tag(BG, one))
    assert (found.fields, found.warnings) == ((field,), ())


@pytest.mark.parametrize(
    ("digits", "parts", "warnings"),
    [
        (b"\x24\x01\x21", (2, 1), ()),
        (b"\x24\x02\x02\x01", (2, 1), ()),
        (b"\x24\x03\x01\x20\x03", (12, 3), ()),
        (b"\x14\x03\x01\xd4\xc7", (120, 7), ()),
        (b"\x24\x01\x12", (2, 1), (Warn.PARTS_SWAPPED,)),
        (b"\x24\x01\x01", (0, 1), (Warn.PARTS_UNKNOWN,)),
        (b"\x24\x02\x12\x3f", (0, 1), (Warn.PARTS_UNKNOWN,)),
        (b"\x74\x02ab", (0, 1), (Warn.PARTS_UNKNOWN,)),
        (b"\x24\x01\xab", (0, 1), (Warn.UNREADABLE, Warn.PARTS_UNKNOWN)),
    ],
)
def test_parts_and_part(digits: bytes, parts: tuple[int, int], warnings: object) -> None:
    found = item(tag(BG, digits), certain=True)
    assert ((found.parts, found.part), found.warnings) == (parts, warnings)


def test_what_is_odd_is_said() -> None:
    wrong_list = item(tag(BG, b"\x02\x01\x80", USAGE))
    assert (wrong_list.warnings, wrong_list.usage) == ((Warn.INDEX,), Usage.CIRCULATING)
    late_list = item(tag(BG, USAGE, b"\x02\x01\x20"))
    assert late_list.warnings == (Warn.ORDER,)
    listed = b"\x02\x01\x10"
    pads = item(tag(BG, listed, b"\xc6\x01\x07\x44\x1c\xb6\xe2\xe3\x35\xd6\x01"))
    assert (pads.warnings, pads.fields) == ((Warn.PADDING,), (("shelf-location", "QA268.L55"),))
    bits = item(tag(BG, listed, b"\x46\x07\x44\x1c\xb6\xe2\xe3\x35\xd7"))
    assert bits.warnings == (Warn.PADDING,)
    unread = item(tag(BG, listed, b"\x76\x01\xff"))
    assert (unread.warnings, unread.fields) == ((Warn.UNREADABLE,), (("oid-6", "ff"),))
    assert decode(tag(BG, b"\x76\x01\xff")) is None  # nothing says that it is of this model


def test_a_word_from_the_dsfid_makes_odd_tags_readable() -> None:
    twice = tag(BG, BG, USAGE)
    assert decode(twice) is None
    assert item(twice, certain=True).warnings == (Warn.REPEATED,)
    nonsense = tag(BG, b"\x30\x01\x02")
    assert decode(nonsense) is None
    assert item(nonsense, certain=True).warnings == (Warn.UNREADABLE,)
    last = tag(USAGE, BG)
    assert decode(last) is None
    assert item(last, certain=True).warnings == (Warn.ORDER,)
    far = tag(BG, b"\x7f\x20\x01a")
    assert decode(far) is None
    assert item(far, certain=True).fields == (("oid-47", "61"),)
    zeros = tag(b"\x11\x02\x00\x2a")
    assert decode(zeros) is None
    assert (item(zeros, certain=True).id, item(zeros, certain=True).warnings) == (
        "42",
        (Warn.PADDING,),
    )


def test_a_length_of_128_is_kept_and_not_read() -> None:
    long = b"\x7f\x02\x81\x05" + b"a" * 20
    found = item(tag(BG, b"\x02\x02\x20\x02", USAGE, long))
    assert found.warnings == (Warn.LONG_ELEMENT,)
    assert found.fields == (("oid-17", long.hex()),)
    assert decode(tag(BG, USAGE, long)) is None  # nothing lists it
    assert item(tag(BG, USAGE, long), certain=True).fields == (("oid-17", long.hex()),)


def test_bytes_behind_the_terminator_need_a_list_that_fits() -> None:
    assert item(tag(BG, b"\x02\x01\x20", USAGE, b"\x00old")).warnings == ()
    assert decode(tag(BG, USAGE, b"\x00old")) is None
    assert item(tag(BG, USAGE, b"\x00", b"\x55" * 80)).id == "BG00012345"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(32),
        b"\xff" * 32,
        b"\x55" * 32,
        bytes.fromhex("11010142473030303132333435000000000000031756 4E42473031").ljust(34, b"\x00"),
        bytes.fromhex("81010132393335303030303033363439000000879352 55323933").ljust(34, b"\x00"),
        b"\x04\x11\x00\x00200901010123" + bytes(4) + b"\xff" * 4 + b"\x7f\xff\xff\xff" + bytes(4),
        b"\xe1\x40\x0e\x01\x03\x12\xd1\x01\x0eT\x02viBG00012345\xfe".ljust(112, b"\x00"),
        b"\xe1\x40\x0d\x01\x03\x12\xd1\x01\x0eT\x02viBG00012345\xfe",
        b"A0001234".ljust(32, b"\x00"),
        b"A0001234".ljust(112, b"\x00"),
        b"Q1234567890123",
        b"1B000123",
    ],
)
def test_what_is_of_another_model_is_none(data: bytes) -> None:
    assert decode(data) is None


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=2, max_size=60))
def test_plain_text_is_never_taken_for_sets(text: str) -> None:
    for size in (32, 112):
        assert decode(text.encode().ljust(size, b"\x00")) is None


@settings(max_examples=500)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_content_or_none(data: bytes, certain: bool) -> None:
    found = decode(data, certain=certain)
    assert found is None or isinstance(found, ItemTag | CardTag | Damaged | Foreign)
