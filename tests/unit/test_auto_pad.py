"""Whichever reader is there is found, a silent line is given up with a sentence; and the pad that is none."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kiosk.devices import PADS, open_pad
from kiosk.devices.auto_pad import KINDS, AutoPad, address, settings
from kiosk.devices.base import Lock
from kiosk.devices.none_pad import NonePad
from kiosk.emulators import switchable
from kiosk.emulators.world import World
from kiosk.wire.content import ItemTag
from kiosk.wire.tag import decode
from mocban.errors import ConfigError, DeviceLost
from tests.support.emulated import demo, until

SAYS = {"feig": "FEIG", "3m": "3M", "rr9": "RR9", "uhf18": "UHFReader18"}
SPEED = {"feig": "38400", "3m": "19200", "rr9": "19200", "uhf18": "57600"}


@asynccontextmanager
async def desk(folder: Path, driver: str) -> AsyncIterator[tuple[World, Path]]:
    """A world whose pad can be changed, and the link its reader is at."""
    world, link, stop = World.create(folder / "world.db", demo()), folder / "pad", asyncio.Event()
    running = asyncio.ensure_future(
        switchable.main(world.path, link, stop, switchable.WORLD, driver)
    )
    try:
        await until(link.is_symlink)
        yield world, link
    finally:
        stop.set()
        await asyncio.wait_for(running, 3)
        world.close()
    assert not link.is_symlink()


async def items(pad: AutoPad) -> list[str]:
    """The numbers of the items that lie there."""
    found = [decode(tag.data, epc=tag.epc) for tag in await pad.tags()]
    return sorted(one.id for one in found if isinstance(one, ItemTag))


def test_every_kind_has_a_driver_and_is_looked_for_below() -> None:
    assert KINDS.keys() == SAYS.keys()
    assert KINDS.keys() <= PADS.keys()


@pytest.mark.parametrize("driver", SAYS)
def test_each_reader_is_found_at_its_own_speed_and_read(driver: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(tmp_path, driver) as (world, link):
            world.lay("de-men")
            pad = AutoPad(f"serial://{link}")
            try:
                assert (await pad.open()).startswith(SAYS[driver])
                assert await items(pad) == ["BG00012345"]
            finally:
                await pad.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("driver", SAYS)
def test_at_one_speed_for_all_no_reader_is_taken_for_another(driver: str, tmp_path: Path) -> None:
    """RR9 and UHF readers even have their frames in common."""

    async def scenario() -> None:
        async with desk(tmp_path, driver) as (_, link):
            pad = AutoPad(f"serial://{link}?baud={SPEED[driver]}")
            try:
                assert (await pad.open()).startswith(SAYS[driver])
            finally:
                await pad.close()

    asyncio.run(scenario())


def test_a_reader_is_changed_for_another_while_its_pad_is_in_use(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(tmp_path, "feig") as (world, link):
            world.lay("de-men")
            pad = AutoPad(f"serial://{link}")
            try:
                assert (await opened(pad)).startswith("FEIG")
                for driver in ("uhf18", "3m"):
                    world.choose(driver)
                    await lost(pad)
                    assert (await opened(pad)).startswith(SAYS[driver])
                    assert await items(pad) == ["BG00012345"]
            finally:
                await pad.close()

    async def opened(pad: AutoPad) -> str:
        """As the kiosk does: again and again, until it is there."""
        async with asyncio.timeout(15):
            while True:
                try:
                    return await pad.open()
                except DeviceLost:
                    await asyncio.sleep(0.05)

    async def lost(pad: AutoPad) -> None:
        async with asyncio.timeout(5):
            with pytest.raises(DeviceLost):
                while True:
                    await pad.tags()

    asyncio.run(scenario())


def test_a_disturbed_line_hides_no_reader(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(tmp_path, "feig") as (world, link):
            world.set_fault("pad-noise", "on")
            pad = AutoPad(f"serial://{link}")
            try:
                assert (await pad.open()).startswith("FEIG")
            finally:
                await pad.close()

    asyncio.run(scenario())


@asynccontextmanager
async def peer(answer: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    """A tty at whose other end somebody says ``answer`` to whatever arrives; its path."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()

    def heard() -> None:
        try:
            if said := answer(os.read(master, 4096)):
                os.write(master, said)
        except OSError:  # nobody has it open between two probes
            pass

    loop.add_reader(master, heard)
    try:
        yield os.ttyname(slave)
    finally:
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    "answer",
    [lambda _: b"", lambda data: data, lambda _: bytes(range(256)), lambda _: b"\x02\xff\xff" * 99],
    ids=["silent", "echo", "rubbish", "a frame that never ends"],
)
def test_where_no_reader_is_the_sentence_names_what_was_tried(
    answer: Callable[[bytes], bytes],
) -> None:
    async def scenario() -> None:
        async with peer(answer) as path:
            pad = AutoPad(f"serial://{path}")
            async with asyncio.timeout(15):
                with pytest.raises(DeviceLost) as caught:
                    await pad.open()
            assert caught.value.code == "no-reader"
            tried = "feig (38400 8E1), 3m (19200 8N1), rr9 (19200 8N1), uhf18 (57600 8N1)"
            assert caught.value.say == f"No reader answers at {path}; tried: {tried}."
            with pytest.raises(DeviceLost):
                await pad.tags()

    asyncio.run(scenario())


