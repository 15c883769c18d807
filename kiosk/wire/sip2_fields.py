"""SIP2 2.00 as data: fixed part and fields of every message, and what a fixed value may hold.

Widths and orders are those of the 3M protocol definition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DATE = r"[0-9]{8}(?: {4}| {3}Z| [A-Z]{3})[0-9]{6}"
_KINDS: dict[str, tuple[int, str]] = {
    "yn": (1, "[YN]"),
    "ynu": (1, "[YNU]"),
    "ok": (1, "[01]"),
    "char": (1, "[ -~]"),
    "sc": (1, "[012]"),
    "mode": (1, "[-+*]"),
    "n2": (2, "[0-9]{2}"),
    "n3": (3, "[0-9]{3}"),
    "lang": (3, "[0-9]{3}| {3}"),
    "currency": (3, "[A-Z]{3}"),
    "version": (4, r"[0-9]\.[0-9]{2}"),
    "count": (4, "[0-9]{4}| {4}"),  # blanks: not available
    "summary": (10, "[Y ]{10}"),
    "flags": (14, "[Y ]{14}"),
    "date": (18, DATE),
    "due": (18, f"{DATE}| {{18}}"),  # blanks: the library system decides
    "sync": (18, f"{DATE}|0{{18}}"),  # zeros: not supported
}


@dataclass(frozen=True, slots=True)
class Fixed:
    """One fixed field: its name, width in bytes, what a strict writer may put there, and its kind."""

    name: str
    width: int
    pattern: re.Pattern[str]
    kind: str


@dataclass(frozen=True, slots=True)
class Spec:
    """One message: ``answer`` is the code of the reply to a request, empty for a reply."""

    name: str
    answer: str
    fixed: tuple[Fixed, ...]
    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def width(self) -> int:
        """Bytes of the fixed part, without the two of the message id."""
        return sum(part.width for part in self.fixed)


def _spec(name: str, answer: str, fixed: str, required: str, optional: str) -> Spec:
    parts = []
    for word in fixed.split():
        label, _, kind = word.partition(":")
        width, pattern = _KINDS[kind or label]
        parts.append(Fixed(label, width, re.compile(pattern), kind or label))
    return Spec(name, answer, tuple(parts), tuple(required.split()), tuple(optional.split()))


def _ids(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LOAN = "ok renewal_ok:yn magnetic:ynu desensitize:ynu date"
_LOAN_MORE = "BT CI BH BV CK CH BK AF AG"
_SORTING = "CR CS CT CV CY DA"  # 3M sort extensions 1.20
_COUNTS = "holds:count overdue:count charged:count fines:count recalls:count unavailable:count"
_LISTS = "AS AT AU AV BU CD"

MESSAGES: dict[str, Spec] = {
    # requests
    "93": _spec("Login", "94", "uid_algorithm:char pwd_algorithm:char", "CN CO", "CP"),
    "99": _spec("SC Status", "98", "status:sc print_width:n3 version", "", ""),
    "23": _spec("Patron Status Request", "24", "language:lang date", "AO AA AC AD", ""),
    "63": _spec("Patron Information", "64", "language:lang date summary", "AO AA", "AC AD BP BQ"),
    "35": _spec("End Patron Session", "36", "date", "AO AA", "AC AD"),
    "11": _spec(
        "Checkout", "12", "sc_renewal:yn no_block:yn date nb_due:due", "AO AA AB AC", "CH AD BO BI"
    ),
    "09": _spec("Checkin", "10", "no_block:yn date return_date:date", "AP AO AB AC", "CH BI"),
    "29": _spec(
        "Renew",
        "30",
        "third_party:yn no_block:yn date nb_due:due",
        "AO AA",
        "AB AJ AD AC CH BO",
    ),
    "65": _spec("Renew All", "66", "date", "AO AA", "AD AC BO"),
    "15": _spec("Hold", "16", "mode date", "AO AA", "AB AJ BW BS BY AD AC BO"),
    "17": _spec("Item Information", "18", "date", "AO AB", "AC"),
    "19": _spec("Item Status Update", "20", "date", "AO AB CH", "AC"),
    "25": _spec("Patron Enable", "26", "date", "AO AA", "AC AD"),
    "37": _spec(
        "Fee Paid",
        "38",
        "date fee_type:n2 payment_type:n2 currency",
        "BV AO AA",
        "AC AD CG BK",
    ),
    "01": _spec("Block Patron", "24", "card_retained:yn date", "AO AL AA AC", ""),
    "97": _spec("Request ACS Resend", "", "", "", ""),
    # answers
    "94": _spec("Login Response", "", "ok", "", "AF AG"),
    "98": _spec(
        "ACS Status",
        "",
        "online:yn checkin:yn checkout:yn renewal:yn status_update:yn offline:yn"
        " timeout:n3 retries:n3 sync version",
        "AO BX",
        "AM AN AF AG",
    ),
    "24": _spec(
        "Patron Status Response",
        "",
        "patron_status:flags language:lang date",
        "AO AA AE",
        "BL CQ BH BV AF AG",
    ),
    "64": _spec(
        "Patron Information Response",
        "",
        f"patron_status:flags language:lang date {_COUNTS}",
        "AO AA AE",
        f"BZ CA CB BL CQ BH BV CC {_LISTS} BD BE BF AF AG AQ",
    ),
    "36": _spec("End Session Response", "", "end:yn date", "AO AA", "AF AG"),
    "12": _spec("Checkout Response", "", _LOAN, "AO AA AB AJ AH", _LOAN_MORE),
    "10": _spec(
        "Checkin Response",
        "",
        "ok resensitize:yn magnetic:ynu alert:yn date",
        "AO AB AQ",
        f"AJ CL AA CK CH AF AG {_SORTING}",
    ),
    "30": _spec("Renew Response", "", _LOAN, "AO AA AB AJ AH", _LOAN_MORE),
    "66": _spec(
        "Renew All Response", "", "ok renewed:count unrenewed:count date", "AO", "BM BN AF AG"
    ),
    "16": _spec("Hold Response", "", "ok available:yn date", "AO AA", "BW BR BS AB AJ AF AG"),
    "18": _spec(
        "Item Information Response",
        "",
        "circulation:n2 security:n2 fee_type:n2 date",
        "AB AJ",
        "CF AH CJ CM BG BH BV CK AQ AP CH AF AG",
    ),
    "20": _spec("Item Status Update Response", "", "stored:ok date", "AB", "AJ CH AF AG"),
    "26": _spec(
        "Patron Enable Response",
        "",
        "patron_status:flags language:lang date",
        "AO AA AE",
        "BL CQ AF AG",
    ),
    "38": _spec("Fee Paid Response", "", "accepted:yn date", "AO AA", "BK AF AG"),
    "96": _spec("Request SC Resend", "", "", "", ""),
}

REPEATABLE = _ids("AF AG AS AT AU AV BU CD BM BN")
# Extensions of single vendors that may stand in any answer.
EXTENSIONS = _ids(f"PA PB PC PI PD XI FA FB FC FD FE FF FG FU FV KP KQ CG {_SORTING}")
# What may stand in a log. Everything else, known or not, may name a patron and is written as "…".
PLAIN = _ids("AB AH AJ AO AP AQ AM AN BG BI BL BO BT BX CB CF CH CI CK CL CP CT CV")

# Positions in the 14 characters of patron status.
CHARGE_DENIED, CARD_LOST, TOO_MANY_CHARGED, TOO_MANY_OVERDUE, TOO_MANY_LOST = 0, 4, 5, 6, 9
FINES, FEES, RECALL_OVERDUE, TOO_MANY_BILLED = 10, 11, 12, 13
