"""Card readers on PC/SC: frames to many tags by transparent exchange, or one tag as a storage card."""

from __future__ import annotations

from enum import Enum

from kiosk.devices.base import Lock
from kiosk.devices.hf import HfPad, unsupported
from kiosk.transports.pcsc import Slot, open_slot
from kiosk.wire import apdu, transparent
from kiosk.wire.apdu import Response, is_vicinity, uid_of
from kiosk.wire.iso15693 import Found, SystemInfo, Uid, decode_system_info
from kiosk.wire.masks import ALL, BITS, Mask, merged
from kiosk.wire.transparent import Code, Mishap, Refusal, Wait, addressed, opened
from mocban.errors import DeviceLost, RemoteProtocolError

_INSERTION = 0.6
"""Seconds that a question to an empty pad waits for a tag: the service looks at some readers only every 0.4 s.

A write does not wait: whoever writes has read, and reads again afterwards.
"""
_LOOKS = 2  # the first may find a card that is gone
_ASKS = 500  # exchanges of one inventory; 50 tags take about 150
_AGAIN = 8  # of them repeated, because what was heard was nobody
_TRIES = 3
_MOST = 16  # blocks in one answer
_NO_COMMAND = (0x01, 0x02, 0x03)  # the tag does not know the command, or not so
_SIZE = 4
_PLACES = {Lock.AFI: Code.LOCK_AFI, Lock.DSFID: Code.LOCK_DSFID, Lock.EAS: Code.LOCK_EAS}


def pcsc_pad(url: str) -> HfPad:
    """The reader at ``url`` (see ``kiosk.transports.pcsc``), not opened yet."""
    return HfPad(PcscReader(url))


class Way(Enum):
    """How the card that lies there is talked to."""

    FRAMES = "frames"
    STORAGE = "storage"
    FOREIGN = "foreign"  # no ISO 15693 tag, and a reader that looks for no other


