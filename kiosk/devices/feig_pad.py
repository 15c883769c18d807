"""FEIG pads (ID CPR, ISC.MR, OEM in many kiosks): ISO-Host B0 on a serial or network line.

Custom commands of NXP (EAS) are asked by name, B1; a family that does not know B1 gets them passed through, BF.
"""

from __future__ import annotations

from typing import assert_never

from kiosk.devices.base import Lock
from kiosk.devices.feig import FeigHost, lost
from kiosk.devices.hf import HfPad, unsupported
from kiosk.wire import iso15693, iso_host, iso_host_tags
from kiosk.wire.iso15693 import Found, SystemInfo, Uid
from kiosk.wire.iso_host import Reply, Request, Status
from kiosk.wire.iso_host_tags import Blocks
from mocban.errors import DeviceLost, RemoteProtocolError

_ROUNDS = 40  # answers of one inventory; 40 x 24 tags is more than any pad can see
_GOOD = (Status.OK, Status.RF_WARNING)  # statuses whose data are good
_LOOK = (*_GOOD, Status.MORE)
_STUCK = (Status.NOT_AVAILABLE, Status.LOGIN_WANTED, Status.LOGIN_ERROR, Status.HARDWARE)
_NO_SUCH = (Status.ADDRESS_ERROR, Status.ISO_ERROR)
_NO_COMMAND = (Status.UNKNOWN_COMMAND, Status.WRONG_TYPE, Status.LENGTH)
_MOST = 32  # blocks of four bytes in one answer


def feig_pad(url: str) -> HfPad:
    """A FEIG pad at ``url``, not opened yet."""
    return HfPad(FeigReader(url))


