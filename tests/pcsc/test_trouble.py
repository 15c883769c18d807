"""A PC/SC reader that is not there, hangs, is taken or loses its service: a sentence, in time, and it works again."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from kiosk.devices.pcsc_pad import PcscReader, pcsc_pad
from kiosk.emulators.vpcd import Service
from kiosk.transports import pcsc as transport
from mocban.errors import ConfigError, DeviceLost
from tests.pcsc.stand import SILENCE, desk, frame, granting, scripted, url
from tests.support.emulated import until

ONE = granting(lambda asked: frame("00 00 78 56 34 12 00 01 04 E0") if asked[1] == 1 else SILENCE)


def test_without_a_service_it_says_how_to_start_one(pad_link: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(DeviceLost, match="pcscd does not run") as caught:
            await PcscReader(url(pad_link)).open()
        assert "apt-get install pcscd" in caught.value.do

    asyncio.run(scenario())


def test_without_a_reader_it_says_so_and_finds_it_later(pad_link: Path) -> None:
    async def scenario() -> None:
        service = Service(pad_link.with_name("pcscd"))
        pad = pcsc_pad(url(pad_link))
        try:
            await service.start(reader=False)
            pad_link.symlink_to(service.comm)
            with pytest.raises(DeviceLost, match="No PC/SC reader is connected"):
                await pad.open()
            await service.stop()
            await service.start()
            assert "Virtual PCD" in await pad.open()
        finally:
            await pad.close()
            pad_link.unlink(missing_ok=True)
            await service.stop()

    asyncio.run(scenario())


def test_a_reader_is_chosen_by_a_part_of_its_name(pad_link: Path) -> None:
    async def scenario() -> None:
        async with desk(pad_link) as one:
            with pytest.raises(DeviceLost, match="called ACR1552") as caught:
                await PcscReader(url(pad_link, "ACR1552")).open()
            assert "Virtual PCD 00 00" in caught.value.do
            second = PcscReader(url(pad_link, "virtual%20pcd%2000%2001"))
            assert await second.open() == "Virtual PCD 00 01"
            await second.close()
            assert await one.pad.open() == "Virtual PCD 00 00"

    asyncio.run(scenario())


def test_another_socket_in_the_same_process_is_refused(pad_link: Path) -> None:
    async def scenario() -> None:
        async with desk(pad_link) as one:
            await one.pad.open()
            with pytest.raises(ConfigError, match="another smart card service"):
                await PcscReader(url(pad_link.with_name("other"))).open()

    asyncio.run(scenario())


def test_a_card_in_another_program_is_said_to_be_in_use(pad_link: Path) -> None:
    async def scenario() -> None:
        async with scripted(pad_link, ONE) as (reader, _):
            await reader.open()
            from smartcard import scard

            _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
            asked = [("Virtual PCD 00 00", scard.SCARD_STATE_EMPTY)]
            await asyncio.to_thread(scard.SCardGetStatusChange, context, 2000, asked)
            result, card, _ = scard.SCardConnect(
                context, "Virtual PCD 00 00", scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_ANY
            )
            assert result == 0
            try:
                with pytest.raises(DeviceLost, match="in use by another program"):
                    await reader.inventory()
            finally:
                scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)
                scard.SCardReleaseContext(context)
            assert len(await reader.inventory()) == 1

    asyncio.run(scenario())


def test_a_card_that_hangs_is_given_up_in_time_and_works_again_when_it_was_pulled(
    pad_link: Path,
) -> None:
    hangs = True

    def answer(apdu: bytes) -> bytes | None:
        return None if hangs else ONE(apdu)

    async def scenario() -> None:
        nonlocal hangs
        async with scripted(pad_link, answer) as (reader, card):
            await reader.open()
            async with asyncio.timeout(transport.PATIENCE + 2):
                with pytest.raises(DeviceLost, match="does not answer"):
                    await reader.inventory()
            async with asyncio.timeout(0.5):
                with pytest.raises(DeviceLost, match="still hangs"):
                    await reader.open()
            assert len(transport.given_up()) == 1
            await card.pull()
            await until(lambda: not transport.given_up())
            hangs = False
            await card.insert()
            await reader.open()
            assert len(await reader.inventory()) == 1

    asyncio.run(scenario())


def test_a_service_that_stands_still_is_given_up_in_time(pad_link: Path) -> None:
    async def scenario() -> None:
        async with scripted(pad_link, ONE) as (reader, card):
            card.service.signal(signal.SIGSTOP)
            async with asyncio.timeout(transport.PATIENCE + 2):
                with pytest.raises(DeviceLost, match="does not answer"):
                    await reader.open()
            card.service.signal(signal.SIGCONT)
            await until(lambda: not transport.given_up())
            await reader.open()
            assert len(await reader.inventory()) == 1

    asyncio.run(scenario())


def test_a_card_pulled_in_the_middle_is_no_tag_and_no_error(pad_link: Path) -> None:
    asked = asyncio.Event()

    def answer(apdu: bytes) -> bytes | None:
        if apdu[:4] == b"\xff\xc2\x00\x01":
            asked.set()
            return None
        return ONE(apdu)

    async def scenario() -> None:
        async with scripted(pad_link, answer) as (reader, card):
            await reader.open()
            looking = asyncio.create_task(reader.inventory())
            await asyncio.wait_for(asked.wait(), 3)
            await card.pull()
            assert await asyncio.wait_for(looking, 3) == []

    asyncio.run(scenario())


def test_a_killed_service_is_a_lost_device_and_the_next_one_works(pad_link: Path) -> None:
    async def scenario() -> None:
        async with scripted(pad_link, ONE) as (reader, card):
            for _ in range(3):
                await reader.open()
                assert len(await reader.inventory()) == 1
                await card.pull()
                await card.service.stop(signal.SIGKILL)
                async with asyncio.timeout(1):
                    with pytest.raises(DeviceLost):
                        await reader.inventory()
                    with pytest.raises(DeviceLost, match="pcscd does not run"):
                        await reader.open()
                await card.service.start()
                await card.insert()

    asyncio.run(scenario())


def test_noise_without_end_is_a_sentence_in_time(pad_link: Path) -> None:
    garbage = bytes.fromhex("C0 03 00 90 00 92 01 00 96 02 01 00 97 03 00 12 34")

    async def scenario() -> None:
        async with scripted(pad_link, granting(lambda _: garbage)) as (reader, _):
            await reader.open()
            async with asyncio.timeout(20):
                with pytest.raises(DeviceLost, match="nothing but noise"):
                    await reader.inventory()
            assert reader.noise > 0

    asyncio.run(scenario())


@pytest.mark.parametrize("said", ["", "C0", "C0 03 00 90", "97 84 FF FF FF FF 00", "5F"])
def test_an_answer_that_makes_no_sense_is_no_tag(pad_link: Path, said: str) -> None:
    async def scenario() -> None:
        heard = granting(lambda _: bytes.fromhex(said))
        async with scripted(pad_link, heard) as (reader, _):
            await reader.open()
            if said:
                with pytest.raises(DeviceLost, match="noise"):
                    await reader.inventory()
            else:
                assert await reader.inventory() == []

    asyncio.run(scenario())
