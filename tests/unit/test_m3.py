"""3M / bibliotheca pads: golden frames of the notes, framing under any split and any noise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.wire import m3, m3_tags
from kiosk.wire.iso15693 import Found, SystemInfo, Uid
from kiosk.wire.m3 import Answer, Command, Error, Request, Version
from kiosk.wire.m3_tags import Blocks, Option, Round, Style
from mocban.errors import LocalProtocolError, RemoteProtocolError
from tests.support.framing import check_back_to_back, check_splits

UID = Uid.parse("E004010012345678")
OTHER = Uid.parse("E00401009ABCDEF0")
U = "E0 04 01 00 12 34 56 78"
V = "E0 04 01 00 9A BC DE F0"


@pytest.mark.parametrize(
    ("request_", "golden"),
    [
        (m3.boot(), "D5 00 05 04 00 11 8C 66"),
        (m3.INIT_810, "D6 00 0C 13 04 01 00 02 00 03 00 04 00 AA F2"),
        (m3.INIT_210, "D6 00 10 13 06 01 00 02 00 03 00 04 00 0B 00 0A 00 FD BF"),
        (m3.version(), "D6 00 03 11 64 20"),
        (m3_tags.inventory(), "D6 00 05 FE 00 05 FA 40"),
        (m3_tags.inventory(afi=0x07), "D6 00 05 FE 07 05 63 D7"),
        (m3_tags.read_blocks(UID, 0, 8, 0), f"D6 00 0D 02 {U} 00 08 A0 79"),
        (m3_tags.read_blocks(UID, 0, 8, Style.NEW), f"D6 00 0E 02 {U} 00 08 04 5D C4"),
        (m3_tags.get_afi(UID), f"D6 00 0B 0A {U} 7F 9F"),
        (m3_tags.write_afi(UID, 0x07), f"D6 00 0C 09 {U} 07 E6 E2"),
        (m3_tags.write_afi(UID, 0xC2), f"D6 00 0C 09 {U} C2 6F 0B"),
        (m3_tags.set_eas(UID, armed=True), f"D6 00 0C 0C {U} 01 44 54"),
        (m3_tags.check_eas(UID), f"D6 00 0B 03 {U} BD 43"),
        (m3_tags.tag_info(UID), f"D6 00 0C 0D {U} 0F CA DF"),
    ],
)
def test_a_request_is_the_golden_frame_and_is_read_back(request_: Request, golden: str) -> None:
    assert request_.encode() == bytes.fromhex(golden)
    assert Request.decode(bytes.fromhex(golden)) == request_


@pytest.mark.parametrize(
    ("answer", "golden"),
    [
        (m3.encode_boot(Version(0x0A, 5, 0, 2)), "D5 00 09 04 00 11 0A 05 00 02 72 50"),
        (m3.encode_boot(Version(0x0A, 5, 2, 0x1B)), "D5 00 09 04 00 11 0A 05 02 1B 97 2A"),
        (m3.encode_boot(Version(0x0A, 5, 1, 0x19)), "D5 00 09 04 00 11 0A 05 01 19 E2 3B"),
        (
            Answer(0x11, 0, Version(0x0A, 5, 2, 0x19).encode()),
            "D6 00 08 11 00 0A 05 02 19 64 69",
        ),
        (Answer(0xFE, 0, Round((), 0).encode()), "D6 00 07 FE 00 00 05 00 C9 7B"),
        (
            Answer(0xFE, 0, Round((Found(UID), Found(OTHER)), 2).encode()),
            f"D6 00 17 FE 00 00 05 02 {U} {V} AB 89",
        ),
        (Answer(0x0A, 0, UID.value + b"\x07"), f"D6 00 0D 0A 00 {U} 07 8B E4"),
        (Answer(0x09, 0, UID.value), f"D6 00 0C 09 00 {U} ED B2"),
        (Answer(0x09, Error.NO_TAG, UID.value), f"D6 00 0C 09 06 {U} B7 3A"),
        # These two stand as constants in a program that was used with a 210.
        (Answer(0xFE, 0, bytes((0, 7, 0))), "D6 00 07 FE 00 00 07 00 AF 19"),
        (Answer(0xFE, 0, bytes((0, 0, 1))), "D6 00 07 FE 00 00 00 01 26 AF"),
    ],
)
def test_an_answer_is_the_golden_frame_and_is_read_back(answer: Answer, golden: str) -> None:
    assert answer.encode() == bytes.fromhex(golden)
    assert Answer.decode(bytes.fromhex(golden)) == answer


def test_the_checksum_example_of_the_makers_document() -> None:
    frame = bytes.fromhex("D6 00 09 03 00 02 00 00 00 03 12 E6")
    assert m3.framer().feed(frame) == [frame]


def test_a_version_is_told_from_either_question() -> None:
    booted = Answer.decode(bytes.fromhex("D5 00 09 04 00 11 0A 05 02 1B 97 2A"))
    assert str(m3.decode_boot(booted)) == "3M type 0A release 05.02.27"
    asked = Answer.decode(bytes.fromhex("D6 00 08 11 00 0A 05 02 19 64 69"))
    assert str(Version.decode(asked.body)) == "3M type 0A release 05.02.25"
    with pytest.raises(RemoteProtocolError):
        m3.decode_boot(asked)


def test_an_inventory_gives_its_tags_and_their_twins() -> None:
    two = Answer.decode(bytes.fromhex(f"D6 00 17 FE 00 00 05 02 {U} {V} AB 89"))
    assert Round.decode(two.body).tags == (Found(UID), Found(OTHER))
    assert two.uid is None
    twins = bytes.fromhex(f"00 07 02 06 {U} 06 {U}")
    assert Round.decode(twins).tags == (Found(UID, 6), Found(UID, 6))
    assert Round.decode(bytes((0, 0, 1))) == Round((), 1, 0, 0)


def test_an_inventory_holds_as_many_tags_as_its_count_can_say() -> None:
    tags = tuple(Found(Uid(bytes((0xE0, 4, 1, 0, 0, 0, 0, n))), 0) for n in range(255))
    options = Option.UID | Option.DSFID | Option.SET
    frame = Answer(0xFE, 0, Round(tags, 255, 0, options).encode()).encode()
    assert len(frame) == 5 + 2 + 3 + 255 * 9
    (whole,) = m3.framer().feed(frame)
    assert Round.decode(Answer.decode(whole).body).tags == tags


@pytest.mark.parametrize(
    "body",
    [
        "",
        "00 05",
        "00 05 01",
        f"00 05 02 {U}",
        f"00 05 01 {U} 00",
        f"00 07 01 {U}",
        f"00 45 01 {U} 00",
    ],
)
def test_an_inventory_that_does_not_add_up_is_refused(body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Round.decode(bytes.fromhex(body))


OLD = "02 00 00 11 01 01 42 01 01 47 30 30 30"
NEW = "00 02 00 11 01 01 42 01 47 30 30 30"
BARE = "00 02 11 01 01 42 47 30 30 30"
EIGHT = "05 01 11 01 01 42 47 30 30 30"  # one block of eight bytes


@pytest.mark.parametrize(
    ("rest", "style", "blocks"),
    [
        (OLD, 0, Blocks(0, 4, bytes.fromhex("11010142 47303030"), b"\x00\x01")),
        (NEW, Style.NEW, Blocks(0, 4, bytes.fromhex("11010142 47303030"), b"\x00\x01")),
        (BARE, Style.NEW | Style.NO_LOCKS, Blocks(0, 4, bytes.fromhex("11010142 47303030"))),
        (EIGHT, Style.NEW | Style.NO_LOCKS, Blocks(5, 8, bytes.fromhex("11010142 47303030"))),
    ],
)
def test_blocks_are_read_in_the_old_form_and_the_new(rest: str, style: int, blocks: Blocks) -> None:
    data = bytes.fromhex(rest)
    assert Blocks.decode(data, blocks.first, len(blocks.data) // blocks.size) == blocks
    assert blocks.encode(style) == data


@given(
    st.integers(0, 40),
    st.integers(1, 64),
    st.sampled_from((4, 8, 16, 32)),
    st.data(),
    st.sampled_from((0, Style.NEW, Style.NEW | Style.NO_LOCKS)),
)
def test_blocks_come_back_whatever_the_form(
    first: int, count: int, size: int, source: st.DataObject, style: int
) -> None:
    data = source.draw(st.binary(min_size=count * size, max_size=count * size))
    locks = source.draw(st.binary(min_size=count, max_size=count))
    read = Blocks.decode(Blocks(first, size, data, locks).encode(style), first, count)
    assert (read.first, read.size, read.data) == (first, size, data)
    assert read.locks == (b"" if style & Style.NO_LOCKS else locks)


@pytest.mark.parametrize(
    "rest",
    ["", "00", NEW + "00", OLD[3:], "01" + BARE[2:], "00 03" + BARE[5:], OLD[:3] + "07" + OLD[5:]],
)
def test_blocks_that_were_not_asked_for_are_refused(rest: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Blocks.decode(bytes.fromhex(rest), 0, 2)


@pytest.mark.parametrize(
    "rest", ["0F 06 C2 1B 03 01", "06 C2 1B 03 01", "0F 06 C2 1C 04 01", "06 C2 1C 04 01"]
)
def test_tag_info_is_understood_in_every_form_that_is_thinkable(rest: str) -> None:
    expected = SystemInfo(UID, 6, 0xC2, 28, 4, 1)
    assert m3_tags.decode_info(UID, bytes.fromhex(rest)) == expected


@pytest.mark.parametrize(
    "rest", ["", "0F 06 C2 1B 03", "06 C2 1B 0A 01", "06 C2 00 04 01", "00" * 7]
)
def test_tag_info_that_means_no_tag_is_refused(rest: str) -> None:
    with pytest.raises(RemoteProtocolError):
        m3_tags.decode_info(UID, bytes.fromhex(rest))


def test_an_answer_serves_only_the_question_it_answers() -> None:
    asked = m3_tags.get_afi(UID)
    assert Answer(0x0A, 0, UID.value + b"\x07").answers(asked)
    assert Answer(0x0A, Error.NO_TAG, UID.value).answers(asked)
    assert Answer(0x0A, Error.NOT_IMPLEMENTED).answers(asked)
    assert not Answer(0x0A, 0, OTHER.value + b"\x07").answers(asked)
    assert not Answer(0x0A, Error.NO_TAG, OTHER.value).answers(asked)
    assert not Answer(0x0A).answers(asked)
    assert not Answer(0x09, 0, UID.value).answers(asked)
    boot = m3.encode_boot(Version(0x0A, 5, 0, 2))
    assert boot.answers(m3.boot())
    assert not boot.answers(m3_tags.write_blocks(UID, 0, 4, bytes(4)))


def test_what_is_written_and_locked_names_tag_and_blocks() -> None:
    u = UID.value
    made = {
        m3_tags.quiet(UID): Request(0x01, u),
        m3_tags.write_blocks(UID, 2, 4, b"ABCDEFGH"): Request(0x04, u + b"\x02\x02\x00ABCDEFGH"),
        m3_tags.lock_block(UID, 9): Request(0x08, u + b"\x09"),
        m3_tags.lock_afi(UID): Request(0x06, u),
        m3_tags.write_dsfid(UID, 6): Request(0x0B, u + b"\x06"),
        m3_tags.lock_dsfid(UID): Request(0x0E, u),
        m3_tags.get_dsfid(UID): Request(0x0F, u),
    }
    assert all(one == other for one, other in made.items())
    with pytest.raises(LocalProtocolError):
        m3_tags.write_blocks(UID, 0, 4, b"ABC")


def test_every_error_has_words() -> None:
    assert m3.words(Error.NO_TAG) == "no tag answered"
    assert m3.words(0x77) == "error 77"
    assert all(m3.words(error) for error in Error)


def test_nothing_that_a_tag_holds_shows() -> None:
    data = b"TV2400001"
    shown = repr(Request(4, data)) + repr(Answer(2, 0, data)) + repr(Blocks(0, 4, data))
    assert "TV24" not in shown


FRAMES = [
    bytes.fromhex("D5 00 09 04 00 11 0A 05 02 1B 97 2A"),
    bytes.fromhex("D6 00 03 11 64 20"),
    bytes.fromhex("D6 00 07 FE 00 00 05 00 C9 7B"),
    bytes.fromhex(f"D6 00 17 FE 00 00 05 02 {U} {V} AB 89"),
    bytes.fromhex(f"D6 00 0D 0A 00 {U} 07 8B E4"),
]
noise = st.one_of(st.binary(max_size=12), st.just(b"\xd6\x01\x20"), st.just(b"\xd5\xd6\xd6\x00"))
pieces = st.lists(st.one_of(st.sampled_from(FRAMES), noise), max_size=6)


@given(pieces, st.lists(st.integers(0, 500), max_size=12))
def test_every_split_gives_the_same_frames(parts: list[bytes], cuts: list[int]) -> None:
    check_splits(m3.framer, b"".join(parts), cuts)


@given(st.lists(st.sampled_from(FRAMES), max_size=8))
def test_frames_back_to_back_come_out_whole_and_without_noise(frames: list[bytes]) -> None:
    check_back_to_back(m3.framer, frames)


@given(noise, st.sampled_from(FRAMES))
def test_a_frame_behind_noise_is_found_once_the_line_falls_silent(
    garbage: bytes, frame: bytes
) -> None:
    framer = m3.framer()
    found = framer.feed(garbage + frame) + framer.idle()
    assert found[-1:] == [frame]
    assert framer.noise + len(b"".join(found)) == len(garbage + frame)


@pytest.mark.parametrize("at", range(3, 19))
def test_a_frame_with_a_wrong_bit_is_no_frame(at: int) -> None:
    broken = bytearray(FRAMES[4])
    broken[at % len(broken)] ^= 0x10
    framer = m3.framer()
    assert framer.feed(bytes(broken)) + framer.idle() == []
    assert framer.feed(FRAMES[2]) == [FRAMES[2]]


def test_a_line_that_never_makes_sense_costs_bounded_memory() -> None:
    framer = m3.framer()
    for _ in range(8):
        assert framer.feed(b"\xd6\x0f\xf0" + bytes(1000)) == []
    assert framer.idle() == []
    assert framer.noise == 8 * 1003
    assert framer.feed(b"\xd6\xff\xff" + FRAMES[1]) == [FRAMES[1]]  # no frame is as long as that


def _blocks(data: bytes) -> Blocks:
    return Blocks.decode(data, data[0] if data else 0, data[1] if len(data) > 1 else 1)


DECODERS: list[Callable[[bytes], object]] = [
    Request.decode,
    Answer.decode,
    Version.decode,
    lambda data: m3.decode_boot(Answer(4, 0, data, m3.BOOT)),
    Round.decode,
    _blocks,
    lambda data: Blocks.decode(data, 0, 0),
    m3_tags.decode_byte,
    lambda data: m3_tags.decode_info(UID, data),
]


@given(st.binary(max_size=80), st.sampled_from(DECODERS))
def test_random_bytes_raise_nothing_but_protocol_errors(
    data: bytes, read: Callable[[bytes], object]
) -> None:
    try:
        read(data)
    except RemoteProtocolError:
        pass


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=60))
def test_any_body_in_a_right_frame_is_an_answer_or_a_protocol_error(
    command: int, error: int, body: bytes
) -> None:
    answer = Answer.decode(Answer(command, error, body).encode())
    assert (answer.command, answer.error, answer.body) == (command, error, body)
    assert len(answer.rest) in (len(body), len(body) - 8)
    asked = Request.decode(Request(command, body).encode())
    assert (asked.uid is not None) == (m3.addressed(command) and len(body) >= 8)
    assert command not in (Command.VERSION, Command.INVENTORY) or answer.answers(asked)
