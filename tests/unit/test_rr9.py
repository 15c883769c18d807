"""Frames of RR9 readers: golden bytes from independent computations, and that nothing else gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.devices.rr9_pad import Rr9Reader, rr9_pad
from kiosk.wire import len_frame, rr9
from kiosk.wire.crc import MCRF4XX
from kiosk.wire.iso15693 import Found, SystemInfo, Uid, decode_system_info
from kiosk.wire.rr9 import Info, Own, Reply, Request, Scan, State, Status
from mocban.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from tests.support.framing import check_back_to_back, check_splits

UID = Uid.parse("E004010012345678")
LSB = "78 56 34 12 00 01 04 E0"


@pytest.mark.parametrize(
    ("request_", "golden"),
    [
        (rr9.inventory(Scan.NEW), "05 00 01 06 98 11"),
        (rr9.inventory(Scan.MORE), "05 00 01 02 BC 57"),
        (rr9.inventory(Scan.NEW_AFI, 0x07), "06 00 01 07 07 7B 68"),
        (rr9.read_blocks(UID, 0, 8), f"0F 00 23 00 {LSB} 00 08 17 1B"),
        (rr9.write_afi(UID, 0x07), f"0E 00 27 00 {LSB} 07 E4 E1"),
    ],
)
def test_a_request_is_the_golden_frame_and_is_read_back(request_: Request, golden: str) -> None:
    assert request_.encode() == bytes.fromhex(golden)
    assert Request.decode(bytes.fromhex(golden)) == request_


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (rr9.own(Own.INFO), "00 00"),
        (rr9.own(Own.ISO15693), "00 06"),
        (rr9.inventory(Scan.ONE), "01 00"),
        (rr9.inventory(Scan.ONE_AFI, 0x07), "01 01 07"),
        (rr9.inventory(Scan.MORE_AFI, 0xC2), "01 03 C2"),
        (rr9.stay_quiet(UID), f"02 00 {LSB}"),
        (rr9.read_blocks(UID, 2, 6, size=8), f"23 04 {LSB} 02 06"),
        (rr9.write_block(UID, 5, b"ABCD"), f"21 00 {LSB} 05 41 42 43 44"),
        (rr9.write_block(UID, 5, b"ABCD", type_b=True), f"21 08 {LSB} 05 41 42 43 44"),
        (rr9.write_block(UID, 5, b"12345678"), f"21 04 {LSB} 05 31 32 33 34 35 36 37 38"),
        (
            rr9.write_block(UID, 5, b"12345678", type_b=True),
            f"21 0C {LSB} 05 31 32 33 34 35 36 37 38",
        ),
        (rr9.write_afi(UID, 0xC2, type_b=True), f"27 08 {LSB} C2"),
        (rr9.write_dsfid(UID, 0x06), f"29 00 {LSB} 06"),
        (rr9.lock_block(UID, 7), f"22 00 {LSB} 07"),
        (rr9.lock_afi(UID), f"28 00 {LSB}"),
        (rr9.lock_dsfid(UID, type_b=True), f"2A 08 {LSB}"),
        (rr9.system_info(UID), f"2B 00 {LSB}"),
    ],
)
def test_every_state_stands_where_the_published_library_puts_it(
    request_: Request, body: str
) -> None:
    frame = request_.encode()
    assert frame[2:-2] == bytes.fromhex(body)
    assert frame[0] == len(frame) - 1
    assert MCRF4XX(frame) == 0
    assert Request.decode(frame) == request_


def test_the_afi_is_never_written_with_the_command_of_the_dsfid() -> None:
    assert rr9.write_afi(UID, 0x07).command == 0x27
    assert rr9.write_dsfid(UID, 0x07).command == 0x29


def test_an_inventory_is_rows_of_nine_bytes() -> None:
    other = Uid.parse("E00801000000000A")
    data = bytes.fromhex(f"06 {LSB} 00 0A 00 00 00 00 01 08 E0")
    assert rr9.decode_found(data) == [Found(UID, 6), Found(other, 0)]
    assert rr9.encode_found([Found(UID, 6), Found(other, 0)]) == data
    assert rr9.decode_found(b"") == []
    with pytest.raises(RemoteProtocolError):
        rr9.decode_found(data[:-1])


def test_blocks_come_with_their_lock_status_and_as_many_as_asked_for() -> None:
    data = bytes.fromhex("00 11 01 01 42 01 47 30 30 30")
    assert rr9.decode_blocks(data, 2, 4) == bytes.fromhex("11 01 01 42 47 30 30 30")
    assert rr9.encode_blocks(rr9.decode_blocks(data, 2, 4), 4, b"\x00\x01") == data
    for wrong in ((1, 4), (3, 4), (1, 8)):
        with pytest.raises(RemoteProtocolError):
            rr9.decode_blocks(data, *wrong)


def test_system_information_is_that_on_air() -> None:
    reply = Reply(data=bytes.fromhex(f"0F {LSB} 00 07 1B 03 01"))
    assert decode_system_info(Reply.decode(reply.encode()).data) == SystemInfo(
        UID, 0, 0x07, 28, 4, 1
    )


def test_a_reader_tells_its_release() -> None:
    info = Info((2, 7), 0x66, (0, 8), 30)
    assert Info.decode(info.encode()) == info
    assert str(info) == "RR9 type 66 release 02.07"
    with pytest.raises(RemoteProtocolError):
        Info.decode(b"\x02\x07\x66")


def test_every_status_has_words() -> None:
    assert all("status" not in rr9.words(status) for status in Status)
    assert rr9.words(0x42) == "status 42"


def test_what_the_reader_does_not_know_is_our_own_fault() -> None:
    for ask in (
        lambda: rr9.read_blocks(UID, 0, 13),
        lambda: rr9.read_blocks(UID, 0, 7, size=8),
        lambda: rr9.read_blocks(UID, 0, 1, size=16),
        lambda: rr9.write_block(UID, 0, b"ABC"),
        lambda: rr9.inventory(Scan.NEW, 7),
        lambda: rr9.inventory(Scan.NEW_AFI),
        lambda: Request(1, 6, bytes(251)).encode(),
    ):
        with pytest.raises(LocalProtocolError):
            ask()


def test_a_request_names_its_tag_or_none() -> None:
    assert rr9.addressee(rr9.write_afi(UID, 7)) == (UID, b"\x07")
    for nobody in (Request(0x27, State.SELECTED, b"\x07"), Request(0x27, 0, b"\x07")):
        with pytest.raises(RemoteProtocolError):
            rr9.addressee(nobody)


@pytest.mark.parametrize("query", ["type=c", "address=256", "address=-1", "address=x"])
def test_a_bad_option_is_a_configuration_error_that_says_what_is_right(query: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        rr9_pad(f"serial:///dev/ttyUSB0?{query}")


def test_options_of_the_driver_are_hidden_from_the_line() -> None:
    reader = Rr9Reader("serial:///dev/ttyUSB0?type=b&baud=9600&address=3")
    assert reader.noise == 0


FRAMES = [
    bytes.fromhex("05 00 01 06 98 11"),
    bytes.fromhex(f"0F 00 23 00 {LSB} 00 08 17 1B"),
    Reply(data=rr9.encode_found([Found(UID)] * 27)).encode(),
    Reply(Status.NO_TAG).encode(),
]
pieces = st.lists(st.one_of(st.sampled_from(FRAMES), st.binary(max_size=12)), max_size=6)


@given(pieces, st.lists(st.integers(0, 900), max_size=12))
def test_every_split_gives_the_same_frames(parts: list[bytes], cuts: list[int]) -> None:
    check_splits(len_frame.framer, b"".join(parts), cuts)


@given(st.lists(st.sampled_from(FRAMES), max_size=8))
def test_frames_back_to_back_come_out_whole_and_without_noise(frames: list[bytes]) -> None:
    check_back_to_back(len_frame.framer, frames)


@given(st.sampled_from(FRAMES), st.integers(0, 2047))
def test_one_bit_that_fell_over_is_no_frame(frame: bytes, bit: int) -> None:
    spoilt = bytearray(frame)
    spoilt[bit // 8 % len(frame)] ^= 1 << bit % 8
    with pytest.raises(RemoteProtocolError):
        Reply.decode(bytes(spoilt))


@given(st.binary(max_size=80), st.integers(0, 16), st.integers(1, 9))
def test_random_bytes_raise_nothing_but_protocol_errors(data: bytes, count: int, size: int) -> None:
    whole = len_frame.sealed(0, data) if data else b""
    for read in (
        lambda: Request.decode(data),
        lambda: Reply.decode(data),
        lambda: Reply.decode(whole),
        lambda: rr9.addressee(Request.decode(whole)),
        lambda: rr9.decode_found(data),
        lambda: rr9.decode_blocks(data, count, size),
        lambda: Info.decode(data),
    ):
        try:
            read()
        except RemoteProtocolError:
            pass


def test_what_lies_on_a_card_is_in_no_repr() -> None:
    shown = repr(Request(0x21, 0, b"TV2400001")) + repr(Reply(0, b"TV2400001"))
    assert "TV24" not in shown
