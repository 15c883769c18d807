"""Whichever pad is at the other end: each kind of reader is asked who it is, in its own words at its own speed.

An option of the address counts for every kind that has it: ``?baud=9600`` is the speed for all of them, ``?power=20``
is for UHF readers alone. A name that leads to a socket is that of a smart card service (PC/SC), one that leads to
/dev/null that of a station without a reader.

Questions only, one or two for each kind, and none that changes anything in a reader or on a tag. A reader of another
kind hears them as noise at a wrong speed, and is given a moment to forget it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from kiosk.devices import feig, open_pad, rr9_pad, uhf18_pad, urls
from kiosk.devices.base import Bench, Lock, Tag
from kiosk.devices.exchange import Exchange, Verdict
from kiosk.transports.base import bad_url
from kiosk.wire import iso_host, len_frame, m3, rr9, uhf18, uhf18_reader
from kiosk.wire.framing import Framer
from kiosk.wire.iso15693 import SystemInfo
from kiosk.wire.rr9 import Own, Scan
from mocban import log
from mocban.errors import DeviceLost

_QUICK = 12  # silent slices (25 ms) for a question that every reader answers at once
_SCAN = 28  # for one that looks for tags first
_REST = 0.1  # seconds in which a reader of another kind forgets what it did not understand
_LINE = frozenset({"baud", "parity", "bytesize", "stopbits"})
_INFO, _ROW = 6, 9  # bytes of an RR9's word about itself, and of one tag
_FOUND = (rr9.Status.OK, rr9.Status.NO_TAG, rr9.Status.INCOMPLETE)
_USUAL = "A reader with another speed has it in its address, as in ?baud=9600."
_NAMED = "Leave speed and parity out of the address, and each kind is asked at its own."

_log = log.get("kiosk.pad")


@dataclass(frozen=True, slots=True)
class Question:
    """A frame, what tells its answer from any other frame, and how long to wait for it, in slices."""

    frame: bytes
    fits: Callable[[bytes], bool]
    slices: int = _QUICK

    def judge(self, frames: Sequence[bytes]) -> bool | Verdict:
        """For an ``Exchange``: true of the answer, STRAY of all else."""
        return self.fits(frames[-1]) or Verdict.STRAY


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of reader is known. ``line``: serial, as its maker leaves it, in options of an address.

    ``questions``: to the reader of that address, None for any. ``options``: of its driver, in the URL.
    """

    line: str
    framer: Callable[[], Framer]
    questions: Callable[[int | None], tuple[Question, ...]]
    options: frozenset[str] = frozenset()


def _feig(_: int | None) -> tuple[Question, ...]:
    asked = iso_host.version()
    return (
        Question(asked.encode(), lambda one: iso_host.Reply.decode(one).command == asked.command),
    )


def _3m(_: int | None) -> tuple[Question, ...]:
    """Some keep silent to the first, which no document names."""

    def about(request: m3.Request) -> Question:
        return Question(request.encode(), lambda one: m3.Answer.decode(one).answers(request))

    return about(m3.boot()), about(m3.version())


def _rr9(address: int | None) -> tuple[Question, ...]:
    """Answers do not say what they answer: only good ones of the right shape count. Some know no word of themselves."""
    info, scan = (
        replace(one, address=address or 0) for one in (rr9.own(Own.INFO), rr9.inventory(Scan.NEW))
    )

    def told(frame: bytes) -> bool:
        reply = rr9.Reply.decode(frame)
        return reply.status == rr9.Status.OK and len(reply.data) == _INFO

    def found(frame: bytes) -> bool:
        reply = rr9.Reply.decode(frame)
        return reply.status in _FOUND and len(reply.data) % _ROW == 0

    return Question(info.encode(), told), Question(scan.encode(), found, _SCAN)


def _uhf18(address: int | None) -> tuple[Question, ...]:
    asked = uhf18_reader.info()
    asked = asked if address is None else replace(asked, address=address)

    def told(frame: bytes) -> bool:
        reply = uhf18.Reply.decode(frame)
        return (reply.command, reply.status) == (asked.command, uhf18.Status.OK)

    return (Question(asked.encode(), told),)


KINDS: dict[str, Kind] = {
    "feig": Kind("baud=38400&parity=E", iso_host.framer, _feig, frozenset(feig.OPTIONS)),
    "3m": Kind("baud=19200", m3.framer, _3m),
    "rr9": Kind("baud=19200", len_frame.framer, _rr9, frozenset(rr9_pad.OPTIONS)),
    "uhf18": Kind("baud=57600", len_frame.framer, _uhf18, frozenset(uhf18_pad.OPTIONS)),
}
"""The kinds that are looked for, in this order."""


