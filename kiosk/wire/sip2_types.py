"""What the values of SIP2's variable fields are: flags, dates, money, counts. Strict patterns, and values of our own.

A field that is there but not used is empty, whatever its kind. A value that cannot be read is None, never a guess.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from decimal import Decimal
from enum import StrEnum

from kiosk.wire.sip2_dates import parse_due
from kiosk.wire.sip2_fields import DATE, Fixed

Value = str | bool | int | Decimal | datetime


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    ID = "id"  # ASCII: systems change other letters on the way, and compare bytes
    FLAG = "flag"  # Y or N
    DATE = "date"  # 18 characters
    DUE = "due"  # a date in free text
    MONEY = "money"
    CURRENCY = "currency"  # three letters, ISO 4217
    NUMBER = "number"
    LIMIT = "limit"  # four digits; blanks: not available
    CODE1 = "code-1"  # a value of a table, so many digits
    CODE2 = "code-2"
    CODE3 = "code-3"
    SUPPORTED = "supported"  # BX: a Y or N for each pair of messages


_STRICT = {
    Kind.ID: "[ -~]*",
    Kind.FLAG: "[YN]",
    Kind.DATE: DATE,
    Kind.MONEY: r"-?[0-9]{1,12}(?:\.[0-9]{1,3})?",
    Kind.CURRENCY: "[A-Z]{3}",
    Kind.NUMBER: "[0-9]{1,9}",
    Kind.LIMIT: "[0-9]{4}| {4}",
    Kind.CODE1: "[0-9]",
    Kind.CODE2: "[0-9]{2}",
    Kind.CODE3: "[0-9]{3}",
    Kind.SUPPORTED: "[YN]{16}",
}
STRICT = {kind: re.compile(pattern) for kind, pattern in _STRICT.items()}
"""What a strict writer may put into a field of a kind; kinds that are not named here are free."""

_GROUPS: dict[Kind, str] = {
    Kind.ID: "AA AB",
    Kind.FLAG: "BI BL BO CI CQ",
    Kind.DATE: "BW CJ CM",
    Kind.DUE: "AH",
    Kind.MONEY: "BV CC",
    Kind.CURRENCY: "BH",
    Kind.NUMBER: "BP BQ BR CF",
    Kind.LIMIT: "BZ CA CB",
    Kind.CODE1: "BY",
    Kind.CODE2: "BT CV",
    Kind.CODE3: "CK",
    Kind.SUPPORTED: "BX",
}
KINDS = {key: kind for kind, keys in _GROUPS.items() for key in keys.split()}
"""The kind of each field that is not TEXT."""

_NO_MINOR = frozenset(("VND", "JPY", "KRW", "LAK", "CLP", "ISK"))
_MONEY = re.compile(
    r"(-?)([0-9]{1,3}(?:([.,])[0-9]{3})(?:\3[0-9]{3})*|[0-9]{1,15})(?:([.,])([0-9]{1,3}))?"
)


def kind(key: str) -> Kind:
    """The kind of field ``key``; TEXT for all that are unknown."""
    return KINDS.get(key, Kind.TEXT)


def fits(key: str, value: str) -> bool:
    """True if a strict writer may put ``value`` into field ``key``; an empty value always fits."""
    pattern = STRICT.get(kind(key))
    return not value or pattern is None or pattern.fullmatch(value) is not None


def typed(key: str, text: str, *, currency: str = "", zone: tzinfo | None = None) -> Value | None:
    """The value of field ``key``: bool, datetime (UTC), Decimal, int, or the text itself.

    None if it is blank or cannot be read. ``currency`` is that of the message (BH), for money.
    """
    text = text.strip()
    if not text:
        return None
    match kind(key):
        case Kind.FLAG:
            return parse_flag(text)
        case Kind.DATE | Kind.DUE:
            return parse_due(text, zone)
        case Kind.MONEY:
            return parse_money(text, currency)
        case Kind.NUMBER | Kind.LIMIT:
            return parse_number(text)
        case _:
            return text


def typed_fixed(
    part: Fixed, text: str, zone: tzinfo | None = None
) -> Value | tuple[int, ...] | None:
    """The value of a fixed field; None if it is blank, unknown (U), not supported or cannot be read.

    The 14 flags of a card and the 10 of a summary are the positions that hold Y.
    """
    match part.kind:
        case "yn" | "ynu" | "ok":
            return {"Y": True, "1": True, "N": False, "0": False}.get(text)
        case "date" | "due" | "sync":
            return parse_due(text, zone)
        case "count" | "n3":
            return parse_number(text)
        case "flags" | "summary":
            return tuple(at for at, flag in enumerate(text) if flag == "Y")
        case _:
            return text.strip() or None


def parse_flag(text: str) -> bool | None:
    """Y is True, N is False, in either case; anything else is None."""
    return {"Y": True, "N": False}.get(text.strip().upper())


def parse_number(text: str) -> int | None:
    """A count of up to nine digits; None for blanks (not available) and for anything else."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def parse_money(text: str, currency: str = "") -> Decimal | None:
    """An amount in the unit of ``currency``: 5000, 5000.00, 5,000.00, 5.000,00, 12,50; or None.

    One group of three digits is told apart by its mark: behind a comma it is thousands, behind a dot decimals as the
    protocol has it, but thousands in a currency that has no smaller unit (5.000 VND).
    """
    found = _MONEY.fullmatch(text.strip().replace("\u00a0", ""))
    if found is None:
        return None
    sign, whole, mark, point, decimals = found.groups()
    if mark is not None and mark == point:
        return None  # 1.000.00 and the like: no way to know
    if mark == "." and point is None and whole.count(".") == 1 and currency not in _NO_MINOR:
        return Decimal(sign + whole)
    digits = re.sub("[.,]", "", whole)
    return Decimal(f"{sign}{digits}.{decimals or 0}").normalize() + 0


def money(amount: Decimal, currency: str) -> str:
    """``amount`` as SIP2 writes it: a dot, two decimals, none in a currency without a smaller unit."""
    return f"{amount:.{0 if currency in _NO_MINOR else 2}f}"
