"""3M / bibliotheca pads 210 and 810 on a USB-serial line, 19200 8N1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from kiosk.devices.base import Lock
from kiosk.devices.exchange import Exchange, Judge, Verdict
from kiosk.devices.hf import HfPad, unsupported
from kiosk.wire import m3, m3_tags
from kiosk.wire.iso15693 import Found, SystemInfo, Uid
from kiosk.wire.m3 import Answer, Error, Request, Version
from kiosk.wire.m3_tags import Blocks, Option, Round, Style
from mocban.errors import DeviceLost, RemoteProtocolError

_MOST = 32  # blocks in one frame
_FEW = 8  # blocks that every tag has
_NO_SUCH = (Error.NO_BLOCK, Error.TAG_1, Error.TAG_2, Error.TAG_3)
_LOOK = Option.UID | Option.DSFID | Option.SET
_AGE_OF_810 = 0  # level of the firmware; what a 210 says is higher


def m3_pad(url: str) -> HfPad:
    """A 3M pad at ``url``, not opened yet."""
    return HfPad(M3Reader(url))


class M3Reader:
    """The words of a 3M reader (``HfReader``)."""

    def __init__(self, url: str) -> None:
        self._line = Exchange(url, m3.framer)
        self._options = _LOOK | Option.ONE_POLL
        self._style = Style.NEW | Style.NO_LOCKS

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._line.noise

    async def open(self) -> str:
        """A reader that keeps silent to what no document names is taken as well: its version is asked by the rules."""
        self._options = _LOOK | Option.ONE_POLL
        self._style = Style.NEW | Style.NO_LOCKS
        await self._line.open()
        try:
            boot = await self._probe(m3.boot())
            answer = await self._ask(m3.version())
            version = _version(boot, answer)
            await self._start(version)
            return str(version)
        except RemoteProtocolError as error:
            await self.close()
            raise DeviceLost(error.say, "Is this a 3M pad? Choose another driver.") from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._line.close()

    async def inventory(self) -> list[Found]:
        """Every tag of one look; twins are left to the caller. The reader's second look is left out: we look again."""
        answer = await self._ask(m3_tags.inventory(options=self._options))
        if answer.error not in (Error.NONE, Error.NO_TAG) and self._options & Option.ONE_POLL:
            self._options = _LOOK
            answer = await self._ask(m3_tags.inventory(options=self._options))
        if answer.error == Error.NO_TAG:
            return []
        if answer.error != Error.NONE:
            # An empty list by mistake would end a visit.
            await self.close()
            lost = trouble(answer)
            raise DeviceLost(lost.say, lost.do, code=lost.code)
        try:
            return list(Round.decode(answer.body).tags)
        except RemoteProtocolError as error:
            await self.close()
            raise DeviceLost(error.say, "Unplug the reader and plug it in again.") from error

    async def info(self, uid: Uid) -> SystemInfo | None:
        """By 0D; a reader that does not know it, or tells it otherwise, is asked for AFI and DSFID alone."""
        answer = await self._ask(m3_tags.tag_info(uid))
        if answer.error == Error.NO_TAG:
            return None
        if answer.error == Error.NONE:
            try:
                return m3_tags.decode_info(uid, answer.rest)
            except RemoteProtocolError:
                pass
        afi = await self.read_afi(uid)
        if afi is None:
            return None
        return SystemInfo(uid, await self._byte(m3_tags.get_dsfid(uid)), afi)

    async def read(self, uid: Uid, first: int, count: int) -> bytes | None:
        data = b""
        for at in range(first, first + count, _MOST):
            wanted = min(_MOST, first + count - at)
            part = await self._read(uid, at, wanted)
            if not part:
                return part
            data += part
        return data

    async def write(self, uid: Uid, first: int, size: int, data: bytes) -> None:
        for at in range(0, len(data), size * _MOST):
            part = data[at : at + size * _MOST]
            await self._ask(m3_tags.write_blocks(uid, first + at // size, size, part))

    async def write_afi(self, uid: Uid, afi: int) -> None:
        await self._ask(m3_tags.write_afi(uid, afi))

    async def read_afi(self, uid: Uid) -> int | None:
        return await self._byte(m3_tags.get_afi(uid))

    async def write_dsfid(self, uid: Uid, dsfid: int) -> None:
        await self._ask(m3_tags.write_dsfid(uid, dsfid))

    async def write_eas(self, uid: Uid, *, armed: bool) -> None:
        answer = await self._ask(m3_tags.set_eas(uid, armed=armed))
        if answer.error == Error.NOT_IMPLEMENTED:
            raise unsupported("switch EAS")

    async def hears_eas(self, uid: Uid) -> bool:
        """An answer that could not be read was one as well: only an armed tag says anything."""
        answer = await self._ask(m3_tags.check_eas(uid))
        if answer.error == Error.NOT_IMPLEMENTED:
            raise unsupported("hear EAS")
        return answer.error in (Error.NONE, Error.READ)

    async def lock(self, uid: Uid, what: Lock, first: int, count: int) -> bool:
        match what:
            case Lock.AFI:
                asked = [m3_tags.lock_afi(uid)]
            case Lock.DSFID:
                asked = [m3_tags.lock_dsfid(uid)]
            case Lock.BLOCKS:
                asked = [m3_tags.lock_block(uid, block) for block in range(first, first + count)]
            case Lock.EAS:
                raise unsupported("lock EAS")
            case _:
                assert_never(what)
        for request in asked:
            if (await self._ask(request)).error != Error.NONE:
                return False
        return bool(asked)

    async def reset(self) -> None:
        """No command of this reader switches its field off. A look without names is the longest rest its tags get."""
        await self._ask(m3_tags.inventory(options=Option(0)))

    async def _start(self, version: Version) -> None:
        """What every known program sends first; a reader that does not want it may keep silent."""
        both = [m3.INIT_810, m3.INIT_210]
        if version.level > _AGE_OF_810:
            both.reverse()
        for request in both:
            answer = await self._probe(request)
            if answer is None or answer.error == Error.NONE:
                return

    async def _read(self, uid: Uid, first: int, count: int) -> bytes | None:
        answer = await self._ask(m3_tags.read_blocks(uid, first, count, self._style))
        if answer.error == Error.NOT_IMPLEMENTED and self._style:
            self._style = Style(0)
            answer = await self._ask(m3_tags.read_blocks(uid, first, count, self._style))
        if answer.error in _NO_SUCH:
            return b""
        if answer.error == Error.NO_TAG and first + count > _FEW:
            # Some tags keep silent when asked for more than they have.
            return None if await self.read_afi(uid) is None else b""
        if answer.error != Error.NONE:
            return None
        try:
            return Blocks.decode(answer.rest, first, count).data
        except RemoteProtocolError:
            return None

    async def _byte(self, request: Request) -> int | None:
        answer = await self._ask(request)
        if answer.error != Error.NONE:
            return None
        try:
            return m3_tags.decode_byte(answer.rest)
        except RemoteProtocolError:
            return None

    async def _ask(self, request: Request) -> Answer:
        return await self._line.ask(request.encode(), _judge(request))

    async def _probe(self, request: Request) -> Answer | None:
        return await self._line.probe(request.encode(), _judge(request))


def trouble(answer: Answer) -> RemoteProtocolError:
    """The error for an answer that leaves nothing to go on with."""
    return RemoteProtocolError(
        f"The reader refused command {answer.command:02X}: {m3.words(answer.error)}.",
        "Unplug the reader and plug it in again.",
        code="reader-refused",
    )


def _version(boot: Answer | None, answer: Answer) -> Version:
    """By the rules if the reader knows them, else what its boot loader said."""
    if answer.error == Error.NONE:
        return Version.decode(answer.body)
    if boot is not None:
        return m3.decode_boot(boot)
    raise trouble(answer)


def _judge(request: Request) -> Judge[Answer]:
    def judge(frames: Sequence[bytes]) -> Answer | Verdict:
        answer = Answer.decode(frames[-1])
        return answer if answer.answers(request) else Verdict.STRAY

    return judge
