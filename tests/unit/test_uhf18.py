"""Frames of UHFReader18 and 288: golden bytes from published manuals and independent computations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.devices.uhf18_pad import uhf18_pad
from kiosk.wire import len_frame, uhf18, uhf18_reader
from kiosk.wire.uhf18 import (
    Aimed,
    Bank,
    Mask,
    Reply,
    Request,
    Series,
    Statistics,
    Status,
    Target,
    Uii,
)
from kiosk.wire.uhf18_reader import REGIONS, Band, Info
from mocban.errors import ConfigError, LocalProtocolError, RemoteProtocolError

UII = bytes.fromhex("8BCC0DB7C623308FC079D3B4")
TID = bytes.fromhex("E2801300E004010012345678")
INFO = "0D 00 21 00 02 44 09 03 4E 00 1E 0A F2 16"  # published with the reader


@pytest.mark.parametrize(
    ("request_", "golden"),
    [
        (uhf18.inventory(Series.R18), "04 FF 01 1B B4"),
        (uhf18_reader.info(), "04 FF 21 19 95"),
        (Request(0x01, bytes((4, 0)), 0), "06 00 01 04 00 AC 36"),
        (
            Request(0x01, uhf18.inventory(Series.R288, tenths=2).data, 0),
            "09 00 01 04 00 00 80 02 6A 56",
        ),
        (uhf18_reader.region(Band.CHINA2, 0, 11), "06 00 22 0B 40 3F 1B"),
        (uhf18_reader.region(Band.KOREA, 5, 29), "06 00 22 1D C5 DB 09"),
        (uhf18_reader.region(Band.EU, 6, 12), "06 00 22 4C 06 63 37"),
        (uhf18_reader.power(23), "05 00 2F 17 B3 A9"),
    ],
)
def test_a_request_is_the_golden_frame_and_is_read_back(request_: Request, golden: str) -> None:
    assert request_.encode() == bytes.fromhex(golden)
    assert Request.decode(bytes.fromhex(golden)) == request_


def test_the_region_of_viet_nam_lies_inside_its_band() -> None:
    band, lowest, highest = REGIONS["vn"]
    assert band is Band.CHINA2
    assert 920.125 + 0.25 * lowest >= 918
    assert 920.125 + 0.25 * highest <= 923


def test_the_published_answer_to_who_are_you() -> None:
    reply = Reply.decode(bytes.fromhex(INFO))
    info = Info.decode(reply.data)
    assert (info.kind, info.power, info.tenths, info.series) == (0x09, 30, 10, Series.R18)
    assert str(info) == "UHFReader18 type 09 release 02.68"
    assert Reply(0x21, Status.OK, info.encode()).encode() == bytes.fromhex(INFO)
    longer = Info.decode(reply.data + b"\x01\x01\x00\x00")
    assert longer.series is Series.R288


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (uhf18.inventory(Series.R18, tid=True), "01 00 06"),
        (uhf18.read(Uii(UII), Bank.TID, 0, 6), f"02 06 {UII.hex()} 02 00 06 00000000"),
        (uhf18.read(Uii(UII), Bank.EPC, 1, 1), f"02 06 {UII.hex()} 01 01 01 00000000"),
        (
            uhf18.write(Uii(UII), Bank.EPC, 1, b"\x35\xc2"),
            f"03 01 06 {UII.hex()} 01 01 35C2 00000000",
        ),
        (
            uhf18.set_eas(Uii(UII), armed=True, password=b"\x01\x02\x03\x04"),
            f"0C 06 {UII.hex()} 01020304 01",
        ),
        (uhf18.check_eas(), "0D"),
    ],
)
def test_commands_are_laid_out_as_the_manual_says(request_: Request, body: str) -> None:
    assert request_.encode()[2:-2] == bytes.fromhex(body)


def test_a_mask_stands_behind_the_arguments_and_counts_bits() -> None:
    request = uhf18.read(uhf18.by_tid(TID), Bank.USER, 0, 4)
    golden = f"FF 03 00 04 00000000 02 0000 60 {TID.hex()}"  # layout recalled
    assert request.data == bytes.fromhex(golden)
    aimed = Aimed.decode(request.data, 7)
    assert aimed == Aimed(Mask(Bank.TID, 0, TID), bytes.fromhex("03 00 04 00000000"))


targets = st.one_of(
    st.binary(max_size=30).filter(lambda raw: len(raw) % 2 == 0).map(Uii),
    st.builds(
        Mask, st.sampled_from(Bank), st.integers(0, 0xFFFF), st.binary(min_size=1, max_size=31)
    ),
)


@given(targets, st.sampled_from(Bank), st.integers(0, 255), st.integers(1, 120))
def test_what_is_aimed_at_a_tag_is_taken_apart_again(
    target: Target, bank: Bank, first: int, count: int
) -> None:
    aimed = Aimed.decode(uhf18.read(target, bank, first, count).data, 7)
    assert aimed == Aimed(target, bytes((bank, first, count, 0, 0, 0, 0)))


def test_sightings_of_both_series() -> None:
    plain = bytes((2, 12)) + UII + bytes((2, 0xAB, 0xCD))
    assert uhf18.decode_sightings(Series.R18, plain) == [UII, b"\xab\xcd"]
    assert uhf18.encode_sightings(Series.R18, [UII, b"\xab\xcd"]) == plain
    loud = bytes((1, 1, 12)) + UII + b"\xc8"
    assert uhf18.decode_sightings(Series.R288, loud) == [UII]
    assert uhf18.encode_sightings(Series.R288, [UII]) == loud
    fast = bytes((1, 1, 0x80 | 24)) + UII + TID + b"\xc8"
    assert uhf18.decode_sightings(Series.R288, fast) == [UII]


@pytest.mark.parametrize("data", ["", "02", "01 0C AB", "01 02 AB CD EF", "02 02 AB CD"])
def test_an_inventory_that_does_not_add_up_is_refused(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        uhf18.decode_sightings(Series.R18, bytes.fromhex(data))


def test_phase_values_that_nobody_asked_for_are_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        uhf18.decode_sightings(Series.R288, bytes((1, 1, 0x40 | 2, 0xAB, 0xCD, 0xC8)))


@given(st.sampled_from(Series), st.lists(st.binary(max_size=31), max_size=7))
def test_sightings_are_read_as_they_were_written(series: Series, seen: list[bytes]) -> None:
    assert uhf18.decode_sightings(series, uhf18.encode_sightings(series, seen)) == seen


def test_statistics_are_two_numbers() -> None:
    data = bytes.fromhex("01 00 7D 00 00 01 00")
    assert Statistics.decode(data) == Statistics(1, 125, 256)
    assert Statistics(1, 125, 256).encode() == data
    with pytest.raises(RemoteProtocolError):
        Statistics.decode(data[1:])


def test_every_status_has_words() -> None:
    assert all(not uhf18.words(status).startswith("status") for status in Status)
    assert uhf18.words(0x42) == "status 42"


def test_what_the_protocol_does_not_allow_is_our_own_fault() -> None:
    asks: tuple[Callable[[], object], ...] = (
        lambda: uhf18.read(Uii(UII), Bank.USER, 0, 121),
        lambda: uhf18.read(Uii(bytes(32)), Bank.USER, 0, 1),
        lambda: uhf18.read(Mask(Bank.TID, 0, bytes(32)), Bank.USER, 0, 1),
        lambda: uhf18.write(Uii(UII), Bank.EPC, 2, b"ABC"),
        lambda: uhf18_reader.power(34),
        lambda: uhf18_reader.region(Band.US, 5, 4),
        lambda: uhf18_reader.scan_time(2),
    )
    for ask in asks:
        with pytest.raises(LocalProtocolError):
            ask()


@pytest.mark.parametrize("query", ["power=34", "power=x", "region=mars", "series=9", "scan=1"])
def test_a_bad_option_is_a_configuration_error(query: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        uhf18_pad(f"serial:///dev/ttyUSB0?{query}")


@given(st.binary(max_size=120), st.sampled_from(Series), st.integers(0, 12))
def test_random_bytes_raise_nothing_but_protocol_errors(
    data: bytes, series: Series, size: int
) -> None:
    whole = len_frame.sealed(0, data) if data else b""
    for read in (
        lambda: Request.decode(data),
        lambda: Reply.decode(data),
        lambda: Reply.decode(whole),
        lambda: uhf18.decode_sightings(series, data),
        lambda: Statistics.decode(data),
        lambda: Aimed.decode(data, size),
        lambda: Info.decode(data),
    ):
        try:
            read()
        except RemoteProtocolError:
            pass


def test_what_may_be_a_number_is_in_no_repr() -> None:
    card = b"TV2400001!"
    shown = repr([Uii(card), Mask(Bank.EPC, 0, card), Request(2, card), Reply(2, 0, card)])
    assert "TV24" not in shown + repr(Aimed(Uii(card), card))
    assert card.hex() not in shown
