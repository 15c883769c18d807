"""FEIG pads (ID CPR, ISC.MR, OEM in many kiosks): ISO-Host B0 on a serial or network line."""

from __future__ import annotations

from kiosk.devices.base import Lock
from kiosk.devices.feig import FeigHost, trouble
from kiosk.devices.hf import HfPad, unsupported
from kiosk.wire import iso_host, iso_host_tags
from kiosk.wire.iso15693 import Found, SystemInfo, Uid
from kiosk.wire.iso_host import Reply, Request, Status
from mocban.errors import DeviceLost, RemoteProtocolError

_ROUNDS = 40  # answers of one inventory; 40 x 24 tags is more than any pad can see
_LOOK = (Status.OK, Status.MORE, Status.RF_WARNING)  # statuses whose data are good
_NO_SUCH = (Status.ADDRESS_ERROR, Status.ISO_ERROR, Status.RANGE)
_MOST = 32  # blocks of four bytes in one answer


def feig_pad(url: str) -> HfPad:
    """A FEIG pad at ``url``, not opened yet."""
    return HfPad(FeigReader(url))


class FeigReader:
    """The words of a FEIG reader (``HfReader``)."""

    def __init__(self, url: str) -> None:
        self._host = FeigHost(url)

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._host.noise

    async def open(self) -> str:
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
            found += _found(reply)
            if reply.status != Status.MORE:
                break
            reply = await self._look(iso_host_tags.inventory(more=True))
        return found

    async def info(self, uid: Uid) -> SystemInfo | None:
        reply = await self._host.ask(iso_host_tags.system_info(uid))
        if reply.status != Status.OK:
            return None
        try:
            info = iso_host_tags.decode_system_info(reply.data)
        except RemoteProtocolError:
            return None
        return info if info.uid == uid else None

    async def read(self, uid: Uid, first: int, count: int) -> bytes | None:
        data = b""
        for at in range(first, first + count, _MOST):
            wanted = min(_MOST, first + count - at)
            reply = await self._host.ask(iso_host_tags.read_blocks(uid, at, wanted))
            if reply.status in _NO_SUCH:
                return b""
            if reply.status != Status.OK:
                return None
            try:
                blocks = iso_host_tags.Blocks.decode(reply.data)
            except RemoteProtocolError:
                return None
            if len(blocks.data) != wanted * blocks.size:
                return None
            data += blocks.data
        return data

    async def write(self, uid: Uid, first: int, size: int, data: bytes) -> None:
        for at in range(0, len(data), size):
            number = first + at // size
            block = data[at : at + size]
            await self._host.ask(iso_host_tags.write_blocks(uid, number, size, block))

    async def write_afi(self, uid: Uid, afi: int) -> None:
        await self._host.ask(iso_host_tags.write_afi(uid, afi))

    async def read_afi(self, uid: Uid) -> int | None:
        info = await self.info(uid)
        return info.afi if info is not None else None

    async def write_dsfid(self, uid: Uid, dsfid: int) -> None:
        del uid, dsfid
        raise unsupported("write the DSFID")

    async def write_eas(self, uid: Uid, *, armed: bool) -> None:
        del uid, armed
        raise unsupported("switch EAS")

    async def hears_eas(self, uid: Uid) -> bool:
        del uid
        raise unsupported("hear EAS")

    async def lock(self, uid: Uid, what: Lock, first: int, count: int) -> bool:
        del uid, what, first, count
        raise unsupported("lock")

    async def reset(self) -> None:
        await self._host.ask(iso_host.rf_reset())

    async def _look(self, request: Request) -> Reply:
        """An answer to trust: an empty list by mistake would end a visit. Once more after an RF reset."""
        reply = await self._host.ask(request)
        if reply.status in _LOOK or reply.status == Status.NO_TAG:
            return reply
        await self._host.ask(iso_host.rf_reset())
        reply = await self._host.ask(iso_host_tags.inventory())
        if reply.status in _LOOK or reply.status == Status.NO_TAG:
            return reply
        await self._host.close()
        lost = trouble(reply)
        raise DeviceLost(lost.say, lost.do, code=lost.code)


def _found(reply: Reply) -> list[Found]:
    try:
        return iso_host_tags.decode_found(reply.data)
    except RemoteProtocolError as error:
        raise DeviceLost(error.say, "Reset the reader.") from error
