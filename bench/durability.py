"""The forced race, over and over: broker killed, the device back first, gateway and device killed; lost and doubled.

The reference is a device that forgets a fact on the broker's PUBACK, in the same harness and the same races. It must
lose, or the race proves nothing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from mocban.benches import Case, case
from tests.fault.harness import BROKERS
from tests.fault.race import TOTAL, Figures, race

PUBACK = "a device that believes a PUBACK"


def run(quick: bool) -> list[Case]:
    """Six races, or thirty, over the three brokers in turn; a third as many of the control."""
    ours = [_once(n, control=False) for n in range(6 if quick else 30)]
    control = [_once(n, control=True) for n in range(3 if quick else 9)]
    assert sum(f.lost for f in control) > 0, "the control lost nothing: this race proves nothing"

    def total(name: str, pick: str, unit: str) -> Case:
        """The sum over all runs: a median would hide a single loss."""
        mine, theirs = [[float(getattr(f, pick)) for f in side] for side in (ours, control)]
        return Case(
            name, sum(mine), sum(theirs), unit, 0, f"{PUBACK}, {len(theirs)} rounds",
            min(mine), max(mine), len(mine),
        )  # fmt: skip

    assert all(f.sent == TOTAL for f in ours)
    return [
        total(f"lost, {TOTAL} told a race", "lost", "facts"),
        total(f"doubled, {TOTAL} told a race", "doubled", "facts"),
        total("left in the outboxes", "left", "facts"),
        case("last fault to empty outbox", [f.seconds for f in ours], [f.seconds for f in control],
             unit="s", goal=20, what=PUBACK),
    ]  # fmt: skip


def _once(number: int, *, control: bool) -> Figures:
    kind = BROKERS[number % len(BROKERS)]
    with tempfile.TemporaryDirectory(prefix="mocban-bench-") as folder:
        return race(Path(folder), kind, f"{kind}/{number}/{control}", control=control)
