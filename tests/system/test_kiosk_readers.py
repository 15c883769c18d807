"""A whole kiosk over readers that are no FEIG: a loan and a return, to the mark on the tag and the fact."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from kiosk.emulators import rr9_pad, uhf18_pad
from kiosk.session.state import Mode, Phase
from tests.support import kiosk_branch
from tests.support.emulated import Emulator
from tests.support.kiosk_branch import DE_MEN, IN_STOCK, LICH_SU, ON_LOAN, Branch, play, until
from tests.support.second_tier import ALL

READERS = {
    "uhf18": ("uhf18", uhf18_pad.main),
    "rr9": ("rr9", rr9_pad.main),
    "uhf288": ("uhf18", uhf18_pad.main288),
}


@pytest.mark.parametrize(
    ("driver", "main"), [READERS[name] for name in list(READERS)[: 3 if ALL else 1]]
)
def test_books_are_lent_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str, main: Emulator
) -> None:
    monkeypatch.setattr(kiosk_branch, "reader", SimpleNamespace(main=main))

    async def scenario(at: Branch) -> None:
        await at.card()
        at.world.lay("de-men")
        at.world.lay("lich-su")
        await until(lambda: at.phases() == {DE_MEN: Phase.TOLD, LICH_SU: Phase.TOLD})
        assert at.world.tag("de-men").afi == at.world.tag("lich-su").afi == ON_LOAN
        assert [data["security"] for _, data in at.facts("loan-made")] == ["off", "off"]
        await at.tap("finish")
        await until(lambda: at.mode is Mode.IDLE)
        for name in ("de-men", "lich-su"):
            at.world.lift(name)
        await until(lambda: not at.kiosk.runner.visit.pad)
        await at.tap("return")
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        assert at.world.tag("de-men").afi == IN_STOCK
        assert at.world.tag("lich-su").afi == ON_LOAN
        assert at.world.loan(DE_MEN) is None

    play(tmp_path, scenario, pad_driver=driver, pad=f"serial://{tmp_path}/pad")
