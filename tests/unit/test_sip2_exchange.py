"""SIP2 lines out of a stream, and one request's way to its answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.wire.sip2 import Message, decode, encode, seal
from kiosk.wire.sip2_exchange import Done, Exchange, GiveUp, LineFramer, Send, Wait

AT = "20261121    101530"
LOGIN = b"9300CNscclient|COclientpwd|CPUWOLS|AY0AZF1EC"
LOGGED_IN = b"941AY0AZFDFD"
ITEM = b"1804020120110630    110249AB30007008637257|AJVie d'Isabelle Eberhardt |"

# -- lines out of a stream --


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\n\r\n"])
def test_a_stream_split_at_every_byte_gives_the_same_lines(end: bytes) -> None:
    stream = end.join([LOGIN, ITEM, b"", LOGGED_IN]) + end
    wanted = [LOGIN, ITEM, LOGGED_IN]
    for at in range(len(stream) + 1):
        framer = LineFramer()
        assert framer.feed(stream[:at]) + framer.feed(stream[at:]) == wanted
        assert framer.waiting == 0
    framer = LineFramer()
    assert [line for byte in stream for line in framer.feed(bytes([byte]))] == wanted


def test_half_a_line_waits_and_an_endless_one_is_dropped_up_to_its_end() -> None:
    framer = LineFramer(cap=100)
    assert framer.feed(b"941AY0") == []
    assert (framer.waiting, framer.dropped) == (6, 0)
    assert framer.feed(b"AZFDFD\r") == [b"941AY0AZFDFD"]
    for _ in range(1000):
        assert framer.feed(b"x" * 64) == []
        assert framer.waiting <= 100
    assert framer.dropped == 1
    assert framer.feed(b"tail\r941AY0AZFDFD\r") == [b"941AY0AZFDFD"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_framer_never_holds_more_than_its_cap(chunks: list[bytes]) -> None:
    framer = LineFramer(cap=64)
    for chunk in chunks:
        for line in framer.feed(chunk):
            assert 0 < len(line) <= 64
            assert b"\r" not in line
            assert b"\n" not in line
        assert framer.waiting <= 64


# -- one request's way to its answer --

ASK = Message("17", {"date": AT}, (("AO", "BG"), ("AB", "893001")))


def answer(seq: int | None, item: str = "893001") -> bytes:
    fixed = {"circulation": "03", "security": "00", "fee_type": "01", "date": AT}
    line = encode(Message("18", fixed, (("AB", item), ("AJ", "Faust"))), trailer=False)
    return line if seq is None else seal(line, seq)


def exchange(*, retries: int = 2, error_detection: bool = True) -> Exchange:
    return Exchange("utf-8", error_detection=error_detection, retries=retries)


def test_numbers_run_from_0_to_9_and_begin_again() -> None:
    talk = exchange()
    seen = []
    for _ in range(12):
        seen.append(decode(talk.begin(ASK)).seq)
        step = talk.received(answer(seen[-1]))
        assert isinstance(step, Done)
        assert not step.repeated
    assert seen == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_silence_repeats_the_same_bytes_until_the_tries_are_used_up() -> None:
    talk = exchange(retries=2)
    data = talk.begin(ASK)
    assert talk.timed_out() == Send(data)
    assert talk.timed_out() == Send(data)
    assert isinstance(talk.timed_out(), GiveUp)
    assert decode(talk.begin(ASK)).seq == 1


def test_an_answer_after_a_repeat_says_so() -> None:
    talk = exchange()
    talk.begin(ASK)
    talk.timed_out()
    step = talk.received(answer(0))
    assert isinstance(step, Done)
    assert step.repeated


def test_a_garbled_answer_is_asked_for_again_by_97_and_any_number_is_taken_then() -> None:
    for number in (0, 4, None):
        talk = exchange()
        talk.begin(ASK)
        assert talk.received(answer(0)[:-5] + b"0000") == Send(b"97AZFEF5\r")
        step = talk.received(answer(number))
        assert isinstance(step, Done)
        assert not step.repeated


def test_96_repeats_the_request_and_does_not_make_the_answer_doubtful() -> None:
    talk = exchange()
    data = talk.begin(ASK)
    assert talk.received(b"96AZFEF6") == Send(data)
    step = talk.received(answer(0))
    assert isinstance(step, Done)
    assert not step.repeated


def test_a_storm_of_96_or_97_ends() -> None:
    for line in (b"96AZFEF6", answer(0)[:-5] + b"0000", b"?" + answer(0)[1:-1]):
        talk = exchange(retries=3)
        talk.begin(ASK)
        steps = [talk.received(line) for _ in range(4)]
        assert all(isinstance(step, Send) for step in steps[:3])
        assert isinstance(steps[3], GiveUp)


def test_an_answer_to_another_request_is_not_taken() -> None:
    talk = exchange()
    assert talk.received(answer(0)) == Wait()
    talk.begin(ASK)
    assert talk.received(answer(7)) == Wait()
    assert talk.received(LOGGED_IN) == Wait()
    assert talk.strays == 3
    talk.timed_out()
    assert talk.received(answer(0, item="another")) == Wait()
    assert isinstance(talk.received(answer(0)), Done)


def test_an_answer_without_a_trailer_is_taken() -> None:
    talk = exchange()
    talk.begin(ASK)
    assert isinstance(talk.received(answer(None)), Done)


def test_text_before_an_answer_is_passed_over() -> None:
    talk = exchange()
    talk.begin(ASK)
    assert talk.received(b"Problems handling the request") == Wait()
    assert isinstance(talk.received(answer(0)), Done)


def test_without_error_detection_silence_is_final_and_text_is_passed_over() -> None:
    talk = exchange(error_detection=False)
    assert talk.begin(ASK).endswith(b"|\r")
    assert talk.received(b"Problems handling the request") == Wait()
    assert isinstance(talk.timed_out(), GiveUp)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=80)), max_size=60))
def test_an_exchange_ends_whatever_the_other_side_says(said: list[bytes | None]) -> None:
    talk = exchange(retries=3)
    talk.begin(ASK)
    sends = 0
    for line in said:
        step = talk.timed_out() if line is None else talk.received(line)
        sends += isinstance(step, Send)
    assert sends <= 3
