"""Nothing lost, nothing doubled when broker, gateway and device die around a fact; believing a PUBACK loses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault.harness import BROKERS
from tests.fault.race import race

TRIES = 4


@pytest.mark.parametrize("run", [1, 2])
@pytest.mark.parametrize("kind", BROKERS)
def test_a_forced_race_loses_nothing_and_doubles_nothing(
    kind: str, run: int, tmp_path: Path
) -> None:
    figures = race(tmp_path, kind, f"{kind}/{run}")
    assert (figures.lost, figures.doubled, figures.left) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["iotcore", "mosquitto"])
def test_a_device_that_believes_a_puback_loses_in_the_same_race(kind: str, tmp_path: Path) -> None:
    for run in range(TRIES):
        folder = tmp_path / str(run)
        folder.mkdir()
        if race(folder, kind, f"control/{kind}/{run}", control=True).lost > 0:
            return
    pytest.fail(f"the control lost nothing in {TRIES} runs: this race proves nothing")
