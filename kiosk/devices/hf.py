"""Pads for ISO 15693 tags: everything that is the same whatever reader lies under the desk.

A driver is an ``HfReader``: one reader's words, each call one exchange. ``HfPad`` makes a pad of it: the cache of what
lies there, as few exchanges as a tag needs, the ladder, and the reading back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from kiosk.devices.base import Lock, Tag
from kiosk.devices.ladder import holds, persist
from kiosk.wire.content import Damage, Damaged
from kiosk.wire.iso15693 import Found, SystemInfo, Uid
from kiosk.wire.tag import decode
from mocban.errors import ConfigError, LocalProtocolError

ENOUGH = (9, 8)
"""Blocks of four bytes that a first reading asks for: the basic block of ISO 28560-3, whole or truncated."""
_SIZE = 4  # bytes of a block where the tag does not say
_KIND = 3  # bytes of a UID: E0, maker, kind of chip
_KINDS = 64  # that are remembered; libraries have a handful


class HfReader(Protocol):
    """One reader's words for ISO 15693 tags. Nothing is tried twice here but a lost frame.

    DeviceLost when the reader is gone; ConfigError ``unsupported`` (see ``unsupported``) for what it cannot do.
    """

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        ...

    async def open(self) -> str:
        """Open the line and identify the reader; its version as text."""
        ...

    async def close(self) -> None:
        """Release the line; safe to call twice."""
        ...

    async def inventory(self) -> list[Found]:
        """Every tag of one round, from as many answers as it takes; twins are left to the caller."""
        ...

    async def info(self, uid: Uid) -> SystemInfo | None:
        """System information, asked by UID; None if this tag does not answer. Fields that nobody told are None."""
        ...

    async def read(self, uid: Uid, first: int, count: int) -> bytes | None:
        """``count`` blocks, in as many answers as it takes; b"" if the tag has not so many; None without an answer."""
        ...

    async def write(self, uid: Uid, first: int, size: int, data: bytes) -> None:
        """Whole blocks of ``size`` bytes. Whether it worked is read back by the caller."""
        ...

    async def write_afi(self, uid: Uid, afi: int) -> None:
        """The AFI."""
        ...

    async def read_afi(self, uid: Uid) -> int | None:
        """The AFI by the shortest way this reader has; None without an answer."""
        ...

    async def write_dsfid(self, uid: Uid, dsfid: int) -> None:
        """The DSFID."""
        ...

    async def write_eas(self, uid: Uid, *, armed: bool) -> None:
        """NXP: the EAS bit."""
        ...

    async def hears_eas(self, uid: Uid) -> bool:
        """NXP: whether the EAS alarm was answered. No answer may also mean that the tag is gone."""
        ...

    async def lock(self, uid: Uid, what: Lock, first: int, count: int) -> bool:
        """Lock for ever; the tag's own word."""
        ...

    async def reset(self) -> None:
        """Field off and on: every tag forgets that it was quieted or selected."""
        ...


def unsupported(what: str) -> ConfigError:
    """The error for what a reader or its tags cannot do; ``what`` completes "This reader cannot …"."""
    return ConfigError(
        f"This reader cannot {what}.", "Use another reader, or another setting.", code="unsupported"
    )