def test_a_speed_that_was_named_for_all_is_told_as_what_may_be_wrong(tmp_path: Path) -> None:
    """The address a FEIG pad had is no address for whichever reader comes after it."""

    async def scenario() -> None:
        async with desk(tmp_path, "3m") as (_, link):
            with pytest.raises(DeviceLost) as caught:
                await AutoPad(f"serial://{link}?baud=38400&parity=E").open()
            assert "3m (38400 8E1)" in caught.value.say
            assert "Leave speed and parity out of the address" in caught.value.do

    asyncio.run(scenario())


def test_a_line_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(DeviceLost, match=r"nowhere cannot be opened"):
            await AutoPad(f"serial://{tmp_path}/nowhere").open()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "driver", "made", "line"),
    [
        ("serial:///dev/x", "feig", "serial:///dev/x?baud=38400&parity=E", "38400 8E1"),
        ("serial:///dev/x?baud=9600", "feig", "serial:///dev/x?baud=9600&parity=E", "9600 8E1"),
        ("serial:///dev/x?parity=N", "feig", "serial:///dev/x?baud=38400&parity=N", "38400 8N1"),
        (
            "serial:///dev/x?power=20&type=b",
            "uhf18",
            "serial:///dev/x?baud=57600&power=20",
            "57600 8N1",
        ),
        (
            "serial:///dev/x?power=20&type=b",
            "rr9",
            "serial:///dev/x?baud=19200&type=b",
            "19200 8N1",
        ),
        ("tcp://192.0.2.7:10001?frames=advanced", "3m", "tcp://192.0.2.7:10001", "? 8N1"),
    ],
)
def test_what_the_address_says_wins_and_each_driver_gets_its_own(
    url: str, driver: str, made: str, line: str
) -> None:
    assert address(url, driver) == made
    assert settings(made) == line


def test_an_option_nobody_knows_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(ConfigError, match="unknown option sped"):
        open_pad("auto", "serial:///dev/x?sped=9600")


def test_the_pad_that_is_none_is_never_lost_and_holds_nothing() -> None:
    async def scenario() -> None:
        pad = open_pad("none", "serial:///dev/nowhere")
        assert isinstance(pad, NonePad)
        assert await pad.open() == "no reader"
        assert await pad.tags() == []
        uid = "E004010012345678"
        assert not await pad.write_afi(uid, 7)
        assert not await pad.write_eas(uid, armed=True)
        assert await pad.read_afi(uid) is await pad.read_eas(uid) is None
        assert await pad.info(uid) is None
        assert await pad.read(uid, 0, 1) is None
        assert not await pad.write(uid, 0, b"1234")
        assert not await pad.write_dsfid(uid, 1)
        assert not await pad.lock(uid, Lock.AFI)
        await pad.close()
        await pad.close()

    asyncio.run(scenario())


def test_a_name_that_leads_nowhere_is_a_station_without_a_reader_until_one_is_plugged_in(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        link = tmp_path / "pad"
        link.symlink_to("/dev/null")
        pad = open_pad("auto", f"serial://{link}")
        assert await pad.open() == "no reader"
        assert await pad.tags() == []
        link.unlink()
        link.symlink_to("/dev/pts/nobody")
        with pytest.raises(DeviceLost, match="a reader now"):
            await pad.tags()
        with pytest.raises(DeviceLost, match="cannot be opened"):
            await pad.open()
        await pad.close()

    asyncio.run(scenario())
