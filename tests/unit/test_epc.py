"""Bank 01 of UHF tags: words and StoredCRC that were published, or computed by other means than ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire import epc
from kiosk.wire.epc import Bank, Pc
from mocban.errors import LocalProtocolError

# A notice of a reader of another make: PC, EPC and the CRC that it heard.
NOTICE = bytes.fromhex("3400 3075 1FEB 705C 5904 E3D5 0D70")
ON_LOAN = bytes.fromhex("1182 35C2 8BCC 0DB7 C623 308F C079 D3B4")
IN_STOCK = bytes.fromhex("BE3C 3507 8BCC 0DB7 C623 308F C079 D3B4")
# Two tags of libraries in China, as they were dumped.
DUMPS = [
    bytes.fromhex("DAD5 3000 1703 2808 7903 0000 8456 0000"),
    bytes.fromhex("24E6 3400 8003 0053 3813 0058 B907 0000"),
]


@pytest.mark.parametrize(
    ("word", "pc"),
    [
        ("45C2", Pc(8, umi=True, iso=True, attribute=0xC2)),
        ("3507", Pc(6, umi=True, iso=True, attribute=0x07)),
        ("3000", Pc(6)),
        ("3400", Pc(6, umi=True)),
        ("3200", Pc(6, xpc=True)),
        ("F9A1", Pc(31, iso=True, attribute=0xA1)),
    ],
)
def test_a_control_word(word: str, pc: Pc) -> None:
    assert Pc.parse(bytes.fromhex(word)) == pc
    assert bytes(pc) == bytes.fromhex(word)
    assert pc.afi == (pc.attribute if pc.iso else None)


def test_the_stored_crc() -> None:
    assert epc.checksum(NOTICE) == 0x3A76
    for whole in (ON_LOAN, IN_STOCK, *DUMPS):
        assert epc.bank(whole[2:]) == whole


def test_changing_the_security_changes_one_byte_and_so_the_crc() -> None:
    assert epc.bank(epc.with_afi(ON_LOAN[2:], 0x07)) == IN_STOCK
    with pytest.raises(LocalProtocolError):
        epc.with_afi(NOTICE, 0x07)


def test_what_was_not_read_is_counted() -> None:
    found = epc.split(ON_LOAN[2:-3])
    assert found is not None
    assert found.missing == 3
    longer = epc.split(ON_LOAN[2:] + b"\x12\x34")
    assert longer is not None
    assert bytes(longer) == ON_LOAN[2:]
    assert epc.split(b"\x30") is None


@pytest.mark.parametrize("uii", [b"", b"\x01", bytes(64)])
def test_a_uii_that_no_control_word_can_tell_is_refused(uii: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        epc.join(uii, afi=0x07)


def test_bank_01_is_recognised() -> None:
    for whole in (ON_LOAN, IN_STOCK, *DUMPS):
        assert epc.recognise(whole) == Bank(whole[2:], checked=True)
        assert epc.recognise(whole + bytes(16)) == Bank(whole[2:], checked=True)
    assert epc.recognise(ON_LOAN[2:]) == Bank(ON_LOAN[2:], checked=None)
    assert epc.recognise(bytes(2) + ON_LOAN[2:]) == Bank(ON_LOAN[2:], checked=None)
    assert epc.recognise(b"\x11\x83" + ON_LOAN[2:]) == Bank(ON_LOAN[2:], checked=False)
    assert epc.recognise(DUMPS[0][2:]) is None  # without its CRC nothing says that it is one
    assert epc.recognise(ON_LOAN[:-2]) is None
    assert epc.recognise(b"") is None


@given(st.binary(max_size=80))
def test_any_bytes_end_in_a_value(data: bytes) -> None:
    found = epc.split(data)
    assert found is None or len(found.uii) + found.missing == 2 * found.pc.words
    recognised = epc.recognise(data)
    assert recognised is None or recognised.epc in data


@given(
    st.integers(1, 31).flatmap(lambda n: st.binary(min_size=2 * n, max_size=2 * n)),
    st.none() | st.integers(0, 255),
    st.booleans(),
)
def test_a_bank_comes_back(uii: bytes, afi: int | None, umi: bool) -> None:
    made = epc.join(uii, afi=afi, umi=umi)
    found = epc.split(made)
    assert found is not None
    assert (found.uii, found.pc.afi, found.pc.umi, found.missing) == (uii, afi, umi, 0)
    assert epc.recognise(epc.bank(made)) == Bank(made, checked=True)
