"""Lines cut, muted, slow and broken in the middle of a packet; processes that stand still: nothing lost or doubled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random  # noqa: TID251  see harness

import pytest

from tests.fault.harness import Line, Stand, pause, seeded, until

TOTAL = 300


def cut(line: Line, _: Random) -> None:
    """Refused for a second."""
    line.cut()
    pause(1.0)
    line.restore()


def mute(line: Line, _: Random) -> None:
    """Two seconds in which nothing goes through."""
    line.mute()
    pause(2.0)
    line.restore()


def slow(line: Line, _: Random) -> None:
    """A tenth of a second a chunk, for two."""
    line.delay = 0.1
    pause(2.0)
    line.restore()


def broken(line: Line, numbers: Random) -> None:
    """Three times in the middle of a packet."""
    for _ in range(3):
        made = line.made
        line.break_after(numbers.randrange(1, 3000))
        until(lambda made=made: line.made > made, "the line is made anew")  # type: ignore[misc]


FAULTS: list[Callable[[Line, Random], None]] = [cut, mute, slow, broken]


@pytest.mark.parametrize("where", ["edge", "centre"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.__name__))
def test_a_bad_line_loses_nothing_and_doubles_nothing(
    fault: Callable[[Line, Random], None], where: str, tmp_path: Path
) -> None:
    _, numbers = seeded(f"{fault.__name__}/{where}")
    with Stand(tmp_path, "mosquitto", total=TOTAL) as stand:
        stand.start()
        until(lambda: stand.device.put() >= numbers.randrange(5, 30), "facts are put")
        fault(stand.edge_line if where == "edge" else stand.centre_line, numbers)
        stand.settle()
        stand.told_once()


@pytest.mark.parametrize("who", ["broker", "gateway", "kiosk-1"])
def test_a_process_that_stands_still_loses_nothing_and_doubles_nothing(
    who: str, tmp_path: Path
) -> None:
    with Stand(tmp_path, "mosquitto", total=TOTAL) as stand:
        stand.start()
        until(lambda: stand.device.put() >= 20, "facts are put")
        process = next(p for p in (stand.broker, stand.gateway, stand.device) if p.name == who)
        process.freeze()
        pause(2.0)
        process.thaw()
        stand.settle()
        stand.told_once()
