"""Gates of ISO-Host: no output without an end, and whatever a reader tells by itself ends in values."""

from __future__ import annotations

import ast
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import kiosk
from kiosk.devices.base import Passage
from kiosk.devices.feig_records import OUT, passages
from kiosk.wire import iso_host, iso_host_gate
from kiosk.wire.iso_host import Reply
from kiosk.wire.iso_host_gate import Batch, Has, Output, Record, decode_outputs
from mocban.errors import RemoteProtocolError

FOR_EVER = 0xFFFF


@given(st.integers(0, 255), st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_no_length_of_time_is_for_ever_or_nothing(number: int, seconds: float) -> None:
    (output,) = decode_outputs(iso_host_gate.set_output(Output.timed(number, seconds)).data)
    assert 1 <= output.tenths < FOR_EVER
    assert output.state == 0x01


def test_nothing_in_the_product_makes_an_output_but_a_timed_one() -> None:
    """Outputs come from ``Output.timed``; 46 of the UHF readers, on until it is switched off, from nowhere."""
    root = Path(kiosk.__file__).parent
    made: dict[str, set[str]] = {}
    for path in root.rglob("*.py"):
        if "emulators" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called.split(".")[-1] in {"Output", "set_output"} or called == "Output.timed":
                    made.setdefault(called, set()).add(path.name)
            if isinstance(node, ast.Constant):
                assert not (path.name.startswith("uhf") and node.value == 0x46), path
                assert not (path.name.startswith("feig") and node.value == FOR_EVER), path
    assert made.get("Output", {"iso_host_gate.py"}) == {"iso_host_gate.py"}
    assert made["iso_host_gate.set_output"] == {"feig_records.py", "feig_notify.py"}
    assert made["Output.timed"] == {"feig_records.py", "feig_notify.py"}


@given(st.binary(max_size=400))
def test_any_notification_ends_in_passages(data: bytes) -> None:
    for one in passages(Batch.decode(data), 0x07, OUT):
        assert isinstance(one, Passage)
        assert one.direction in {"in", "out", "unknown"}


@given(st.binary(max_size=400))
def test_any_bytes_of_the_line_end_in_values(data: bytes) -> None:
    framer = iso_host.framer()
    for frame in framer.feed(data) + framer.idle():
        try:
            Batch.decode(Reply.decode(frame).data)
        except RemoteProtocolError:
            continue


def test_the_way_is_the_radars_number_as_it_was_calibrated() -> None:
    has = Has.IDD | Has.SECOND | Has.INPUT
    records = tuple(Record(idd=bytes(7) + bytes((way,)), inputs=(0, way)) for way in (0, 1, 2, 3))
    batch = Batch.decode(Batch(has, records).encode())
    assert [one.direction for one in passages(batch, None, 2)] == [
        "unknown",
        "in",
        "out",
        "unknown",
    ]
    assert [one.direction for one in passages(batch, None, 1)] == [
        "unknown",
        "out",
        "in",
        "unknown",
    ]


def test_a_record_without_a_tag_is_no_passage() -> None:
    assert passages(Batch(Has.ANTENNA, (Record(antenna=2),)), 0x07, OUT) == []
