"""Whatever is killed whenever, every execution ends, and nothing is doubled, unapproved or left undone."""

from __future__ import annotations

from collections import Counter
from hashlib import shake_128
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.runbooks import cacao
from tests.support.runbook_author import Tape
from tests.support.runbook_judge import judge
from tests.support.runbook_world import Crash, Stand, play

SHIPPED = Path(__file__).parents[2] / "ops" / "playbooks"


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("name", ["gate-storm", "reader-lost"])
def test_a_shipped_playbook_killed_at_each_place_does_what_it_does_undisturbed(
    name: str, stopped: bool
) -> None:
    playbook = cacao.parse((SHIPPED / f"{name}.json").read_bytes())

    def lived(fuse: int) -> Stand:
        stand = Stand(Tape(iter(()), calm=True), playbook, fuse, __device__="gate-1")
        stand.world.lost = "reader"
        for _ in range(2):
            try:
                if stand.run.stage != "over":
                    stand.quiesce(stopping=stopped)
                judge(stand)
            except Crash:
                stand.restart()
        return stand

    right = lived(0)
    assert right.run.outcome == ("stopped" if stopped else "done")
    assert right.places > 10
    for fuse in range(1, right.places + 1):
        stand = lived(fuse)
        assert (stand.crashes, stand.run.outcome) == (1, right.run.outcome)
        assert sorted(stand.world.acts) == sorted(right.world.acts)


@settings(
    max_examples=300, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(st.binary(min_size=80, max_size=400))
def test_everything_ends_and_nothing_is_doubled_or_unapproved_whatever_happens(data: bytes) -> None:
    judge(play(data))


def test_so_it_is_after_800_long_histories_that_saw_everything() -> None:
    seen: Counter[str] = Counter()
    for number in range(800):
        stand = play(shake_128(number.to_bytes(4, "big")).digest(500))
        judge(stand)
        seen["crash"] += stand.crashes
        seen[f"run {stand.run.outcome}"] += 1
        seen.update(kind for kind, _ in stand.journal)
        seen.update(f"step {v.reason}" for v in stand.run.visits.values() if v.over)
        seen["undo"] += sum(1 for v in stand.run.visits.values() if v.kind == "undo")
        seen["exception"] += stand.run.excepted
    # A history that never gets anywhere proves nothing: each of these must have happened often.
    wanted = {
        "crash": 1000, "run done": 100, "run failed": 300, "run stopped": 50, "Woke": 50, "Approved": 500, "Denied": 50,
        "Resumed": 300, "Passed": 500, "Sent": 500, "Stopped": 50, "undo": 300, "exception": 50, "step timeout": 100,
        "step expired": 40, "step nothing-to-undo": 10,
    }  # fmt: skip
    assert {name: seen[name] for name, least in wanted.items() if seen[name] < least} == {}
