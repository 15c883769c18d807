"""Dates of SIP2: 18 characters ``YYYYMMDDZZZZHHMMSS``, and the free text that due dates come in."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, tzinfo

_STAMP = re.compile(r"(\d{4})(\d{2})(\d{2})([A-Z ]{4})(\d{2})(\d{2})(\d{2})")
_YEAR_FIRST = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ]+(\d{2}):(\d{2})(?::(\d{2}))?(?:\.\d+)?(Z?))?"
)
_DAY_FIRST = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:,? +(\d{2}):(\d{2})(?::(\d{2}))?)?")


def stamp(at: datetime, zone: tzinfo | None = None) -> str:
    """``at`` in local time (``zone``, or the machine's) as SIP2's 18 characters."""
    return at.astimezone(zone).strftime("%Y%m%d    %H%M%S")


def parse_due(text: str, zone: tzinfo | None = None) -> datetime | None:
    """The moment a due date names, in UTC; a day alone means its end; None for free text.

    A date that begins with the day is read day/month/year, as Vietnam writes it.
    """
    text = text.strip()
    zulu = False
    if found := _STAMP.fullmatch(text):
        year, month, day, mark, *clock = found.groups()
        zulu = mark.strip() in ("Z", "UTC", "GMT")
        if mark.strip() and not zulu:
            return None  # another zone's letters: better no date than a wrong one
    elif found := _YEAR_FIRST.fullmatch(text):
        year, month, day, *clock, last = found.groups()
        zulu = last == "Z"
    elif found := _DAY_FIRST.fullmatch(text):
        day, month, year, *clock = found.groups()
    else:
        return None
    try:
        hour, minute, second = map(int, (part or 0 for part in clock)) if clock[0] else (23, 59, 59)
        local = datetime.combine(date(int(year), int(month), int(day)), time(hour, minute, second))
        return local.replace(tzinfo=UTC) if zulu else _to_utc(local, zone)
    except (ValueError, OverflowError, OSError):
        return None


def _to_utc(local: datetime, zone: tzinfo | None) -> datetime:
    """A naive ``astimezone`` reads the machine's zone; with a ``zone`` it is named first."""
    return (local.replace(tzinfo=zone) if zone else local).astimezone(UTC)
