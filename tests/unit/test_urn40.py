"""URN Code 40 against published and independently computed words; then properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire.urn40 import decode, encode
from mocban.errors import LocalProtocolError

VECTORS = [
    ("CH-000134-1.12345678.31", "141C C04F C70B ADB5 C6E2 DA1D ED4D D319"),  # ISO/TS 28560-4
    ("VN-BG01.BG00012345", "8BCC 0DB7 C623 308F C079 D3B4"),
    ("BG00012345", "0DB7 C050 CD4B DAC1"),
]


@pytest.mark.parametrize(("text", "words"), VECTORS)
def test_words_of_the_standard(text: str, words: str) -> None:
    assert decode(bytes.fromhex(words)) == text
    assert encode(text) == bytes.fromhex(words)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("FB 21 02 DD DF 7C 4E", "12312345678"),  # long number, published
        ("FB 21 02 DD DF 7C 4E 00", "12312345678"),
        ("FB 20 00 00 00 07", "00000000007"),  # zeros in front are told by the digits
        ("06 41 FB 00 07 5B CD 15", "A123456789"),  # behind a word
        ("FC 61", "a"),
        ("FD C4 91 06 41", "đA"),  # words need not stand on even bytes
        ("FE E1 BB 91", "ố"),
        ("06 41 00 00 00 00", "A"),
        ("F9 FF", "998"),
        ("FA 00", "999"),  # the largest word
    ],
)
def test_escapes_and_padding(raw: str, text: str) -> None:
    assert decode(bytes.fromhex(raw)) == text


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "00 00",
        "00 01",  # three pads
        "00 02",  # a pad, a pad, A
        "06 42",  # A, pad, A
        "FA 01",  # larger than any word
        "FF 00",
        "06",
        "FB",
        "FB 21 02 DD DF",  # the number was cut
        "FB 00 FF FF FF FF",  # ten digits where nine are told
        "FC",
        "FC 0A",  # a control character
        "FC C3",
        "FD 61 61",  # two characters
        "FE E1 BB",
    ],
)
def test_what_is_no_text(raw: str) -> None:
    assert decode(bytes.fromhex(raw)) is None


@pytest.mark.parametrize("text", ["", "A\x00", "A\n", "\U0001f4d6"])
def test_what_no_tag_should_hold_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        encode(text)


TEXTS = st.text(
    st.one_of(
        st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ-.:0123456789"),
        st.sampled_from("abcxyz đĐốưỄ/_#"),
        st.characters(max_codepoint=0xFFFF, exclude_categories=("C", "Z")),
    ),
    min_size=1,
    max_size=40,
)


@given(TEXTS)
def test_every_text_comes_back(text: str) -> None:
    made = encode(text)
    assert len(made) % 2 == 0
    assert decode(made) == text


@given(st.from_regex(r"[0-9]{1,40}", fullmatch=True))
def test_no_zero_in_front_is_lost(number: str) -> None:
    assert decode(encode(number)) == number


@given(st.binary(max_size=64))
def test_any_bytes_end_in_a_value(data: bytes) -> None:
    text = decode(data)
    assert text is None or (text and text.isprintable())
