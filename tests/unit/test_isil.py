"""ISILs in five and four bits, against bytes that others wrote; then both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire.isil import LONGEST, decode, encode, fits
from mocban.errors import LocalProtocolError


@pytest.mark.parametrize(
    ("isil", "written"),
    [
        ("US-InU-Mu", "AC C0 9E BA A0 6F 6B"),
        ("CN-110108-1-NLC", "1B 81 E1 10 10 8A 1A C7 30 7F"),
        ("CN-120104-C-YBL", "1B 81 E1 20 10 4A D1 D6 64 4C"),  # one shift
        ("CN-120104-C-YBL", "1B 81 E1 20 10 4A C1 83 22 67"),  # one latch
    ],
)
def test_what_others_wrote_is_read(isil: str, written: str) -> None:
    assert decode(bytes.fromhex(written)) == isil


def test_the_example_of_the_standard_is_written_as_it_stands_there() -> None:
    assert encode("US-InU-Mu").hex() == "acc09ebaa06f6b"


@pytest.mark.parametrize("isil", ["CN-110108-1-NLC", "CN-120104-C-YBL"])
def test_ours_is_no_longer_than_anybody_s(isil: str) -> None:
    assert len(encode(isil)) == 10


@pytest.mark.parametrize(
    ("isil", "shortest"),
    [
        ("VN-BG01", 5 * 5 + 5 + 2 * 4),  # latch to digits
        ("DE-705", 3 * 5 + 5 + 3 * 4),
        ("O-a1b", 2 * 5 + 10 + 9 + 10),  # shifts only
        ("XY-abcdef", 3 * 5 + 5 + 6 * 5),
    ],
)
def test_the_bits_are_as_few_as_the_tables_allow(isil: str, shortest: int) -> None:
    assert len(encode(isil)) == (shortest + 7) // 8
    assert decode(encode(isil)) == isil


@pytest.mark.parametrize(
    "text",
    ["", "BG01", "-BG01", "ABCDE-1", "VN-", "VN-Bắc", "VN-A_1", "VN-A B", "VN-" + "1" * 14],
)
def test_what_is_no_isil_is_refused(text: str) -> None:
    assert not fits(text)
    with pytest.raises(LocalProtocolError):
        encode(text)


@pytest.mark.parametrize(
    "written",
    [
        "AC C0 9E BA A0 6F 6A",  # the pad is not of ones
        "AC C0 9E BA A0 6F 6B FF",  # a whole byte too many
        "FF FF",
        "E7 39 CE",  # latches only
    ],
)
def test_bits_that_end_otherwise_are_none(written: str) -> None:
    assert decode(bytes.fromhex(written)) is None


@given(
    st.text("ABCXYZabcxyz0189", min_size=1, max_size=4),
    st.text("ABCXYZabcxyz0189-:/", min_size=1, max_size=LONGEST - 5),
)
def test_an_isil_comes_back(prefix: str, code: str) -> None:
    assert decode(encode(f"{prefix}-{code}")) == f"{prefix}-{code}"


@given(st.binary(max_size=140))
def test_any_bytes_are_a_text_or_none(data: bytes) -> None:
    text = decode(data)
    assert text is None or set(text) <= set(
        "-:/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    )