class FeigReader:
    """The words of a FEIG reader (``HfReader``)."""

    def __init__(self, url: str) -> None:
        self._host = FeigHost(url)
        self._named = True  # knows B1, as far as we have seen

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._host.noise

    async def open(self) -> str:
        self._named = True
        return await self._host.open()

    async def close(self) -> None:
        await self._host.close()

    async def inventory(self) -> list[Found]:
        """Every tag; twins in one answer are left to the caller."""
        found: list[Found] = []
        reply = await self._look(iso_host_tags.inventory())
        for _ in range(_ROUNDS):
            if reply.status == Status.NO_TAG:
                break
            found += await self._found(reply)
            if reply.status != Status.MORE:
                break
            reply = await self._look(iso_host_tags.inventory(more=True))
        return found

    async def info(self, uid: Uid) -> SystemInfo | None:
        reply = await self._ask(iso_host_tags.system_info(uid))
        if reply.status not in _GOOD:
            return None
        try:
            info = iso_host_tags.decode_system_info(reply.data)
        except RemoteProtocolError:
            return None
        return info if info.uid == uid else None

    async def read(self, uid: Uid, first: int, count: int) -> bytes | None:
        data, at, most = b"", first, _MOST
        while at < first + count:
            wanted = min(most, first + count - at)
            reply = await self._ask(iso_host_tags.read_blocks(uid, at, wanted))
            if reply.status == Status.RANGE and wanted > 1:
                most = wanted // 2  # blocks of eight bytes fill an answer sooner
                continue
            if reply.status in (*_NO_SUCH, Status.RANGE):
                return b""
            part = _blocks(reply, wanted)
            if part is None:
                return None
            data += part
            at += wanted
        return data

    async def write(self, uid: Uid, first: int, size: int, data: bytes) -> None:
        """Block by block: ICODE SLIX knows no other way, and a reader's own loop cannot be watched."""
        for at in range(0, len(data), size):
            number = first + at // size
            await self._ask(iso_host_tags.write_blocks(uid, number, size, data[at : at + size]))

    async def write_afi(self, uid: Uid, afi: int) -> None:
        await self._ask(iso_host_tags.write_afi(uid, afi))

    async def read_afi(self, uid: Uid) -> int | None:
        info = await self.info(uid)
        return info.afi if info is not None else None

    async def write_dsfid(self, uid: Uid, dsfid: int) -> None:
        await self._ask(iso_host_tags.write_dsfid(uid, dsfid))

    async def write_eas(self, uid: Uid, *, armed: bool) -> None:
        if await self._custom(iso_host_tags.set_eas(uid, armed=armed)) is None:
            await self._through(iso15693.set_eas(uid, armed=armed), 0, writes=True)

    async def hears_eas(self, uid: Uid) -> bool:
        """A damaged answer was one as well: only an armed tag says anything."""
        reply = await self._custom(iso_host_tags.eas_alarm(uid))
        if reply is None:
            pattern = len(iso15693.EAS_PATTERN)
            reply = await self._through(iso15693.eas_alarm(uid), pattern)
        return reply.status in (*_GOOD, Status.DATA_FALSE)

    async def lock(self, uid: Uid, what: Lock, first: int, count: int) -> bool:
        match what:
            case Lock.AFI:
                reply = await self._ask(iso_host_tags.lock_afi(uid))
            case Lock.DSFID:
                reply = await self._ask(iso_host_tags.lock_dsfid(uid))
            case Lock.BLOCKS:
                reply = await self._ask(iso_host_tags.lock_blocks(uid, first, count))
            case Lock.EAS:
                return await self._protect(uid)
            case _:
                assert_never(what)
        return reply.status == Status.OK

    async def reset(self) -> None:
        await self._ask(iso_host.rf_reset())

    async def _protect(self, uid: Uid) -> bool:
        """The password as the maker leaves it is shown first, masked by the tag's own random number."""
        said = await self._heard(iso15693.get_random(uid), 2)
        if said is None or len(said) != 2:
            return False
        if await self._heard(iso15693.set_password(uid, said), 0) is None:
            return False
        return await self._heard(iso15693.protect_eas(uid), 0, writes=True) is not None

    async def _heard(self, frame: bytes, heard: int, *, writes: bool = False) -> bytes | None:
        """What the tag answered behind its flags; None if it did not, or refused."""
        reply = await self._through(frame, heard, writes=writes)
        if reply.status not in _GOOD:
            return None
        try:
            return iso15693.unsealed(reply.data)
        except RemoteProtocolError:
            return None

    async def _custom(self, request: Request) -> Reply | None:
        """The answer to a command of B1; None if this reader has none, which is remembered."""
        if not self._named:
            return None
        reply = await self._ask(request)
        if reply.status in _NO_COMMAND:
            self._named = False
            return None
        return reply

    async def _through(self, frame: bytes, heard: int, *, writes: bool = False) -> Reply:
        reply = await self._ask(iso_host_tags.through(frame, heard, writes=writes))
        if reply.status in _NO_COMMAND:
            raise unsupported("pass the tag maker's own commands to a tag, as EAS needs it")
        return reply

    async def _look(self, request: Request) -> Reply:
        """An answer to trust: an empty list by mistake would end a visit. Once more after an RF reset."""
        reply = await self._ask(request)
        if reply.status in _LOOK or reply.status == Status.NO_TAG:
            return reply
        await self._ask(iso_host.rf_reset())
        reply = await self._ask(iso_host_tags.inventory())
        if reply.status in _LOOK or reply.status == Status.NO_TAG:
            return reply
        await self._host.close()
        raise lost(reply)

    async def _ask(self, request: Request) -> Reply:
        """An answer that is about tags; a reader that answers none before a person helped it is lost."""
        reply = await self._host.ask(request)
        if reply.status in _STUCK:
            await self._host.close()
            raise lost(reply)
        return reply

    async def _found(self, reply: Reply) -> list[Found]:
        try:
            return iso_host_tags.decode_found(reply.data)
        except RemoteProtocolError as error:
            await self._host.close()
            do = error.do or "Unplug the reader and plug it in again."
            raise DeviceLost(error.say, do) from error


def _blocks(reply: Reply, wanted: int) -> bytes | None:
    """The memory in an answer of so many blocks; None if it is not whole."""
    if reply.status not in _GOOD:
        return None
    try:
        blocks = Blocks.decode(reply.data)
    except RemoteProtocolError:
        return None
    return blocks.data if len(blocks.data) == wanted * blocks.size else None
