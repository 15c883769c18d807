"""The bars of the last 24 hours, as numbers for an SVG. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.store.port import Hour, Measure

WIDTH, HEIGHT = 720, 200
"""The picture's own units."""
_LEFT, _TOP, _BOTTOM = 34, 12, 26
_STEPS = (4, 10, 20, 40, 100, 200, 400, 1000, 2000, 4000, 10_000, 100_000)


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle; ``shade`` names its series."""

    x: float
    y: float
    width: float
    height: float
    shade: Measure


@dataclass(frozen=True, slots=True)
class Group:
    """One hour: its bars, its label on the axis (empty for most) and its numbers for readers of screens."""

    x: float
    width: float
    hour: int
    label: str
    bars: tuple[Bar, ...]
    amounts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole picture; ``lines`` are (y, value) of the grid."""

    groups: tuple[Group, ...]
    lines: tuple[tuple[float, int], ...]
    empty: bool


def draw(
    hours: Sequence[Hour], found: Mapping[Hour, Mapping[Measure, int]], series: Sequence[Measure]
) -> Chart:
    """A group of bars for each of ``hours`` (oldest first), one bar for each of ``series``."""
    rows = [tuple(found.get(hour, {}).get(measure, 0) for measure in series) for hour in hours]
    most = max((amount for row in rows for amount in row), default=0)
    top = next((step for step in _STEPS if step >= most), most)
    floor = HEIGHT - _BOTTOM
    scale = (floor - _TOP) / top
    pitch = (WIDTH - _LEFT) / max(len(hours), 1)
    width = round(pitch * 0.72 / len(series), 2)
    groups = []
    for i, (hour, row) in enumerate(zip(hours, rows, strict=True)):
        x = _LEFT + i * pitch
        bars = tuple(
            Bar(round(x + pitch * 0.14 + j * width, 2), round(floor - amount * scale, 2), width - 1,
                round(amount * scale, 2), measure)
            for j, (measure, amount) in enumerate(zip(series, row, strict=True))
            if amount
        )  # fmt: skip
        label = f"{hour.hour}:00" if hour.hour % 3 == 0 else ""
        groups.append(Group(round(x, 2), round(pitch, 2), hour.hour, label, bars, row))
    lines = tuple(
        (round(floor - part * top // 2 * scale, 2), part * top // 2) for part in (0, 1, 2)
    )
    return Chart(tuple(groups), lines, most == 0)
