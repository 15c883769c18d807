"""SIP2 in words: the names of fields, fixed parts and values. Stable English; catalogs translate it."""

from __future__ import annotations

from collections.abc import Mapping

FIELDS: dict[str, str] = {
    "AA": "Card number", "AB": "Item number", "AC": "Terminal password", "AD": "PIN", "AE": "Name of the reader",
    "AF": "Message for the screen", "AG": "Line for the printer", "AH": "Due date", "AJ": "Title",
    "AL": "Why the card was blocked", "AM": "Name of the library", "AN": "Place of the terminal", "AO": "Institution",
    "AP": "Current location", "AQ": "Permanent location", "AS": "Item on hold", "AT": "Overdue item",
    "AU": "Item on loan", "AV": "Item with a fine", "BD": "Home address", "BE": "E-mail address", "BF": "Telephone",
    "BG": "Owner", "BH": "Currency", "BI": "Cancel", "BK": "Transaction number", "BL": "Card is valid",
    "BM": "Renewed item", "BN": "Item that was not renewed", "BO": "Fee is agreed to", "BP": "First item wanted",
    "BQ": "Last item wanted", "BR": "Place in the queue", "BS": "Pickup location", "BT": "Kind of fee",
    "BU": "Recalled item", "BV": "Amount", "BW": "Hold expires", "BX": "Messages that are supported",
    "BY": "Kind of hold", "BZ": "Most holds", "CA": "Most overdue items", "CB": "Most loans", "CC": "Most fees",
    "CD": "Hold that is not ready", "CF": "Length of the queue", "CG": "Fee number", "CH": "Properties of the item",
    "CI": "Leave the security mark", "CJ": "Recalled on", "CK": "Medium", "CL": "Sort bin", "CM": "Keep until",
    "CN": "User of the login", "CO": "Password of the login", "CP": "Location code", "CQ": "PIN is right",
    "CR": "Collection", "CS": "Call number", "CT": "Send to", "CV": "Kind of alert", "CY": "Card that waits for it",
    "DA": "Reader who waits for it", "PA": "Card expires, or kind of access", "PB": "Birthday",
    "PC": "Class of reader", "PI": "Internet allowed", "PD": "Birthday", "XI": "Inner number of the reader",
    "FA": "Amount that remains", "FB": "Item of the fee", "FC": "Date of the fee", "FD": "Title of the fee",
    "FE": "Kind of fee, its number", "FF": "Kind of fee, its name", "FG": "Amount that was paid",
    "FU": "Class of reader", "FV": "Class of reader, its name", "KP": "Shelf", "KQ": "Shelf",
}  # fmt: skip
"""Every field by its id. AY and AZ are the line's trailer and no fields."""

FIXED: dict[str, str] = {
    "uid_algorithm": "How the user is encrypted", "pwd_algorithm": "How the password is encrypted",
    "status": "State of the terminal", "print_width": "Width of the printer", "version": "Version",
    "language": "Language", "date": "Date", "summary": "List wanted", "sc_renewal": "The terminal may renew",
    "no_block": "Cannot be refused", "nb_due": "Due date that was promised", "return_date": "Returned on",
    "third_party": "Somebody else may renew", "mode": "What to do with the hold", "fee_type": "Kind of fee",
    "payment_type": "Kind of payment", "currency": "Currency", "card_retained": "Card was kept",
    "ok": "Granted", "online": "On-line", "checkin": "Returns allowed", "checkout": "Loans allowed",
    "renewal": "Renewals allowed", "status_update": "Status updates allowed", "offline": "Off-line work allowed",
    "timeout": "Time limit, tenths of a second", "retries": "Repeats allowed", "sync": "Date and time",
    "patron_status": "State of the card", "holds": "Holds", "overdue": "Overdue items", "charged": "Loans",
    "fines": "Fines", "recalls": "Recalls", "unavailable": "Holds that are not ready", "end": "Ended",
    "renewal_ok": "It was a renewal", "magnetic": "Magnetic medium", "desensitize": "Open the security mark",
    "resensitize": "Close the security mark", "alert": "Alert", "renewed": "Renewed", "unrenewed": "Not renewed",
    "available": "Available", "circulation": "State of the item", "security": "Security mark", "stored": "Stored",
    "accepted": "Accepted",
}  # fmt: skip
"""Every fixed field by its name in ``sip2_fields``."""

