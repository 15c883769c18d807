"""The alarm of the way to a broker: said once, and over when what was refused goes through."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from mocban.alarm import Alarm
from mocban.reasons import judge

LOGIN, FACT = judge("connack", 0x87), judge("puback", 0x87)


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def alarm(heard: list[str]) -> Alarm:
    return Alarm("kiosk-1", heard.append)


def parked() -> float | None:
    return REGISTRY.get_sample_value("mocban_bus_parked", {"device": "kiosk-1"})


def test_it_is_said_once_and_names_what_to_do(alarm: Alarm, heard: list[str]) -> None:
    assert (alarm.say, parked()) == ("", 0)
    for _ in range(3):
        alarm.ring("connack", LOGIN)
    assert heard == [alarm.say] == [f"connack not-authorized: {LOGIN.do}"]
    assert parked() == 1


def test_it_is_over_when_the_broker_lets_us_in(alarm: Alarm, heard: list[str]) -> None:
    alarm.ring("connack", LOGIN)
    alarm.passed(9, renewed=True)
    assert alarm.say, "a watermark says nothing about a login"
    alarm.granted()
    alarm.granted()
    assert (heard[1:], alarm.say, parked()) == ([""], "", 0)


def test_about_a_fact_it_is_over_when_the_watermark_has_passed_it(
    alarm: Alarm, heard: list[str]
) -> None:
    alarm.block(3)
    alarm.ring("puback", FACT)
    alarm.granted()
    alarm.passed(2, renewed=False)
    assert alarm.say, "to be let in is not to have told it"
    alarm.passed(3, renewed=False)
    assert (heard[1:], alarm.say, parked()) == ([""], "", 0)


def test_about_a_fact_it_is_over_when_all_is_told_under_a_new_epoch(alarm: Alarm) -> None:
    alarm.block(3)
    alarm.ring("puback", FACT)
    alarm.passed(0, renewed=True)
    assert alarm.say == ""
