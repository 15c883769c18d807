"""A disk that is full: it is said, nothing is lost, and all goes on when there is room again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fault.day import CARD, ITEM, Kiosk, Patron, peers
from tests.fault.disk import fill, small_disk
from tests.fault.harness import Stand, until

SIZE = '2m'
"""Small, yet more than the write-ahead logs (4 MiB each until they are copied back) and the databases together."""


def test_a_device_on_a_full_disk_puts_nothing_twice_and_goes_on_when_freed(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", SIZE) as disk,
        Stand(tmp_path, "mosquitto", total=200, data=disk) as stand,
    ):
        stand.start()
        until(lambda: stand.device.put() >= 50, "facts are put")
        ballast = fill(disk)
        until(lambda: stand.device.status()["faults"] >= 5, "the disk refuses")
        ballast.unlink()
        stand.settle()
        stand.told_once()


def test_a_gateway_on_a_full_disk_confirms_nothing_and_goes_on_when_freed(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "central", SIZE) as disk,
        Stand(tmp_path, "mosquitto", total=200) as stand,
    ):
        stand.start()
        until(lambda: len(stand.gateway.loans()) >= 30, "facts are stored")
        ballast = fill(disk)
        until(lambda: not stand.gateway.json("/healthz")["ok"], "the gateway says so")
        until(lambda: stand.device.put() == stand.device.total, "all is put")
        assert stand.device.status()["depth"] > 0
        ballast.unlink()
        stand.settle()
        stand.told_once()


@pytest.mark.parametrize("moment", ["before the visit", "after the loan"])
def test_a_kiosk_on_a_full_disk_says_so_and_works_again_when_freed(
    moment: str, tmp_path: Path
) -> None:
    async def scenario(disk: Path) -> None:
        async with peers(tmp_path) as (world, sip2, pad):
            with Kiosk(tmp_path, disk, sip2, pad) as kiosk:
                kiosk.start()
                patron = Patron(world, kiosk)
                await patron.until(kiosk.ready, "the kiosk is ready")
                if moment == "before the visit":
                    ballast = fill(disk)
                    world.show_card(CARD)
                else:
                    world.show_card(CARD)
                    await patron.until(lambda: kiosk.screen() == "borrow", "borrowing is open")
                    world.lay("de-men")
                    await patron.until(lambda: world.loan(ITEM) is not None, "it is lent")
                    ballast = fill(disk)
                await patron.until(lambda: not kiosk.health().get("ok", False), "it says so")
                ballast.unlink()
                await patron.until(kiosk.ready, "it works again")
                await patron.borrow()
                await patron.bring_back()
                await patron.leave()
                counters = world.counters()
                lent = counters["loans_in_ils"] - counters["undone_in_ils"]
                await patron.until(lambda: kiosk.told("loan-made") == lent, "each loan is told")
                assert lent == 1
                assert counters["returns_in_ils"] == 1
                await patron.until(lambda: kiosk.told("return-made") == 1, "the return is told")
                assert kiosk.end() == 0

    with small_disk(tmp_path / "disk", SIZE) as disk:
        asyncio.run(scenario(disk))
