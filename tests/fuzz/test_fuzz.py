"""Foreign bytes end in values or in RemoteProtocolError: seeds always, the fuzzer in the second tier."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kiosk.wire
from tests.fuzz import run
from tests.fuzz.mutants import fits, throw
from tests.fuzz.targets import Target, every

SECONDS = 10
HEARS_NOTHING = {"__init__", "content", "crc", "framing", "masks"}
"""Rooms that read no foreign bytes by themselves."""


@pytest.mark.parametrize("target", every(), ids=lambda target: target.name)
def test_seeds_are_read(target: Target) -> None:
    assert target.seeds
    for seed in target.seeds:
        found = target.run(seed)
        if target.name in {"feig", "m3", "rr9", "uhf18"}:
            assert found == [seed]


@pytest.mark.parametrize("target", every(), ids=lambda target: target.name)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_values(target: Target, data: bytes) -> None:
    target.run(data)


def test_no_room_is_forgotten() -> None:
    rooms = {file.stem for file in Path(kiosk.wire.__file__).parent.glob("*.py")}
    aimed_at = frozenset().union(*(target.rooms for target in every()))
    assert rooms - HEARS_NOTHING == aimed_at - HEARS_NOTHING


def test_a_few_thousand_mutants_show_no_wrong_id() -> None:
    counts = throw(7, 5000).counts
    assert counts["mutants"] == 5000
    assert (counts["wrong"], counts["raised"]) == (0, 0)
    assert counts["unguarded wrong"] > 0  # where nothing guards the id, mutants do change it


@pytest.mark.parametrize(
    ("raw", "right"),
    [
        ("11010131313232333334340000000000000000513E4445373035000000000000", True),
        ("11010131313232333334340000000000000000513E4445373035000000000001", False),
        ("42010111303030473433323100000035030000 00424E56170031304700000000", True),
        ("1182 35C2 8BCC 0DB7 C623 308F C079 D3B4", True),
        ("1182 3507 8BCC 0DB7 C623 308F C079 D3B4", False),
        ("04110000 323030393031303130313233 00000000 FFFFFFFF 7FFFFFFF 00000000", False),
        ("", False),
    ],
)
def test_which_check_values_fit(raw: str, right: bool) -> None:
    assert fits(bytes.fromhex(raw)) is right


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("target", every(), ids=lambda target: target.name)
def test_the_fuzzer_finds_nothing(target: Target) -> None:
    if not os.environ.get("MOCBAN_ALL"):
        pytest.skip(f"the second tier fuzzes {target.name} for {SECONDS} s: MOCBAN_ALL=1")
    found = run.fuzz(target.name, SECONDS)
    assert found.ok, f"{found.broke.hex()}\n{found.log[-4000:]}"
    assert found.runs > 100
