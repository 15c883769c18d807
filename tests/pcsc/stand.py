"""A world, the emulated reader in a real pcscd, and the driver opposite it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kiosk.devices.hf import HfPad
from kiosk.devices.pcsc_pad import PcscReader
from kiosk.emulators import pcsc_pad
from kiosk.emulators.talk import Said
from kiosk.emulators.vpcd import Control, Service, converse
from kiosk.emulators.world import World
from kiosk.wire.apdu import ATR
from kiosk.wire.transparent import Object, decode_objects
from tests.support.emulated import demo, emulated

Answer = Callable[[bytes], bytes | None]


@dataclass
class Desk:
    """What a test about the reader needs."""

    world: World
    reader: PcscReader
    pad: HfPad
    link: Path

    def lay(self, *names: str) -> list[str]:
        """Lay these; their UIDs."""
        for name in names:
            self.world.lay(name)
        return [self.world.tag(name).uid for name in names]


def url(link: Path, part: str = "") -> str:
    """The reader whose name has that part, at the service called ``link``."""
    return f"pcsc://{part}?socket={link}"


@asynccontextmanager
async def desk(
    link: Path, *, transparent: bool = True, backwards: bool = False, keeps: bool = True
) -> AsyncIterator[Desk]:
    """The reader is not open yet; the rest is what kind of one is emulated."""
    device = PcscReader(url(link))
    pad = HfPad(device)
    main = partial(pcsc_pad.main, transparent=transparent, backwards=backwards, keeps=keeps)
    async with emulated(main, link, pad, demo()) as (world, _):
        yield Desk(world, device, pad, link)


@asynccontextmanager
async def scripted(
    link: Path, answer: Answer, atr: bytes = ATR
) -> AsyncIterator[tuple[PcscReader, Card]]:
    """A card that answers APDUs by ``answer`` (None: never), in a real pcscd; the reader is not open yet."""
    service = Service(link.with_name("pcscd"))
    await service.start()
    link.symlink_to(service.comm)
    device = PcscReader(url(link))
    card = Card(service, answer, atr)
    try:
        await card.insert()
        yield device, card
    finally:
        await device.close()
        await card.pull()
        link.unlink(missing_ok=True)
        await service.stop()


class Card:
    """A card to push in and pull out."""

    def __init__(self, service: Service, answer: Answer, atr: bytes) -> None:
        self.service = service
        self.asked: list[str] = []
        self._answer = answer
        self._atr = atr
        self._line: socket.socket | None = None
        self._talk: asyncio.Task[None] | None = None

    async def insert(self) -> None:
        """Push it in; the service sees that a little later."""
        self._line = await self.service.connect()
        self._talk = asyncio.create_task(converse(self._line, self._said, self._told))

    async def pull(self) -> None:
        """Pull it out; safe to call twice."""
        if self._talk is None or self._line is None:
            return
        self._talk.cancel()
        await asyncio.gather(self._talk, return_exceptions=True)
        self._line.close()
        self._talk = self._line = None

    def _said(self, apdu: bytes) -> Said | None:
        self.asked.append(apdu.hex().upper())
        said = self._answer(apdu)
        return None if said is None else Said(said, think=0.0)

    def _told(self, control: Control) -> bytes | None:
        return self._atr if control is Control.ATR else None


def granting(answer: Callable[[bytes], bytes | None]) -> Answer:
    """A reader that grants sessions; ``answer`` gets the frames and says what is heard, as data objects."""

    def said(apdu: bytes) -> bytes | None:
        if apdu[:4] != b"\xff\xc2\x00\x01":
            return bytes.fromhex("C0 03 00 90 00 90 00")
        objects = decode_objects(apdu[5:-1])
        heard = answer(next(one.value for one in objects if one.tag == Object.TRANSCEIVE))
        return None if heard is None else heard + b"\x90\x00"

    return said


def frame(text: str) -> bytes:
    """A frame that was heard well."""
    data = bytes.fromhex(text)
    return bytes.fromhex("C0 03 00 90 00 92 01 00 96 02 00 00 97") + bytes((len(data),)) + data


SILENCE = bytes.fromhex("C0 03 01 64 01")
COLLISION = bytes.fromhex("C0 03 00 90 00 92 01 00 96 02 02 00 97 00")
DAMAGED = bytes.fromhex("C0 03 00 90 00 92 01 00 96 02 01 00 97 03 00 12 34")
