"""A disk that is full: it is said, nothing is lost, and all goes on when there is room again."""

from __future__ import annotations

import asyncio
import contextlib
from functools import reduce
from pathlib import Path

import pytest

from mocban.clock import SystemClock
from mocban.errors import StorageError
from mocban.events import CHAIN_0, LoanMade, chain
from mocban.messages import Ack
from mocban.outbox import Outbox
from tests.fault.day import CARD, ITEM, Kiosk, Patron, peers
from tests.fault.disk import fill, small_disk
from tests.fault.harness import Stand, until

SIZE = "2m"
"""Small, yet more than the write-ahead log (0.8 MB until it is copied back) and the database together."""


def test_a_device_on_a_full_disk_puts_nothing_twice_and_goes_on_when_freed(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", SIZE) as disk,
        Stand(tmp_path, "mosquitto", total=800, data=disk) as stand,
    ):
        stand.start()
        until(lambda: stand.device.put() >= 50, "facts are put")
        stand.gateway.freeze()  # nothing it confirms makes room
        ballast = fill(disk)
        until(lambda: stand.device.status()["faults"] >= 5, "the disk refuses")
        ballast.unlink()
        stand.gateway.thaw()
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


def test_on_a_full_disk_the_outbox_writes_over_its_log_that_was_copied_back(tmp_path: Path) -> None:
    def loan(line: int) -> LoanMade:
        return LoanMade(session="s1", line=line, item=f"{line}")

    def opened(disk: Path) -> Outbox:
        return Outbox(disk / "x.db", "kiosk-1", SystemClock(), cap=50_000)

    with small_disk(tmp_path / "disk", SIZE) as disk:
        with contextlib.closing(opened(disk)) as outbox:  # leaves a file with empty pages in it
            for line in range(100):
                outbox.put(loan(line))
            told = reduce(chain, (row.payload for row in outbox.rows(0, 100)), CHAIN_0)
            assert outbox.acked(Ack(epoch=outbox.epoch, upto=100, chain=told.hex())) == 100
        with contextlib.closing(opened(disk)) as outbox:
            for line in range(100, 110):
                outbox.put(loan(line))
            fill(disk)
            taken = 0
            for line in range(110, 160):
                with contextlib.suppress(StorageError):
                    taken += outbox.put(loan(line))
            assert taken >= 25, "a refusal frees the log for those that come after it"
            assert outbox.depth == 10 + taken


def test_a_disk_filled_by_the_facts_themselves_still_takes_the_watermark(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", "4m") as disk,
        contextlib.closing(Outbox(disk / "x.db", "kiosk-1", SystemClock())) as outbox,
    ):
        line = refused = 0
        while refused < 20:
            try:
                outbox.put(LoanMade(session="s1", line=line, item="BG00012345"))
                line, refused = line + 1, 0
            except StorageError:
                refused += 1
        told, value = outbox.told, CHAIN_0
        assert told > 1000
        while outbox.depth:
            rows = outbox.rows(0, 50)
            value = reduce(chain, (row.payload for row in rows), value)
            ack = Ack(epoch=outbox.epoch, upto=rows[-1].seq, chain=value.hex())
            assert outbox.acked(ack) == len(rows)
        assert outbox.put(LoanMade(session="s2", line=1, item="BG00012345"))


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
