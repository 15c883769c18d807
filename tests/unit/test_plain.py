"""Plain numbers, NDEF messages and blank tags: bytes of the specifications first, then properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire.content import (
    NOBODY,
    Damage,
    Damaged,
    Foreign,
    ItemTag,
    Label,
    Look,
    Model,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.plain import decode_ascii, decode_ndef, encode_ascii, encode_ndef, is_blank
from mocban.errors import LocalProtocolError

CC = bytes.fromhex("E1 40 0D 01")
TEXT = bytes.fromhex("D1 01 0D 54 02 65 6E") + b"BG00012345"
URI = bytes.fromhex("D1 01 15 55 04") + b"thuvien.vn/BG0001234"
SIGN = bytes.fromhex("0F 13") + b"android.com:pkg" + b"vn.example.library."


def ndef(message: bytes, size: int = 112, head: bytes = CC) -> bytes:
    """A tag with one message."""
    return (head + bytes((3, len(message))) + message + b"\xfe").ljust(size, b"\x00")


def item(tag: object) -> ItemTag:
    """What must be an item."""
    assert isinstance(tag, ItemTag), tag
    return tag


@pytest.mark.parametrize(
    ("data", "blank"),
    [
        (bytes(32), True),
        (bytes(112), True),
        (b"\xff" * 32, True),
        (b"\x55" * 32, True),
        (b"\x55" * 24 + bytes(4), True),
        (b"\x55" * 24 + bytes(8), True),
        (b"", False),
        (b"\x55" * 24 + b"\x01" + bytes(7), False),
        (bytes(31) + b"\x01", False),
        (b"\x55\xff" * 16, False),
    ],
)
def test_a_blank_tag_is_as_a_factory_leaves_it(data: bytes, blank: bool) -> None:
    assert is_blank(data) == blank


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (b"33500000123456" + bytes(18), "33500000123456"),
        (b"33500000123456" + b"\xff" * 18, "33500000123456"),
        (b"0001", "0001"),
        (b"BG 01-2.3/4  " + bytes(3), "BG 01-2.3/4"),
        (b"A" * 64, "A" * 64),
        (b"0012345\r\n" + bytes(23), "0012345"),
        (b"0012345\r" + b"\xff" * 24, "0012345"),
    ],
)
def test_a_plain_number_is_the_run_at_the_beginning(data: bytes, number: str) -> None:
    assert decode_ascii(data) == ItemTag(
        number, Usage.UNSAID, 1, 1, NOBODY, 0, (Warn.NO_CHECK,), Model.ASCII
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(32),
        b"123" + bytes(29),
        b"    " + bytes(28),
        b"1234\x03",
        b"1234\r\n5678\r\n",
        "12Đ456".encode(),
        b"\x0012345",
    ],
)
def test_anything_else_is_no_plain_number(data: bytes) -> None:
    assert decode_ascii(data) is None


def test_other_bytes_behind_a_number_are_told() -> None:
    tag = item(decode_ascii(b"33500000123456\x00\x00SHELF 12\x00"))
    assert (tag.id, tag.warnings) == ("33500000123456", (Warn.NO_CHECK, Warn.MORE_BEHIND))


def test_a_plain_number_is_written_and_what_is_behind_stays() -> None:
    assert encode_ascii(Label("0033500"), 16) == b"0033500" + bytes(9)
    assert encode_ascii(Label("0033500"), 16, over=b"\x55" * 16) == b"0033500" + bytes(9)
    old = b"33500000123456\x00\x00SHELF 12\x00\x07"
    assert encode_ascii(Label("0033"), 26, over=old) == b"0033".ljust(16, b"\x00") + old[16:]
    assert encode_ascii(Label("0" * 15), 26, over=old) == b"0" * 15 + b"\x00" + old[16:]
    with pytest.raises(LocalProtocolError, match="1 to 15"):
        encode_ascii(Label("0" * 16), 26, over=old)


@pytest.mark.parametrize(
    "label",
    [
        Label("123"),
        Label(""),
        Label("1" * 33),
        Label("ĐB-1"),
        Label("12 34 "),
        Label("1234", Owner("VN", "BG01")),
        Label("1234", usage=Usage.PATRON_CARD),
        Label("1234", parts=2),
        Label("1234", sub=1),
        Label("1234", fields=(("title", "x"),)),
    ],
)
@pytest.mark.parametrize("encode", [encode_ascii, encode_ndef])
def test_a_plain_tag_refuses_what_it_cannot_hold(encode: object, label: Label) -> None:
    if encode is encode_ndef and label.id == "123":
        return
    with pytest.raises(LocalProtocolError):
        encode(label, 32)  # type: ignore[operator]


def test_a_tag_read_in_part_is_not_written() -> None:
    for encode in (encode_ascii, encode_ndef):
        with pytest.raises(LocalProtocolError, match="4 of the tag's 112"):
            encode(Label("1234"), 112, over=b"1234")


def test_a_text_record_is_the_number() -> None:
    assert decode_ndef(ndef(TEXT)) == ItemTag(
        "BG00012345", Usage.UNSAID, 1, 1, NOBODY, 0, (Warn.NO_CHECK,), Model.NDEF
    )
    wide = bytes.fromhex("D1 01 0D 54 82 65 6E") + "BG001".encode("utf-16-be")
    assert item(decode_ndef(ndef(wide))).id == "BG001"
    marked = bytes.fromhex("D1 01 0D 54 82 65 6E FF FE") + "BG01".encode("utf-16-le")
    assert item(decode_ndef(ndef(marked))).id == "BG01"


def test_a_uri_record_is_the_number_if_there_is_no_text() -> None:
    tag = item(decode_ndef(ndef(URI)))
    assert (tag.id, tag.fields) == ("https://thuvien.vn/BG0001234", ())
    both = b"\x91" + URI[1:] + b"\x51" + TEXT[1:]
    tag = item(decode_ndef(ndef(both)))
    assert (tag.id, tag.fields) == ("BG00012345", (("uri", "https://thuvien.vn/BG0001234"),))


def test_other_tlvs_and_long_lengths_are_passed() -> None:
    lock = bytes.fromhex("00 FD 02 AA BB 00")
    assert item(decode_ndef((CC + lock + b"\x03\x11" + TEXT + b"\xfe").ljust(112, b"\x00"))).id
    assert item(decode_ndef((CC + b"\x03\xff\x00\x11" + TEXT + b"\xfe").ljust(112, b"\x00"))).id
    large = bytes.fromhex("E2 40 00 01 00 00 00 10")
    assert item(decode_ndef(ndef(TEXT, head=large))).id == "BG00012345"
    long_record = bytes.fromhex("C1 01 00 00 00 0D 54 02 65 6E") + b"BG00012345"
    assert item(decode_ndef(ndef(long_record))).id == "BG00012345"
    named = bytes.fromhex("D9 01 0D 02 54 69 64 02 65 6E") + b"BG00012345"
    assert item(decode_ndef(ndef(named))).id == "BG00012345"


@pytest.mark.parametrize(
    "data",
    [
        CC + bytes(28),
        ndef(b""),
        CC + b"\xfe" + bytes(27),
        ndef(b"\xd4" + SIGN),  # only an external type
        ndef(TEXT[:2] + b"\xff" + TEXT[3:]),  # a payload longer than the message
        ndef(TEXT[:-1]),
        ndef(b"\xf1" + TEXT[1:]),  # in chunks
        ndef(TEXT[:7] + b"two\nlines!"),
        ndef(URI[:4] + b"\x24" + URI[5:]),  # a URI prefix nobody defined
        CC + b"\x03\xff\xff\xff" + bytes(28),  # longer than the container says
    ],
)
def test_a_message_that_names_no_item_is_foreign(data: bytes) -> None:
    assert decode_ndef(data) == Foreign(Look.NDEF)


@pytest.mark.parametrize(
    "data", [b"", b"\xe1\x40\x0d", b"\xe1\x00\x0d\x01", b"\xe3\x40\x0d\x01", bytes(32)]
)
def test_without_a_capability_container_it_is_no_ndef(data: bytes) -> None:
    assert decode_ndef(data.ljust(3, b"\x00")) is None


def test_a_cut_message_says_what_is_missing() -> None:
    data = ndef(TEXT)
    assert decode_ndef(data[:20]) == Damaged(Damage.MISSING, 3, Model.NDEF)
    assert decode_ndef(data[:5]) == Damaged(Damage.MISSING, 1, Model.NDEF)
    assert decode_ndef(data[:4]) == Damaged(Damage.MISSING, 1, Model.NDEF)
    assert decode_ndef(bytes.fromhex("E2 40 00 01 00")) == Damaged(Damage.MISSING, 3, Model.NDEF)


def test_a_number_is_written_as_a_text_record() -> None:
    image = encode_ndef(Label("BG00012345"), 112)
    assert image == ndef(TEXT)
    fields = (("uri", "https://thuvien.vn/BG0001234"),)
    image = encode_ndef(Label("BG00012345", fields=fields), 112)
    assert image == ndef(b"\x91" + TEXT[1:] + b"\x51" + URI[1:])


def test_what_others_wrote_on_an_ndef_tag_stays() -> None:
    lock, last = bytes.fromhex("00 FD 02 AA BB"), bytes.fromhex("FD 01 00")
    head = bytes.fromhex("E1 43 0D 05")
    message = b"\x91" + URI[1:] + b"\x54" + SIGN
    old = (head + lock + bytes((3, len(message))) + message + last + b"\xfe").ljust(112, b"\x00")
    new = b"\x91" + TEXT[1:] + b"\x54" + SIGN
    image = encode_ndef(Label("BG00012345"), 112, over=old)
    assert image == (head + lock + bytes((3, len(new))) + new + last + b"\xfe").ljust(112, b"\x00")


def test_a_message_that_cannot_be_kept_is_not_written_over() -> None:
    with pytest.raises(LocalProtocolError, match="cannot be kept"):
        encode_ndef(Label("BG00012345"), 112, over=ndef(b"\xf1" + TEXT[1:]))


def test_an_ndef_message_must_fit() -> None:
    assert item(decode_ndef(encode_ndef(Label("1" * 5), 20))).id == "11111"
    for size in (8, 19):
        with pytest.raises(LocalProtocolError):
            encode_ndef(Label("1" * 13), size)
    assert item(decode_ndef(encode_ndef(Label("1" * 300), 4096))).id == "1" * 300


printable = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=4, max_size=60
).filter(lambda text: text.strip(" ") == text)
uris = st.lists(
    st.builds(
        "{}{}".format,
        st.sampled_from(["https://", "http://www.", "urn:nfc:", "x:", "https://www.", ""]),
        st.text("abc./0", min_size=1, max_size=20),
    ),
    max_size=2,
)


@given(printable, uris)
def test_what_is_written_is_read_back(number: str, links: list[str]) -> None:
    assert item(decode_ascii(encode_ascii(Label(number), 112))).id == number
    fields = tuple(("uri", link) for link in links)
    for over in (b"", ndef(TEXT, 512), ndef(b"\xd4" + SIGN, 512, bytes.fromhex("E1 40 3F 01"))):
        try:
            tag = item(decode_ndef(encode_ndef(Label(number, fields=fields), 512, over=over)))
        except LocalProtocolError:
            assert over[:3] == CC[:3]  # the container says that less of it may be used
        else:
            assert (tag.id, tag.fields) == (number, fields)


@given(st.binary(max_size=200), st.sampled_from([b"", CC, CC + b"\x03", CC + b"\x03\x20\xd1\x01"]))
def test_random_bytes_never_raise(data: bytes, head: bytes) -> None:
    for tag in (decode_ascii(head + data), decode_ndef(head + data)):
        assert tag is None or isinstance(tag, ItemTag | Foreign | Damaged)
    try:
        image = encode_ndef(Label("BG01"), len(head + data), over=head + data)
    except LocalProtocolError:
        return
    assert item(decode_ndef(image)).id == "BG01"
