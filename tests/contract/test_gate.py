"""Every gate driver against its emulator, over a real pty through pyserial."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kiosk.devices import GATES, open_gate
from kiosk.devices.base import Gate, Passage, People
from kiosk.emulators import gate as feig_emulator
from kiosk.emulators.world import World
from kiosk.wire.content import ItemTag
from kiosk.wire.tag import decode
from mocban.errors import ConfigError, DeviceLost, RemoteProtocolError
from tests.support.emulated import demo, emulated, until

EMULATORS = {"feig": (feig_emulator.main, "baud=38400&parity=E", "baud=9600&parity=E")}


@dataclass
class Branch:
    """A world, the emulated gate in it, and the driver under test."""

    world: World
    gate: Gate
    link: Path
    driver: str

    def url(self, query: str) -> str:
        return f"serial://{self.link}?{query}"


Scenario = Callable[[Branch], Awaitable[None]]


@pytest.fixture(params=sorted(GATES))
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs a scenario at a demo branch; a driver without emulator fails here, it is not skipped."""

    def start(scenario: Scenario, seed: dict[str, Any] | None = None) -> None:
        asyncio.run(_visit(request.param, tmp_path, scenario, seed))

    return start


async def _visit(
    driver: str, folder: Path, scenario: Scenario, seed: dict[str, Any] | None
) -> None:
    main, right, _ = EMULATORS[driver]
    link = folder / "gate"
    device = open_gate(driver, f"serial://{link}?{right}")
    async with emulated(main, link, device, seed or demo()) as (world, gate):
        await scenario(Branch(world, gate, link, driver))


def names(passages: list[Passage]) -> list[str]:
    contents = [decode(passage.data) for passage in passages]
    return [content.id for content in contents if isinstance(content, ItemTag)]


def test_a_gate_says_which_reader_it_is(run: Callable[[Scenario], None]) -> None:
    async def scenario(branch: Branch) -> None:
        assert "02.07" in await branch.gate.open()

    run(scenario)


def test_a_quiet_gate_reports_nothing_and_lost_nothing(run: Callable[[Scenario], None]) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        assert await branch.gate.passages() == ([], False)

    run(scenario)


def test_armed_items_are_reported_once_with_direction_and_content(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        branch.world.walk(["de-men", "sach-duc"], "out")
        branch.world.walk(["lich-su"], "in")
        found, lost = await branch.gate.passages()
        assert not lost
        assert names(found) == ["BG00012345", "201123463", "11223344"]
        assert [passage.direction for passage in found] == ["out", "out", "in"]
        assert {passage.afi for passage in found} == {0x07}
        assert [p.uid for p in found] == [
            branch.world.tag(name).uid for name in ("de-men", "sach-duc", "lich-su")
        ]
        assert await branch.gate.passages() == ([], False)

    run(scenario)


def test_who_carries_only_lent_items_and_a_card_is_counted_and_not_reported(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        branch.world.walk(["dat-rung", "the-1"], "out")
        assert await branch.gate.passages() == ([], False)
        assert await branch.gate.people() == People(0, 1)

    run(scenario)


def test_people_are_counted_by_direction(run: Callable[[Scenario], None]) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        assert await branch.gate.people() == People(0, 0)
        for direction in ("in", "in", "in", "out"):
            branch.world.walk([], direction)
        assert await branch.gate.people() == People(3, 1)

    run(scenario)


def test_what_passed_while_nobody_listened_waits_in_the_gate(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        await branch.gate.close()
        branch.world.walk(["lich-su"], "out")
        await branch.gate.open()
        found, lost = await branch.gate.passages()
        assert (names(found), lost) == (["11223344"], False)

    run(scenario)


def test_a_crowd_is_read_in_several_answers_without_loss(run: Callable[[Scenario], None]) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        for _ in range(40):
            branch.world.walk(["lich-su"], "out")
        found, lost = await branch.gate.passages()
        assert (len(found), lost) == (40, False)

    run(scenario)


def test_an_overflow_is_told_and_what_the_buffer_held_is_kept(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        for _ in range(feig_emulator.ROOM + 5):
            branch.world.walk(["lich-su"], "out")
        found, lost = [], False
        for _ in range(3):
            more, flag = await branch.gate.passages()
            found += more
            lost = lost or flag
        assert (len(found), lost) == (feig_emulator.ROOM, True)
        assert await branch.gate.passages() == ([], False)

    run(scenario)


def test_a_cry_is_one_timed_output(run: Callable[[Scenario], None]) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        await branch.gate.cry(2.0)
        assert branch.world.sirens() == 1

    run(scenario)


def test_an_output_the_gate_does_not_have_is_an_error(run: Callable[[Scenario], None]) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.close()
        other = open_gate(branch.driver, branch.url("baud=38400&parity=E"), output=0x9F)
        try:
            await other.open()
            with pytest.raises(RemoteProtocolError, match="out of range"):
                await other.cry(1.0)
        finally:
            await other.close()
        assert branch.world.sirens() == 0

    run(scenario)


def test_the_wrong_speed_is_a_lost_device(run: Callable[[Scenario], None]) -> None:
    async def scenario(branch: Branch) -> None:
        wrong = open_gate(branch.driver, branch.url(EMULATORS[branch.driver][2]))
        with pytest.raises(DeviceLost):
            await wrong.open()
        assert wrong.noise > 0

    run(scenario)


def test_a_gate_that_went_away_is_lost_at_once_and_works_again_when_it_is_back(
    run: Callable[[Scenario], None],
) -> None:
    async def scenario(branch: Branch) -> None:
        main, right, _ = EMULATORS[branch.driver]
        link, stop = branch.link.with_name("other"), asyncio.Event()
        second = asyncio.create_task(main(branch.world.path, link, stop))
        await until(link.is_symlink)
        gate = open_gate(branch.driver, f"serial://{link}?{right}")
        try:
            await gate.open()
            stop.set()
            await second
            async with asyncio.timeout(0.5):
                with pytest.raises(DeviceLost):
                    await gate.passages()
            with pytest.raises(DeviceLost):
                await gate.open()
            stop.clear()
            second = asyncio.create_task(main(branch.world.path, link, stop))
            await until(link.is_symlink)
            await gate.open()
            branch.world.walk(["lich-su"], "out")
            assert names((await gate.passages())[0]) == ["11223344"]
        finally:
            await gate.close()
            stop.set()
            await second

    run(scenario)


def test_a_gate_that_is_not_open_is_lost(run: Callable[[Scenario], None]) -> None:
    async def scenario(branch: Branch) -> None:
        with pytest.raises(DeviceLost):
            await branch.gate.passages()
        with pytest.raises(DeviceLost):
            await branch.gate.cry(1.0)

    run(scenario)


def test_an_unknown_driver_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="no gate driver called fence"):
        open_gate("fence", "memory://gate")
