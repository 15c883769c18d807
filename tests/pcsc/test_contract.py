"""The scenarios of every pad, over PC/SC through pyscard and a real pcscd."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from kiosk.devices import open_pad
from kiosk.emulators import pcsc_pad
from tests.contract import test_pad as contract
from tests.contract import test_pad_writes as writes
from tests.pcsc.stand import url
from tests.support.emulated import demo, emulated
from tests.support.pads import EMULATORS, Branch, Reader, Run, Scenario

NOT_HERE = {
    "test_a_pad_says_which_reader_it_is": "the service tells a reader's name, no release",
    "test_the_wrong_speed_is_a_lost_device_and_not_a_wrong_answer": "USB has no speed to set",
}
"""Scenarios about serial lines. A reader that never answers is in ``test_trouble``."""


class PcscBranch(Branch):
    """A branch whose pad is found by the service's socket."""

    def url(self, query: str) -> str:
        del query
        return url(self.link)


@pytest.fixture
def run(pad_link: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a scenario of the contract at a demo branch."""
    monkeypatch.setitem(EMULATORS, "pcsc", Reader(pcsc_pad.main, "", ""))

    def start(scenario: Scenario, seed: dict[str, Any] | None = None, needs: str = "") -> None:
        del needs  # it has all that an HF reader can have

        async def visit() -> None:
            pad = open_pad("pcsc", url(pad_link))
            async with emulated(pcsc_pad.main, pad_link, pad, seed or demo()) as (world, _):
                await scenario(PcscBranch(world, pad, pad_link, "pcsc"))

        asyncio.run(visit())

    return start


for _name, _scenario in [*vars(contract).items(), *vars(writes).items()]:
    if _name in NOT_HERE or not _name.startswith("test_"):
        continue
    if "run" in inspect.signature(_scenario).parameters:
        globals()[_name] = _scenario


def test_scenarios_left_out_are_scenarios() -> None:
    assert NOT_HERE.keys() <= vars(contract).keys()
    assert len([name for name in globals() if name.startswith("test_")]) > 10
