"""Every write of a kiosk's start is made to fail in turn, alone and with the next one: the next start is whole.

It may go on or end; if it ends, with one sentence and an exit code. Played on an empty folder, and on one that a power
cut left in the middle of a visit (a copy each time, so that a new epoch of the outbox must begin, too).
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kiosk.emulators.world import World
from mocban.seal import seal_key
from tests.fault.day import BOOK, CARD, IN_STOCK, ITEM, Kiosk, Patron, peers
from tests.fault.disk import FULL, FailingDisk, Report, build, each_write
from tests.fault.harness import free_port

SIDE_BY_SIDE = 6
Fault = tuple[int, int, int]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("moment", ["on an empty folder", "in the middle of a visit"])
def test_whichever_write_of_a_start_fails_the_next_start_is_whole(
    moment: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    library = build(tmp_path)
    report = Report()

    async def scenario() -> None:
        past = tmp_path / "past"
        if moment == "in the middle of a visit":
            await _cut_off(past)
        report.writes = await _start(
            tmp_path / "count", library, (0, 1, FULL), past, report, _ports()
        )
        assert report.wrong == []
        assert report.writes > 20, "a start writes"
        faults = each_write(report.writes)
        async with asyncio.TaskGroup() as kiosks:
            for each in range(SIDE_BY_SIDE):
                kiosks.create_task(_starts(tmp_path / str(each), library, faults, past, report))

    asyncio.run(scenario())
    with capfd.disabled():
        print(report.line(f"start {moment}"))  # noqa: T201  the number is to be quoted
    assert report.wrong == [], "\n".join(report.wrong)
    assert report.failed >= report.rounds * 0.8, "the faults came"


async def _cut_off(past: Path) -> None:
    """A kiosk killed when a loan was made and its journal not at rest: ``past/data`` and ``past/world.db``."""
    data = past / "data"
    data.mkdir(parents=True)
    async with peers(past) as (world, sip2, pad):
        with Kiosk(past, data, sip2, pad) as kiosk:
            kiosk.start()
            patron = Patron(world, kiosk)
            await patron.until(kiosk.ready, "the kiosk is ready")
            await patron.until(lambda: kiosk.screen() == "welcome", "it welcomes")
            world.show_card(CARD)
            await patron.until(lambda: kiosk.screen() == "borrow", "borrowing is open")
            world.lay(BOOK)
            async with asyncio.timeout(10):
                while world.loan(ITEM) is None:
                    await asyncio.sleep(0)
            kiosk.kill()
            assert not kiosk.at_rest()


async def _starts(
    folder: Path, library: Path, faults: Iterator[Fault], past: Path, report: Report
) -> None:
    """Starts with the next faults, each in a folder of its own below ``folder``."""
    ports = _ports()
    for fault in faults:
        here = folder / f"{fault[0]}-{fault[1]}"
        try:
            await _start(here, library, fault, past, report, ports)
        except (AssertionError, TimeoutError) as error:
            report.wrong.append(f"fault {fault}: {error}")
            return
        report.rounds += 1
        shutil.rmtree(here)


def _ports() -> tuple[int, int]:
    """Ports of a kiosk and its library system, for all their starts: a port is rarely but sometimes taken."""
    return free_port(), free_port()


async def _start(
    folder: Path, library: Path, fault: Fault, past: Path, report: Report, ports: tuple[int, int]
) -> int:
    """One start with ``fault`` and what it takes to be ready on a well disk after it; how many writes it had."""
    data = folder / "data"
    folder.mkdir(parents=True)
    midway = past.exists()
    before: set[str] = set()
    if midway:
        shutil.copytree(past / "data", data)
        before = {fact["id"] for fact in _facts(data)}
    else:
        data.mkdir()
    async with peers(folder, past / "world.db" if midway else None, ports[1]) as (world, sip2, pad):
        with (
            FailingDisk(library, folder / "control", data) as disk,
            Kiosk(folder, data, sip2, pad, port=ports[0]) as kiosk,
        ):
            kiosk.env = disk.env
            patron = Patron(world, kiosk)
            disk.arm(*fault)
            kiosk.start()
            first = kiosk.pid
            await _ready_or_ended(kiosk)
            if kiosk.code is None and midway:
                await patron.until(lambda: _agree(world, kiosk), "the visit goes on")
            report.ended(kiosk)
            writes = disk.writes
            report.failed += disk.failed > 0
            disk.heal()
            await patron.until(kiosk.ready, "a start is good")
            if midway:
                await patron.until(lambda: _agree(world, kiosk), "the visit is taken up")
                world.show_card(None)
                world.lift(BOOK)
            await patron.until(lambda: _left(kiosk), "it welcomes the next one")
            await patron.until(lambda: _agree(world, kiosk), "all of them agree")
            assert len(patron.codes) <= (kiosk.pid != first), "it ends once at most"
            assert kiosk.end() == 0
    report.ended(kiosk)
    _whole(data, before, renewed=int(midway))
    return writes


async def _ready_or_ended(kiosk: Kiosk) -> None:
    async with asyncio.timeout(20):
        while kiosk.code is None and not await asyncio.to_thread(kiosk.ready):
            await asyncio.sleep(0.02)


def _left(kiosk: Kiosk) -> bool:
    """The welcome screen stands; else the visit is ended by a touch."""
    if kiosk.screen() == "welcome":
        return True
    kiosk.act("cancel")
    return False


def _agree(world: World, kiosk: Kiosk) -> bool:
    """Loan, tag and facts tell one story."""
    counters = world.counters()
    lent = counters["loans_in_ils"] - counters["undone_in_ils"]
    there = world.loan(ITEM) is not None
    armed = world.tag(BOOK).afi == IN_STOCK
    return there != armed and lent == there and kiosk.told("loan-made") == lent


def _whole(data: Path, before: set[str], renewed: int) -> None:
    """The database is sound, no fact is lost or doubled, one epoch holds them all, and the key is a key."""
    with closing(sqlite3.connect(data / "kiosk" / "kiosk.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        assert db.execute("SELECT count(*) FROM outbox_self").fetchone() == (1,)
        seqs = [seq for (seq,) in db.execute("SELECT seq FROM outbox ORDER BY seq")]
    assert seqs == list(range(1, len(seqs) + 1)), "no gap"
    facts = _facts(data)
    assert len({fact["id"] for fact in facts}) == len(facts), "each fact once"
    assert before <= {fact["id"] for fact in facts}, "none is lost"
    actions = [fact["data"].get("action") for fact in facts if fact["kind"] == "audited"]
    assert actions.count("outbox-renewed") == renewed, actions
    assert len(seal_key(data / "kiosk" / "keys" / "seal.key")) == 32


def _facts(data: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(data / "kiosk" / "kiosk.db")) as db:
        return [json.loads(row) for (row,) in db.execute("SELECT payload FROM outbox ORDER BY seq")]
