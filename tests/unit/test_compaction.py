"""The compactions of ISO/IEC 15962 against published bytes; then both ways."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kiosk.wire.compaction import Code, choose, exact, holds, pack, unpack
from mocban.errors import LocalProtocolError


@pytest.mark.parametrize(
    ("code", "text", "packed"),
    [
        (Code.INTEGER, "123456789012", "1C BE 99 1A 14"),
        (Code.INTEGER, "1203", "04 B3"),
        (Code.INTEGER, "21", "15"),
        (Code.INTEGER, "9999999999999999999", "8A C7 23 04 89 E7 FF FF"),
        (Code.NUMERIC, "091", "09 1F"),
        (Code.NUMERIC, "10000000000000000000", "10 00 00 00 00 00 00 00 00 00"),
        (Code.FIVE_BIT, "AHQZ", "0A 23 A0"),
        (Code.SIX_BIT, "QA268.L55", "44 1C B6 E2 E3 35 D6"),
        (Code.SIX_BIT, "BG00012345", "08 7C 30 C3 1C B3 D3 58"),
        (Code.SEVEN_BIT, "abcdefgh123", "C3 8B 1E 4C B9 B3 E8 62 C9 9F"),
        (Code.SEVEN_BIT, "US-InU-Mu", "AB 4D 6C 9D D5 56 CD EB"),
        (Code.UTF8, "Số đỏ", "53 E1 BB 91 20 C4 91 E1 BB 8F"),
        (Code.OCTETS, "é", "E9"),
    ],
)
def test_published_bytes_are_read_and_written(code: Code, text: str, packed: str) -> None:
    data = bytes.fromhex(packed)
    assert unpack(code, data) == text
    assert pack(code, text) == data
    assert exact(code, data, text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("123456789012", Code.INTEGER),
        ("10", Code.INTEGER),
        ("9999999999999999999", Code.INTEGER),
        ("10000000000000000000", Code.NUMERIC),
        ("091", Code.NUMERIC),
        ("00", Code.NUMERIC),
        ("AHQZ", Code.FIVE_BIT),
        ("ABC", Code.FIVE_BIT),
        ("A_[", Code.FIVE_BIT),
        ("QA268.L55", Code.SIX_BIT),
        ("A 12", Code.SIX_BIT),
        ("ABCDEFG ", Code.SEVEN_BIT),
        ("abcdefgh123", Code.SEVEN_BIT),
        ("abcdefgh\x7f", Code.UTF8),
        ("7", Code.UTF8),
        ("AB", Code.UTF8),
        ("A12", Code.UTF8),
        ("abcdefg", Code.UTF8),
        ("é", Code.UTF8),
        ("Truyện Kiều", Code.UTF8),
        ("١٢٣٤", Code.UTF8),
        ("", Code.UTF8),
    ],
)
def test_the_most_compact_form_is_chosen(text: str, code: Code) -> None:
    assert choose(text) is code
    assert unpack(code, pack(code, text)) == text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (Code.INTEGER, "0012"),
        (Code.INTEGER, "7"),
        (Code.INTEGER, "10000000000000000000"),
        (Code.INTEGER, "²³"),
        (Code.NUMERIC, "12A"),
        (Code.FIVE_BIT, "AB@"),
        (Code.SIX_BIT, "ABC "),
        (Code.SIX_BIT, "abc"),
        (Code.SEVEN_BIT, "\x7f"),
        (Code.OCTETS, "đ"),
        (Code.APPLICATION, "A"),
        (Code.UTF8, "\ud800"),
    ],
)
def test_what_a_form_would_spoil_it_refuses(code: Code, text: str) -> None:
    assert not holds(code, text)
    with pytest.raises(LocalProtocolError):
        pack(code, text)


@pytest.mark.parametrize(
    ("code", "packed"),
    [
        (Code.INTEGER, ""),
        (Code.INTEGER, "8A C7 23 04 89 E8 00 00"),
        (Code.NUMERIC, "1A"),
        (Code.NUMERIC, "F1"),
        (Code.NUMERIC, "12 FF"),
        (Code.UTF8, "C4"),
        (Code.APPLICATION, "41"),
    ],
)
def test_bytes_that_are_no_text_are_none(code: Code, packed: str) -> None:
    assert unpack(code, bytes.fromhex(packed)) is None


@pytest.mark.parametrize(
    ("code", "packed", "text"),
    [
        (Code.INTEGER, "00 0C", "12"),
        (Code.FIVE_BIT, "0A 23 A1", "AHQZ"),
        (Code.SIX_BIT, "44 1C B6 E2 E3 35 D7", "QA268.L55"),
        (Code.SEVEN_BIT, "AB 4D 6C 9D D5 56 CD EA", "US-InU-Mu"),
    ],
)
def test_wrong_pads_are_forgiven_and_can_be_told(code: Code, packed: str, text: str) -> None:
    assert unpack(code, bytes.fromhex(packed)) == text
    assert not exact(code, bytes.fromhex(packed), text)


@given(st.sampled_from(Code), st.text(max_size=40))
def test_what_a_form_holds_comes_back(code: Code, text: str) -> None:
    assume(holds(code, text))
    assert unpack(code, pack(code, text)) == text


@given(
    st.one_of(
        st.text("0123456789", max_size=40),
        st.text("ABCXYZ[]_^\\", max_size=40),
        st.text("ABC 019-./?", max_size=40),
        st.text("abcXYZ 09\x00\x7e", max_size=40),
        st.text("éñABab", max_size=40),
        st.text("ăâđêôơư Truyện", max_size=40),
    )
)
def test_the_chosen_form_loses_nothing(text: str) -> None:
    assert unpack(choose(text), pack(choose(text), text)) == text


@given(st.sampled_from(Code), st.binary(max_size=140))
def test_any_bytes_are_a_text_or_none(code: Code, data: bytes) -> None:
    text = unpack(code, data)
    assert text is None or not exact(code, data, text) or pack(code, text) == data
