"""FEIG ISO-Host: golden frames of the notes, framing under any split and any noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire import iso15693, iso_host, iso_host_gate, iso_host_tags
from kiosk.wire.content import ItemTag
from kiosk.wire.iso15693 import Found, SystemInfo, Uid
from kiosk.wire.iso_host import OutputMask, Reply, Request, Status, Version
from kiosk.wire.iso_host_gate import Batch, Has, Output, Piggyback, Record
from kiosk.wire.iso_host_tags import Blocks, CustomCommand, TagCommand, Through
from kiosk.wire.tag import decode
from mocban.errors import LocalProtocolError, RemoteProtocolError
from tests.support.framing import check_back_to_back, check_splits

UID = Uid.parse("E004010012345678")
U = "E0 04 01 00 12 34 56 78"
GATE_RECORD = bytes.fromhex(  # pushed by a real gate
    "02 00 40 00 22 00 13 00 01 00 35 03 00 08 E0 04 01 50 0A 20 3F A3 00 09 04"
    "32 01 04 21 32 31 31 30 33 36 34 33 00 00 00 00 F7 00 00 00 44 45 44 49 32 35 2D 45"
    "00 00 00 36 00 00 00 00 04 FE 47"
)
# The notes print a 33rd byte (24) behind this; it announces 32 and its checksum ends there.
COUNTED = "02 00 20 00 9F 00 02 00 18 01 77 00" + " 00" * 11 + " 64 00 00 00 5C 22 8C 81 A3"


def wide(request: Request) -> Request:
    """The same in advanced framing."""
    return Request(request.command, request.data, request.address, advanced=True)


@pytest.mark.parametrize(
    ("request_", "golden"),
    [
        (wide(iso_host.version()), "02 00 07 FF 65 6E 61"),
        (wide(iso_host.reader_info()), "02 00 08 FF 66 00 88 12"),
        (wide(iso_host.cpu_reset()), "02 00 07 FF 63 58 04"),
        (wide(iso_host.rf_reset()), "02 00 07 FF 69 02 AB"),
        (iso_host_gate.init_buffer(), "02 00 07 FF 33 DD 56"),
        (iso_host_gate.clear_buffer(), "02 00 07 FF 32 54 47"),
        (iso_host_gate.buffer_info(), "02 00 07 FF 31 CF 75"),
        (iso_host_gate.read_buffer(255), "02 00 09 FF 22 00 FF 79 69"),
        (iso_host.version(), "05 FF 65 E5 CB"),
        (iso_host.reader_info(), "06 FF 66 00 CD BF"),
        (iso_host.rf_reset(), "05 FF 69 89 01"),
        (iso_host.rf_output(0), "06 FF 6A 00 6D 16"),
        (iso_host.rf_output(1), "06 FF 6A 01 E4 07"),
        (iso_host_tags.inventory(), "07 FF B0 01 00 1C 56"),
        (iso_host_tags.inventory(more=True), "07 FF B0 01 80 14 D2"),
        (iso_host_tags.system_info(UID), f"0F FF B0 2B 01 {U} 11 A3"),
        (iso_host_tags.read_blocks(UID, 0, 8), f"11 FF B0 23 01 {U} 00 08 07 D6"),
        (iso_host_tags.write_afi(UID, 0x07), f"10 FF B0 27 01 {U} 07 D8 DE"),
        (iso_host_tags.write_afi(UID, 0xC2), f"10 FF B0 27 01 {U} C2 79 4F"),
        (iso_host_tags.set_eas(UID, armed=True), f"10 FF B1 04 A2 01 {U} FC BB"),
        (iso_host_tags.set_eas(UID, armed=False), f"10 FF B1 04 A3 01 {U} DB 97"),
        (iso_host_tags.eas_alarm(), "08 FF B1 04 A5 00 73 13"),
        (
            iso_host_tags.through(iso15693.write_afi(UID, 0x07), 0, writes=True),
            "15 FF BF 02 00 03 02 1F 22 27 78 56 34 12 00 01 04 E0 07 A6 41",
        ),
        (
            iso_host.set_output_mask(OutputMask(1, 0, 5, 0x000A)),
            "0D FF 71 00 01 00 00 00 05 00 0A F2 CD",
        ),
        (
            iso_host_gate.set_output(Output.timed(0x81, 1.0)),
            "02 00 0D FF 72 01 01 81 01 00 0A 39 49",
        ),
        (
            iso_host_gate.set_output(Output.timed(0x01, 1.0)),
            "02 00 0D FF 72 01 01 01 01 00 0A 57 64",
        ),
        (
            iso_host_gate.get_counters(),
            "02 00 12 FF 9F 00 0D 02 02 00 08 01 77 00 EE 02 44 31",
        ),
        (
            iso_host_gate.set_counters((0, 0, 0, 0)),
            "02 00 22 FF 9F 00 0D 02 02 00 18 01 78" + " 00" * 17 + " B0 9D 41 38",
        ),
    ],
)
def test_a_request_is_the_golden_frame_and_is_read_back(request_: Request, golden: str) -> None:
    assert request_.encode() == bytes.fromhex(golden)
    assert Request.decode(bytes.fromhex(golden)) == request_


@pytest.mark.parametrize(
    ("reply", "golden"),
    [
        (
            Reply(0xB0, Status.OK, iso_host_tags.encode_found([Found(UID)])),
            f"11 00 B0 00 01 03 00 {U} D8 35",
        ),
        (Reply(0xB0, Status.NO_TAG), "06 00 B0 01 5C 63"),
        (Reply(0xB0), "06 00 B0 00 D5 72"),
        (
            Reply(
                0xB0,
                Status.OK,
                iso_host_tags.encode_system_info(SystemInfo(UID, 0, 0x07, 28, 4, 1)),
            ),
            f"13 00 B0 00 00 {U} 07 04 1C 01 A2 98",
        ),
        (
            Reply(
                0x9F,
                Status.OK,
                Reply(0x77, 0, iso_host_gate.encode_counters((0, 0, 100, 92)), 1, True).encode(),
                advanced=True,
            ),
            COUNTED,
        ),
        (
            Reply(0x9F, 0, Reply(0x78, 0, b"", 1, True).encode(), advanced=True),
            "02 00 10 00 9F 00 02 00 08 01 78 00 26 81 6D 1F",
        ),
    ],
)
def test_a_reply_is_the_golden_frame_and_is_read_back(reply: Reply, golden: str) -> None:
    assert reply.encode() == bytes.fromhex(golden)
    assert Reply.decode(bytes.fromhex(golden)) == reply


def test_the_answers_of_a_pad_are_understood() -> None:
    one = Reply.decode(bytes.fromhex(f"11 00 B0 00 01 03 00 {U} D8 35"))
    assert iso_host_tags.decode_found(one.data) == [Found(UID, 0x00)]
    info = Reply.decode(bytes.fromhex(f"13 00 B0 00 00 {U} 07 04 1C 01 A2 98"))
    assert iso_host_tags.decode_system_info(info.data) == SystemInfo(UID, 0, 0x07, 28, 4, 1)


def test_a_frame_that_a_real_gate_pushed_gives_its_record_and_its_book() -> None:
    reply = Reply.decode(GATE_RECORD)
    assert (reply.command, reply.status, reply.advanced) == (0x22, Status.OK, True)
    batch = Batch.decode(reply.data)
    assert (batch.has, batch.spoilt) == (Has.IDD | Has.BLOCKS | Has.ANTENNA, 0)
    (record,) = batch.records
    assert record.idd.hex().upper() == "E00401500A203FA3"
    assert (record.tag_type, record.block_size, record.antenna) == (3, 4, 4)
    book = decode(record.data)
    assert isinstance(book, ItemTag)
    assert book.id == "201123463"
    assert batch.encode() == reply.data


def test_an_altered_frame_with_the_old_checksum_is_refused() -> None:
    altered = GATE_RECORD[:21] + b"\xa4" + GATE_RECORD[22:]
    with pytest.raises(RemoteProtocolError):
        Reply.decode(altered)
    framer = iso_host.framer()
    assert framer.feed(altered) + framer.idle() == []
    assert framer.noise == len(altered)


def test_people_are_counted_by_the_third_and_fourth_counter() -> None:
    reply = Reply.decode(bytes.fromhex(COUNTED))
    assert iso_host_gate.decode_counters(reply.data) == (0, 0, 100, 92)
    packed = Piggyback.decode(iso_host_gate.get_counters().data)
    assert (packed.mode, packed.device, packed.port) == (0, 0x0D, 0x02)


def test_a_siren_is_never_switched_on_for_ever() -> None:
    assert Output.timed(0x81, 1e9).tenths == 0xFFFE
    assert Output.timed(0x81, 0.0).tenths == 1
    request = iso_host_gate.set_output(Output.timed(0x81, 2.0), Output.timed(0x01, 0.5))
    assert iso_host_gate.decode_outputs(request.data) == [Output(0x81, 20), Output(0x01, 5)]


def test_a_record_with_every_field_is_read_by_its_announcement() -> None:
    fields = Has.IDD | Has.BLOCKS | Has.ANTENNA | Has.TIME | Has.DATE | Has.SECOND
    has = fields | Has.INPUT | Has.MAC
    record = Record(
        UID.value, 3, b"\x01\x02\x03\x04", 4, 12345, b"\x14\x1a\x0b\x16\x00", 2, (0, 2), b"\x01" * 6
    )
    assert Batch.decode(Batch(has, (record, record)).encode()) == Batch(has, (record, record))


def test_a_spoilt_record_costs_only_itself() -> None:
    good = "00 0E 03 00 08 E0 04 01 00 12 34 56 78 01"  # with its antenna
    spoilt = "00 05 03 00 08"  # an IDD of 8 bytes in a record that ends
    data = bytes.fromhex(f"11 00 03 {good} {spoilt} {good}")
    batch = Batch.decode(data)
    assert [record.idd for record in batch.records] == [UID.value, UID.value]
    assert batch.spoilt == 1


def test_blocks_keep_their_lock_status() -> None:
    data = bytes.fromhex("02 04 00 11 01 01 42 01 47 30 30 30")
    blocks = Blocks.decode(data)
    assert blocks == Blocks(4, bytes.fromhex("11010142 47303030"), b"\x00\x01")
    assert blocks.encode() == data


@pytest.mark.parametrize("data", ["", "01", "02 03 00" + U, "01 04 00" + U, "01 03 00" + U + "00"])
def test_an_inventory_that_does_not_add_up_is_refused(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        iso_host_tags.decode_found(bytes.fromhex(data))


def test_custom_commands_and_frames_passed_through_are_read_back() -> None:
    for request in (iso_host_tags.set_eas(UID, armed=True), iso_host_tags.eas_alarm()):
        assert CustomCommand.decode(request.data).request() == request
    passed = iso_host_tags.through(iso15693.eas_alarm(UID), 32)
    assert Through.decode(passed.data).request() == passed
    assert Through.decode(passed.data).heard == 35


def test_every_status_has_words() -> None:
    assert all(
        iso_host.words(status) and "status" not in iso_host.words(status) for status in Status
    )
    assert iso_host.words(0x42) == "status 42"


def test_a_version_is_told_in_words() -> None:
    version = Version((4, 2), 0, 0x21, 0x54, b"\x00\x08")
    assert str(version) == "FEIG type 54 release 04.02"
    assert Version.decode(version.encode()) == version
    assert str(Version.decode(b"\x02\x07")) == "FEIG type 00 release 02.07"


def test_a_frame_too_long_for_its_framing_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError):
        Request(0xB0, bytes(251)).encode()
    assert len(Request(0xB0, bytes(250)).encode()) == 255
    with pytest.raises(LocalProtocolError):
        Request(0xB0, bytes(iso_host.LONGEST), advanced=True).encode()
    with pytest.raises(LocalProtocolError):
        iso_host_tags.write_blocks(UID, 0, 4, b"abc")


def test_what_lies_on_a_card_is_in_no_repr() -> None:
    data = Blocks(4, b"TV2400001xxx").encode()
    shown = repr(Reply(0xB0, 0, data)) + repr(Blocks.decode(data)) + repr(Record(data=data))
    shown += repr(Request(0xB0, data)) + repr(TagCommand(0x24, 1, UID, data))
    assert "TV24" not in shown


FRAMES = [
    bytes.fromhex("05 FF 65 E5 CB"),
    bytes.fromhex(f"11 00 B0 00 01 03 00 {U} D8 35"),
    bytes.fromhex("02 00 07 FF 32 54 47"),
    bytes.fromhex("02 00 12 FF 9F 00 0D 02 02 00 08 01 77 00 EE 02 44 31"),
    GATE_RECORD,
]
pieces = st.lists(st.one_of(st.sampled_from(FRAMES), st.binary(max_size=12)), max_size=6)


@given(pieces, st.lists(st.integers(0, 500), max_size=12))
def test_every_split_gives_the_same_frames(parts: list[bytes], cuts: list[int]) -> None:
    check_splits(iso_host.framer, b"".join(parts), cuts)


@given(st.lists(st.sampled_from(FRAMES), max_size=8))
def test_frames_back_to_back_come_out_whole_and_without_noise(frames: list[bytes]) -> None:
    check_back_to_back(iso_host.framer, frames)


@given(st.binary(max_size=30), st.sampled_from(FRAMES))
def test_a_frame_behind_noise_is_found_once_the_line_falls_silent(
    noise: bytes, frame: bytes
) -> None:
    framer = iso_host.framer()
    found = framer.feed(noise + frame) + framer.idle()
    # Noise may by chance be a frame, or swallow the start of one: then the frame is not the last thing found.
    if framer.noise == len(noise):
        assert found == [frame]
    else:
        assert len(b"".join(found)) + framer.noise == len(noise) + len(frame)


def test_a_false_start_hides_a_frame_only_until_the_line_falls_silent() -> None:
    framer = iso_host.framer()
    assert framer.feed(b"\xf0" + FRAMES[1]) == []
    assert framer.partial
    assert framer.idle() == [FRAMES[1]]
    assert (framer.noise, framer.partial) == (1, False)


def test_a_stale_partial_is_forgotten() -> None:
    framer = iso_host.framer()
    assert framer.feed(FRAMES[4][:20]) == []
    assert framer.idle() == []
    assert framer.feed(FRAMES[0]) == [FRAMES[0]]
    assert framer.noise == 20


def test_a_frame_packed_into_another_is_not_taken_for_one() -> None:
    framer = iso_host.framer()
    assert [f for byte in FRAMES[3] for f in framer.feed(bytes((byte,)))] == [FRAMES[3]]


def test_a_line_that_never_makes_sense_costs_bounded_memory() -> None:
    framer = iso_host.framer()
    for _ in range(8):
        assert framer.feed(b"\x02\x0f\xff" + bytes(1000)) == []
    assert framer.idle() == []
    assert framer.noise == 8 * 1003


@given(st.binary(max_size=80))
def test_random_bytes_raise_nothing_but_protocol_errors(data: bytes) -> None:
    assert isinstance(Batch.decode(data), Batch)
    decoders = (
        Request.decode,
        Reply.decode,
        Version.decode,
        OutputMask.decode,
        TagCommand.decode,
        CustomCommand.decode,
        Through.decode,
        iso_host_tags.decode_found,
        Blocks.decode,
        iso_host_tags.decode_system_info,
        iso_host_gate.decode_outputs,
        Piggyback.decode,
        iso_host_gate.decode_counters,
    )
    for read in decoders:
        try:
            read(data)
        except RemoteProtocolError:
            pass
