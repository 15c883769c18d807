"""Every write of a gate's disk is made to fail in turn, alone and with the next one: at its start and at its work.

Who carries an armed book out hears the siren whatever the disk does. Once the disk is well, each cry is told once, and
people are counted neither twice nor not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kiosk.emulators import feig_gate as emulator
from kiosk.emulators.world import DEMO, World
from tests.fault.day import Gate
from tests.fault.disk import FULL, FailingDisk, Report, build, each_write

SIDE_BY_SIDE = 4
ARMED = "de-men"
PATIENT = 15.0
Fault = tuple[int, int, int]
MOMENTS = ("at work", "at the start in an empty folder", "at a start again")


class Round:
    """A gate, its reader and who walks through it; each round has a fault of its own."""

    def __init__(self, folder: Path, library: Path, world: World, report: Report) -> None:
        self.folder = folder
        self.library = library
        self.world = world
        self.report = report
        self._new(0)

    def _new(self, number: int) -> None:
        data = self.folder / f"data-{number}"
        data.mkdir()
        self.gate = Gate(self.folder, data)
        self.disk = FailingDisk(self.library, self.folder / f"control-{number}", data)
        self.gate.env = self.disk.env
        self.sirens, self.people = self.world.sirens(), self.world.people()

    def close(self) -> None:
        """End what runs."""
        with self.gate, self.disk:
            pass

    async def play(self, moment: str, number: int, fault: Fault) -> int:
        """One round with ``fault``; how many writes it had."""
        if moment == "at the start in an empty folder" and number:
            self.close()
            shutil.rmtree(self.gate.data)
            self._new(number)
        elif moment != "at work" and self.gate.running:
            assert await asyncio.to_thread(self.gate.end) == 0
        if moment == "at work":
            await self._up()
            self.disk.arm(*fault)
            await self._walk()
        else:
            if moment == "at a start again":
                if number == 0:
                    await self._up()
                    await self._walk()
                    await self._until(self._agree, "it is told")
                    assert await asyncio.to_thread(self.gate.end) == 0
                self._pass()  # while it is down: its reader remembers
            self.disk.arm(*fault)
            self.gate.start()
            await self._until(lambda: self.gate.code is not None or self.gate.ready(), "it is up")
            if self.gate.code is None:
                await self._walk()
        with contextlib.suppress(AssertionError):
            await self._until(lambda: self.gate.code is not None or self._agree(), "it is told", 3)
        writes = self.disk.writes
        self.report.failed += self.disk.failed > 0
        self.disk.heal()
        self.report.ended(self.gate)
        await self._up()
        if moment != "at work":
            await self._walk()
        await self._until(self._agree, "cries and people are told")
        numbers = [data["passage"] for _, data in self.gate.told() if "passage" in data]
        assert len(set(numbers)) == len(numbers), "each once"
        return writes

    def _pass(self) -> None:
        self.world.walk([ARMED], "out")
        self.world.walk([], "in")

    async def _walk(self) -> None:
        """Through with an armed book: the siren, at once."""
        before = self.world.sirens()
        self._pass()
        await self._until(lambda: self.world.sirens() > before, "it cries", 5)

    def _agree(self) -> bool:
        """Cries, their alarms and the people counted tell one story."""
        told = self.gate.told()
        alarms = sum(kind == "gate-alarmed" for kind, _ in told)
        counted = [data for kind, data in told if kind == "people-counted"]
        came, went = (sum(data[way] for data in counted) for way in ("entered", "left"))
        now = self.world.people()
        people = (now[0] - self.people[0], now[1] - self.people[1])
        # Each round somebody carries the armed book out, and nobody else goes out.
        return alarms == people[1] and (came, went) == people

    async def _up(self) -> None:
        if not self.gate.running:
            self.gate.start()
        await self._until(self.gate.ready, "the gate is ready")

    async def _until(self, true: Callable[[], bool], what: str, seconds: float = PATIENT) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not await asyncio.to_thread(true):
            if loop.time() > end:
                told = [each for each in self.gate.told() if "passage" in each[1]]
                log = self.gate.log.read_text(encoding="utf-8")[-1500:]
                raise AssertionError(
                    f"in vain until {what}: {self.world.people()} since {self.people},"
                    f" {self.world.sirens()} cries since {self.sirens}: {told[-6:]}: {log}"
                )
            await asyncio.sleep(0.01)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("moment", MOMENTS)
def test_whichever_write_fails_the_gate_cries_and_each_cry_and_person_is_told_once(
    moment: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    library = build(tmp_path)
    report = Report()

    async def scenario() -> None:
        found: list[int] = []
        good = iter([(0, 1, FULL)] * 3)
        await _rounds(tmp_path / "count", library, moment, good, report, found)
        assert report.wrong == []
        report.writes = max(found)
        assert report.writes > 10, "a gate writes"
        faults = each_write(report.writes)
        async with asyncio.TaskGroup() as gates:
            for each in range(SIDE_BY_SIDE):
                gates.create_task(
                    _rounds(tmp_path / str(each), library, moment, faults, report, [])
                )

    asyncio.run(scenario())
    with capfd.disabled():
        print(report.line(f"gate {moment}"))  # noqa: T201  the number is to be quoted
    assert report.wrong == [], "\n".join(report.wrong)
    assert report.failed >= report.rounds * 0.8, "the faults came"


async def _rounds(
    folder: Path, library: Path, moment: str, faults: Iterator[Fault], report: Report, writes: list[int]
) -> None:  # fmt: skip
    """Rounds with the next faults, over one world in ``folder``."""
    folder.mkdir()
    world = World.create(folder / "world.db", tomllib.loads(DEMO.read_text(encoding="utf-8")))
    stop = asyncio.Event()
    reader = asyncio.create_task(emulator.main(folder / "world.db", folder / "tty", stop))
    rounds = Round(folder, library, world, report)
    try:
        for number, fault in enumerate(faults):
            try:
                writes.append(await rounds.play(moment, number, fault))
            except AssertionError as error:
                report.wrong.append(f"fault {fault}: {error}")
                return
            report.rounds += 1
    finally:
        rounds.close()
        stop.set()
        await reader
        world.close()
