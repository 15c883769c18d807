"""SIP2 codec against lines written by hand from the protocol definition, and against noise."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.wire.sip2 import Checksum, Message, clean, decode, encode, sayable, seal
from kiosk.wire.sip2_exchange import LineFramer, Send
from kiosk.wire.sip2_fields import EXTENSIONS, MESSAGES, REPEATABLE
from kiosk.wire.sip2_types import STRICT, kind
from mocban.errors import LocalProtocolError, RemoteProtocolError

AT = "20261121    101530"

# Reference lines, the sums made without our code; a foreign server took the first three.
LOGIN = b"9300CNscclient|COclientpwd|CPUWOLS|AY0AZF1EC\r"
STATUS = b"9900302.00AY1AZFCA5\r"
LOGGED_IN = b"941AY0AZFDFD\r"
CHECKOUT = (
    b"11NN20261121    101530                  AOBG|AA12345|AB893001|AC|AD1234|BON|BIN|AY2AZECE1\r"
)
CHECKED_OUT = (
    "121NNY20261121    101530AOBG|AA12345|AB893001|AJDế Mèn phiêu lưu ký"
    "|AH20261205    235900|AY2AZE217\r"
).encode()
ITEM = (
    b"1804020120110630    110249AB30007008637257|AJVie d'Isabelle Eberhardt |CK001|AQOSUL|APOSUL"
    b"|BGOSUL|AH2011-10-28 23:59:59|CSPB LP   EAU|AY6AZDB4E\r"
)
# Written by hand for this test, the sums with a pocket calculator's worth of Python.
CHECKIN = b"09N20261121    10153020261121    101530APKIOSK1|AOBG|AB893001|AC|BIN|AY3AZ"
PATRON = b"6300020261121    101530  Y       AOBG|AA12345|AC|AY4AZ"
END = b"3520261121    101530AOBG|AA12345|AY5AZ"
CHECKED_IN = b"101YNN20261121    101530AOBG|AB893001|AQBG|AJFaust|CL2|CV01|AY3AZ"


def summed(line: bytes) -> bytes:
    """The line with its sum, worked out byte by byte as the definition tells it."""
    total = 0
    for byte in line:
        total = (total + byte) % 65536
    return line + f"{(65536 - total) % 65536:04X}\r".encode()


def message(code: str, fixed: Mapping[str, str], fields: str, seq: int | None = None) -> Message:
    pairs = (piece for piece in fields.split("|") if piece)
    return Message(code, fixed, tuple((pair[:2], pair[2:]) for pair in pairs), seq)


GOLDEN = [
    (
        LOGIN,
        message(
            "93",
            {"uid_algorithm": "0", "pwd_algorithm": "0"},
            "CNscclient|COclientpwd|CPUWOLS",
            0,
        ),
    ),
    (STATUS, message("99", {"status": "0", "print_width": "030", "version": "2.00"}, "", 1)),
    (LOGGED_IN, message("94", {"ok": "1"}, "", 0)),
    (
        CHECKOUT,
        message(
            "11",
            {"sc_renewal": "N", "no_block": "N", "date": AT, "nb_due": " " * 18},
            "AOBG|AA12345|AB893001|AC|AD1234|BON|BIN",
            2,
        ),
    ),
    (
        CHECKED_OUT,
        message(
            "12",
            {"ok": "1", "renewal_ok": "N", "magnetic": "N", "desensitize": "Y", "date": AT},
            "AOBG|AA12345|AB893001|AJDế Mèn phiêu lưu ký|AH20261205    235900",
            2,
        ),
    ),
    (
        summed(CHECKIN),
        message(
            "09",
            {"no_block": "N", "date": AT, "return_date": AT},
            "APKIOSK1|AOBG|AB893001|AC|BIN",
            3,
        ),
    ),
    (
        summed(PATRON),
        message(
            "63",
            {"language": "000", "date": AT, "summary": "  Y       "},
            "AOBG|AA12345|AC",
            4,
        ),
    ),
    (summed(END), message("35", {"date": AT}, "AOBG|AA12345", 5)),
    (
        summed(CHECKED_IN),
        message(
            "10",
            {"ok": "1", "resensitize": "Y", "magnetic": "N", "alert": "N", "date": AT},
            "AOBG|AB893001|AQBG|AJFaust|CL2|CV01",
            3,
        ),
    ),
    (b"97AZFEF5\r", Message("97")),
    (b"96AZFEF6\r", Message("96")),
]


@pytest.mark.parametrize(("line", "value"), GOLDEN, ids=[value.code for _, value in GOLDEN])
def test_a_reference_line_is_written_and_read_byte_for_byte(line: bytes, value: Message) -> None:
    assert encode(value) == line
    read = decode(line)
    assert read == value
    assert read.checksum is Checksum.GOOD
    assert read.warnings == ()


def test_a_real_answer_keeps_its_blanks_and_the_fields_of_its_vendor() -> None:
    read = decode(ITEM)
    assert read.checksum is Checksum.GOOD
    assert read.fixed["circulation"] == "04"
    assert dict(read.fields)["AJ"] == "Vie d'Isabelle Eberhardt "
    assert read.get("AJ") == "Vie d'Isabelle Eberhardt"
    assert read.get("CS") == "PB LP   EAU"


def test_without_error_detection_there_is_no_trailer() -> None:
    assert encode(Message("97"), trailer=False) == b"97\r"
    assert encode(message("94", {"ok": "1"}, ""), trailer=False) == b"941\r"
    assert decode(b"941\r").checksum is Checksum.NONE


def test_every_fixed_part_is_as_wide_as_the_definition_says() -> None:
    requests = "93:2 99:8 23:21 63:31 35:18 11:38 09:37 29:38 65:18 15:19 17:18 19:18 25:18 37:25 01:19 97:0"
    answers = (
        "94:1 98:34 24:35 64:59 36:19 12:22 10:22 30:22 66:27 16:20 18:24 20:19 26:35 38:19 96:0"
    )
    pairs = (pair.split(":") for pair in f"{requests} {answers}".split())
    widths = {code: int(width) for code, width in pairs}
    assert {code: spec.width for code, spec in MESSAGES.items()} == widths
    replies = {code: spec.answer for code, spec in MESSAGES.items() if spec.answer}
    assert replies["01"] == "24"
    assert replies["11"] == "12"
    assert all(MESSAGES[reply].answer == "" for reply in replies.values())


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        (b"941AY0AZFDF", "short checksum"),
        (b"1804020120110630    110249AB3|AJX", "last delimiter missing"),
        (b"1804020120110630    110249AB3|AB4|AJX|", "field twice"),
        (b"1804020120110630    110249AB3|AJX|ZZ9|", "unexpected ZZ"),
        (b"1804020120110630    110249AB3|AJX|a b|", "odd field id"),
        (b"1804020120110630    110249AB3|AJX|Q|", "stray byte"),
        (b"1804020120110630    110249AB3|", "lacks AJ"),
        (b"18XX020120110630    110249AB3|AJX|", "odd circulation"),
        (b"1804020120110630    110249AB3|AJ\xff|", "not utf-8"),
    ],
)
def test_what_is_odd_but_readable_becomes_a_warning(line: bytes, warning: str) -> None:
    assert warning in decode(line).warnings


def test_a_checksum_that_lost_its_leading_zeros_still_counts() -> None:
    lengths = range(1, 1000)  # one of these lines has a sum that begins with zero
    lines = (seal(ITEM[:26] + b"AB1|AJ" + b"~" * length + b"|", 1) for length in lengths)
    line = next(line for line in lines if line[-5:-4] == b"0")
    read = decode(line[:-5] + line[-4:])
    assert (read.checksum, read.seq) == (Checksum.GOOD, 1)
    assert read.warnings == ("short checksum",)


def test_the_first_of_two_fields_counts_and_both_are_kept() -> None:
    read = decode(b"1804020120110630    110249AB3|AB4|AJX|")
    assert read.get("AB") == "3"
    assert read.all("AB") == ("3", "4")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\r",
        b"9",
        b"ZZ",
        b"12",
        b"121NNY2026",
        b"Problems handling the request: java.lang.NullPointerException",
        b"\xff\xff\xff",
        b"00AOx|",
    ],
)
def test_what_is_no_message_raises_one_error_without_its_content(line: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(line)
    assert "Problems" not in str(caught.value)


def test_a_changed_byte_is_noticed() -> None:
    assert decode(CHECKOUT.replace(b"893001", b"893002")).checksum is Checksum.BAD
    assert decode(LOGGED_IN.replace(b"941", b"940")).checksum is Checksum.BAD


def test_noise_around_a_line_is_taken_off() -> None:
    read = decode(b"\n\x00\xfb" + LOGGED_IN + b"\n")
    assert read.code == "94"
    assert read.checksum is Checksum.GOOD


def test_values_come_composed_and_without_control_characters() -> None:
    decomposed = "De\u0302\u0301 Me\u0300n\x14\u202e!".encode()
    read = decode(b"1804020120110630    110249AB3|AJ" + decomposed + b"|")
    assert read.get("AJ") == "Dế Mèn  !"
    assert clean("a\x00b\x7f") == "a b "


def test_vietnamese_survives_code_page_1258() -> None:
    title = "Nguyễn Nhật Ánh, Đất rừng phương Nam, Lịch sử"
    sent = message("12", decode(CHECKED_OUT).fixed, f"AO|AA1|AB2|AJ{title}|AH", 1)
    line = encode(sent, "cp1258")
    assert decode(line, "cp1258").get("AJ") == title
    assert decode(line, "cp1258").checksum is Checksum.GOOD


@pytest.mark.parametrize(
    "wrong",
    [
        Message("55"),
        Message("94", {"ok": "Y"}),
        Message("94", {"ok": ""}),
        Message("94", {}),
        Message("94", {"ok": "1", "date": AT}),
        message("35", {"date": AT}, "AOBG"),
        message("35", {"date": AT}, "AOBG|AA1|ZZ1"),
        message("35", {"date": AT}, "AOBG|AA1|AA2"),
        Message("35", {"date": AT}, (("AO", "a|b"), ("AA", "1"))),
        Message("35", {"date": AT}, (("AO", "a\rb"), ("AA", "1"))),
        Message("35", {"date": AT}, (("AO", "x" * 256), ("AA", "1"))),
        Message("35", {"date": "2026-11-21"}, (("AO", ""), ("AA", "1"))),
    ],
)
def test_what_the_protocol_forbids_is_never_written(wrong: Message) -> None:
    with pytest.raises(LocalProtocolError):
        encode(Message(wrong.code, wrong.fixed, wrong.fields, 0))


def test_a_sequence_number_has_one_digit() -> None:
    for seq in (None, -1, 10):
        with pytest.raises(LocalProtocolError):
            encode(message("94", {"ok": "1"}, "", seq))


def test_what_an_encoding_cannot_hold_is_not_sayable() -> None:
    assert sayable("Nguyễn")
    assert sayable("Nguyễn", "cp1258")
    assert not sayable("Nguyễn", "cp850")
    assert not sayable("a|b")
    assert not sayable("a\x00")


def test_no_secret_stands_in_a_repr() -> None:
    fields = "AATV2400001|ABitem-7|ADpin|AENguyễn|AFxin chào Nguyễn|AUitem-9|CNuser|COpwd|Q1Nguyễn"
    shown = repr(message("64", {}, fields))
    for secret in ("TV2400001", "pin", "Nguyễn", "user", "pwd", "item-9"):
        assert secret not in shown
    assert "item-7" in shown
    line = b"6" + "Nguyễn TV2400001".encode()
    with pytest.raises(RemoteProtocolError) as caught:
        decode(line)
    assert "TV24" not in f"{caught.value!r} {caught.value.as_json()}"
    assert "TV24" not in f"{Send(b'TV2400001')}"


# -- any message, any noise --

_TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="|"),
    max_size=60,
).filter(sayable)


def _values(key: str) -> st.SearchStrategy[str]:
    """What a strict writer may put into a field: its kind, or nothing."""
    pattern = STRICT.get(kind(key))
    if pattern is None:
        return _TEXT.map(clean)
    some = st.from_regex(pattern, fullmatch=True).filter(
        lambda text: text.isascii() and "|" not in text and len(text) < 200
    )
    return st.one_of(st.just(""), some)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    code = draw(st.sampled_from(sorted(MESSAGES)))
    spec = MESSAGES[code]
    fixed = {
        part.name: draw(st.from_regex(part.pattern, fullmatch=True).filter(str.isascii))
        for part in spec.fixed
    }
    some = draw(st.lists(st.sampled_from(sorted({*spec.optional, *EXTENSIONS})), max_size=8))
    keys = list(spec.required)
    keys += [key for at, key in enumerate(some) if key in REPEATABLE or key not in some[:at]]
    keys = [key for at, key in enumerate(keys) if key in REPEATABLE or key not in keys[:at]]
    if not spec.fixed:
        keys = []
    fields = tuple((key, draw(_values(key))) for key in draw(st.permutations(keys)))
    seq = None if code in ("96", "97") else draw(st.integers(0, 9))
    return Message(code, fixed, fields, seq)


@settings(deadline=None)
@given(messages())
def test_what_is_written_is_read_again(value: Message) -> None:
    read = decode(encode(value))
    assert read == value
    assert read.checksum is Checksum.GOOD
    bare = decode(encode(value, trailer=False))
    assert (bare.code, bare.fixed, bare.fields) == (value.code, value.fixed, value.fields)
    assert bare.checksum is Checksum.NONE


def test_a_reader_with_ten_thousand_loans_is_written_and_read() -> None:
    fixed = {part.name: " " * part.width for part in MESSAGES["64"].fixed} | {"date": AT}
    loans = tuple(("AU", f"BG{number:08d}") for number in range(10_000))
    sent = Message("64", fixed, (("AO", ""), ("AA", "1"), ("AE", ""), *loans), 7)
    line = encode(sent)
    assert LineFramer().feed(line) == [line[:-1]]
    assert len(decode(line).all("AU")) == 10_000


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["utf-8", "cp850", "latin-1", "cp1258"]))
def test_noise_raises_nothing_but_a_protocol_error(noise: bytes, encoding: str) -> None:
    for line in (noise, CHECKED_OUT[:30] + noise, seal(ITEM[:26] + noise, 3)):
        try:
            read = decode(line, encoding)
        except RemoteProtocolError:
            continue
        assert read.code in MESSAGES
        assert len(repr(read)) < 5000


@settings(deadline=None)
@given(st.integers(0, len(CHECKED_OUT) - 2), st.integers(0, 255))
def test_a_damaged_line_is_damaged_or_refused_but_never_taken_for_good(at: int, byte: int) -> None:
    line = CHECKED_OUT[:at] + bytes([byte]) + CHECKED_OUT[at + 1 :]
    if line.lower() == CHECKED_OUT.lower():
        return  # a sum in lower case is no damage
    try:
        read = decode(line)
    except RemoteProtocolError:
        return
    assert read.checksum is not Checksum.GOOD
