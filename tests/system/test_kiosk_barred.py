"""A whole kiosk that is barred, opened again, and asked to come to rest."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest

from kiosk.app import assemble
from kiosk.session.state import Mode, Phase
from mocban import supervise
from tests.support.kiosk_branch import DE_MEN, LICH_SU, Branch, configuration, peers, play, until


def shown(port: int) -> str:
    """The page as a browser gets it."""
    with urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def test_a_kiosk_barred_in_a_visit_finishes_it_and_takes_nobody_after_it(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        runner = at.kiosk.runner
        at.world.set_fault("slow-ils", "0.5")
        await at.card()
        at.world.lay("de-men")
        await until(lambda: at.phases().get(DE_MEN) is Phase.ASKED)
        runner.bar("closed", on=True)
        at.world.lay("lich-su")
        await until(lambda: at.phases().get(DE_MEN) is Phase.TOLD)
        assert LICH_SU not in at.phases()
        assert not await runner.at_rest(0.1)
        await at.tap("finish")
        assert await runner.at_rest(5.0)
        assert runner.visit.barred == "closed"
        page = await asyncio.to_thread(shown, at.kiosk.port)
        assert "E-CLOSED" in page
        assert "Quầy này tạm đóng" in page
        await at.tap("return")
        await at.tap("borrow")
        assert await runner.at_rest(0), "a barred kiosk takes nobody"
        runner.bar("closed", on=False)
        await at.tap("borrow")
        assert at.mode is Mode.CARD
        assert len(at.facts("loan-made")) == 1

    play(tmp_path, scenario, thanks_seconds=0.5)


def kinds(db: sqlite3.Connection) -> list[str]:
    """Kinds of the events in the journal."""
    return [kind for (kind,) in db.execute("SELECT kind FROM journal ORDER BY no")]


def test_a_card_at_a_barred_kiosk_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        runner = at.kiosk.runner
        runner.bar("closed", on=True)
        db = runner._journal._db
        assert kinds(db) != ["Rested"]
        at.world.show_card("the-1")
        await until(lambda: kinds(db) == ["Rested"])
        assert db.execute("SELECT count(*) FROM seal").fetchone() == (0,)

    play(tmp_path, scenario)


def test_of_several_bars_the_gravest_is_shown_and_the_last_to_go_opens(tmp_path: Path) -> None:
    async def scenario(at: Branch) -> None:
        runner = at.kiosk.runner
        shown = []
        for why, on in (
            ("outbox-full", True), ("closed", True), ("wiped", True), ("wiped", False), ("closed", False),
            ("outbox-full", True), ("outbox-full", False), ("closed", False),
        ):  # fmt: skip
            runner.bar(why, on=on)
            shown.append(runner.visit.barred)
        assert shown == [
            "outbox-full", "closed", "wiped", "closed", "outbox-full", "outbox-full", "", "",
        ]  # fmt: skip
        rows = runner._journal.rows
        runner.bar("closed", on=False)
        assert runner._journal.rows == rows, "what is no change is not written"

    play(tmp_path, scenario)


def test_a_bar_that_the_disk_does_not_take_is_stored_when_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kiosk.runner.RETRY", (0.05, 0.1))

    async def scenario(at: Branch) -> None:
        runner, disk = at.kiosk.runner, at.kiosk.runner._journal._db
        disk.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        runner.bar("outbox-full", on=True)
        assert (runner.visit.barred, runner.status.ready) == ("", False)
        disk.execute("DROP TRIGGER full")
        await until(lambda: runner.visit.barred == "outbox-full")

    play(tmp_path, scenario)


def test_a_kiosk_finds_out_by_itself_that_its_disk_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kiosk.runner.RETRY", (0.05, 0.1))

    async def scenario(at: Branch) -> None:
        runner, disk = at.kiosk.runner, at.kiosk.runner._journal._db
        disk.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        await at.tap("borrow")
        assert (at.mode, runner.status.ready) == (Mode.IDLE, False)
        await asyncio.sleep(0.3)
        assert not runner.status.ready, "it asks the disk, not the clock"
        disk.execute("DROP TRIGGER full")
        await until(lambda: runner.status.ready)  # nobody touched anything

    play(tmp_path, scenario)


def test_a_bar_holds_after_a_restart_until_it_is_said_to_be_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with peers(tmp_path) as (_, sip2):
            for before, after in (("", "disk"), ("disk", "")):
                stop = asyncio.Event()
                with assemble(configuration(tmp_path, sip2), stop) as kiosk:
                    runner = kiosk.runner
                    runner.bar("wiped", on=False)  # said before the journal is read, and no news
                    services = asyncio.create_task(supervise.keep(kiosk.services, stop))
                    await until(partial(lambda one: one.status.ready, runner))
                    assert runner.visit.barred == before
                    runner.bar("disk", on=bool(after))
                    assert runner.visit.barred == after
                    stop.set()
                    await services

    asyncio.run(scenario())
