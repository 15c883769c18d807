"""Pads for UHF tags (ISO/IEC 18000-63): everything that is the same whatever reader lies under the desk.

A driver is a ``UhfReader``. A tag is known by its TID, which nobody can write; an inventory tells UIIs, which anybody
can. So a new UII costs readings: the TID, the control word, and user memory where the control word announces it.
Security is the AFI in the control word, or the bit of the format that has one; without either only a database helps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Protocol

from kiosk.devices.base import Lock, Tag
from kiosk.devices.hf import unsupported
from kiosk.devices.ladder import holds, persist
from kiosk.wire import epc as bank01
from kiosk.wire import uhf_tag
from kiosk.wire.iso15693 import SystemInfo
from kiosk.wire.uhf18 import TID_WORDS, Bank
from mocban import log
from mocban.errors import LocalProtocolError

_USER_WORDS = (32, 16, 8, 4)
"""User memories differ and tell no size: what is asked for first is what most of them have."""
_WORD = 2  # bytes
_PC, _UII = 1, 2  # words of bank 01; word 0 is its checksum

_log = log.get("kiosk.uhf")


@dataclass(frozen=True, slots=True)
class Aim:
    """One tag. ``tid``: 12 bytes, or b"" while it is not known; ``uii`` likewise."""

    tid: bytes = b""
    uii: bytes = field(default=b"", repr=False)


class UhfReader(Protocol):
    """One reader's words for UHF tags. Nothing is tried twice here but a lost frame.

    DeviceLost when the reader is gone; ConfigError ``unsupported`` for what it cannot do.
    """

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        ...

    @property
    def aims_by_tid(self) -> bool:
        """Whether ``Aim.tid`` alone means one tag; else it is the UII, and two tags of one UII are as one."""
        ...

    async def open(self) -> str:
        """Open the line and identify the reader; its version as text."""
        ...

    async def close(self) -> None:
        """Release the line; safe to call twice."""
        ...

    async def uiis(self) -> list[bytes]:
        """The UIIs of one round, without control words; one that two tags share stands there twice, or once."""
        ...

    async def tids(self) -> list[bytes]:
        """The TIDs of one round."""
        ...

    async def read(self, aim: Aim, bank: Bank, first: int, count: int) -> bytes | None:
        """``count`` words; b"" if the tag has not so many; None without an answer."""
        ...

    async def write(self, aim: Aim, bank: Bank, first: int, data: bytes) -> None:
        """Whole words. Whether it worked is read back by the caller."""
        ...

    async def write_eas(self, aim: Aim, *, armed: bool) -> None:
        """NXP UCODE: the EAS bit."""
        ...

    async def hears_eas(self) -> bool:
        """Whether any tag in the field has its EAS bit set."""
        ...


class UhfPad:
    """A pad, and a bench as far as UHF tags have what it asks for: ``read`` and ``write`` mean words of user memory."""

    def __init__(self, reader: UhfReader) -> None:
        self._reader = reader
        self._known: dict[str, Tag] = {}
        # UIIs that more than one tag has; None: not counted since ``tags``.
        self._shared: set[bytes] | None = None

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._reader.noise

    async def open(self) -> str:
        self._forget()
        return await self._reader.open()

    async def close(self) -> None:
        self._forget()
        await self._reader.close()

    async def tags(self) -> list[Tag]:
        """One round. A tag whose TID could not be read stands there under a made-up name, without data."""
        seen = Counter(await self._reader.uiis())
        self._shared = None
        known = {uid: tag for uid, tag in self._known.items() if tag.epc[2:] in seen}
        have = Counter(tag.epc[2:] for tag in known.values())
        told = list(known.values())
        for uii, times in seen.items():
            if have[uii] >= times:
                continue
            for tag in await self._meet(uii, times, known):
                if tag.epc:
                    known[tag.uid] = tag
                if all(tag.uid != one.uid for one in told):
                    told.append(tag)
        self._known = known
        order = {uii: place for place, uii in enumerate(seen)}
        return sorted(told, key=lambda tag: order.get(tag.epc[2:], len(order)))

    async def write_afi(self, uid: str, afi: int) -> bool:
        """Also False for a tag that has no place for security, and for one that shares its UII with another."""
        held = await self._held(uid)
        if held is None or (wanted := uhf_tag.secured(held.epc, afi)) is None:
            return False
        before, after = _aim(held), Aim(_tid(uid), wanted[2:])
        if not await self._alone(before.uii):
            return False
        now = await self._heads(before)
        if now is not None and uhf_tag.secured(now + held.epc[4:], afi) != wanted:
            self._known.pop(uid)  # somebody wrote it anew: what is known of it is not what it is
            return False
        sure = now is not None
        if now != wanted[:4] and not await self._change(before, after, wanted, sure=sure):
            return False
        self._known[uid] = replace(held, afi=uhf_tag.afi(wanted), epc=wanted)
        return True

    async def read_afi(self, uid: str) -> int | None:
        """None as well for a tag whose bank 01 tells no security."""
        held = await self._held(uid)
        heads = None if held is None else await self._heads(_aim(held))
        return None if held is None or heads is None else uhf_tag.afi(heads + held.epc[4:])

    async def write_eas(self, uid: str, *, armed: bool) -> bool:
        """An alarm names no tag: it proves something only where this tag lies alone."""
        held = await self._held(uid)
        if held is None or not await self._alone(held.epc[2:]):
            return False
        aim = _aim(held)

        async def write() -> None:
            if await self._right(aim):
                await self._reader.write_eas(aim, armed=armed)

        return await persist(write, lambda: holds(self.read_eas(uid), armed), self._nothing)

    async def read_eas(self, uid: str) -> bool | None:
        """None also if an armed tag is heard and others lie beside this one."""
        held = await self._held(uid)
        if held is None or await self._heads(_aim(held)) is None:
            return None
        if not await self._reader.hears_eas():
            return False
        return True if len(await self._reader.uiis()) == 1 else None

    async def info(self, uid: str) -> SystemInfo | None:
        del uid
        raise unsupported("ask a UHF tag for the size of its memory")

    async def read(self, uid: str, first: int, count: int) -> bytes | None:
        """``count`` words of user memory."""
        held = await self._held(uid)
        if held is None or await self._heads(_aim(held)) is None:
            return None
        return await self._reader.read(_aim(held), Bank.USER, first, count)

    async def write(self, uid: str, first: int, data: bytes) -> bool:
        """Whole words of user memory."""
        if len(data) % _WORD:
            raise LocalProtocolError("A UHF tag is written in words of two bytes.")
        held = await self._held(uid)
        if held is None or not data or not await self._alone(held.epc[2:]):
            return False
        aim, count = _aim(held), len(data) // _WORD
        self._known.pop(uid, None)

        async def write() -> None:
            if await self._right(aim):
                await self._reader.write(aim, Bank.USER, first, data)

        return await persist(
            write,
            lambda: holds(self._reader.read(aim, Bank.USER, first, count), data),
            self._nothing,
        )

    async def write_dsfid(self, uid: str, dsfid: int) -> bool:
        del uid, dsfid
        raise unsupported("write the DSFID of a UHF tag; it is the first byte of user memory")

    async def lock(self, uid: str, what: Lock, *, first: int = 0, count: int = 0) -> bool:
        del uid, what, first, count
        raise unsupported("lock a UHF tag")

    # -- one tag --

    async def _meet(self, uii: bytes, times: int, known: dict[str, Tag]) -> list[Tag]:
        """The tags of a UII that is new, or that more tags have than are known."""
        tids: Iterable[bytes]
        if not uii:  # an empty UII would mean every tag
            return [_nameless(uii)]
        if times > 1 and self._reader.aims_by_tid:
            tids = list(dict.fromkeys(await self._reader.tids()))
        else:
            tid = await self._reader.read(Aim(uii=uii), Bank.TID, 0, TID_WORDS)
            tids = [tid] if tid else []
        met: list[Tag] = []
        for tid in tids:
            if (uid := _uid(tid)) in known:
                continue
            if (tag := await self._read(uid, Aim(tid, uii))) is not None:
                met.append(tag)
        return met or (
            [] if any(tag.epc[2:] == uii for tag in known.values()) else [_nameless(uii)]
        )

    async def _read(self, uid: str, aim: Aim) -> Tag | None:
        """None if it has another UII, or did not answer."""
        if self._reader.aims_by_tid:
            epc = await self._reader.read(aim, Bank.EPC, _PC, 1 + len(aim.uii) // _WORD)
            if not epc or epc[2:] != aim.uii:
                return None
        else:
            pc = await self._reader.read(aim, Bank.EPC, _PC, 1)
            if not pc:
                return None
            epc = pc + aim.uii
        found = bank01.split(epc)
        user = await self._user(aim) if found is not None and found.pc.umi else b""
        return None if user is None else Tag(uid, afi=uhf_tag.afi(epc), data=user, epc=epc)

    async def _user(self, aim: Aim) -> bytes | None:
        for count in _USER_WORDS:
            if (data := await self._reader.read(aim, Bank.USER, 0, count)) != b"":
                return data
        return b""

    async def _change(self, before: Aim, after: Aim, wanted: bytes, *, sure: bool) -> bool:
        """Write the word of bank 01 that tells security, and read it back; the tag may have another UII then.

        ``sure``: it was just read, so that the first write is for the right tag.
        """
        found = bank01.split(wanted)
        iso = found is not None and found.pc.iso
        first, data = (_PC, wanted[:2]) if iso else (_UII, wanted[2:4])

        async def write() -> None:
            nonlocal sure
            known, sure = sure, False
            if known or await self._right(before):
                await self._reader.write(before, Bank.EPC, first, data)

        async def told() -> bool | None:
            now = await self._heads(after)
            if now is None and not iso:
                now = await self._heads(before)
            return None if now is None else now == wanted[:4]

        return await persist(write, told, self._nothing)

    async def _held(self, uid: str) -> Tag | None:
        """The tag as it was last read; looked for if it is not known. None if it is not there."""
        if uid not in self._known:
            await self.tags()
        return self._known.get(uid)

    async def _heads(self, aim: Aim) -> bytes | None:
        """Control word and first word of the UII now, from exactly this tag; None if it does not answer."""
        if not await self._right(aim):
            return None
        return await self._reader.read(aim, Bank.EPC, _PC, 2) or None

    async def _right(self, aim: Aim) -> bool:
        """Whether what ``aim`` means is the tag with this TID. Asked before every write that goes by the UII."""
        if self._reader.aims_by_tid:
            return True
        return await self._reader.read(aim, Bank.TID, 0, TID_WORDS) == aim.tid

    async def _alone(self, uii: bytes) -> bool:
        """Whether a write to this UII can reach one tag only."""
        if self._reader.aims_by_tid:
            return True
        if self._shared is None:
            seen, several = await self._count()
            if several:  # or one tag was not heard by its UII: once more
                seen, several = await self._count()
            self._shared = {one for one, times in seen.items() if several or times > 1}
        if uii in self._shared:
            _log.warning("uhf.shared", say="two tags have one number; none of them is written")
            return False
        return True

    async def _count(self) -> tuple[Counter[bytes], bool]:
        """The UIIs of one round, and whether there are more tags than UIIs."""
        seen = Counter(await self._reader.uiis())
        return seen, len(set(await self._reader.tids())) > len(seen)

    def _forget(self) -> None:
        self._known.clear()
        self._shared = None

    @staticmethod
    async def _nothing() -> None:
        """These readers switch their field off after every command by themselves."""


def _uid(tid: bytes) -> str:
    return tid.hex().upper()


def _tid(uid: str) -> bytes:
    try:
        return bytes.fromhex(uid)
    except ValueError:
        raise LocalProtocolError("A TID is written in hex digits.") from None


def _aim(tag: Tag) -> Aim:
    return Aim(_tid(tag.uid), tag.epc[2:])


def _nameless(uii: bytes) -> Tag:
    """A tag that cannot be read. Its UII may say who somebody is, so it gives no name. No TID begins like this one."""
    return Tag("00000000" + sha256(uii).hexdigest()[:16].upper())