PATRON_STATUS = (
    "loans denied", "renewals denied", "recalls denied", "holds denied", "card reported lost", "too many loans",
    "too many overdue", "too many renewals", "too many claims of return", "too many lost", "too many fines",
    "too many fees", "recall overdue", "too many bills",
)  # fmt: skip
SUMMARY = (
    "holds", "overdue items", "loans", "fines", "recalls", "holds that are not ready", "fees",
)  # fmt: skip
SUPPORTED = (
    "Patron Status", "Checkout", "Checkin", "Block Patron", "Status", "Resend", "Login", "Patron Information",
    "End Patron Session", "Fee Paid", "Item Information", "Item Status Update", "Patron Enable", "Hold", "Renew",
    "Renew All",
)  # fmt: skip
"""The positions of BX."""
PAIRS = (
    "23",
    "11",
    "09",
    "01",
    "99",
    "97",
    "93",
    "63",
    "35",
    "37",
    "17",
    "19",
    "25",
    "15",
    "29",
    "65",
)
"""The request that each position of BX stands for."""

_YES_NO = {"Y": "yes", "N": "no"}
_FEE = {
    "01": "other", "02": "administration", "03": "damage", "04": "overdue", "05": "processing", "06": "rental",
    "07": "replacement", "08": "computer", "09": "hold",
}  # fmt: skip
_LANGUAGES = (
    "unknown", "English", "French", "German", "Italian", "Dutch", "Swedish", "Finnish", "Spanish", "Danish",
    "Portuguese", "Canadian French", "Norwegian", "Hebrew", "Japanese", "Russian", "Arabic", "Polish", "Greek",
    "Chinese", "Korean", "American Spanish", "Tamil", "Malay", "British English", "Icelandic", "Belgian", "Taiwanese",
)  # fmt: skip
_VALUES: dict[str, Mapping[str, str]] = {
    "status": {"0": "in order", "1": "out of paper", "2": "about to shut down"},
    "mode": {"+": "add", "-": "delete", "*": "change"},
    "ok": {"0": "no", "1": "yes"},
    "stored": {"0": "no", "1": "yes"},
    "language": {f"{number:03}": name for number, name in enumerate(_LANGUAGES)},
    "fee_type": _FEE,
    "BT": _FEE,
    "payment_type": {"00": "cash", "01": "VISA", "02": "credit card"},
    "circulation": {
        "01": "other", "02": "on order", "03": "on the shelf", "04": "on loan", "05": "on loan, no recall yet",
        "06": "in process", "07": "recalled", "08": "waiting on the hold shelf", "09": "to be shelved",
        "10": "on its way", "11": "said to be returned", "12": "lost", "13": "missing",
    },
    "security": {"00": "other", "01": "none", "02": "Tattle-Tape strip", "03": "Whisper Tape"},
    "CK": {
        "000": "other", "001": "book", "002": "magazine", "003": "bound journal", "004": "audio tape",
        "005": "video tape", "006": "CD", "007": "diskette", "008": "book with diskette", "009": "book with CD",
        "010": "book with audio tape",
    },
    "BY": {"1": "other", "2": "any copy", "3": "this copy", "4": "any copy of one branch"},
    "CV": {
        "00": "unknown", "01": "hold, to be picked up here", "02": "hold of another branch", "03": "interlibrary loan",
        "04": "to another branch", "98": "data are damaged", "99": "other",
    },
}  # fmt: skip


def meaning(key: str, value: str) -> str:
    """What ``value`` of a field or a fixed part means, in English; "" if it says it itself or nobody knows."""
    return _VALUES.get(key, _YES_NO if value in _YES_NO else {}).get(value, "")


def raised(table: tuple[str, ...], flags: str) -> tuple[str, ...]:
    """The names of the positions that hold Y; positions beyond the table have none."""
    return tuple(name for name, flag in zip(table, flags, strict=False) if flag == "Y")


def words() -> frozenset[str]:
    """Everything of this module that people read, for the catalogs' test."""
    values = (name for table in _VALUES.values() for name in table.values())
    return frozenset((
        *FIELDS.values(), *FIXED.values(), *PATRON_STATUS, *SUMMARY, *SUPPORTED, *_YES_NO.values(), *values,
    ))  # fmt: skip
