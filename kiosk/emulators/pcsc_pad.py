"""An emulated PC/SC reader for ISO 15693 in the virtual slot of a real pcscd; what lies on it is the world's.

Whether an open session keeps the card "present" when the last tag is lifted is not known to us of any reader, so both
kinds are emulated (``keeps``).
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

from kiosk.emulators import air
from kiosk.emulators.field import Field
from kiosk.emulators.talk import Said, until
from kiosk.emulators.things import WorldTag
from kiosk.emulators.vpcd import Control, Service, converse
from kiosk.emulators.world import World
from kiosk.wire.apdu import ATR, Response
from kiosk.wire.iso15693 import Flag, SystemInfo
from kiosk.wire.transparent import (
    Code,
    DataObject,
    Function,
    Object,
    Status,
    decode_objects,
)
from mocban.errors import RemoteProtocolError

THINK = 0.005
"""Seconds for one APDU through USB, apart from what is on air."""
_POLL = 0.05
_UNIT = 302e-6  # of a frame waiting time
_EAS = bytes.fromhex("2FB36270D5A7907FE8B18038D281497682DA9A866FAF8BB0F19CD112A57237EF")
_DISTURBED = 5  # with noise, every so manieth answer is
_LOCKS: dict[int, str] = {Code.LOCK_AFI: "afi", Code.LOCK_DSFID: "dsfid", Code.LOCK_EAS: "eas"}
_GRANTED = b"\0\x90\x00"
_SILENT = b"\0\x64\x01"

Answer = tuple[bytes | None, float]
"""A tag's frame without CRC (None: no tag answers), and seconds on air."""


async def main(
    world_path: Path,
    link: Path,
    stop: asyncio.Event,
    *,
    transparent: bool = True,
    backwards: bool = False,
    keeps: bool = True,
) -> None:
    """Be the smart card service whose socket is called ``link``, and a reader with it, until ``stop``.

    ``transparent``: the reader knows transparent exchange; ``backwards``: it tells a card's UID last byte first;
    ``keeps``: the card stays while a session is open, tag or no tag.
    """
    world = World(world_path)
    service = Service(link.with_name("pcscd"))
    reader = EmulatedReader(world, transparent=transparent, backwards=backwards, keeps=keeps)
    try:
        await until(stop, _watch(world, service, link), _lie(reader, service))
    finally:
        link.unlink(missing_ok=True)
        await service.stop()
        world.close()


