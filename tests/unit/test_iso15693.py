"""Air frames of ISO 15693 against frames computed by other code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire import iso15693
from kiosk.wire.iso15693 import SystemInfo, Uid
from mocban.errors import LocalProtocolError, RemoteProtocolError

UID = Uid.parse("E004010012345678")


def _sealed(frame: str) -> str:
    """With a CRC X-25 of its own making, where no other code's frame was at hand."""
    data, register = bytes.fromhex(frame), 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return (data + (register ^ 0xFFFF).to_bytes(2, "little")).hex(" ")


@pytest.mark.parametrize(
    ("frame", "golden"),
    [
        (iso15693.inventory(), "06 01 00 CD 09"),
        (iso15693.inventory(one_slot=True), "26 01 00 F6 0A"),
        (iso15693.inventory(0x07), "16 01 07 00 31 63"),
        (iso15693.inventory(0x07, one_slot=True), "36 01 07 00 62 EC"),
        (iso15693.read_blocks(UID, 0, 8), "22 23 78 56 34 12 00 01 04 E0 00 07 23 D3"),
        (iso15693.system_info(UID), "22 2B 78 56 34 12 00 01 04 E0 B6 E9"),
        (iso15693.write_afi(UID, 0x07), "22 27 78 56 34 12 00 01 04 E0 07 26 8D"),
        (iso15693.write_afi(UID, 0xC2), "22 27 78 56 34 12 00 01 04 E0 C2 87 1C"),
        (iso15693.set_eas(UID, armed=True), "22 A2 04 78 56 34 12 00 01 04 E0 55 0F"),
        (iso15693.eas_alarm(UID), "22 A5 04 78 56 34 12 00 01 04 E0 A0 CB"),
        (iso15693.get_random(UID), _sealed("22 B2 04 78 56 34 12 00 01 04 E0")),
        (
            iso15693.set_password(UID, b"\x5a\x01", bytes.fromhex("0F 0F 0F 0F")),
            _sealed("22 B3 04 78 56 34 12 00 01 04 E0 10 55 0E 55 0E"),
        ),
        (iso15693.protect_eas(UID), _sealed("22 A6 04 78 56 34 12 00 01 04 E0")),
        (iso15693.stay_quiet(UID), "22 02 78 56 34 12 00 01 04 E0 B8 2C"),
    ],
)
def test_a_request_is_the_golden_frame(frame: bytes, golden: str) -> None:
    assert frame == bytes.fromhex(golden)


@pytest.mark.parametrize(
    ("text", "maker"),
    [
        ("E002000000000001", "ST"),
        ("E004010012345678", "NXP"),
        ("E007000000000001", "Texas Instruments"),
        ("E0FF000000000001", ""),
        ("0004010012345678", ""),
    ],
)
def test_a_uid_names_its_maker(text: str, maker: str) -> None:
    assert Uid.parse(text).manufacturer == maker
    assert str(Uid.parse(text.lower())) == text


@pytest.mark.parametrize("text", ["", "E004", "E00401001234567Z", "E00401001234567800"])
def test_what_is_no_uid_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        Uid.parse(text)


def test_system_information_tells_only_the_fields_it_announces() -> None:
    on_air = bytes.fromhex("7856341200 0104E0")
    whole = iso15693.decode_system_info(b"\x0f" + on_air + bytes.fromhex("3E C2 1B 03 01"))
    assert whole == SystemInfo(UID, 0x3E, 0xC2, 28, 4, 0x01)
    only_afi = iso15693.decode_system_info(b"\x02" + on_air + b"\x07")
    assert only_afi == SystemInfo(UID, None, 0x07)
    with pytest.raises(RemoteProtocolError):
        iso15693.decode_system_info(b"\x0f" + on_air + b"\x3e\xc2\x1b")


def test_an_answer_gives_its_body_or_says_why_not() -> None:
    assert iso15693.unsealed(iso15693.sealed(b"\x00\x01\x02")) == b"\x01\x02"
    with pytest.raises(iso15693.TagError, match="12"):
        iso15693.unsealed(iso15693.sealed(b"\x01\x12"))
    with pytest.raises(RemoteProtocolError, match="damaged"):
        iso15693.unsealed(b"\x00\x01\x02\x00\x00")


@given(st.binary(max_size=40))
def test_random_answers_raise_nothing_but_protocol_errors(data: bytes) -> None:
    for read in (iso15693.unsealed, iso15693.decode_system_info):
        try:
            read(data)
        except RemoteProtocolError:
            pass


@pytest.mark.parametrize(
    ("random", "password"), [(b"", bytes(4)), (b"ab", b"abc"), (b"abc", bytes(4))]
)
def test_a_password_of_another_length_is_our_own_fault(random: bytes, password: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        iso15693.set_password(UID, random, password)
