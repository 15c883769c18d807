"""Every gate driver against its emulator, over a real pty through pyserial."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kiosk.devices import GATES, open_gate
from kiosk.devices.base import Gate, Passage, People
from kiosk.emulators import feig_gate as feig_emulator
from kiosk.emulators import uhf288_gate as uhf_emulator
from kiosk.emulators.tty import TtyLine
from kiosk.emulators.uhf_field import UhfField
from kiosk.emulators.world import World
from kiosk.wire.content import ItemTag
from kiosk.wire.tag import decode
from mocban.errors import ConfigError, DeviceLost
from tests.support.emulated import Emulator, demo, emulated, until


class Reader(NamedTuple):
    """How a driver's emulator is reached, and what its tags are called."""

    main: Emulator
    right: str
    wrong: str
    says: str
    uid: Callable[[World, str], str]
    noisy: Emulator


def uid_of(world: World, name: str) -> str:
    return world.tag(name).uid


def uii_of(world: World, name: str) -> str:
    return UhfField(world)._of(world.tag(name)).uii.hex().upper()


EMULATORS = {
    "feig": Reader(
        feig_emulator.main,
        "baud=38400&parity=E",
        "baud=9600&parity=E",
        "02.07",
        uid_of,
        partial(feig_emulator.be, noisy=True),
    ),
    "uhf288": Reader(
        uhf_emulator.main,
        "baud=57600&beams=1,2",
        "baud=9600",
        "UHFReader288",
        uii_of,
        partial(uhf_emulator.be, noisy=True),
    ),
}


@dataclass
class Branch:
    """A world, the emulated gate in it, and the driver under test."""

    world: World
    gate: Gate
    link: Path
    driver: str

    def url(self, query: str) -> str:
        return f"serial://{self.link}?{query}"

    async def seen(self, enough: Callable[[list[Passage]], bool]) -> list[Passage]:
        """Passages, read as the gate's service reads them, until they are enough."""
        found: list[Passage] = []
        async with asyncio.timeout(5):
            while not enough(found):
                found += (await self.gate.passages())[0]
                await self.gate.rest(0.02)
        return found

    async def pause(self, seconds: float) -> list[Passage]:
        """The same for a while."""
        end = asyncio.get_running_loop().time() + seconds
        return await self.seen(lambda _: asyncio.get_running_loop().time() > end)


Scenario = Callable[[Branch], Awaitable[None]]


@pytest.fixture(params=sorted(GATES))
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """Runs a scenario at a demo branch; a driver without emulator fails here, it is not skipped."""

    def start(scenario: Scenario, seed: dict[str, Any] | None = None) -> None:
        asyncio.run(_visit(request.param, tmp_path, scenario, seed))

    return start


async def _visit(
    driver: str, folder: Path, scenario: Scenario, seed: dict[str, Any] | None
) -> None:
    reader = EMULATORS[driver]
    link = folder / "gate"
    device = open_gate(driver, f"serial://{link}?{reader.right}")
    async with emulated(reader.main, link, device, seed or demo()) as (world, gate):
        await scenario(Branch(world, gate, link, driver))


def item(passage: Passage) -> str:
    content = decode(passage.data, epc=passage.epc)
    return content.id if isinstance(content, ItemTag) else ""


def test_a_gate_says_which_reader_it_is(run: Callable[..., None]) -> None:
    async def scenario(branch: Branch) -> None:
        assert EMULATORS[branch.driver].says in await branch.gate.open()

    run(scenario)


def test_a_quiet_gate_reports_nothing_and_lost_nothing(run: Callable[..., None]) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        assert await branch.gate.passages() == ([], False)
        assert await branch.gate.near() == []

    run(scenario)


def test_an_armed_item_is_reported_as_often_as_makes_sure_with_its_mark_content_and_direction(
    run: Callable[..., None],
) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        branch.world.walk(["lich-su"], "out")
        found = await branch.seen(
            lambda seen: any(one.direction == "out" and one.afi == 0x07 for one in seen)
        )
        assert len(found) >= branch.gate.reads
        assert {one.uid for one in found} == {EMULATORS[branch.driver].uid(branch.world, "lich-su")}
        assert item(found[-1]) == "11223344"
        await branch.pause(0.7)
        assert await branch.gate.passages() == ([], False)

    run(scenario)


def test_several_items_are_told_apart(run: Callable[..., None]) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        branch.world.walk(["de-men", "lich-su"], "in")
        found = await branch.seen(
            lambda seen: {"BG00012345", "11223344"} <= {item(one) for one in seen}
        )
        uid = EMULATORS[branch.driver].uid
        assert {one.uid for one in found} == {
            uid(branch.world, name) for name in ("de-men", "lich-su")
        }

    run(scenario)


