"""A real kiosk process killed in the middle of a borrow and started again: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from kiosk.emulators.world import World
from tests.support.kiosk_process import Process, holding, peers, until

ITEM, CARD = "BG00012345", "TV2400001"

MOMENTS: dict[str, Callable[[World, Process], bool]] = {
    "the tag was seen": lambda _, kiosk: "TagSeen" in kiosk.journal(),
    "the library system lent it": lambda world, _: world.loan(ITEM) is not None,
    "the grant is in the journal": lambda _, kiosk: "IlsGranted" in kiosk.journal(),
    "the tag was opened": lambda world, _: world.tag("de-men").afi == 0xC2,
    "the fact is in the outbox": lambda _, kiosk: bool(kiosk.facts("loan-made")),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kiosk_killed_in_the_middle_of_a_borrow_finishes_it(tmp_path: Path, moment: str) -> None:
    async def scenario() -> None:
        async with peers(tmp_path) as (world, sip2):
            kiosk = Process(tmp_path, sip2, tmp_path / "data")
            try:
                await kiosk.start()
                world.show_card("the-1")
                await until(lambda: "PatronKnown" in kiosk.journal())
                world.lay("de-men")
                await until(lambda: MOMENTS[moment](world, kiosk), step=0.001)
                await kiosk.kill()
                assert holding(kiosk.data, CARD.encode()) == []
                await kiosk.start()
                await until(
                    lambda: bool(kiosk.facts("loan-made")) and world.tag("de-men").afi == 0xC2
                )
                assert await kiosk.stop() == 0
                loan = world.loan(ITEM)
                assert loan is not None
                assert loan.card == CARD
                assert world.counters()["loans_in_ils"] == 1
                assert world.counters()["undone_in_ils"] == 0
                told = kiosk.facts("loan-made", "item-refused", "return-made")
                assert [(kind, data["item"], data["security"]) for kind, data in told] == [
                    ("loan-made", ITEM, "off")
                ]
                assert holding(kiosk.data, CARD.encode()) == []
            finally:
                await kiosk.stop()

    asyncio.run(scenario())