class EmulatedReader:
    """What the reader remembers: whether a session is open, its protocol chosen, its field on."""

    def __init__(
        self,
        world: World,
        *,
        transparent: bool = True,
        backwards: bool = False,
        keeps: bool = True,
    ) -> None:
        self.session = False
        self._keeps = keeps
        self._world = world
        self._field = Field(world)
        self._transparent = transparent
        self._backwards = backwards
        self._chosen = False
        self._on = True
        self._spoken = 0

    @property
    def present(self) -> bool:
        """Whether the slot says that a card is there."""
        return (self.session and self._keeps) or bool(self._field.present())

    def control(self, what: Control) -> bytes | None:
        """The service's own messages; power off ends a session."""
        match what:
            case Control.ATR:
                return ATR
            case Control.OFF | Control.RESET:
                self.session = self._chosen = False
                self._on = True
                self._field.reset()
            case Control.ON:
                pass
        return None

    def answer(self, apdu: bytes) -> Said:
        """The answer to one APDU."""
        match tuple(apdu[:4]):
            case (0xFF, 0xCA, 0, 0):
                return self._uid()
            case (0xFF, 0xB0 | 0xD6, _, _):
                return self._block(apdu)
            case (0xFF, 0xC2, 0, function) if self._transparent:
                return self._objects(function, apdu[5 : 5 + apdu[4]])
        return _said(Response(b"", 0x6A81))

    # -- one tag as a storage card --

    def _card(self) -> WorldTag | None:
        tags = self._field.present()
        return self._field.get(tags[0].uid) if tags else None

    def _uid(self) -> Said:
        tag = self._card()
        if tag is None:
            return _said(Response(b"", 0x6300), air.silence())
        uid = bytes.fromhex(tag.uid)
        return _said(Response(uid[::-1] if self._backwards else uid), air.one_slot(answers=True))

    def _block(self, apdu: bytes) -> Said:
        tag, number = self._card(), int.from_bytes(apdu[2:4], "big")
        if tag is None:
            return _said(Response(b"", 0x6300), air.silence())
        if apdu[1] == 0xD6:
            done, spent = self._field.write(tag, number, apdu[5:])
            return _said(Response(b"", 0x9000 if done else 0x6300), spent)
        if apdu[4] != tag.block_size:
            return _said(Response(b"", 0x6C00 | tag.block_size))
        data, spent = self._field.read(tag, number, 1)
        return _said(Response(b"", 0x6A82) if data is None else Response(data), spent)

    # -- transparent exchange --

    def _objects(self, function: int, body: bytes) -> Said:
        try:
            objects = decode_objects(body)
        except RemoteProtocolError:
            return _said(Response(b"", 0x6700))
        if function == Function.EXCHANGE and self.session and self._chosen:
            return self._exchange({one.tag: one.value for one in objects})
        for one in objects:
            match (function, one.tag):
                case (Function.SESSION, Object.BEGIN):
                    self.session = True
                case (Function.SESSION, Object.END):
                    self.session = self._chosen = False
                case (Function.SESSION, Object.FIELD_OFF):
                    self._on = self._chosen = False
                    self._field.reset()
                case (Function.SESSION, Object.FIELD_ON):
                    self._on = True
                case (Function.PROTOCOL, Object.PROTOCOL) if one.value == b"\x02\x03":
                    self._chosen = self.session
                case _:
                    return _said(_objects(DataObject(Object.ERROR, b"\x01\x6a\x81")))
        return _said(_objects(DataObject(Object.ERROR, _GRANTED)))

    def _exchange(self, given: dict[int, bytes]) -> Said:
        """One frame. Silence lasts as long as the reader was told to wait."""
        frame = given.get(Object.TRANSCEIVE, b"")
        index = given.get(Object.PARAMETERS, b"\3\1\7")[-1] & 0x0F
        patience = min(
            int.from_bytes(given.get(Object.TIMER, b"\xff\xff\xff\xff"), "little") * 1e-6,
            _UNIT * 2**index,
        )
        if len(frame) < 3 or not self._on:
            heard, spent = None, air.silence(len(frame))
        elif frame[0] & Flag.INVENTORY:
            answers = self._inventory(frame)
            spent = air.one_slot(answers=bool(answers), mask=frame[2])
            if len(answers) > 1:
                return _said(_collided(answers), spent)
            heard = answers[0] if answers else None
        else:
            heard, spent = self._request(frame)
        if heard is None:
            return _said(_objects(DataObject(Object.ERROR, _SILENT)), spent + patience)
        self._spoken += 1
        if self._world.fault("pad-noise") and self._spoken % _DISTURBED == 0:
            return _said(_heard(Status.CRC, heard[:-1] + bytes((heard[-1] ^ 0x5A,))), spent)
        return _said(_heard(0, heard), spent)

    def _inventory(self, frame: bytes) -> list[bytes]:
        """What everybody says who is meant; tags that say the same are heard as one."""
        afi = frame[2] if frame[0] & Flag.AFI else None
        bits, *mask = frame[3:] if afi is not None else frame[2:]
        wanted = int.from_bytes(bytes(mask), "little")
        found, _ = self._field.inventory(afi)
        meant = [tag for tag in found if int(tag.uid, 16) & ((1 << bits) - 1) == wanted]
        return sorted({bytes((0, tag.dsfid)) + bytes.fromhex(tag.uid)[::-1] for tag in meant})

    def _request(self, frame: bytes) -> Answer:
        """A frame to one tag by its UID."""
        at = 3 if frame[1] >= 0xA0 else 2
        uid = frame[at : at + 8][::-1].hex().upper()
        tag = self._field.get(uid)
        if tag is None or not frame[0] & Flag.ADDRESS:
            return None, air.silence(len(frame))
        field = self._field
        match (frame[1], tuple(frame[at + 8 :])):
            case (Code.STAY_QUIET, _):
                return None, field.quiet(tag)
            case (Code.READ_SINGLE, (number,)):
                return _data(field.read(tag, number, 1))
            case (Code.READ_MULTIPLE, (first, more)):
                return _data(field.read(tag, first, more + 1))
            case (Code.WRITE_SINGLE, (number, *data)):
                return _done(field.write(tag, number, bytes(data)))
            case (Code.WRITE_AFI, (afi,)):
                return _done(field.write_afi(tag, afi))
            case (Code.WRITE_DSFID, (dsfid,)):
                return _done(field.write_dsfid(tag, dsfid))
            case (Code.LOCK_AFI | Code.LOCK_DSFID | Code.LOCK_EAS as code, _):
                return _done(field.lock(tag, _LOCKS[code]))
            case (Code.LOCK_BLOCK, (number,)):
                return _done(field.lock(tag, "blocks", number, 1))
            case (Code.SET_EAS | Code.RESET_EAS as code, _):
                return _done(field.write_eas(tag, code == Code.SET_EAS))
            case (Code.EAS_ALARM, _):
                armed, spent = field.eas(tag)
                return (b"\0" + _EAS if armed else None), spent
            case (Code.SYSTEM_INFO, _):
                info, spent = field.info(tag)
                return b"\0" + _info(info), spent
        return b"\x01\x01", air.exchange(len(frame), 1)


