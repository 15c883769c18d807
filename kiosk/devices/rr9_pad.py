"""RR9 pads (HFReader9, RR9036, unbranded): ``serial:///dev/x`` finds its speed, ``?baud=19200`` names it.

Further options: ``type`` (a, b, auto): which tags are written with option flag and second EOF; auto: those of Texas
Instruments. ``address``: the reader's own, 0 if nobody changed it.

Experimental: no device of this family has been connected. Its checksum and speed are those of its maker's other
readers; an answer counts only if its checksum is right and its shape is that of what was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never
from urllib.parse import urlsplit

from kiosk.devices import urls
from kiosk.devices.base import Lock
from kiosk.devices.exchange import Exchange, Judge, Verdict, patience
from kiosk.devices.hf import HfPad, unsupported
from kiosk.wire import iso15693, len_frame, rr9
from kiosk.wire.iso15693 import Found, SystemInfo, Uid
from kiosk.wire.rr9 import MOST, Own, Reply, Request, Scan, Status
from mocban.errors import DeviceLost, RemoteProtocolError

_ROUNDS = 40  # answers of one inventory
_PROBE = 28  # silent slices for a scan at each speed; five speeds are tried within five seconds
_LOOK = (Status.OK, Status.INCOMPLETE, Status.NO_TAG, Status.TIMEOUT)
_NO_BLOCK = 0x10  # ISO 15693: the block is not there
OPTIONS = ("type", "address")

Fits = Callable[[Reply], bool]


def rr9_pad(url: str) -> HfPad:
    """An RR9 pad at ``url``, not opened yet."""
    return HfPad(Rr9Reader(url))


class Rr9Reader:
    """The words of an RR9 reader (``HfReader``)."""

    def __init__(self, url: str) -> None:
        self._url, options = urls.part(url, OPTIONS)
        self._type = urls.choice(url, "type", options.get("type", "auto"), ("a", "b", "auto"))
        self._address = urls.number(url, "address", options.get("address", "0"), 0, 255)
        self._line = Exchange(self._url, len_frame.framer)
        self._past = 0  # noise of speeds that were tried in vain
        self._sizes: dict[Uid, int] = {}
        self._patience = patience(0)

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._past + self._line.noise

    async def open(self) -> str:
        """Find the reader at the speed the URL names or at any that it may have, and see it scan."""
        await self.close()
        self._past = 0
        self._sizes.clear()
        self._patience = patience(0)
        try:
            if urlsplit(self._url).scheme != "serial" or urls.option(self._url, "baud"):
                self._line = Exchange(self._url, len_frame.framer)
                await self._line.open()
            else:
                await self._find()
            version = await self._greet()
            await self._ask(rr9.inventory(Scan.NEW), _tags)
        except BaseException:
            await self.close()
            raise
        return version

    async def close(self) -> None:
        await self._line.close()

    async def inventory(self) -> list[Found]:
        """Every tag: one new scan, then what it could not tell in one answer."""
        found: list[Found] = []
        reply = await self._look()
        for _ in range(_ROUNDS):
            told = rr9.decode_found(reply.data) if _tags(reply) else []
            found += told
            if not told:
                break
            reply = await self._ask(rr9.inventory(Scan.MORE), _tags)
            if reply.status not in _LOOK:
                break
        self._sizes = {one.uid: self._sizes[one.uid] for one in found if one.uid in self._sizes}
        return found

    async def info(self, uid: Uid) -> SystemInfo | None:
        reply = await self._ask(rr9.system_info(uid), lambda one: _info(one, uid) is not None)
        return _info(reply, uid) if reply.status == Status.OK else None

    async def read(self, uid: Uid, first: int, count: int) -> bytes | None:
        """Blocks of the size this tag has; the reader must be told, and the tag is asked where a guess failed."""
        size = self._sizes.get(uid) or (8 if uid.manufacturer == "Fujitsu" else 4)
        data = await self._read(uid, first, count, size)
        if data or uid in self._sizes:
            return data
        info = await self.info(uid)
        if info is None:
            return None
        self._sizes[uid] = info.block_size if info.block_size in MOST else size
        if info.blocks is not None and first + count > info.blocks:
            return b""
        return data if self._sizes[uid] == size else await self.read(uid, first, count)

    async def write(self, uid: Uid, first: int, size: int, data: bytes) -> None:
        for at in range(0, len(data), size):
            number, block = first + at // size, data[at : at + size]
            await self._ask(rr9.write_block(uid, number, block, type_b=self._kind(uid)), _bare)

    async def write_afi(self, uid: Uid, afi: int) -> None:
        await self._ask(rr9.write_afi(uid, afi, type_b=self._kind(uid)), _bare)

    async def read_afi(self, uid: Uid) -> int | None:
        info = await self.info(uid)
        return info.afi if info is not None else None

    async def write_dsfid(self, uid: Uid, dsfid: int) -> None:
        await self._ask(rr9.write_dsfid(uid, dsfid, type_b=self._kind(uid)), _bare)

    async def write_eas(self, uid: Uid, *, armed: bool) -> None:
        del uid, armed
        raise unsupported("switch EAS")

    async def hears_eas(self, uid: Uid) -> bool:
        del uid
        raise unsupported("hear EAS")

    async def lock(self, uid: Uid, what: Lock, first: int, count: int) -> bool:
        kind = self._kind(uid)
        match what:
            case Lock.AFI:
                asked = [rr9.lock_afi(uid, type_b=kind)]
            case Lock.DSFID:
                asked = [rr9.lock_dsfid(uid, type_b=kind)]
            case Lock.BLOCKS:
                asked = [rr9.lock_block(uid, n, type_b=kind) for n in range(first, first + count)]
            case Lock.EAS:
                raise unsupported("lock EAS")
            case _:
                assert_never(what)
        for request in asked:
            if (await self._ask(request, _bare)).status != Status.OK:
                return False
        return bool(asked)

    async def reset(self) -> None:
        """A new scan begins by switching the field off and on."""
        await self._ask(rr9.inventory(Scan.NEW), _tags)

    async def _read(self, uid: Uid, first: int, count: int, size: int) -> bytes | None:
        """None: nothing was understood, for whatever reason; b"": the tag said that it has no such block."""
        data = b""
        for at in range(first, first + count, MOST[size]):
            wanted = min(MOST[size], first + count - at)
            request = rr9.read_blocks(uid, at, wanted, size=size)
            reply = await self._ask(request, _blocks(wanted, size))
            if reply.status == Status.TAG_ERROR and reply.data == bytes((_NO_BLOCK,)):
                return b""
            if reply.status != Status.OK:
                return None
            data += rr9.decode_blocks(reply.data, wanted, size)
        return data

    async def _look(self) -> Reply:
        """An answer to trust: an empty list by mistake would end a visit."""
        reply = await self._ask(rr9.inventory(Scan.NEW), _tags)
        if reply.status not in _LOOK:
            reply = await self._ask(rr9.inventory(Scan.NEW), _tags)
        if reply.status in _LOOK:
            return reply
        await self.close()
        raise DeviceLost(
            f"The reader refused an inventory: {rr9.words(reply.status)}.",
            "Check the reader and its antenna.",
            code="reader-refused",
        )

    async def _greet(self) -> str:
        """Readers of several kinds of card are told which; who keeps silent to that, or to the other, is taken too."""
        reply = await self._line.probe(*self._question(rr9.own(Own.INFO), _whole))
        await self._line.probe(*self._question(rr9.own(Own.ISO15693), _bare))
        if reply is None or not _whole(reply):
            return "RR9"
        info = rr9.Info.decode(reply.data)
        self._patience = patience(info.tenths)
        return str(info)

    async def _find(self) -> None:
        """Whoever answers the quick question or a whole scan with a right checksum, at any speed."""
        mark = "&" if urlsplit(self._url).query else "?"
        info, scan = rr9.own(Own.INFO), rr9.inventory(Scan.NEW)
        for baud in rr9.BAUDS:
            self._line = Exchange(f"{self._url}{mark}baud={baud}", len_frame.framer)
            await self._line.open()
            if await self._line.probe(*self._question(info, _whole)) is not None:
                return
            if await self._line.probe(*self._question(scan, _tags), _PROBE) is not None:
                return
            self._past += self._line.noise
            await self._line.close()
        self._line = Exchange(self._url, len_frame.framer)
        raise DeviceLost(
            "The reader does not answer at any speed.",
            "Check its power and its cable, and that it is an RR9.",
        )

    async def _ask(self, request: Request, fits: Fits) -> Reply:
        return await self._line.ask(*self._question(request, fits), self._patience)

    def _question(self, request: Request, fits: Fits) -> tuple[bytes, Judge[Reply]]:
        """An answer names no command: whatever has not the shape of ours is a stray."""
        asked = Request(request.command, request.state, request.data, self._address)

        def judge(frames: Sequence[bytes]) -> Reply | Verdict:
            reply = Reply.decode(frames[-1])
            good = fits(reply) or (reply.status != Status.OK and len(reply.data) <= 1)
            return reply if good else Verdict.STRAY

        return asked.encode(), judge

    def _kind(self, uid: Uid) -> bool:
        """Whether a write to this tag wants the option flag."""
        if self._type == "auto":
            return uid.manufacturer == "Texas Instruments"
        return self._type == "b"


def _bare(reply: Reply) -> bool:
    return not reply.data


def _whole(reply: Reply) -> bool:
    return len(reply.data) == 6


def _tags(reply: Reply) -> bool:
    return len(reply.data) % 9 == 0


def _blocks(count: int, size: int) -> Fits:
    return lambda reply: len(reply.data) == count * (size + 1)


def _info(reply: Reply, uid: Uid) -> SystemInfo | None:
    try:
        info = iso15693.decode_system_info(reply.data)
    except RemoteProtocolError:
        return None
    return info if info.uid == uid else None
