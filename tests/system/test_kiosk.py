"""The kiosk whole: journal, runner, SIP2, FEIG pad on a pty and screen, over one world."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from kiosk.app import assemble
from kiosk.session.state import Mode, Phase
from mocban import supervise
from tests.support.kiosk_branch import (
    CARD,
    DE_MEN,
    HELD,
    IN_STOCK,
    LICH_SU,
    ON_LOAN,
    Branch,
    configuration,
    free_port,
    peers,
    play,
    until,
)  # fmt: skip


def test_a_book_is_lent_opened_and_told(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        await at.card()
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        assert at.world.loan(DE_MEN) is not None
        assert at.world.tag("de-men").afi == ON_LOAN
        [(kind, data)] = at.facts("loan-made", "item-refused")
        assert (kind, data["item"], data["security"]) == ("loan-made", DE_MEN, "off")
        assert data["due"]

    play(tmp_path, scenario)


def test_books_that_lie_there_before_the_card_are_lent_once_it_is_known(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        at.world.lay("de-men")
        at.world.lay("lich-su")
        await at.tap("borrow")
        await at.card()
        await until(lambda: at.phases() == {DE_MEN: Phase.TOLD, LICH_SU: Phase.TOLD})
        assert {fact["item"] for _, fact in at.facts("loan-made")} == {DE_MEN, LICH_SU}

    play(tmp_path, scenario)


def test_a_held_book_stays_closed_and_the_others_are_lent(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        at.world.lay("thoi-gian")
        at.world.lay("lich-su")
        await at.card()
        await until(lambda: at.phases() == {HELD: Phase.SAID, LICH_SU: Phase.TOLD})
        assert at.world.tag("thoi-gian").afi == IN_STOCK
        assert [(f["item"], f["reason"]) for _, f in at.facts("item-refused")] == [
            (HELD, "on-hold")
        ]

    play(tmp_path, scenario)


def test_a_book_comes_back_after_the_thanks_and_is_closed_again(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        await at.card()
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        await at.tap("finish")
        assert at.mode is Mode.DONE
        await until(lambda: at.mode is Mode.IDLE)
        at.world.lift("de-men")
        await until(lambda: not at.kiosk.runner.visit.pad)
        await at.tap("return")
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        assert at.world.loan(DE_MEN) is None
        assert at.world.tag("de-men").afi == IN_STOCK
        assert [f["security"] for _, f in at.facts("return-made")] == ["on"]

    play(tmp_path, scenario, thanks_seconds=0.2)


def test_a_book_left_by_the_last_reader_is_not_touched_until_it_is_lifted(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        await at.card()
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        await at.tap("finish")
        await at.tap("return")
        at.world.lay("lich-su")
        await until(lambda: at.phases() == {LICH_SU: Phase.REFUSED} or LICH_SU in at.phases())
        assert DE_MEN not in at.phases()
        assert at.world.loan(DE_MEN) is not None

    play(tmp_path, scenario)


def test_a_loan_whose_tag_takes_no_write_is_undone(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        at.world.set_fault("write-fails", "on")
        await at.card()
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.UNDONE)
        assert at.world.loan(DE_MEN) is None
        assert at.world.tag("de-men").afi == IN_STOCK
        assert at.world.counters()["undone_in_ils"] == 1
        assert at.facts("loan-made", "return-made", "item-refused") == []

    play(tmp_path, scenario, tag_tries=2)


def test_nobody_is_left_with_a_book_when_the_library_system_dies_in_the_middle(
    tmp_path: Path,
) -> None:
    async def scenario(at: Branch) -> None:
        await at.card()
        at.world.set_fault("ils-silent", "1")
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.UNKNOWN)
        assert at.world.tag("de-men").afi == IN_STOCK
        assert at.kiosk.runner.visit.notice == "ils-silent"
        at.world.set_fault("ils-silent", "")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        assert at.world.counters()["loans_in_ils"] == 1
        assert at.world.tag("de-men").afi == ON_LOAN
        assert len(at.facts("loan-made")) == 1

    play(tmp_path, scenario)


def test_an_unplugged_pad_is_told_shown_and_found_again(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        at.world.set_fault("pad-unplugged", "1")
        await until(lambda: not at.kiosk.runner.status.reader_ok)
        at.world.set_fault("pad-unplugged", "")
        await until(lambda: at.kiosk.runner.status.reader_ok)
        told = [
            (f["part"], f["state"]) for _, f in at.facts("device-changed") if f["part"] == "reader"
        ]
        assert told == [("reader", "ok"), ("reader", "lost"), ("reader", "ok")]
        await at.card()
        at.world.lay("lich-su")
        await until(lambda: at.phases().get(LICH_SU) is Phase.TOLD)

    play(tmp_path, scenario)


def test_a_visit_nobody_ends_ends_by_itself_and_leaves_no_card_on_the_disk(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        await at.card()
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        await until(lambda: at.mode is Mode.IDLE)
        assert at.kiosk.runner.visit.patron is None
        files = [file for file in (tmp_path / "kiosk").iterdir() if file.is_file()]
        assert len(files) >= 1
        assert [file.name for file in files if CARD.encode() in file.read_bytes()] == []

    play(tmp_path, scenario, idle_seconds=0.7)


def test_a_full_disk_stops_new_steps_loses_nothing_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    async def scenario(at: Branch) -> None:
        disk = at.kiosk.runner._journal._db
        at.world.set_fault("slow-ils", "0.6")
        await at.card()
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.ASKED)
        disk.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        await until(lambda: at.world.loan(DE_MEN) is not None)
        await until(lambda: not at.kiosk.runner.status.ready)
        await at.tap("finish")
        assert at.mode is Mode.BORROW
        assert at.phases()[DE_MEN] is Phase.ASKED
        assert at.world.tag("de-men").afi == IN_STOCK
        disk.execute("DROP TRIGGER full")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        assert at.kiosk.runner.status.ready
        assert at.world.counters()["loans_in_ils"] == 1
        assert len(at.facts("loan-made")) == 1

    play(tmp_path, scenario)


def test_a_kiosk_started_without_its_library_system_is_not_ready_and_tells_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kiosk.runner.UNHEARD", 0.3)

    async def scenario() -> None:
        stop = asyncio.Event()
        with assemble(configuration(tmp_path, free_port()), stop) as kiosk:
            services = asyncio.create_task(supervise.keep(kiosk.services, stop))
            try:
                await until(lambda: kiosk.runner.status.ils_ok is False and kiosk.outbox.depth >= 2)
                told = [json.loads(row.payload)["data"] for row in kiosk.outbox.rows(0, 9)]
                assert {(f["part"], f["state"]) for f in told} == {
                    ("ils", "lost"),
                    ("reader", "lost"),
                }
                assert not kiosk.health.ready
            finally:
                stop.set()
                await services

    asyncio.run(scenario())


def test_the_whole_kiosk_stops_within_a_second(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> float:
        async with peers(folder) as (_, sip2):
            stop = asyncio.Event()
            with assemble(configuration(folder, sip2), stop) as kiosk:
                services = asyncio.create_task(supervise.keep(kiosk.services, stop))
                await until(lambda: kiosk.runner.status.ready)
                began = asyncio.get_running_loop().time()
                stop.set()
                await services
                took = asyncio.get_running_loop().time() - began
                told = [json.loads(row.payload)["data"]["state"] for row in kiosk.outbox.rows(0, 9)]
                assert told == ["ok", "ok"]  # leaving is not losing
                return took

    assert asyncio.run(scenario(tmp_path)) < 1.0