def test_a_lent_item_is_not_reported_or_shown_as_lent(run: Callable[..., None]) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        branch.world.walk(["dat-rung"], "out")
        found = await branch.pause(0.5)
        assert {one.afi for one in found if one.afi is not None} <= {0xC2}

    run(scenario)


def test_people_are_counted_by_direction(run: Callable[..., None]) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        assert await branch.gate.people() == People(0, 0)
        for direction in ("in", "in", "out"):
            branch.world.walk([], direction)
            await branch.pause(0.7)
        assert await branch.gate.people() == People(2, 1)

    run(scenario)


def test_a_cry_is_one_timed_output(run: Callable[..., None]) -> None:
    async def scenario(branch: Branch) -> None:
        await branch.gate.open()
        await branch.gate.cry(2.0)
        assert branch.world.sirens() == 1

    run(scenario)


def test_the_wrong_speed_is_a_lost_device(run: Callable[..., None]) -> None:
    async def scenario(branch: Branch) -> None:
        wrong = open_gate(branch.driver, branch.url(EMULATORS[branch.driver].wrong))
        with pytest.raises(DeviceLost):
            await wrong.open()
        assert wrong.noise > 0

    run(scenario)


def test_noise_between_answers_is_counted_and_hides_nothing(run: Callable[..., None]) -> None:
    async def scenario(branch: Branch) -> None:
        reader = EMULATORS[branch.driver]
        noisy = branch.link.with_name("noisy")
        stop = asyncio.Event()
        running = asyncio.ensure_future(reader.noisy(branch.world.path, noisy, stop))
        await until(noisy.is_symlink)
        gate = open_gate(branch.driver, f"serial://{noisy}?{reader.right}")
        try:
            assert reader.says in await gate.open()
            branch.world.walk(["lich-su"], "out")
            found = await Branch(branch.world, gate, noisy, branch.driver).seen(
                lambda seen: any(item(one) == "11223344" for one in seen)
            )
            assert {item(one) for one in found} <= {"", "11223344"}  # a UII alone is not named yet
            assert gate.noise > 0
            await gate.cry(1.0)
            assert branch.world.sirens() == 1
        finally:
            await gate.close()
            stop.set()
            await running

    run(scenario)


def test_a_line_where_nobody_answers_is_a_lost_device(run: Callable[..., None]) -> None:
    async def scenario(branch: Branch) -> None:
        silent = TtyLine(branch.link.with_name("silent"), 38400)
        silent.plug()
        gate = open_gate(branch.driver, f"serial://{silent.link}?{EMULATORS[branch.driver].right}")
        try:
            async with asyncio.timeout(20):
                with pytest.raises(DeviceLost):
                    await gate.open()
        finally:
            await gate.close()
            silent.unplug()

    run(scenario)


def test_a_gate_that_went_away_is_lost_at_once_and_works_again_when_it_is_back(
    run: Callable[..., None],
) -> None:
    async def scenario(branch: Branch) -> None:
        reader = EMULATORS[branch.driver]
        link, stop = branch.link.with_name("other"), asyncio.Event()
        second = asyncio.ensure_future(reader.main(branch.world.path, link, stop))
        await until(link.is_symlink)
        gate = open_gate(branch.driver, f"serial://{link}?{reader.right}")
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
            second = asyncio.ensure_future(reader.main(branch.world.path, link, stop))
            await until(link.is_symlink)
            await gate.open()
            branch.world.walk(["lich-su"], "out")
            found = await Branch(branch.world, gate, link, branch.driver).seen(
                lambda seen: any(item(one) == "11223344" for one in seen)
            )
            assert found
        finally:
            await gate.close()
            stop.set()
            await second

    run(scenario)


def test_a_gate_that_is_not_open_is_lost(run: Callable[..., None]) -> None:
    async def scenario(branch: Branch) -> None:
        with pytest.raises(DeviceLost):
            await branch.gate.passages()
        with pytest.raises(DeviceLost):
            await branch.gate.cry(1.0)

    run(scenario)


def test_an_unknown_driver_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="no gate driver called fence"):
        open_gate("fence", "memory://gate")


@pytest.mark.parametrize(
    ("driver", "query"),
    [
        ("feig", "mode=scan"), ("feig", "output=300"), ("feig", "output=x"), ("feig", "out=3"),
        ("feig", "mode=notify&ack=2"),
        ("uhf288", "beams=1"), ("uhf288", "beams=1,1"), ("uhf288", "beams=1,9"), ("uhf288", "mode=listen"),
        ("uhf288", "siren=horn"), ("uhf288", "unit=0"), ("uhf288", "format=raw"),
    ],
)  # fmt: skip
def test_an_option_that_means_nothing_is_a_configuration_error(driver: str, query: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        open_gate(driver, f"serial:///dev/gate?{query}")
