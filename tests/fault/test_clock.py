"""A clock at 1970, in 2100 or jumping between them: every fact is stored once and counts on the day it arrived."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.fault.faketime import clock_env, jump
from tests.fault.harness import CLOCK, Stand, until

TOTAL = 60


def offset(year: int) -> int:
    """Seconds from now to the first minute of ``year``; 0 stands for the right time."""
    if year == 0:
        return 0
    return int((datetime(year, 1, 1, 0, 1, tzinfo=UTC) - CLOCK.now()).total_seconds())


@pytest.mark.parametrize("year", [1970, 2100])
def test_a_device_with_a_wrong_clock_counts_on_the_day_of_arrival(
    year: int, tmp_path: Path
) -> None:
    with Stand(tmp_path, total=TOTAL) as stand:
        stand.device.env = clock_env(tmp_path / "clock", offset(year))
        stand.start()
        stand.settle()
        assert stand.device.status()["now"].startswith(str(year))
        stand.told_once()
        assert _today(stand) == TOTAL


def test_a_clock_that_jumps_while_facts_are_told_loses_and_doubles_none(tmp_path: Path) -> None:
    with Stand(tmp_path, total=3 * TOTAL) as stand:
        stand.device.env = clock_env(tmp_path / "clock", offset(1970))
        stand.start()
        for told, year in ((TOTAL, 2100), (2 * TOTAL, 0)):
            until(lambda told=told: stand.device.put() >= told, "facts are put")  # type: ignore[misc]
            jump(tmp_path / "clock", offset(year))
        stand.settle()
        stand.told_once()
        assert _today(stand) == 3 * TOTAL


@pytest.mark.parametrize("year", [1970, 2100])
def test_a_gateway_whose_clock_is_wrong_until_it_is_set_stores_all_of_them_once(
    year: int, tmp_path: Path
) -> None:
    with Stand(tmp_path, total=2 * TOTAL) as stand:
        stand.gateway.env = clock_env(tmp_path / "clock", offset(year))
        stand.start()
        until(lambda: stand.device.put() >= TOTAL, "facts are put")
        jump(tmp_path / "clock", 0)
        stand.settle()
        stand.told_once()
        assert stand.gateway.facts()[0]["rx"].startswith(str(year))


def _today(stand: Stand) -> int:
    """Loans of the statistics day that is now."""
    today = stand.gateway.json("/api/v1/counts")["today"]
    assert today["day"] == str(CLOCK.now().astimezone(ZoneInfo("Asia/Ho_Chi_Minh")).date())
    return int(today["counts"]["loans"])
