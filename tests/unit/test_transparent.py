"""Transparent exchange: golden APDUs of the notes, data objects, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire import iso15693, transparent
from kiosk.wire.iso15693 import Command, Found, Uid
from kiosk.wire.transparent import (
    Code,
    DataObject,
    Mishap,
    Refusal,
    Wait,
    addressed,
    decode_exchange,
    decode_objects,
    found,
    inventory,
    opened,
)
from mocban.errors import LocalProtocolError, RemoteProtocolError

UID = Uid.parse("E004010012345678")
GOOD = "C0 03 00 90 00 92 01 00 96 02 00 00"


@pytest.mark.parametrize(
    ("sent", "golden"),
    [
        (transparent.begin(), "FF C2 00 00 02 81 00 00"),
        (transparent.end(), "FF C2 00 00 02 82 00 00"),
        (transparent.field_off(), "FF C2 00 00 02 83 00 00"),
        (transparent.field_on(), "FF C2 00 00 02 84 00 00"),
        (transparent.choose(), "FF C2 00 02 04 8F 02 02 03 00"),
        (
            transparent.exchange(inventory(), Wait.LONG),
            "FF C2 00 01 12 5F 46 04 50 C3 00 00 FF 6E 03 03 01 07 95 03 26 01 00 00",
        ),
        (
            transparent.exchange(addressed(Code.WRITE_AFI, UID, b"\xc2"), Wait.SHORT),
            "FF C2 00 01 1A 5F 46 04 10 27 00 00 FF 6E 03 03 01 05 95 0B 22 27 78 56 34 12 00 01 04 E0 C2 00",
        ),
    ],
)
def test_requests_are_those_of_the_notes(sent: bytes, golden: str) -> None:
    assert sent == bytes.fromhex(golden)


@pytest.mark.parametrize(
    ("frame", "sealed"),
    [
        (inventory(), iso15693.inventory(one_slot=True)),
        (addressed(Code.READ_MULTIPLE, UID, b"\0\7"), iso15693.read_blocks(UID, 0, 8)),
        (addressed(Code.SYSTEM_INFO, UID), iso15693.system_info(UID)),
        (addressed(Code.WRITE_AFI, UID, b"\7"), iso15693.write_afi(UID, 7)),
        (addressed(Code.SET_EAS, UID), iso15693.set_eas(UID, armed=True)),
        (addressed(Code.EAS_ALARM, UID), iso15693.eas_alarm(UID)),
        (addressed(Code.STAY_QUIET, UID), iso15693.stay_quiet(UID)),
    ],
)
def test_frames_are_those_on_air_without_their_crc(frame: bytes, sealed: bytes) -> None:
    assert frame == sealed[:-2]


def test_codes_are_those_of_iso15693() -> None:
    names = {int(command): command.name.removeprefix("NXP_") for command in Command}
    shared = [code for code in Code if int(code) in names]
    assert len(shared) > 8
    assert all(names[int(code)] == code.name for code in shared)


@pytest.mark.parametrize(
    ("mask", "bits", "golden"),
    [
        (0, 0, "26 01 00"),
        (1, 1, "26 01 01 01"),
        (0x78, 8, "26 01 08 78"),
        (0x178, 9, "26 01 09 78 01"),
        (0xE004010012345678, 64, "26 01 40 78 56 34 12 00 01 04 E0"),
    ],
)
def test_a_mask_is_sent_from_its_lowest_bit(mask: int, bits: int, golden: str) -> None:
    assert inventory(mask, bits) == bytes.fromhex(golden)


@pytest.mark.parametrize(("mask", "bits"), [(0, 65), (0, -1), (2, 1), (1, 0)])
def test_a_mask_that_cannot_be_is_refused(mask: int, bits: int) -> None:
    with pytest.raises(LocalProtocolError):
        inventory(mask, bits)


@pytest.mark.parametrize("size", [0, 201])
def test_a_frame_that_fits_no_apdu_is_refused(size: int) -> None:
    with pytest.raises(LocalProtocolError):
        transparent.exchange(bytes(size))


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (f"{GOOD} 97 0A 00 00 78 56 34 12 00 01 04 E0", "00 00 78 56 34 12 00 01 04 E0"),
        (f"97 02 01 10 {GOOD}", "01 10"),
        (f"{GOOD} 97 81 02 00 07", "00 07"),
        (f"{GOOD} 97 82 00 02 00 07", "00 07"),  # some readers write every length so
        ("C0 03 01 64 01", Mishap.SILENCE),
        ("C0 03 01 64 00", Mishap.SILENCE),
        ("C0 03 00 63 00", Mishap.SILENCE),
        (GOOD, Mishap.SILENCE),
        (f"{GOOD} 97 00", Mishap.SILENCE),
        ("", Mishap.SILENCE),
        ("C0 03 00 90 00 92 01 00 96 02 02 00 97 02 00 00", Mishap.COLLISION),
        ("C0 03 01 64 01 96 02 03 00", Mishap.COLLISION),
        ("C0 03 00 90 00 96 02 01 00 97 02 00 00", Mishap.DAMAGED),
        ("C0 03 00 90 00 96 02 04 00 97 02 00 00", Mishap.DAMAGED),
        ("C0 03 00 90 00 96 02 08 00", Mishap.DAMAGED),
        ("C0 03 00 90 00 92 01 05 96 02 00 00 97 02 00 00", Mishap.DAMAGED),
        ("C0 03 00 6F 00", Mishap.DAMAGED),
        ("C0 03 02 63 01", Mishap.DAMAGED),
        ("C0 03 01 6A 81", Mishap.REFUSED),
        ("C0 03 01 67 00", Mishap.REFUSED),
        ("C0 03 01 6A 80", Mishap.REFUSED),
    ],
)
def test_what_a_reader_heard(said: str, heard: str | Mishap) -> None:
    expected = bytes.fromhex(heard) if isinstance(heard, str) else heard
    assert decode_exchange(bytes.fromhex(said)) == expected


@pytest.mark.parametrize(
    "said", ["C0", "C0 03 00 90", "C0 02 90 00", "5F", "5F 80 00", "97 80 00", "97 83 00 00 00"]
)
def test_data_objects_that_are_none_are_a_protocol_error(said: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_exchange(bytes.fromhex(said))


def test_a_session_is_granted_or_not() -> None:
    assert transparent.granted(bytes.fromhex("C0 03 00 90 00"))
    assert transparent.granted(b"")
    assert not transparent.granted(bytes.fromhex("C0 03 01 6A 81"))
    with pytest.raises(RemoteProtocolError):
        transparent.granted(b"\xc0")


def test_the_tag_that_answers_an_inventory_is_of_its_mask() -> None:
    answer = bytes.fromhex("00 3E 78 56 34 12 00 01 04 E0")
    assert found(answer, 0, 0) == Found(UID, 0x3E)
    assert found(answer, 0x78, 8) == Found(UID, 0x3E)
    assert found(answer, 0x79, 8) is None
    assert found(answer[:-1], 0, 0) is None
    assert found(b"\x01\x0f", 0, 0) is None


def test_a_tag_answers_or_refuses() -> None:
    assert opened(bytes.fromhex("00 0A 0B")) == bytes.fromhex("0A 0B")
    assert opened(bytes.fromhex("01 12")) == Refusal(0x12)
    assert opened(b"\x01") == Refusal(0)
    with pytest.raises(RemoteProtocolError):
        opened(b"")


TAGS = st.sampled_from([0x80, 0x81, 0x92, 0x95, 0x96, 0x97, 0xC0, 0x5F46, 0xFF6D, 0xFF6E])


@given(st.lists(st.builds(DataObject, TAGS, st.binary(max_size=300)), max_size=6))
def test_data_objects_come_back_as_they_were(objects: list[DataObject]) -> None:
    assert decode_objects(b"".join(one.encode() for one in objects)) == objects


@given(st.binary(max_size=300))
def test_any_bytes_are_data_objects_or_a_protocol_error(data: bytes) -> None:
    try:
        objects = decode_objects(data)
    except RemoteProtocolError:
        return
    assert sum(len(one.value) for one in objects) <= len(data)


@given(st.binary(max_size=60) | st.binary(max_size=20).map(lambda end: bytes.fromhex(GOOD) + end))
def test_any_answer_is_a_frame_a_mishap_or_a_protocol_error(body: bytes) -> None:
    try:
        heard = decode_exchange(body)
        granted = transparent.granted(body)
    except RemoteProtocolError:
        return
    assert isinstance(granted, bool)
    assert isinstance(heard, Mishap) or heard in body


@given(st.binary(max_size=40), st.integers(0, 64))
def test_any_frame_is_a_tag_or_none(frame: bytes, bits: int) -> None:
    if not frame:
        return
    one = found(frame, 0, bits)
    assert one is None or one.uid.on_air == frame[2:]


def test_what_was_read_is_not_shown() -> None:
    assert "TV24" not in repr(DataObject(0x97, b"TV2400001"))