class HfPad:
    """A pad and a bench (``kiosk.devices.base``). What a tag holds is read once while it lies in the field."""

    def __init__(self, reader: HfReader) -> None:
        self._reader = reader
        self._known: dict[str, Tag] = {}
        # Kinds of chip, by the UID's beginning, that have not ENOUGH[0] blocks.
        self._small: set[bytes] = set()

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._reader.noise

    async def open(self) -> str:
        self._known.clear()
        self._small.clear()
        return await self._reader.open()

    async def close(self) -> None:
        self._known.clear()
        await self._reader.close()

    async def tags(self) -> list[Tag]:
        """One inventory round. A tag that left before it was read stands there without data."""
        found = {str(one.uid): one for one in await self._reader.inventory()}
        self._known = {uid: tag for uid, tag in self._known.items() if uid in found}
        for uid, one in found.items():
            if uid not in self._known and (tag := await self._first(one)) is not None:
                self._known[uid] = tag
        return [self._known.get(uid, Tag(uid, dsfid=one.dsfid)) for uid, one in found.items()]

    async def write_afi(self, uid: str, afi: int) -> bool:
        """A tag known to hold it already is only asked. Asking every tag first would cost more than it saves."""
        tag = Uid.parse(uid)
        known = self._known.get(uid)
        if known is not None and known.afi == afi and await self._reader.read_afi(tag) == afi:
            return True
        self._note(uid, None)
        done = await persist(
            lambda: self._reader.write_afi(tag, afi),
            lambda: holds(self._reader.read_afi(tag), afi),
            self._reader.reset,
        )
        self._note(uid, afi if done else None)
        return done

    async def read_afi(self, uid: str) -> int | None:
        afi = await self._reader.read_afi(Uid.parse(uid))
        if afi is not None:
            self._note(uid, afi)
        return afi

    async def write_eas(self, uid: str, *, armed: bool) -> bool:
        tag = _with_eas(uid)
        return await persist(
            lambda: self._reader.write_eas(tag, armed=armed),
            lambda: holds(self.read_eas(uid), armed),
            self._reader.reset,
        )

    async def read_eas(self, uid: str) -> bool | None:
        """Silence proves nothing by itself: only a tag that then answers by its UID has its EAS bit off."""
        tag = _with_eas(uid)
        if await self._reader.hears_eas(tag):
            return True
        return None if await self._reader.read_afi(tag) is None else False

    async def info(self, uid: str) -> SystemInfo | None:
        return await self._reader.info(Uid.parse(uid))

    async def read(self, uid: str, first: int, count: int) -> bytes | None:
        return await self._reader.read(Uid.parse(uid), first, count)

    async def write(self, uid: str, first: int, data: bytes) -> bool:
        tag = Uid.parse(uid)
        info = await self._reader.info(tag)
        if info is None:
            return False
        size = info.block_size or _SIZE
        if not data or len(data) % size:
            raise LocalProtocolError(f"This tag is written in whole blocks of {size} bytes.")
        count = len(data) // size
        self._known.pop(uid, None)
        return await persist(
            lambda: self._reader.write(tag, first, size, data),
            lambda: holds(self._reader.read(tag, first, count), data),
            self._reader.reset,
        )

    async def write_dsfid(self, uid: str, dsfid: int) -> bool:
        tag = Uid.parse(uid)
        self._known.pop(uid, None)
        return await persist(
            lambda: self._reader.write_dsfid(tag, dsfid),
            lambda: self._dsfid_is(tag, dsfid),
            self._reader.reset,
        )

    async def lock(self, uid: str, what: Lock, *, first: int = 0, count: int = 0) -> bool:
        tag = _with_eas(uid) if what is Lock.EAS else Uid.parse(uid)
        return await self._reader.lock(tag, what, first, count)

    async def _first(self, one: Found) -> Tag | None:
        """As much of one tag as says what it is; None if it left meanwhile.

        A chip with fewer blocks than asked for refuses; its kind is remembered, so that this is paid once.
        """
        kind = one.uid.value[:_KIND]
        asked = ENOUGH[1:] if kind in self._small else ENOUGH
        data: bytes | None = None
        for blocks in asked:
            data = await self._reader.read(one.uid, 0, blocks)
            if data != b"":
                break
            if len(self._small) < _KINDS:
                self._small.add(kind)
        if not data:
            return None
        tag = Tag(str(one.uid), dsfid=one.dsfid, data=data)
        content = decode(data, dsfid=one.dsfid)
        if not isinstance(content, Damaged) or content.why is not Damage.MISSING:
            return tag
        return await self._rest(one.uid, tag, len(data) // blocks)

    async def _rest(self, uid: Uid, tag: Tag, size: int) -> Tag | None:
        """The whole memory of a tag whose beginning says that more belongs to it."""
        info = await self._reader.info(uid)
        if info is None:
            return None
        tag = replace(tag, afi=info.afi)
        have = len(tag.data) // size
        if info.blocks is None or info.blocks <= have:
            return tag
        more = await self._reader.read(uid, have, info.blocks - have)
        return None if more is None else replace(tag, data=tag.data + more)

    async def _dsfid_is(self, uid: Uid, dsfid: int) -> bool | None:
        info = await self._reader.info(uid)
        return None if info is None else info.dsfid == dsfid

    def _note(self, uid: str, afi: int | None) -> None:
        """What the tag's AFI is now; None: not known any more."""
        if (tag := self._known.get(uid)) is not None:
            self._known[uid] = replace(tag, afi=afi)


def _with_eas(uid: str) -> Uid:
    """The UID of a tag that has an EAS bit of NXP's making; other makers' are another thing, or none."""
    tag = Uid.parse(uid)
    if tag.manufacturer != "NXP":
        raise unsupported("switch EAS on a tag that NXP did not make")
    return tag