class AutoPad:
    """A pad and a bench (``kiosk.devices.base``) of the kind that answered last; ``open`` looks for it anew.

    So a reader may be changed for one of another kind: the old one is lost, the new one is found.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        _check(url)
        self._pad: Bench | None = None
        self._last = ""

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._pad.noise if self._pad is not None else 0

    async def open(self) -> str:
        """Find out who is there; the kind that was there last is asked first."""
        await self.close()
        driver, url = await self._find()
        pad = cast(Bench, open_pad(driver, url))
        version = await pad.open()
        self._pad = pad
        if driver != self._last:
            _log.info("pad.found", driver=driver, reader=version, before=self._last)
        self._last = driver
        return version

    async def close(self) -> None:
        pad, self._pad = self._pad, None
        if pad is not None:
            await pad.close()

    async def tags(self) -> list[Tag]:
        if self._last == "none" and not _leads_nowhere(self._url):
            raise DeviceLost("There is a reader now.", "It is opened by itself.", code="no-reader")
        return await self._open.tags()

    async def write_afi(self, uid: str, afi: int) -> bool:
        return await self._open.write_afi(uid, afi)

    async def read_afi(self, uid: str) -> int | None:
        return await self._open.read_afi(uid)

    async def write_eas(self, uid: str, *, armed: bool) -> bool:
        return await self._open.write_eas(uid, armed=armed)

    async def read_eas(self, uid: str) -> bool | None:
        return await self._open.read_eas(uid)

    async def info(self, uid: str) -> SystemInfo | None:
        return await self._open.info(uid)

    async def read(self, uid: str, first: int, count: int) -> bytes | None:
        return await self._open.read(uid, first, count)

    async def write(self, uid: str, first: int, data: bytes) -> bool:
        return await self._open.write(uid, first, data)

    async def write_dsfid(self, uid: str, dsfid: int) -> bool:
        return await self._open.write_dsfid(uid, dsfid)

    async def lock(self, uid: str, what: Lock, *, first: int = 0, count: int = 0) -> bool:
        return await self._open.lock(uid, what, first=first, count=count)

    @property
    def _open(self) -> Bench:
        if self._pad is None:
            raise DeviceLost("The reader is not open.", "Open it first.")
        return self._pad

    async def _find(self) -> tuple[str, str]:
        """Driver and address of whoever answers. A line that cannot be had at all is said at once."""
        parts = urlsplit(self._url)
        if parts.scheme == "pcsc":
            return "pcsc", self._url
        if _leads_nowhere(self._url):
            return "none", self._url
        if parts.scheme == "serial" and Path(parts.path).is_socket():
            return "pcsc", f"pcsc://?socket={quote(parts.path)}"
        tried = []
        for driver in sorted(KINDS, key=lambda one: one != self._last):
            url = address(self._url, driver)
            if await _answers(url, KINDS[driver]):
                return driver, url
            tried.append(f"{driver} ({settings(url)})" if parts.scheme == "serial" else driver)
        cure = _NAMED if _LINE & _given(self._url).keys() else _USUAL
        raise DeviceLost(
            f"No reader answers at {parts.path or parts.netloc}; tried: {', '.join(tried)}.",
            f"Check its power and cable. {cure}",
            code="no-reader",
        )


def address(url: str, driver: str) -> str:
    """``url`` as the driver takes it: its usual line, but for what ``url`` says, and no options of others."""
    parts = urlsplit(url)
    usual = dict(parse_qsl(KINDS[driver].line)) if parts.scheme == "serial" else {}
    known = KINDS[driver].options | _LINE
    query = urlencode(usual | {name: said for name, said in _given(url).items() if name in known})
    line, _, _ = url.partition("?")
    return f"{line}?{query}" if query else line


def settings(url: str) -> str:
    """Speed and frame of a serial address, as people write them: 38400 8E1."""
    given = {"baud": "?", "parity": "N", "bytesize": "8", "stopbits": "1"} | _given(url)
    return "{baud} {bytesize}{parity}{stopbits}".format(**given)


async def _answers(url: str, kind: Kind) -> bool:
    """Whether a reader of that kind is there. DeviceLost: the line is not there, or went away."""
    line, own = urls.part(url, kind.options)
    number = own.get("address")
    address = None if number is None else urls.number(url, "address", number, 0, 255)
    exchange = Exchange(line, kind.framer, _REST)
    try:
        await exchange.open()
        await asyncio.sleep(_REST)
        for one in kind.questions(address):
            if await exchange.probe(one.frame, one.judge, one.slices):
                return True
    finally:
        await exchange.close()
    return False


def _leads_nowhere(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "serial" and Path(parts.path).resolve() == Path(os.devnull)


def _given(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def _check(url: str) -> None:
    """ConfigError for an option that no kind of reader has: it would never be heard of again."""
    parts = urlsplit(url)
    known = _LINE.union(*(kind.options for kind in KINDS.values()), {"socket"})
    if unknown := sorted(_given(url).keys() - known):
        raise bad_url(parts, f"unknown option {unknown[0]}")
