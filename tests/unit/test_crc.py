"""CRC check values of the catalogue, and the properties the wire relies on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire.crc import CCITT_FALSE, GENIBUS, MCRF4XX, X25, Crc16

ALL = [CCITT_FALSE, MCRF4XX, X25, GENIBUS]


@pytest.mark.parametrize(
    ("crc", "text", "value"),
    [
        (CCITT_FALSE, b"123456789", 0x29B1),
        (MCRF4XX, b"123456789", 0x6F91),
        (X25, b"123456789", 0x906E),
        (GENIBUS, b"123456789", 0xD64E),
        (CCITT_FALSE, b"RFID tag data model", 0x1AEE),
        # Gen2 StoredCRC of a published M100 notice: over PC and EPC.
        (GENIBUS, bytes.fromhex("340030751FEB705C5904E3D50D70"), 0x3A76),
    ],
)
def test_a_published_check_value_comes_out(crc: Crc16, text: bytes, value: int) -> None:
    assert crc(text) == value


def test_nothing_gives_the_start_value_as_it_is_sent_out() -> None:
    assert [crc(b"") for crc in ALL] == [0xFFFF, 0xFFFF, 0x0000, 0x0000]


def _bitwise(crc: Crc16, data: bytes, register: int) -> int:
    for byte in data:
        for bit in range(8):
            if crc.reflected:
                carry = (register ^ byte >> bit) & 1
                register = register >> 1 ^ carry * 0x8408
            else:
                carry = (register >> 15 ^ byte >> (7 - bit)) & 1
                register = (register << 1 & 0xFFFF) ^ carry * 0x1021
    return register ^ crc.xorout


@given(st.sampled_from(ALL), st.binary(max_size=64), st.integers(0, 0xFFFF))
def test_it_is_what_the_generator_gives_bit_by_bit(crc: Crc16, data: bytes, start: int) -> None:
    assert crc(data, start) == _bitwise(crc, data, start)


@given(st.binary(max_size=64))
def test_a_frame_with_its_own_checksum_leaves_no_residue(data: bytes) -> None:
    assert MCRF4XX(data + MCRF4XX(data).to_bytes(2, "little")) == 0
    assert CCITT_FALSE(data + CCITT_FALSE(data).to_bytes(2, "big")) == 0


@given(st.binary(min_size=1, max_size=64), st.data())
def test_one_flipped_bit_always_changes_the_sum(data: bytes, draw: st.DataObject) -> None:
    bit = draw.draw(st.integers(0, len(data) * 8 - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    assert all(crc(data) != crc(bytes(flipped)) for crc in ALL)


@given(st.binary(max_size=32), st.binary(max_size=32))
def test_a_sum_can_be_continued(first: bytes, second: bytes) -> None:
    for crc in (CCITT_FALSE, MCRF4XX):
        assert crc(second, crc(first)) == crc(first + second)
