"""Every write of the kiosk's disk is made to fail in turn, alone and with the next one: no wrong state remains.

One small day, a book borrowed and brought back, is played again and again on kiosks side by side; the counter of writes
is armed anew each day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fault.day import BOOK, IN_STOCK, ITEM, Kiosk, Patron, peers
from tests.fault.disk import BROKEN, FULL, FailingDisk, build

SIDE_BY_SIDE = 6


@dataclass
class Report:
    """What the days ended with."""

    writes: int = 0  # of one day
    days: int = 0
    failed: int = 0
    codes: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@pytest.mark.timeout(2400)
def test_whichever_write_fails_loan_tag_and_facts_agree_in_the_end(tmp_path: Path) -> None:
    library = build(tmp_path)
    report = Report()

    async def scenario() -> None:
        writes = await _count(tmp_path / "count", library)
        assert writes > 20, "a day writes"
        report.writes = writes
        faults = iter(
            [fault for at in range(1, writes + 1) for fault in ((at, 1, FULL), (at, 2, BROKEN))]
        )
        async with asyncio.TaskGroup() as kiosks:
            for each in range(SIDE_BY_SIDE):
                kiosks.create_task(_days(tmp_path / str(each), library, faults, report))

    asyncio.run(scenario())
    print(report)  # noqa: T201  pytest shows it when the test fails, or with -rP
    assert report.wrong == [], "\n".join(report.wrong)
    assert report.failed >= report.days * 0.8, "the faults came"
    assert 70 not in report.codes, "a disk that fails is no fault of ours"
    assert all(code >= 0 for code in report.codes), "an ending of its own has a code"


async def _count(folder: Path, library: Path) -> int:
    """Writes of one day on a good disk."""
    found: list[int] = []
    report = Report()
    await _days(folder, library, iter([(0, 1, FULL), (0, 1, FULL)]), report, found)
    assert report.wrong == []
    return max(found)


async def _days(
    folder: Path, library: Path, faults: Iterator[tuple[int, int, int]], report: Report,
    writes: list[int] | None = None,
) -> None:  # fmt: skip
    """Days with the next faults, on a kiosk in ``folder``."""
    data = folder / "data"
    data.mkdir(parents=True)
    async with peers(folder) as (world, sip2, pad):
        with (
            FailingDisk(library, folder / "control", data) as disk,
            Kiosk(folder, data, sip2, pad) as kiosk,
        ):
            kiosk.env = disk.env
            kiosk.start()
            patron = Patron(world, kiosk)
            await patron.until(kiosk.ready, "the kiosk is ready")
            await patron.leave()
            for fault in faults:
                disk.arm(*fault)
                try:
                    await patron.borrow()
                    await patron.bring_back()
                    await patron.leave()
                    if writes is not None:
                        writes.append(disk.writes)
                    report.failed += disk.failed > 0
                    disk.heal()
                    await patron.until(kiosk.ready, "the kiosk is ready again")
                    await patron.until(lambda: not _disagree(patron), "all of them agree", 8.0)
                except AssertionError as error:
                    report.wrong.append(f"fault {fault}: {_disagree(patron)}: {error}")
                    return
                report.days += 1
            report.codes += patron.codes
            assert kiosk.end() == 0


def _disagree(patron: Patron) -> str:
    """What is wrong at the end of a day: loans, tags and facts tell different stories. Empty if nothing is."""
    world, kiosk = patron.world, patron.kiosk
    counters = world.counters()
    lent, back = counters["loans_in_ils"], counters["returns_in_ils"]
    undone = counters["undone_in_ils"]
    says = {
        "still on loan": world.loan(ITEM) is not None,
        "tag open": world.tag(BOOK).afi != IN_STOCK,
        f"{lent} lent less {undone} undone, {kiosk.told('loan-made')} told": lent - undone
        != kiosk.told("loan-made"),
        f"{back} back, {kiosk.told('return-made')} told": back != kiosk.told("return-made"),
        "journal not at rest": not kiosk.at_rest(),
    }
    return ", ".join(what for what, wrong in says.items() if wrong)
