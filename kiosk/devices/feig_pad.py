"""FEIG pads (ID CPR, ISC.MR, OEM in many kiosks): ISO-Host B0 on a serial or network line."""

from __future__ import annotations

import asyncio

from kiosk.devices.base import Tag
from kiosk.devices.feig import FeigHost, trouble
from kiosk.wire import iso28560, iso_host, iso_host_tags
from kiosk.wire.iso15693 import SystemInfo, Uid
from kiosk.wire.iso_host import Reply, Request, Status
from mocban.errors import DeviceLost, RemoteProtocolError

_WRITES = 4  # before and again after an RF reset
_PAUSE = 0.03  # seconds between two writes
_ROUNDS = 40  # answers of one inventory; 40 x 24 tags is more than any pad can see
_LOOK = (Status.OK, Status.MORE, Status.RF_WARNING)  # statuses whose data are good
_UNTOLD = (
    8,
    4,
)  # blocks and block size of a tag that gives no system information: the least there is


class FeigPad:
    """A pad. What a tag holds is read once while it lies in the field."""

    def __init__(self, url: str) -> None:
        self._host = FeigHost(url)
        self._known: dict[str, Tag] = {}

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._host.noise

    async def open(self) -> str:
        self._known.clear()
        return await self._host.open()

    async def close(self) -> None:
        self._known.clear()
        await self._host.close()

    async def tags(self) -> list[Tag]:
        """One inventory round. A tag that left before it was read stands there without data."""
        found = {str(tag.uid): tag for tag in await self._inventory()}
        self._known = {uid: tag for uid, tag in self._known.items() if uid in found}
        for uid, tag in found.items():
            if uid not in self._known and (read := await self._read(tag.uid)) is not None:
                self._known[uid] = read
        return [self._known.get(uid, Tag(uid, dsfid=tag.dsfid)) for uid, tag in found.items()]

    async def write_afi(self, uid: str, afi: int) -> bool:
        tag = Uid.parse(uid)
        for reset in (False, True):
            if reset:
                await self._host.ask(iso_host.rf_reset())
            for _ in range(_WRITES):
                await self._host.ask(iso_host_tags.write_afi(tag, afi))
                # The status may be lost or lie; only what the same tag says it holds counts.
                info = await self._info(tag)
                if info is not None and info.afi == afi:
                    self._remember(uid, afi)
                    return True
                await asyncio.sleep(_PAUSE)
        return False

    async def read_afi(self, uid: str) -> int | None:
        info = await self._info(Uid.parse(uid))
        return info.afi if info is not None else None

    def _remember(self, uid: str, afi: int) -> None:
        if (known := self._known.get(uid)) is not None:
            self._known[uid] = Tag(uid, afi, known.dsfid, known.data)

    async def _inventory(self) -> list[iso_host_tags.Found]:
        """Every tag; twins in one answer are left to the caller's dict."""
        found: list[iso_host_tags.Found] = []
        reply = await self._look(iso_host_tags.inventory())
        for _ in range(_ROUNDS):
            if reply.status == Status.NO_TAG:
                break
            found += _found(reply)
            if reply.status != Status.MORE:
                break
            reply = await self._look(iso_host_tags.inventory(more=True))
        return found

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

    async def _read(self, uid: Uid) -> Tag | None:
        """Everything about one tag, or None if it left meanwhile."""
        info = await self._info(uid)
        blocks, size = _UNTOLD
        if info is not None and info.blocks and info.block_size:
            blocks, size = info.blocks, info.block_size
        enough = min(blocks, -(-iso28560.BASIC_BLOCK // size))
        data = await self._blocks(uid, enough, size)
        if data is None:
            return None
        if enough < blocks and _wants_more(data):
            data = await self._blocks(uid, blocks, size) or data
        if info is None:
            return Tag(str(uid), data=data)
        return Tag(str(uid), info.afi, info.dsfid, data)

    async def _info(self, uid: Uid) -> SystemInfo | None:
        reply = await self._host.ask(iso_host_tags.system_info(uid))
        if reply.status != Status.OK:
            return None
        try:
            info = iso_host_tags.decode_system_info(reply.data)
        except RemoteProtocolError:
            return None
        return info if info.uid == uid else None

    async def _blocks(self, uid: Uid, count: int, size: int) -> bytes | None:
        """The first ``count`` blocks, in as many answers as it takes."""
        step = max(1, iso_host_tags.MOST_BYTES // size)
        data = b""
        for first in range(0, count, step):
            wanted = min(step, count - first)
            reply = await self._host.ask(iso_host_tags.read_blocks(uid, first, wanted))
            if reply.status != Status.OK:
                return None
            try:
                blocks = iso_host_tags.Blocks.decode(reply.data)
            except RemoteProtocolError:
                return None
            if len(blocks.data) != wanted * size:
                return None
            data += blocks.data
        return data


def _found(reply: Reply) -> list[iso_host_tags.Found]:
    try:
        return iso_host_tags.decode_found(reply.data)
    except RemoteProtocolError as error:
        raise DeviceLost(error.say, "Reset the reader.") from error


def _wants_more(data: bytes) -> bool:
    content = iso28560.decode(data)
    return isinstance(content, iso28560.Damaged) and content.why is iso28560.Damage.MISSING
