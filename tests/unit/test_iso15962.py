"""Data sets of ISO/IEC 15962 without a directory: bytes as published, then any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire.iso15962 import DataSet, Memory, Stop, arrange, parse
from mocban.errors import LocalProtocolError

V1 = bytes.fromhex(
    "91 00 05 1C BE 99 1A 14 02 01 D0 14 02 04 B3 46 07 44 1C B6 E2 E3 35 D6 83 02 07"
    "AC C0 9E BA A0 6F 6B 00 00"
)
TITLE = bytes.fromhex("FF 02 02 0A 53 E1 BB 91 20 C4 91 E1 BB 8F 00 00")


def test_the_example_of_the_standard_comes_apart() -> None:
    memory = parse(V1)
    assert memory.stop is Stop.EDGE
    assert [(one.at, one.oid, one.code, len(one.data), one.pads) for one in memory.sets] == [
        (0, 1, 1, 5, b""),
        (8, 2, 0, 1, None),
        (11, 4, 1, 2, None),
        (15, 6, 4, 7, None),
        (24, 3, 0, 7, b"\x00\x00"),
    ]
    assert b"".join(map(bytes, memory.sets)) == V1


def test_a_far_oid_stands_before_the_number_of_pads() -> None:
    assert parse(TITLE).sets == (DataSet(17, 7, "Số đỏ".encode(), b"\x00\x00"),)
    assert bytes(DataSet(17, 7, "Số đỏ".encode()).whole(4)) == TITLE
    plain = bytes.fromhex("7F 02 0A 53 E1 BB 91 20 C4 91 E1 BB 8F")
    assert parse(plain).sets == (DataSet(17, 7, "Số đỏ".encode()),)
    assert bytes(DataSet(15, 6, b"x")) == b"\x6f\x00\x01x"


def test_a_set_as_long_as_its_blocks_needs_no_pads() -> None:
    assert bytes(DataSet(1, 6, b"123456").whole(4)) == b"\x61\x06123456"
    assert bytes(DataSet(1, 6, b"12345").whole(4)) == b"\xe1\x00\x0512345"
    assert bytes(DataSet(1, 6, b"12345678").whole(4)) == b"\xe1\x01\x0812345678\x00"


@pytest.mark.parametrize(
    ("data", "stop", "at", "missing"),
    [
        (b"", Stop.EDGE, 0, 0),
        (b"\x00\x41", Stop.TERMINATOR, 0, 0),
        (V1 + b"\x00\xff", Stop.TERMINATOR, 36, 0),
        (V1[:32], Stop.CUT, 24, 4),
        (V1[:26], Stop.CUT, 24, 1),
        (V1[:25], Stop.CUT, 24, 2),
        (TITLE[:1], Stop.CUT, 0, 3),
        (TITLE[:4], Stop.CUT, 0, 12),
        (V1[:8] + b"\x30\x01\x02", Stop.NONSENSE, 8, 0),
        (V1[:8] + b"\x46\x80" + bytes(140), Stop.LONG, 8, 0),
    ],
)
def test_where_the_sets_stop_is_said(data: bytes, stop: Stop, at: int, missing: int) -> None:
    memory = parse(data)
    assert (memory.stop, memory.at, memory.missing) == (stop, at, missing)


def test_a_cut_set_is_told_as_far_as_it_goes() -> None:
    memory = parse(V1[:32])
    assert memory.rest == DataSet(3, 0, V1[27:32], b"")
    assert (memory.length, memory.pads) == (7, 2)


def test_data_shows_in_no_repr() -> None:
    assert "1234" not in repr(parse(b"\x61\x041234\x00"))


def test_free_sets_go_around_a_fixed_one() -> None:
    fixed = DataSet(3, 6, b"abcd", b"\x00", 16)
    one, two, three = DataSet(1, 6, b"12345"), DataSet(2, 0, b"\x80"), DataSet(6, 6, b"A" * 8)
    out = arrange([one, two, three], [fixed])
    assert out == bytes.fromhex(
        "61 05 31 32 33 34 35  82 05 01 80 00 00 00 00 00  E3 01 04 61 62 63 64 00  66 08"
    ) + (b"A" * 8)
    memory = parse(out)
    assert [one.oid for one in memory.sets] == [1, 2, 3, 6]
    assert memory.stop is Stop.EDGE


def test_a_gap_that_nothing_fills_is_refused() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        arrange([DataSet(6, 6, b"A" * 20)], [DataSet(3, 6, b"abcd", b"\x00", 8)])
    assert caught.value.code == "tag-fixed"
    with pytest.raises(LocalProtocolError):
        arrange([], [DataSet(1, 6, b"abcdef", b"", 0), DataSet(3, 6, b"a", b"", 4)])


sets = st.builds(
    DataSet,
    st.integers(1, 270),
    st.integers(0, 7),
    st.binary(max_size=127),
    st.none() | st.binary(max_size=20),
)


@given(st.lists(sets, max_size=8), st.binary(max_size=20))
def test_sets_come_back_as_they_were(several: list[DataSet], behind: bytes) -> None:
    data = b"".join(map(bytes, several))
    assert parse(data) == Memory(tuple(several), Stop.EDGE, len(data))
    assert parse(data + b"\x00" + behind) == Memory(tuple(several), Stop.TERMINATOR, len(data))
    assert sum(one.size for one in several) == len(data)


@given(sets, st.sampled_from((2, 4, 8)))
def test_whole_is_a_number_of_blocks(one: DataSet, block: int) -> None:
    whole = one.whole(block)
    assert len(bytes(whole)) % block == 0
    assert whole.bare() == one.bare()


@given(st.lists(sets, min_size=1, max_size=5))
def test_a_cut_never_says_more_than_is_missing(several: list[DataSet]) -> None:
    data = b"".join(map(bytes, several))
    for cut in range(len(data)):
        memory = parse(data[:cut])
        assert memory.stop in (Stop.CUT, Stop.EDGE)
        assert memory.missing <= len(data) - cut
        assert memory.missing > 0 or memory.stop is Stop.EDGE


@given(st.binary(max_size=300))
def test_any_bytes_are_sets_as_far_as_they_go(data: bytes) -> None:
    memory = parse(data)
    assert b"".join(map(bytes, memory.sets)) == data[: memory.at]
