"""Every pair of SIP2 messages against lines written by hand from the widths and orders of the protocol definition."""

from __future__ import annotations

import pytest

from kiosk.wire.sip2 import Checksum, Message, Sequence, decode, encode, sequence
from kiosk.wire.sip2_fields import MESSAGES
from mocban.errors import LocalProtocolError

AT = "20261121    101530"
FLAGS = "Y Y      Y    "

# (line without trailer, its fixed part by name, its fields)
PAIRS: list[tuple[str, dict[str, str], str]] = [
    ("9300CNu|COp|CPdesk|", {"uid_algorithm": "0", "pwd_algorithm": "0"}, "CNu|COp|CPdesk"),
    ("940", {"ok": "0"}, ""),
    ("9920802.00", {"status": "2", "print_width": "080", "version": "2.00"}, ""),
    (
        f"98YYNNYN050003{AT}2.00AOBG|AMThư viện|ANCửa|BXYYYNYYYYYNYNNNNN|AFXin chào|AGa|AGb|",
        {"online": "Y", "checkin": "Y", "checkout": "N", "renewal": "N", "status_update": "Y", "offline": "N",
         "timeout": "050", "retries": "003", "sync": AT, "version": "2.00"},
        "AOBG|AMThư viện|ANCửa|BXYYYNYYYYYNYNNNNN|AFXin chào|AGa|AGb",
    ),
    (f"23000{AT}AOBG|AA12|AC|AD|", {"language": "000", "date": AT}, "AOBG|AA12|AC|AD"),
    (
        f"24{FLAGS}   {AT}AOBG|AA12|AENguyễn|BLY|CQN|BHVND|BV5000|AFm|AFh|",
        {"patron_status": FLAGS, "language": "   ", "date": AT},
        "AOBG|AA12|AENguyễn|BLY|CQN|BHVND|BV5000|AFm|AFh",
    ),
    (
        f"63001{AT}   Y      AOBG|AA12|AC|AD34|BP1|BQ20|",
        {"language": "001", "date": AT, "summary": "   Y      "},
        "AOBG|AA12|AC|AD34|BP1|BQ20",
    ),
    (
        (f"64{FLAGS}000{AT}000100020003000400050006AOBG|AA12|AENguyễn|BZ0005|CA0000|CB0010|BLY|CQY|BHVND|BV0|CC50000|"
        "ASa|ASb|ATc|AUd|AVe|BUf|CDg|BD1 Lê Lợi|BEa@b.vn|BF0204|AQBG|"),
        {"patron_status": FLAGS, "language": "000", "date": AT, "holds": "0001", "overdue": "0002",
         "charged": "0003", "fines": "0004", "recalls": "0005", "unavailable": "0006"},
        ("AOBG|AA12|AENguyễn|BZ0005|CA0000|CB0010|BLY|CQY|BHVND|BV0|CC50000|ASa|ASb|ATc|AUd|AVe|BUf|CDg|BD1 Lê Lợi"
        "|BEa@b.vn|BF0204|AQBG"),
    ),
    (f"35{AT}AOBG|AA12|AC|AD|", {"date": AT}, "AOBG|AA12|AC|AD"),
    (f"36Y{AT}AOBG|AA12|AFbye|", {"end": "Y", "date": AT}, "AOBG|AA12|AFbye"),
    (
        f"11YY{AT}20261205    235900AOBG|AA12|AB34|AC|CHx|AD|BOY|BIN|",
        {"sc_renewal": "Y", "no_block": "Y", "date": AT, "nb_due": "20261205    235900"},
        "AOBG|AA12|AB34|AC|CHx|AD|BOY|BIN",
    ),
    (
        f"120NUY{AT}AOBG|AA12|AB34|AJt|AH|BT04|CIN|BHVND|BV12000.50|CK001|CHx|BK7|AFno|AGno|",
        {"ok": "0", "renewal_ok": "N", "magnetic": "U", "desensitize": "Y", "date": AT},
        "AOBG|AA12|AB34|AJt|AH|BT04|CIN|BHVND|BV12000.50|CK001|CHx|BK7|AFno|AGno",
    ),
    (
        f"09Y{AT}20261120   Z080000AP1|AOBG|AB34|AC|CH|BIY|",
        {"no_block": "Y", "date": AT, "return_date": "20261120   Z080000"},
        "AP1|AOBG|AB34|AC|CH|BIY",
    ),
    (
        f"101YUY{AT}AOBG|AB34|AQBG|AJt|CL9|AA12|CK001|CH|CRnew|CS895.9|CTBG02|CV02|CY56|DALê|AF!|",
        {"ok": "1", "resensitize": "Y", "magnetic": "U", "alert": "Y", "date": AT},
        "AOBG|AB34|AQBG|AJt|CL9|AA12|CK001|CH|CRnew|CS895.9|CTBG02|CV02|CY56|DALê|AF!",
    ),
    (
        f"29NN{AT}                  AOBG|AA12|AD|AB34|AJ|AC|CH|BON|",
        {"third_party": "N", "no_block": "N", "date": AT, "nb_due": " " * 18},
        "AOBG|AA12|AD|AB34|AJ|AC|CH|BON",
    ),
    (
        f"301YNN{AT}AOBG|AA12|AB34|AJt|AH05/12/2026|",
        {"ok": "1", "renewal_ok": "Y", "magnetic": "N", "desensitize": "N", "date": AT},
        "AOBG|AA12|AB34|AJt|AH05/12/2026",
    ),
    (f"65{AT}AOBG|AA12|AD|AC|BON|", {"date": AT}, "AOBG|AA12|AD|AC|BON"),
    (
        f"66100020001{AT}AOBG|BMa|BMb|BNc|AF|",
        {"ok": "1", "renewed": "0002", "unrenewed": "0001", "date": AT},
        "AOBG|BMa|BMb|BNc|AF",
    ),
    (
        f"15+{AT}AOBG|AA12|BW20270101    000000|BSBG|BY2|AD|AB34|AJ|AC|BON|",
        {"mode": "+", "date": AT},
        "AOBG|AA12|BW20270101    000000|BSBG|BY2|AD|AB34|AJ|AC|BON",
    ),
    (
        f"161N{AT}AOBG|AA12|BW20270101    000000|BR3|BSBG|AB34|AJt|",
        {"ok": "1", "available": "N", "date": AT},
        "AOBG|AA12|BW20270101    000000|BR3|BSBG|AB34|AJt",
    ),
    (f"17{AT}AOBG|AB34|AC|", {"date": AT}, "AOBG|AB34|AC"),
    (
        f"18080009{AT}AB34|AJt|CF2|AH|CJ20261130    000000|CM20261128    170000|BG|BHVND|BV0|CK006|AQBG|APBG|CH|",
        {"circulation": "08", "security": "00", "fee_type": "09", "date": AT},
        "AB34|AJt|CF2|AH|CJ20261130    000000|CM20261128    170000|BG|BHVND|BV0|CK006|AQBG|APBG|CH",
    ),
    (f"19{AT}AOBG|AB34|CHfound|AC|", {"date": AT}, "AOBG|AB34|CHfound|AC"),
    (f"201{AT}AB34|AJt|CHfound|AFok|", {"stored": "1", "date": AT}, "AB34|AJt|CHfound|AFok"),
    (f"25{AT}AOBG|AA12|AC|AD|", {"date": AT}, "AOBG|AA12|AC|AD"),
    (
        f"26{FLAGS}000{AT}AOBG|AA12|AELê|BLY|CQY|AF|AG|",
        {"patron_status": FLAGS, "language": "000", "date": AT},
        "AOBG|AA12|AELê|BLY|CQY|AF|AG",
    ),
    (
        f"37{AT}0400VNDBV5000|AOBG|AA12|AC|AD|CG9|BK7|",
        {"date": AT, "fee_type": "04", "payment_type": "00", "currency": "VND"},
        "BV5000|AOBG|AA12|AC|AD|CG9|BK7",
    ),
    (f"38Y{AT}AOBG|AA12|BK7|AF|", {"accepted": "Y", "date": AT}, "AOBG|AA12|BK7|AF"),
    (f"01Y{AT}AOBG|ALquên thẻ|AA12|AC|", {"card_retained": "Y", "date": AT}, "AOBG|ALquên thẻ|AA12|AC"),
    ("97", {}, ""),
    ("96", {}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "fixed", "fields"), PAIRS, ids=[line[:2] for line, *_ in PAIRS])
