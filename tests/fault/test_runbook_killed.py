"""Operations die at random points of a playbook: it ends, nothing is doubled, nothing is ordered unapproved."""

from __future__ import annotations

from pathlib import Path

from tests.fault.runbooks import storm


def test_a_playbook_survives_its_engines_death_at_random_points(tmp_path: Path) -> None:
    found = storm(tmp_path, kills=12, each=6)
    assert found.kills >= 12
    assert (found.stuck, found.doubled, found.skipped, found.strange) == (0, 0, 0, 0)
    assert set(found.ends) <= {"done", "stopped"}
