"""UHFReader18 and UHFReader288 pads (Chafon, WYUAN and many unbranded): 57600 8N1, or TCP.

Options of the URL: ``power=23`` (dBm), ``region=vn`` and ``scan=3`` (the longest inventory, in 100 ms) are written to
the reader, which keeps them; without them nothing is. ``series`` (18 or 288) where the reader's own word about itself
is not to be trusted. ``address``, 255 for any. More than 23 dBm with an antenna of 6 dBi is more than Viet Nam allows
without a licence: it must be asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from kiosk.devices import urls
from kiosk.devices.exchange import Exchange, Verdict, patience
from kiosk.devices.hf import unsupported
from kiosk.devices.uhf import Aim, UhfPad
from kiosk.wire import len_frame, uhf18, uhf18_reader
from kiosk.wire.uhf18 import MOST_WORDS, Bank, Command, Reply, Request, Series, Status
from kiosk.wire.uhf18_reader import Info
from mocban import log
from mocban.errors import DeviceLost, RemoteProtocolError

_BAUD = 57600
_LOUD = 23
"""dBm above which a warning is logged if the URL names no power."""
OPTIONS = ("power", "region", "scan", "series", "address")
_GOOD = (Status.OK, Status.FOUND, Status.TIMEOUT, Status.MORE, Status.FULL, Status.STATISTICS)
_SHORT = (Status.TIMEOUT, Status.FULL)  # the round is not complete
_NO_EAS = (Status.TAG_UNSUPPORTED, Status.PASSWORD_ZERO, Status.NO_EAS)
_MOST_WRITTEN = 32  # words of one write

_log = log.get("kiosk.uhf")


def uhf18_pad(url: str) -> UhfPad:
    """A UHF pad at ``url``, not opened yet."""
    return UhfPad(Uhf18Reader(url))


class Uhf18Reader:
    """The words of both series (``UhfReader``); which it is, the reader says.

    ``password``: the access password of the tags; as their maker leaves them it is zero.
    """

    def __init__(self, url: str, password: bytes = bytes(4)) -> None:
        line, options = urls.part(url, OPTIONS)
        self._power = (
            urls.number(url, "power", options["power"], 0, 33) if "power" in options else None
        )
        self._scan = (
            urls.number(url, "scan", options["scan"], 3, 255) if "scan" in options else None
        )
        region = options.get("region")
        self._region = urls.choice(url, "region", region, uhf18_reader.REGIONS) if region else None
        series = options.get("series")
        known = [one.value for one in Series]
        self._forced = Series(urls.choice(url, "series", series, known)) if series else None
        self._address = urls.number(url, "address", options.get("address", "255"), 0, 255)
        self._series = self._forced or Series.R18
        self._password = password
        self._patience = patience(0)
        self._line = Exchange(urls.with_speed(line, _BAUD), len_frame.framer)

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._line.noise

    @property
    def aims_by_tid(self) -> bool:
        """Only the 288 can compare a TID."""
        return self._series is Series.R288

    async def open(self) -> str:
        await self._line.open()
        try:
            info = Info.decode((await self._must(uhf18_reader.info())).data)
            self._series = self._forced or info.series
            self._patience = patience(self._scan or info.tenths)
            await self._tune(info)
        except RemoteProtocolError as error:
            await self.close()
            raise DeviceLost(error.say, "Is this a UHFReader? Choose another driver.") from error
        except BaseException:
            await self.close()
            raise
        return str(info)

    async def close(self) -> None:
        await self._line.close()

    async def uiis(self) -> list[bytes]:
        """A round that ran out of time is followed by another; both count."""
        return await self._round(tid=False)

    async def tids(self) -> list[bytes]:
        """None from firmware that knows no inventory of TIDs."""
        size = 2 * uhf18.TID_WORDS
        return [tid for tid in await self._round(tid=True) if len(tid) == size]

    async def read(self, aim: Aim, bank: Bank, first: int, count: int) -> bytes | None:
        data, target = b"", self._target(aim)
        if target is None:
            return None
        for at in range(first, first + count, MOST_WORDS):
            wanted = min(MOST_WORDS, first + count - at)
            reply = await self._ask(uhf18.read(target, bank, at, wanted, self._password))
            if reply.status == Status.TAG_ERROR and reply.data[:1] == bytes((uhf18.OVERRUN,)):
                return b""
            if reply.status != Status.OK or len(reply.data) != 2 * wanted:
                return None
            data += reply.data
        return data

    async def write(self, aim: Aim, bank: Bank, first: int, data: bytes) -> None:
        for at in range(0, len(data), 2 * _MOST_WRITTEN):
            words = data[at : at + 2 * _MOST_WRITTEN]
            if (target := self._target(aim)) is not None:
                await self._ask(uhf18.write(target, bank, first + at // 2, words, self._password))

    async def write_eas(self, aim: Aim, *, armed: bool) -> None:
        if (target := self._target(aim)) is None:
            return
        request = uhf18.set_eas(target, armed=armed, password=self._password)
        if (await self._ask(request)).status in _NO_EAS:
            raise unsupported("switch EAS on this tag: it wants an access password of its own")

    async def hears_eas(self) -> bool:
        return (await self._ask(uhf18.check_eas())).status == Status.OK

    async def ask(self, request: Request) -> Reply:
        """The last frame of the answer to any request: a gate has some of its own."""
        return await self._ask(request)

    async def _round(self, *, tid: bool) -> list[bytes]:
        seen, short = await self._inventory(tid=tid)
        if not short:
            return seen
        again, _ = await self._inventory(tid=tid)
        return seen + [one for one in again if one not in seen]

    async def _inventory(self, *, tid: bool) -> tuple[list[bytes], bool]:
        """What one round found, and whether it was too short. A fault is no empty pad: that would end a visit."""
        request = uhf18.inventory(self._series, tid=tid)
        replies = await self._replies(request)
        if replies[-1].status not in (*_GOOD, Status.NO_TAG):
            replies = await self._replies(request)
        status = replies[-1].status
        if status == Status.NO_TAG or (tid and status in (Status.LENGTH, Status.PARAMETER)):
            return [], False
        if status not in _GOOD:
            await self._lose(f"The reader refused an inventory: {uhf18.words(status)}.")
        seen: list[bytes] = []
        try:
            for reply in replies:
                if reply.status != Status.STATISTICS and reply.data:
                    seen += uhf18.decode_sightings(self._series, reply.data)
        except RemoteProtocolError as error:
            await self._lose(error.say)
        return seen, status in _SHORT

    async def _tune(self, info: Info) -> None:
        """What the URL asks for, and nothing else: the reader would keep it for ever."""
        if self._region is not None:
            await self._must(uhf18_reader.region(*uhf18_reader.REGIONS[self._region]))
        if self._scan is not None:
            await self._must(uhf18_reader.scan_time(self._scan))
        if self._power is not None:
            await self._must(uhf18_reader.power(self._power))
        elif _LOUD < info.power < 0xFF:
            _log.warning(
                "uhf.loud",
                dbm=info.power,
                say=f"the reader sends with {info.power} dBm; add power={_LOUD} to its address",
            )

    def _target(self, aim: Aim) -> uhf18.Target | None:
        """None for a UII that no request can carry."""
        if aim.tid and self.aims_by_tid:
            return uhf18.by_tid(aim.tid)
        fits = 0 < len(aim.uii) <= 2 * uhf18.MOST_UII and len(aim.uii) % 2 == 0
        return uhf18.Uii(aim.uii) if fits else None

    async def _must(self, request: Request) -> Reply:
        """RemoteProtocolError for whatever is not a plain yes."""
        reply = await self._ask(request)
        if reply.status != Status.OK:
            raise RemoteProtocolError(
                f"The reader refused command {request.command:02X}: {uhf18.words(reply.status)}."
            )
        return reply

    async def _ask(self, request: Request) -> Reply:
        return (await self._replies(request))[-1]

    async def _replies(self, request: Request) -> list[Reply]:
        """All frames of the answer. A request that was damaged on its way is sent once more."""
        asked = Request(request.command, request.data, self._address)

        def judge(frames: Sequence[bytes]) -> list[Reply] | Verdict:
            reply = Reply.decode(frames[-1])
            if reply.command != asked.command:
                lost = reply.command == 0 and reply.status == Status.ILLEGAL
                return [reply] if lost else Verdict.STRAY
            if asked.command == Command.INVENTORY and reply.status == Status.MORE:
                return Verdict.PART
            return [Reply.decode(frame) for frame in frames]

        replies = await self._line.ask(asked.encode(), judge, self._patience)
        if replies[-1].status == Status.ILLEGAL:
            replies = await self._line.ask(asked.encode(), judge, self._patience)
        return replies

    async def _lose(self, say: str) -> NoReturn:
        await self.close()
        raise DeviceLost(say, "Check the reader and its antenna.", code="reader-refused")