class PcscReader:
    """The words of a PC/SC reader (``HfReader``). ``way`` is found out anew whenever a card is connected."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.way: Way | None = None
        self._slot: Slot | None = None
        self._noise = 0
        self._leaves = [ALL]
        self._asks = 0
        self._again = 0

    @property
    def noise(self) -> int:
        """Bytes of damaged answers, since open."""
        return self._noise

    async def open(self) -> str:
        """Find the reader; a tag need not lie on it. Its name."""
        await self.close()
        self._noise = 0
        self._leaves = [ALL]
        self._slot = await open_slot(self.url)
        return self._slot.name

    async def close(self) -> None:
        slot, self._slot, self.way = self._slot, None, None
        if slot is None:
            return
        try:
            if slot.inserted:
                await slot.transmit(transparent.end())
        except DeviceLost:
            pass
        finally:
            await slot.close()

    async def inventory(self) -> list[Found]:
        """Every tag; waits for the first one a little while, since the service tells of it late."""
        for wait in (_INSERTION, 0.0):
            if not await self._ready(wait):
                return []
            found = await self._one() if self.way is Way.STORAGE else await self._all()
            if self._inserted:
                return found
        return []

    async def info(self, uid: Uid) -> SystemInfo | None:
        """What the tag says; of a storage card only that it is there."""
        await self._ready(_INSERTION)
        if await self._lies(uid):
            return SystemInfo(uid)
        body = await self._tell(Code.SYSTEM_INFO, uid)
        if not isinstance(body, bytes):
            return None
        try:
            info = decode_system_info(body)
        except RemoteProtocolError:
            return None
        return info if info.uid == uid else None

    async def read(self, uid: Uid, first: int, count: int) -> bytes | None:
        await self._ready(_INSERTION)
        if await self._lies(uid):
            return await self._read_storage(uid, first, count)
        data = b""
        for at in range(first, first + count, _MOST):
            part = await self._read_part(uid, at, min(_MOST, first + count - at))
            if not part:
                return part
            data += part
        return data

    async def write(self, uid: Uid, first: int, size: int, data: bytes) -> None:
        for at in range(0, len(data), size):
            number, block = first + at // size, data[at : at + size]
            if await self._lies(uid):
                await self._storage(apdu.write_block(number, block))
            else:
                await self._tell(Code.WRITE_SINGLE, uid, bytes((number,)) + block, tries=1)

    async def write_afi(self, uid: Uid, afi: int) -> None:
        await self._change(Code.WRITE_AFI, uid, bytes((afi,)), "write the AFI")

    async def read_afi(self, uid: Uid) -> int | None:
        if await self._lies(uid):
            raise unsupported("read the AFI: it has no transparent exchange")
        info = await self.info(uid)
        return info.afi if info is not None else None

    async def write_dsfid(self, uid: Uid, dsfid: int) -> None:
        await self._change(Code.WRITE_DSFID, uid, bytes((dsfid,)), "write the DSFID")

    async def write_eas(self, uid: Uid, *, armed: bool) -> None:
        await self._change(Code.SET_EAS if armed else Code.RESET_EAS, uid, b"", "switch EAS")

    async def hears_eas(self, uid: Uid) -> bool:
        if await self._lies(uid):
            raise unsupported("hear EAS: it has no transparent exchange")
        return isinstance(await self._tell(Code.EAS_ALARM, uid), bytes)

    async def lock(self, uid: Uid, what: Lock, first: int, count: int) -> bool:
        await self._ready(_INSERTION)
        if what is not Lock.BLOCKS:
            return await self._change(_PLACES[what], uid, b"", "lock")
        for block in range(first, first + count):
            if not await self._change(Code.LOCK_BLOCK, uid, bytes((block,)), "lock"):
                return False
        return count > 0

    async def reset(self) -> None:
        """Field off and on; afterwards the tags are spoken to in the same way as before."""
        if not await self._ready(0.0) or self._slot is None:
            return
        if self.way is Way.STORAGE:
            await self._slot.repower()
            return
        for request in (transparent.field_off(), transparent.field_on(), transparent.choose()):
            await self._slot.transmit(request)

    # -- the card in the slot --

    @property
    def _inserted(self) -> bool:
        return self._slot is not None and self._slot.inserted

    async def _ready(self, wait: float) -> bool:
        """Whether something lies there that can be talked to."""
        if self._slot is None:
            raise DeviceLost("The reader is not open.", "Open it first.")
        for _ in range(_LOOKS):
            if self._inserted:
                return self.way is not Way.FOREIGN
            atr = await self._slot.insert(wait)
            if atr is not None:
                self.way = await self._find_way(self._slot, atr)
            if atr is None or not wait:
                break
        return self._inserted and self.way is not Way.FOREIGN

    async def _find_way(self, slot: Slot, atr: bytes) -> Way:
        """Begin a session, over one that a program before us left open; else see what kind of card it is."""
        await slot.transmit(transparent.end())
        if await _granted(slot, transparent.begin()) and await _granted(slot, transparent.choose()):
            return Way.FRAMES
        return Way.STORAGE if is_vicinity(atr) else Way.FOREIGN

    # -- one tag, without frames --

    async def _lies(self, uid: Uid) -> bool:
        """Whether this very tag is the storage card now; asked every time, since no request to it names it."""
        if not await self._ready(0.0) or self.way is not Way.STORAGE:
            return False
        return any(one.uid == uid for one in await self._one())

    async def _one(self) -> list[Found]:
        response = await self._storage(apdu.get_uid())
        if response is None or not response.ok:
            return []
        try:
            return [Found(uid_of(response.data))]
        except RemoteProtocolError:
            return []

    async def _read_storage(self, uid: Uid, first: int, count: int) -> bytes | None:
        data = b""
        for block in range(first, first + count):
            question = apdu.read_block(block, _SIZE)
            response = await self._storage(question)
            if response is not None and (right := apdu.shorter(question, response)):
                response = await self._storage(right)
            if response is None:
                return None
            if not response.ok or not response.data:
                return b"" if await self._lies(uid) else None
            data += response.data
        return data if await self._lies(uid) else None

    async def _storage(self, question: bytes) -> Response | None:
        raw = await self._slot.transmit(question) if self._slot is not None else b""
        return Response.decode(raw) if raw else None

    # -- many tags, by frames --

    async def _all(self) -> list[Found]:
        """Where tags lay last time is asked first; together that is everywhere."""
        self._asks = self._again = 0
        found: list[Found] = []
        leaves: dict[Mask, bool] = {}
        asked, self._leaves = self._leaves, [ALL]
        for mask in asked:
            found += await self._search(mask, leaves)
        if self._inserted:
            self._leaves = merged(leaves)
        return found

    async def _search(self, mask: Mask, leaves: dict[Mask, bool]) -> list[Found]:
        """Tags under ``mask``: where several answer, those in one half of it and those in the other.

        A disturbed answer under which nobody is found was noise, and is asked for again. Two tags with one UID collide
        to its last bit: it is one of them. ``leaves`` is told where a tag lies, and where none.
        """
        while True:
            heard = await self._air(transparent.inventory(*mask), Wait.SHORT)
            found: list[Found] = []
            if isinstance(heard, bytes):
                one = transparent.found(heard, *mask)
                found = [one] if one is not None else []
            elif heard is Mishap.COLLISION and mask.bits == BITS:
                found = [Found(Uid(mask.value.to_bytes(8, "big")))]
            if found or heard in (Mishap.SILENCE, Mishap.REFUSED):
                leaves[mask] = bool(found)
                return found
            if mask.bits < BITS:
                inside: dict[Mask, bool] = {}
                for half in mask.halves():
                    found += await self._search(half, inside)
                if found:
                    leaves.update(inside)
                    return found
            self._again += 1
            if self._again > _AGAIN:
                leaves[mask] = False
                return []

    async def _read_part(self, uid: Uid, first: int, count: int) -> bytes | None:
        """At most ``_MOST`` blocks."""
        if count == 1:
            body = await self._tell(Code.READ_SINGLE, uid, bytes((first,)))
        else:
            body = await self._tell(Code.READ_MULTIPLE, uid, bytes((first, count - 1)))
        if isinstance(body, Refusal):
            if count == 1 or body.code not in _NO_COMMAND:
                return b""
            data = b""
            for block in range(first, first + count):
                part = await self._read_part(uid, block, 1)
                if not part:
                    return part
                data += part
            return data
        if body is None:  # some tags are silent beyond their end
            info = await self.info(uid)
            return b"" if info and info.blocks and first + count > info.blocks else None
        return body if body and len(body) % count == 0 else None

    async def _change(self, code: Code, uid: Uid, args: bytes, what: str) -> bool:
        """One write or lock; the tag's word whether it is done."""
        if await self._lies(uid):
            raise unsupported(f"{what}: it has no transparent exchange")
        return isinstance(await self._tell(code, uid, args, tries=1), bytes)

    async def _tell(
        self,
        code: Code,
        uid: Uid,
        args: bytes = b"",
        *,
        tries: int = _TRIES,
    ) -> bytes | Refusal | None:
        """The tag's answer without flags; None without one. What was disturbed is asked again."""
        if not await self._ready(0.0) or self.way is not Way.FRAMES:
            return None
        self._asks = 0
        for _ in range(tries):
            heard = await self._air(addressed(code, uid, args))
            if isinstance(heard, bytes):
                return opened(heard)
            if heard in (Mishap.SILENCE, Mishap.REFUSED):
                return None
        return None

    async def _air(self, frame: bytes, wait: Wait = Wait.LONG) -> bytes | Mishap:
        """One exchange. A card that is gone is silence."""
        self._asks += 1
        if self._asks > _ASKS:
            raise DeviceLost(
                "The reader hears nothing but noise.",
                "Take the items off, move other electronic devices away, and lay fewer at once.",
            )
        raw = await self._slot.transmit(transparent.exchange(frame, wait)) if self._slot else b""
        if not raw:
            return Mishap.SILENCE
        response = Response.decode(raw)
        try:
            heard = transparent.decode_exchange(response.data)
            lost = transparent.size_of(response.data) if heard is Mishap.DAMAGED else 0
        except RemoteProtocolError:
            heard, lost = Mishap.DAMAGED, len(response.data)
        self._noise += lost
        if not response.ok and isinstance(heard, bytes):
            return Mishap.DAMAGED
        return heard


async def _granted(slot: Slot, request: bytes) -> bool:
    raw = await slot.transmit(request)
    if not raw:
        return False
    response = Response.decode(raw)
    try:
        return response.ok and transparent.granted(response.data)
    except RemoteProtocolError:
        return False
