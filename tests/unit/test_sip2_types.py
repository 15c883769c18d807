"""What values of SIP2 fields mean, what reading lets pass, and what a log may show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.wire.sip2 import Checksum, decode, seal
from kiosk.wire.sip2_exchange import Exchange, Send
from kiosk.wire.sip2_fields import MESSAGES
from kiosk.wire.sip2_redaction import redacted
from kiosk.wire.sip2_tables import FIELDS, FIXED, PAIRS, PATRON_STATUS, SUPPORTED, meaning, raised
from kiosk.wire.sip2_tolerance import Tolerance
from kiosk.wire.sip2_types import (
    KINDS,
    money,
    parse_flag,
    parse_money,
    parse_number,
    typed,
    typed_fixed,
)
from mocban.errors import RemoteProtocolError
from tests.fuzz.sip2_mutants import LOAN, SEEDS, fits, throw

AT = b"20261121    101530"
ITEM = b"18040201" + AT


@pytest.mark.parametrize(
    ("text", "currency", "wanted"),
    [
        ("5000", "VND", "5000"),
        ("5000.00", "VND", "5000"),
        ("5,000.00", "VND", "5000"),
        ("5.000,00", "VND", "5000"),
        ("5.000", "VND", "5000"),
        ("5.000", "KWD", "5"),
        ("5,000", "USD", "5000"),
        ("1.250.000", "VND", "1250000"),
        ("115.57", "USD", "115.57"),
        ("12,50", "EUR", "12.5"),
        ("-3.20", "USD", "-3.2"),
        (" 0 ", "VND", "0"),
        ("1.000.00", "VND", None),
        ("", "VND", None),
        ("free", "VND", None),
        ("5 000 đ", "VND", None),
        ("٥٠٠٠", "VND", None),
        ("9" * 40, "VND", None),
    ],
)
def test_an_amount_is_read_or_not_at_all(text: str, currency: str, wanted: str | None) -> None:
    found = parse_money(text, currency)
    assert found == (None if wanted is None else Decimal(wanted))


def test_an_amount_is_written_as_its_currency_has_it() -> None:
    assert money(Decimal(5000), "VND") == "5000"
    assert money(Decimal("115.5"), "USD") == "115.50"
    assert parse_money(money(Decimal(1250000), "VND"), "VND") == Decimal(1250000)


def test_values_have_the_type_of_their_field() -> None:
    assert typed("BL", "Y") is True
    assert typed("CQ", "n") is False
    assert typed("CQ", " ") is None
    assert typed("CB", "0010") == 10
    assert typed("BR", "many") is None
    assert typed("BV", "5.000", currency="VND") == Decimal(5000)
    assert typed("CM", "20261128   Z170000") == datetime(2026, 11, 28, 17, tzinfo=UTC)
    assert typed("AH", "when it is read") is None
    assert typed("AJ", " Dế Mèn ") == "Dế Mèn"
    assert parse_flag("maybe") is None
    assert parse_number("    ") is None


def test_fixed_parts_have_a_type_too() -> None:
    hanoi = timezone(timedelta(hours=7))
    read = decode(
        b"64Y         Y   001" + AT + b"0001    000300040005    AOx|AA1|AE|",
    )
    values = {
        part.name: typed_fixed(part, read.fixed[part.name], hanoi) for part in MESSAGES["64"].fixed
    }
    assert values == {
        "patron_status": (0, 10), "language": "001", "date": datetime(2026, 11, 21, 3, 15, 30, tzinfo=UTC),
        "holds": 1, "overdue": None, "charged": 3, "fines": 4, "recalls": 5, "unavailable": None,
    }  # fmt: skip
    read = decode(b"120NUY" + AT + b"AOx|AA1|AB2|AJ|AH|")
    flags = [typed_fixed(part, read.fixed[part.name]) for part in MESSAGES["12"].fixed[:4]]
    assert flags == [False, False, None, True]
    status = {part.name: part for part in MESSAGES["98"].fixed}
    assert typed_fixed(status["sync"], "0" * 18) is None
    assert typed_fixed(status["timeout"], "050") == 50


def test_tables_name_what_the_digits_say() -> None:
    assert meaning("circulation", "04") == "on loan"
    assert meaning("CK", "001") == "book"
    assert meaning("circulation", "77") == ""
    assert raised(PATRON_STATUS, "    Y     Y   ") == ("card reported lost", "too many fines")
    assert raised(SUPPORTED, "YN" + "N" * 20 + "Y") == ("Patron Status",)
    assert all(MESSAGES[code].answer or code == "97" for code in PAIRS)
    assert len(PAIRS) == len(SUPPORTED) == 16


def test_every_field_and_fixed_part_of_a_message_has_a_name() -> None:
    for spec in MESSAGES.values():
        assert set(spec.required) | set(spec.optional) <= set(FIELDS)
        assert {part.name for part in spec.fixed} <= set(FIXED)
    assert set(KINDS) <= set(FIELDS)


# -- what reading lets pass --


@pytest.mark.parametrize(
    ("line", "tolerance"),
    [
        (b"941\r\n", Tolerance.LINE_FEED),
        (b"\n941\r", Tolerance.LINE_FEED),
        (b"\xfb\x00941\r", Tolerance.NOISE),
        (b"941AY0AZFDF\r", Tolerance.SHORT_CHECKSUM),
        (b"941AY0AZ\r", Tolerance.SHORT_CHECKSUM),
        (b"941AYxAZFDFD\r", Tolerance.DAMAGED_TRAILER),
        (ITEM + b"AB3|AJX", Tolerance.LAST_DELIMITER),
        (ITEM + b"AB3|X|AJX|", Tolerance.STRAY_BYTE),
        (ITEM + b"AB3|a b|AJX|", Tolerance.FIELD_ID),
        (ITEM + b"AB3|AB4|AJX|", Tolerance.TWICE),
        (ITEM + b"AB3|AJX|ZZ|", Tolerance.UNEXPECTED),
        (ITEM + b"AB3|", Tolerance.LACKS),
        (b"18XX0201" + AT + b"AB3|AJX|", Tolerance.ODD),
        (ITEM + b"AB3|AJX|BV5,000.00|", Tolerance.ODD),
        (b"121nNY" + AT + b"AOx|AA1|AB2|AJ|AH|", Tolerance.LOWER_CASE),
        (b"121NNY" + AT + b"AOx|AA1|AB2|AJ|AH|CIy|", Tolerance.LOWER_CASE),
        (ITEM + b"AB3|AJ\xff|", Tolerance.NOT_ENCODED),
        (ITEM + "AB3|AJE\u0302|".encode(), Tolerance.DECOMPOSED),
        (ITEM + b"AB3|AJ\x14|", Tolerance.CONTROL),
    ],
)
def test_each_tolerance_has_a_name(line: bytes, tolerance: Tolerance) -> None:
    assert [Tolerance.of(warning) for warning in decode(line).warnings] == [tolerance]


def test_every_tolerance_is_seen() -> None:
    with pytest.raises(ValueError):
        Tolerance.of("a new one")
    marks = test_each_tolerance_has_a_name.pytestmark  # type: ignore[attr-defined]
    assert {tolerance for _, tolerance in marks[0].args[1]} == set(Tolerance)


def test_a_small_y_is_a_yes() -> None:
    read = decode(b"121nny" + AT + b"AOx|AA1|AB2|AJ|AH|CIn|")
    assert (read.fixed["desensitize"], read.get("CI")) == ("Y", "N")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\x00\r", "sip2-empty"),
        (b"Problems handling the request: NullPointerException\r", "sip2-free-text"),
        (b"10 problems occurred while handling this request\r", "sip2-free-text"),
        (b"55AO|\r", "sip2-unknown-message"),
        (b"121NNY2026\r", "sip2-cut-short"),
    ],
)
def test_a_line_that_is_no_message_says_why(line: bytes, code: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(line)
    assert caught.value.code == code
    assert caught.value.do
    assert redacted(line) == f"<{len(line)} bytes, {code}>"


@pytest.mark.parametrize("hit", range(1, 10))
def test_a_trailer_that_was_hit_is_a_wrong_checksum_and_not_a_missing_one(hit: int) -> None:
    line = seal(ITEM + b"AB3|AJX|", 3)
    damaged = line[: -hit - 1] + b"?" + line[len(line) - hit :]
    assert decode(damaged).checksum is Checksum.BAD
    exchange = Exchange("utf-8", error_detection=True, retries=1)
    exchange.begin(LOAN)
    assert exchange.received(damaged) == Send(b"97AZFEF5\r")


# -- what a log may show --

SECRETS = ("TV2400001", "1234", "Nguyễn", "secret", "Lê Lợi", "a@b.vn", "0912", "dung")


@pytest.mark.parametrize(
    "line",
    [
        "9300CNdung|COsecret|CPdesk|",
        f"11NN{AT.decode()}                  AOBG|AATV2400001|AB893001|ACsecret|AD1234|BON|",
        (
            f"64              000{AT.decode()}                        AOBG|AATV2400001|AENguyễn|BD1 Lê Lợi|"
            "BEa@b.vn|BF0912|AUdung|ZZNguyễn|Nguyễn|XI0912|AFChào Nguyễn|AGNguyễn"
        ),
        f"101YNN{AT.decode()}AOBG|AB893001|AQ|CYTV2400001|DANguyễn|",
    ],
)
def test_a_redacted_line_names_nobody(line: str) -> None:
    for whole in (
        line.encode(),
        seal(line.encode(), 1),
        seal(line.encode(), 1).replace(b"BG", b"BH"),
    ):
        shown = redacted(whole)
        assert not [secret for secret in SECRETS if secret in shown + repr(decode(whole))]
        assert shown.startswith(line[:2])
    assert redacted(line) == redacted(line.encode())


def test_a_redacted_line_still_tells_what_happened() -> None:
    line = seal(b"11NN" + AT + b" " * 18 + b"AOBG|AA12|AB893001|AC|AD34|BON|", 2)
    told = "11NN20261121    101530                  AOBG|AA…|AB893001|AC|AD…|BON|AY2AZ…"
    assert redacted(line) == told


def test_of_a_damaged_line_nothing_is_shown() -> None:
    line = seal(b"121NNY" + AT + b"AOBG|AA12345|AB893001|AJFaust|AH|", 1)
    torn = line.replace(b"|AA12345", b"|AB12345")  # one bit, and the card is called an item
    assert decode(torn).checksum is Checksum.BAD
    assert "12345" not in redacted(torn) + repr(decode(torn))
    assert "Faust" not in redacted(torn)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_noise_can_be_redacted(noise: bytes) -> None:
    for line in (noise, ITEM + noise, seal(ITEM + noise, 1)):
        assert redacted(line)


# -- lines changed by chance --


def test_mutated_lines_are_caught_and_raise_nothing() -> None:
    counts = throw(0, 5000).counts
    assert counts["mutants"] == 5000
    assert (counts["wrong"], counts["raised"]) == (0, 0)
    assert counts["caught"] > 500
    assert counts["refused"] > 500


def test_the_sum_of_the_mutants_is_a_sum_of_its_own() -> None:
    assert all(fits(seed) for seed in SEEDS if b"AY" in seed)
    assert fits(b"941AY0AZFDFD") is True
    assert fits(b"940AY0AZFDFD") is False
    assert fits(b"941") is None