async def _watch(world: World, service: Service, link: Path) -> None:
    """Start and stop the service as the world says, and its name with it."""
    seen = -1
    while True:
        if (version := world.version()) != seen:
            seen = version
            if world.fault("pad-unplugged"):
                await service.stop()
                link.unlink(missing_ok=True)
            elif not link.is_symlink():
                await service.start()
                link.symlink_to(service.comm)
        await asyncio.sleep(_POLL)


async def _lie(reader: EmulatedReader, service: Service) -> None:
    """Be in the slot while something is there."""
    while True:
        if reader.present:
            with suppress(OSError):
                await _visit(reader, await service.connect())
        await asyncio.sleep(_POLL)


async def _visit(reader: EmulatedReader, line: socket.socket) -> None:
    """One stay in the slot, until nothing is there any more or the service ends the line."""
    talking = asyncio.create_task(converse(line, reader.answer, reader.control))
    try:
        while reader.present and not talking.done():
            await asyncio.wait((talking,), timeout=_POLL)
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        line.close()
        reader.control(Control.OFF)


def _data(read: tuple[bytes | None, float]) -> Answer:
    data, spent = read
    return (b"\x01\x0f" if data is None else b"\0" + data), spent


def _done(written: tuple[bool, float]) -> Answer:
    done, spent = written
    return (b"\0" if done else b"\x01\x13"), spent


def _info(info: SystemInfo) -> bytes:
    """All its fields."""
    told = (info.dsfid, info.afi, (info.blocks or 1) - 1, (info.block_size or 1) - 1, info.ic)
    return b"\x0f" + info.uid.on_air + bytes(one or 0 for one in told)


def _heard(status: int, frame: bytes) -> Response:
    return _objects(
        DataObject(Object.ERROR, _GRANTED),
        DataObject(Object.BITS, b"\0"),
        DataObject(Object.STATUS, bytes((status, 0))),
        DataObject(Object.RECEIVED, frame),
    )


def _collided(frames: list[bytes]) -> Response:
    """Several answers at once: the bits that all have are right, up to the first that they have not."""
    first = frames[0]
    same = next(at for at in range(len(first)) if any(one[at] != first[at] for one in frames))
    return _heard(Status.COLLISION, first[:same])


def _objects(*objects: DataObject) -> Response:
    return Response(b"".join(one.encode() for one in objects))


def _said(response: Response, spent: float = 0.0) -> Said:
    return Said(response.encode(), spent, THINK)
