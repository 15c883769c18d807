"""Light beams one behind the other: who came in, who left, who thought better of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.devices.beams import INNER, OUTER, Beams

BOTH = OUTER | INNER


def crossed(*readings: int) -> tuple[int, int]:
    beams = Beams()
    for number, dark in enumerate(readings):
        beams.read(dark, number * 0.05)
    return beams.entered, beams.left


@pytest.mark.parametrize(
    ("readings", "entered", "left"),
    [
        ((OUTER, BOTH, INNER, 0), 1, 0),
        ((INNER, BOTH, OUTER, 0), 0, 1),
        ((OUTER, INNER, 0), 1, 0),
        ((OUTER, OUTER, BOTH, BOTH, INNER, INNER, 0, 0), 1, 0),
        ((OUTER, BOTH, OUTER, 0), 0, 0),  # stepped back
        ((OUTER, 0), 0, 0),  # a hand
        ((OUTER, BOTH, 0), 1, 0),  # the last part was too quick to be seen
        ((BOTH, INNER, 0), 1, 0),
        ((BOTH, OUTER, 0), 0, 1),
        ((BOTH, 0), 0, 0),  # nobody knows
        ((OUTER, BOTH, INNER, 0, INNER, BOTH, OUTER, 0), 1, 1),
        ((OUTER, BOTH, INNER), 0, 0),  # still there
    ],
)
def test_the_order_of_the_beams_is_the_way(
    readings: tuple[int, ...], entered: int, left: int
) -> None:
    assert crossed(*readings) == (entered, left)


def test_who_is_in_the_gate_has_the_way_they_began_and_keeps_it_for_a_moment() -> None:
    beams = Beams()
    assert beams.way(0.0) == "unknown"
    beams.read(INNER, 1.0)
    assert beams.way(1.0) == "out"
    for dark in (BOTH, OUTER, 0):
        beams.read(dark, 1.2)
    assert beams.way(1.9) == "out"
    assert beams.way(2.3) == "unknown"


@given(st.lists(st.integers(0, 255), max_size=100))
def test_any_readings_count_at_most_one_person_for_each_gap(readings: list[int]) -> None:
    entered, left = crossed(*readings)
    gaps = sum(1 for before, now in pairwise(readings) if before & 3 and not now & 3)
    assert 0 <= entered + left <= gaps
