"""What a pad of ISO 15693 tags asks of its reader, frame by frame over a cable, by a reader written down here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from kiosk.devices.feig_pad import feig_pad
from kiosk.devices.hf import HfPad
from kiosk.transports.base import open_stream
from kiosk.wire.iso15693 import Found, SystemInfo, Uid
from kiosk.wire.iso_host import Reply, Request, Status
from kiosk.wire.iso_host_tags import Blocks, Sub, TagCommand, encode_found, encode_system_info
from mocban.errors import ConfigError, LocalProtocolError

BOOK = bytes.fromhex("110101424730303031323334350000000000000317564E42473031").ljust(32, b"\0")
LONG = bytes.fromhex(  # an id of 20 characters stands behind the first nine blocks
    "11010101" + "00" * 15 + "4D6A564E42473031" + "00" * 7 + "01"
    "1901001E00564E2D424730312D323032362D30303030303031"
)
SMALL = [Uid.parse(f"E0040300000000{n:02X}") for n in range(3)]
LARGE = Uid.parse("E004010012345678")


class Chips:
    """Tags and what was asked about them. ``memory`` by UID; blocks of four bytes."""

    def __init__(self, memory: dict[Uid, bytes]) -> None:
        self.memory = memory
        self.afi = dict.fromkeys(memory, 0x07)
        self.asked: list[str] = []

    def answer(self, request: Request) -> Reply:
        """As a FEIG reader would."""
        if request.command != 0xB0:
            return Reply(request.command, Status.OK, bytes.fromhex("04 02 00 21 54"))
        command = TagCommand.decode(request.data)
        if command.sub == Sub.INVENTORY:
            self.asked.append("inventory")
            found = [Found(uid, 0) for uid in self.memory]
            status = Status.OK if found else Status.NO_TAG
            return Reply(0xB0, status, encode_found(found) if found else b"")
        assert command.uid is not None
        self.asked.append(f"{Sub(command.sub).name.lower()} {command.args.hex()}".strip())
        if command.uid not in self.memory:
            return Reply(0xB0, Status.NO_TAG)
        return Reply(0xB0, *self._one(command, command.uid))

    def _one(self, command: TagCommand, uid: Uid) -> tuple[Status, bytes]:
        data = self.memory[uid]
        match command.sub:
            case Sub.READ_BLOCKS:
                first, count = command.args
                if 4 * (first + count) > len(data):
                    return Status.ISO_ERROR, b"\x10"
                return Status.OK, Blocks(4, data[4 * first : 4 * (first + count)]).encode()
            case Sub.SYSTEM_INFO:
                info = SystemInfo(uid, 0, self.afi[uid], len(data) // 4, 4, 1)
                return Status.OK, encode_system_info(info)
            case Sub.WRITE_AFI:
                self.afi[uid] = command.args[0]
                return Status.OK, b""
            case _:
                return Status.UNKNOWN_COMMAND, b""

    def take(self) -> list[str]:
        """What was asked since the last time."""
        asked, self.asked = self.asked, []
        return asked


@asynccontextmanager
async def pad(chips: Chips) -> AsyncIterator[HfPad]:
    """A pad, open, whose reader is at the other end of a cable."""
    name = f"memory://hf-{id(chips)}"
    device, far = feig_pad(name), await open_stream(name)

    async def serve() -> None:
        while True:
            await far.write(chips.answer(Request.decode(await far.read())).encode())

    serving = asyncio.create_task(serve())
    try:
        await device.open()
        chips.take()
        yield device
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await device.close()
        await far.close()


def run(chips: Chips, scenario: Callable[[HfPad], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with pad(chips) as device:
            await scenario(device)

    asyncio.run(whole())


def test_small_chips_are_asked_for_too_much_once_and_not_once_each() -> None:
    chips = Chips(dict.fromkeys(SMALL, BOOK) | {LARGE: BOOK.ljust(112, b"\0")})

    async def scenario(device: HfPad) -> None:
        tags = await device.tags()
        assert [len(tag.data) for tag in tags] == [32, 32, 32, 36]
        reads = [what for what in chips.take() if what.startswith("read")]
        assert reads == [f"read_blocks 00{n}" for n in ("09", "08", "08", "08", "09")]
        chips.memory.pop(SMALL[0])
        await device.tags()
        assert chips.take() == ["inventory"]

    run(chips, scenario)


def test_of_a_long_tag_only_the_rest_is_read_and_its_mark_is_known_by_then() -> None:
    chips = Chips({LARGE: LONG.ljust(112, b"\0")})

    async def scenario(device: HfPad) -> None:
        (tag,) = await device.tags()
        assert (tag.data, tag.afi) == (chips.memory[LARGE], 0x07)
        assert chips.take() == [
            "inventory", "read_blocks 0009", "system_info", "read_blocks 0913"
        ]  # fmt: skip

    run(chips, scenario)


def test_a_mark_costs_a_write_and_a_question_and_one_that_stands_the_question_alone() -> None:
    chips = Chips({LARGE: BOOK.ljust(112, b"\0")})

    async def scenario(device: HfPad) -> None:
        await device.tags()
        chips.take()
        assert await device.write_afi(str(LARGE), 0xC2)
        assert chips.take() == ["write_afi c2", "system_info"]
        assert await device.write_afi(str(LARGE), 0xC2)
        assert chips.take() == ["system_info"]
        chips.afi[LARGE] = 0x07  # by somebody else
        assert await device.write_afi(str(LARGE), 0xC2)
        assert chips.take() == ["system_info", "write_afi c2", "system_info"]
        (tag,) = await device.tags()
        assert tag.afi == 0xC2

    run(chips, scenario)


def test_a_tag_that_left_before_it_was_read_stands_there_without_data_and_is_read_later() -> None:
    chips = Chips({LARGE: b""})

    async def scenario(device: HfPad) -> None:
        (tag,) = await device.tags()
        assert (tag.uid, tag.data) == (str(LARGE), b"")
        chips.memory[LARGE] = BOOK
        (tag,) = await device.tags()
        assert tag.data == BOOK

    run(chips, scenario)


def test_what_cannot_be_written_is_refused_before_anything_is_sent() -> None:
    chips = Chips({LARGE: BOOK})

    async def scenario(device: HfPad) -> None:
        with pytest.raises(LocalProtocolError, match="whole blocks of 4 bytes"):
            await device.write(str(LARGE), 0, b"ABC")
        with pytest.raises(ConfigError) as refused:
            await device.write_eas("E007000000000001", armed=True)
        assert refused.value.code == "unsupported"
        assert chips.take() == ["system_info"]

    run(chips, scenario)
