"""The registry of drivers and what is written about it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kiosk.devices import GATES, PADS, open_gate, open_pad
from kiosk.devices.base import Passage, Tag

TABLE = Path(__file__).parents[2] / "docs" / "devices.md"
GRADES = {"bronze", "silver", "gold", "platinum"}
ENTRIES = [("pad", name) for name in PADS] + [("gate", name) for name in GATES]


def rows() -> dict[tuple[str, str], str]:
    """(kind, driver) -> grade, from the table for people."""
    found = re.findall(
        r"^\| (pad|gate) \| `([^`]+)` \|[^|]*\|[^|]*\| (\w+) \|",
        TABLE.read_text("utf-8"),
        re.MULTILINE,
    )
    return {(kind, name): grade for kind, name, grade in found}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_driver_has_a_graded_row(entry: tuple[str, str]) -> None:
    assert rows()[entry] in GRADES


def test_no_row_promises_a_driver_that_is_not_there() -> None:
    assert rows().keys() == set(ENTRIES)


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_name_leads_to_a_driver(kind: str, name: str) -> None:
    driver = open_pad(name, "memory://x") if kind == "pad" else open_gate(name, "memory://x")
    assert driver.noise == 0


def test_a_tag_never_shows_what_it_holds() -> None:
    shown = repr(Tag("E004", data=b"TV2400001")) + repr(Passage("E004", 7, b"TV2400001"))
    assert "TV24" not in shown


def test_the_registry_imports_no_driver_before_it_is_asked_for() -> None:

    code = (
        "import sys, kiosk.devices; print([m for m in sys.modules if 'feig' in m or m == 'serial'])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
