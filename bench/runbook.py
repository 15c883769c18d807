"""Operations killed at random points of the gate-storm playbook: stuck, doubled orders, approvals skipped, and time.

Broker, gateway and gate are real processes, started once; persons try again. Every third execution is stopped halfway
and undoes what it did; some are never approved and must order nothing. Each kill ends a whole process; the next one is
forked from a process that has loaded its modules, so a start costs no import.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from mocban.benches import Case, case
from tests.fault.runbooks import Figures, storm

WHOLE = "an undisturbed execution"


def run(quick: bool) -> list[Case]:
    """15 kills, or 300, at most 8 in one execution; a few undisturbed executions beside them."""
    with tempfile.TemporaryDirectory(prefix="mocban-bench-") as folder:
        found = storm(
            Path(folder),
            15 if quick else 300,
            8,
            whole=3 if quick else 10,
            withheld=1 if quick else 5,
        )
    print(
        f"runbook: {found.kills} kills in {found.executions} executions, which ended {dict(found.ends)}"
    )
    return [
        _count("stuck", found.stuck, "executions", found),
        _count("doubled orders", found.doubled, "orders", found),
        _count("approvals skipped", found.skipped, "orders", found),
        _count("orders of no execution", found.strange, "orders", found),
        case("last kill to its end", found.after, found.whole, unit="s", goal=30, what=WHOLE),
    ]  # fmt: skip


def _count(name: str, value: int, unit: str, found: Figures) -> Case:
    """Something that must not be, over all executions."""
    what = f"the same, {len(found.whole)} undisturbed executions"
    return Case(
        f"{name}, {found.kills} kills", value, 0, unit, 0, what, value, value, found.executions
    )
