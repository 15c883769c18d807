"""APDUs of storage cards: golden bytes of the notes and of real readers, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire import apdu
from kiosk.wire.apdu import Response, is_vicinity, uid_of
from kiosk.wire.iso15693 import Uid
from mocban.errors import LocalProtocolError, RemoteProtocolError

SLIX = "3B 8F 80 01 80 4F 0C A0 00 00 03 06 0B 00 14 00 00 00 00 77"  # of a tag on a real reader
TAG_IT = "3B 8F 80 01 80 4F 0C A0 00 00 03 06 0B 00 12 00 00 00 00 71"
SL2 = "3B 8F 80 01 80 4F 0C A0 00 00 03 06 0B 00 35 00 00 00 00 56"
UNKNOWN = "3B 8F 80 01 80 4F 0C A0 00 00 03 06 0B 00 00 00 00 00 00 63"
MIFARE = "3B 8F 80 01 80 4F 0C A0 00 00 03 06 03 00 01 00 00 00 00 6A"
FELICA = "3B 8F 80 01 80 4F 0C A0 00 00 03 06 11 00 3B 00 00 00 00 42"
BANK = "3B 6E 00 00 80 31 80 66 B1 84 0C 01 6E 01 83 00 90 00"
UID = Uid.parse("E004010012345678")


@pytest.mark.parametrize(
    ("sent", "golden"),
    [
        (apdu.get_uid(), "FF CA 00 00 00"),
        (apdu.read_block(8, 4), "FF B0 00 08 04"),
        (apdu.read_block(0x0102, 8), "FF B0 01 02 08"),
        (apdu.write_block(8, b"\x0a\x0b\x0c\x0d"), "FF D6 00 08 04 0A 0B 0C 0D"),
    ],
)
def test_requests_are_those_of_the_notes(sent: bytes, golden: str) -> None:
    assert sent == bytes.fromhex(golden)


def test_a_block_beyond_two_bytes_is_never_asked_for() -> None:
    with pytest.raises(LocalProtocolError):
        apdu.read_block(0x10000, 4)


@pytest.mark.parametrize("atr", [SLIX, TAG_IT, SL2, UNKNOWN])
def test_the_standard_byte_alone_decides(atr: str) -> None:
    assert is_vicinity(bytes.fromhex(atr))


@pytest.mark.parametrize("atr", [MIFARE, FELICA, BANK, "", "3B", "3B FF", SLIX[:30]])
def test_other_cards_are_no_library_tags(atr: str) -> None:
    assert not is_vicinity(bytes.fromhex(atr))


def test_our_own_card_has_the_atr_of_a_real_one() -> None:
    assert bytes.fromhex(SLIX) == apdu.ATR
    check = 0
    for byte in apdu.ATR[1:]:
        check ^= byte
    assert check == 0


@pytest.mark.parametrize(
    ("told", "uid"),
    [
        ("E0 04 01 00 12 34 56 78", "E004010012345678"),
        ("78 56 34 12 00 01 04 E0", "E004010012345678"),
        ("E0 04 01 00 12 34 56 E0", "E0040100123456E0"),
        ("E0 56 34 12 00 01 04 E0", "E0040100123456E0"),
        ("E0 63 34 12 00 01 64 E0", "E06334120001 64E0".replace(" ", "")),
    ],
)
def test_a_uid_reads_the_same_whichever_end_comes_first(told: str, uid: str) -> None:
    assert str(uid_of(bytes.fromhex(told))) == uid


@pytest.mark.parametrize(
    "told", ["", "04 A1 B2 C3", "04 A1 B2 C3 D4 E5 F6", "01 02 03 04 05 06 07 08"]
)
def test_what_does_not_begin_with_e0_is_no_such_tag(told: str) -> None:
    with pytest.raises(RemoteProtocolError):
        uid_of(bytes.fromhex(told))


def test_a_wrong_length_is_asked_again_with_the_right_one() -> None:
    asked = apdu.read_block(3, 4)
    assert apdu.shorter(asked, Response(b"", 0x6C08)) == bytes.fromhex("FF B0 00 03 08")
    assert apdu.shorter(asked, Response(b"\1\2\3\4")) is None
    assert apdu.shorter(apdu.write_block(3, bytes(4)), Response(b"", 0x6C08)) is None


@given(st.binary(max_size=300))
def test_any_answer_is_a_response_or_a_protocol_error(raw: bytes) -> None:
    try:
        response = Response.decode(raw)
    except RemoteProtocolError:
        assert len(raw) < 2
    else:
        assert response.encode() == raw
        assert response.ok == (raw[-2:] == b"\x90\x00")


@given(st.binary(max_size=40))
def test_any_atr_is_a_library_tag_or_not(atr: bytes) -> None:
    assert is_vicinity(atr) in (True, False)


@given(st.binary(min_size=7, max_size=7))
def test_a_uid_survives_being_told_backwards(rest: bytes) -> None:
    uid = b"\xe0" + rest
    told, turned = uid_of(uid), uid_of(uid[::-1])
    if rest[-1] != 0xE0:
        assert told.value == turned.value == uid
    else:
        assert {told.value, turned.value} <= {uid, uid[::-1]}


def test_no_data_of_a_card_is_shown() -> None:
    assert "TV24" not in repr(Response(b"TV2400001"))
