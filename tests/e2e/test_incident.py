"""A night with a gate storm, from the first cry to the closed incident, by its own command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kill", [False, True], ids=["undisturbed", "killed"])
def test_the_night_ends_well(kill: bool, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mocban", "demo", "--incident", "gate-storm", "--json", "--keep", str(tmp_path),
         *(["--kill"] if kill else [])],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, result
    assert (result["playbook"], result["incident"]) == ("done", "resolved")
    assert (result["modes"], result["approved_by"]) == ("silent open", "person:lan")
    assert result["kills"] == (4 if kill else 0)
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words", [["--incident", "flood"], ["--incident", "gate-storm", "--once"], ["--kill"]]
)
def test_a_story_that_is_none_says_so(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mocban", "demo", *words], capture_output=True, text=True, timeout=30, check=False
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("mocban: ")
    assert done.stderr.count("\n") == 1
