"""Dates of SIP2: stamps of 18 characters, and the many ways in which due dates come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk.wire.sip2_dates import parse_due, stamp

HANOI = timezone(timedelta(hours=7))
AT = "20261121    101530"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("20261205    235900", datetime(2026, 12, 5, 16, 59, tzinfo=UTC)),
        ("20261205   Z235900", datetime(2026, 12, 5, 23, 59, tzinfo=UTC)),
        ("2011-10-28 23:59:59", datetime(2011, 10, 28, 16, 59, 59, tzinfo=UTC)),
        ("2026-12-05", datetime(2026, 12, 5, 16, 59, 59, tzinfo=UTC)),
        ("20261205", datetime(2026, 12, 5, 16, 59, 59, tzinfo=UTC)),
        ("05/12/2026", datetime(2026, 12, 5, 16, 59, 59, tzinfo=UTC)),
        ("05/12/2026 17:00", datetime(2026, 12, 5, 10, 0, tzinfo=UTC)),
        ("2026-12-05T17:00:00Z", datetime(2026, 12, 5, 17, 0, tzinfo=UTC)),
        ("", None),
        ("in two weeks", None),
        ("20261305    235900", None),
        ("20261205 EST235900", None),
        ("00000000    000000", None),
        ("99999999999999999999", None),
    ],
)
def test_a_due_date_is_a_moment_or_nothing(text: str, wanted: datetime | None) -> None:
    assert parse_due(text, HANOI) == wanted


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_due_date_is_too_odd(text: str) -> None:
    due = parse_due(text, HANOI)
    assert due is None or due.tzinfo is UTC


def test_a_stamp_is_local_and_comes_back() -> None:
    at = datetime(2026, 11, 21, 3, 15, 30, tzinfo=UTC)
    assert stamp(at, HANOI) == AT
    assert parse_due(stamp(at, HANOI), HANOI) == at
    assert parse_due(stamp(at)) == at
