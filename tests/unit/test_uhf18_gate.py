"""Frames of a UHFReader288 at a gate: golden bytes after the manual's tables, checksums computed independently."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire import len_frame, uhf18_gate
from kiosk.wire.uhf18 import Reply, Status
from kiosk.wire.uhf18_gate import GateCommand, Sighting
from mocban.errors import RemoteProtocolError

UII = bytes.fromhex("E2801130200020613CF40A1B")
SEEN = bytes.fromhex("14 00 EE 00 01 0C E2801130200020613CF40A1B C8 DD 70")
BEAT = bytes.fromhex("15 00 EE 28 00000001 0000000000000001 00000000 8C F3")


def test_requests_are_as_the_manual_has_them() -> None:
    assert uhf18_gate.relay(2.0).encode().hex(" ").upper() == "05 FF 45 28 11 3E"
    assert uhf18_gate.buzzer(2.0).encode().hex(" ").upper() == "07 FF 33 04 02 07 AA AC"
    assert uhf18_gate.inputs().encode().hex(" ").upper() == "04 FF 47 29 93"


@pytest.mark.parametrize(
    ("seconds", "unit", "time"),
    [(0.0, 0.05, 1), (0.05, 0.05, 1), (2.0, 0.1, 20), (12.75, 0.05, 255), (60.0, 0.05, 255)],
)
def test_a_relays_time_is_never_nothing_and_never_for_ever(
    seconds: float, unit: float, time: int
) -> None:
    assert uhf18_gate.relay(seconds, unit).data == bytes((time,))
    assert 1 <= uhf18_gate.buzzer(seconds, unit).data[2] <= 255


def test_inputs_are_the_low_half() -> None:
    reply = Reply.decode(bytes.fromhex("06 00 47 00 01 EA 90"))
    assert uhf18_gate.decode_inputs(reply) == 1
    assert uhf18_gate.decode_inputs(Reply(GateCommand.INPUTS, Status.OK, b"\x32")) == 2
    for wrong in (Reply(0, Status.ILLEGAL), Reply(GateCommand.INPUTS, Status.OK, b"")):
        with pytest.raises(RemoteProtocolError):
            uhf18_gate.decode_inputs(wrong)


def test_what_comes_unasked_is_a_sighting_or_a_heartbeat() -> None:
    assert uhf18_gate.told(SEEN) == Sighting(UII, 1, 0xC8)
    assert uhf18_gate.told(BEAT) is None
    assert Reply.decode(BEAT).status == uhf18_gate.HEARTBEAT
    assert len_frame.framer().feed(b"\x00" + SEEN[:7] + b"" + SEEN[7:] + BEAT) == [SEEN, BEAT]


@pytest.mark.parametrize(("antennas", "antenna"), [(1, 1), (4, 3), (5, 1), (0, 1), (0x80, 8)])
def test_antennas_are_bits(antennas: int, antenna: int) -> None:
    assert Sighting(UII, antennas).antenna == antenna


def test_a_sighting_hides_the_tag_in_its_repr() -> None:
    assert "E280" not in repr(Sighting(UII)).upper()


@given(
    st.binary(max_size=64).filter(lambda uii: len(uii) % 2 == 0),
    st.integers(0, 255),
    st.integers(0, 255),
)
def test_a_sighting_survives_its_frame(uii: bytes, antennas: int, rssi: int) -> None:
    one = Sighting(uii, antennas, rssi)
    assert Sighting.decode(one.encode()) == one


@given(st.binary(max_size=300))
def test_any_bytes_end_in_values(data: bytes) -> None:
    uhf18_gate.told(data)
    framer = len_frame.framer()
    for frame in framer.feed(data) + framer.idle():
        uhf18_gate.told(frame)
    try:
        Sighting.decode(data)
    except RemoteProtocolError:
        pass