def test_a_message_is_written_and_read_byte_for_byte(
    line: str, fixed: dict[str, str], fields: str
) -> None:
    pairs = tuple((piece[:2], piece[2:]) for piece in fields.split("|") if piece)
    value = Message(line[:2], fixed, pairs)
    assert encode(value, trailer=False) == line.encode() + b"\r"
    read = decode(line.encode())
    assert read == value
    assert read.warnings == ()
    assert read.checksum is Checksum.NONE


def test_every_message_is_among_them() -> None:
    assert {line[:2] for line, *_ in PAIRS} == set(MESSAGES)


def test_fields_may_come_in_any_order_and_repeated_ones_keep_theirs() -> None:
    read = decode(f"24{FLAGS}000{AT}AGx|AFm|AELê|AA12|AFh|AOBG|ZZ?|AGy|".encode())
    assert (read.get("AO"), read.get("AE")) == ("BG", "Lê")
    assert (read.all("AF"), read.all("AG")) == (("m", "h"), ("x", "y"))
    assert ("ZZ", "?") in read.fields
    assert read.warnings == ("unexpected ZZ",)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (f"11NN{AT}{' ' * 18}", "AOBG|AA12|AB34|AC|BOy"),
        (f"11NN{AT}{' ' * 18}", "AOBG|AAthẻ|AB34|AC"),
        (f"11NN{AT}{' ' * 18}", "AOBG|AA12|ABsách|AC"),
        (f"63000{AT}{' ' * 10}", "AOBG|AA12|BPmany"),
        (f"37{AT}0400VND", "BV5.000,00|AOBG|AA12"),
        (f"15+{AT}", "AOBG|AA12|AB34|BWtomorrow"),
        (f"98YYNNYN050003{AT}2.00", "AOBG|BXYES"),
    ],
)
def test_a_value_of_the_wrong_kind_is_never_written(line: str, fields: str) -> None:
    whole = decode((line + fields + "|").encode())
    pairs = tuple((piece[:2], piece[2:]) for piece in fields.split("|"))
    with pytest.raises(LocalProtocolError):
        encode(Message(whole.code, whole.fixed, pairs), trailer=False)


def test_a_number_is_right_wrong_or_not_there() -> None:
    asked = Message("35", {}, (), 3)
    assert sequence(asked, Message("36", seq=3)) is Sequence.RIGHT
    assert sequence(asked, Message("36", seq=4)) is Sequence.WRONG
    assert sequence(asked, Message("36")) is Sequence.NONE
    assert sequence(Message("97"), Message("36", seq=3)) is Sequence.NONE
