"""``mocban tag station``: scan, write, verify, next. For a room full of books that have no tag, or another's.

One line of the keyboard or of the scanner is one barcode. Only a tag that lies there alone is written, and never the
same tag twice without a question.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Protocol

import typer

from kiosk.tagging import memory, models, programming, sentences, writing
from kiosk.tagging.book import Entry, Mark
from kiosk.tagging.desk import Desk
from kiosk.tagging.memory import Memory
from kiosk.tagging.programming import Wish
from kiosk.tagging.refusals import Refused, refused
from kiosk.transports.base import ByteStream, open_stream
from kiosk.wire.content import Blank
from mocban.cli import emit
from mocban.errors import Exit, MocbanError

_LONGEST = 64  # characters of a barcode
_WAIT = 600  # rounds in which a tag may come
_ERRORS = 100  # that are told at the end
BACK, END = "-", "."


class Scanner(Protocol):
    """Where barcodes come from."""

    async def scan(self) -> str | None:
        """The next one, without the line's end; None: there are no more."""
        ...


class Keyboard:
    """Lines of stdin: a person, a scanner that types, or a file."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def scan(self) -> str | None:
        """The next line."""
        return self._desk.line(self._desk.word(sentences.SCAN))


class SerialScanner:
    """A scanner on a line of its own; each barcode ends with CR or LF."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._heard = b""

    async def scan(self) -> str | None:
        """The next barcode; DeviceLost when the scanner is gone."""
        while True:
            line, end, rest = self._heard.replace(b"\r", b"\n").partition(b"\n")
            if end:
                self._heard = rest
                if text := line.decode("utf-8", "replace").strip():
                    return text
                continue
            # What never ends is no barcode: only its end is kept, so that it is refused and not cut to a right one.
            self._heard = (self._heard + await self._stream.read())[-8 * _LONGEST :]


@dataclass(slots=True)
class _Work:
    """What was done so far, the latest last."""

    done: list[tuple[str, Memory, Entry | None]] = field(default_factory=list)
    count: Counter[str] = field(default_factory=Counter)
    errors: deque[MocbanError] = field(default_factory=lambda: deque(maxlen=_ERRORS))

    def tag_of(self, item: str) -> str:
        """The tag that this item was written on; "" if none was."""
        return next((memory.uid for one, memory, _ in reversed(self.done) if one == item), "")


async def station(desk: Desk, wish: Wish, scanner: str) -> None:
    """Work until the scanner has no more, or a person ends it."""
    stream = await open_stream(scanner) if scanner else None
    source: Scanner = SerialScanner(stream) if stream is not None else Keyboard(desk)
    work = _Work()
    broke: MocbanError | None = None
    desk.say(sentences.STATION)
    try:
        await _serve(desk, wish, source, work)
    except models.BREAKS as error:
        work.errors.append(error)
        broke = error
    finally:
        if stream is not None:
            await stream.close()
        _tell(desk, work)
    if broke is not None:
        if desk.asked.as_json:
            raise typer.Exit(broke.exit)
        raise broke
    if work.errors:
        raise typer.Exit(Exit.PARTLY)


def _tell(desk: Desk, work: _Work) -> None:
    names = ("written", "same", "undone", "refused", "declined")
    count = {name: work.count[name] for name in names}
    desk.say(sentences.TOTAL, **count)
    if desk.asked.as_json:
        path = str(desk.book().path) if desk.book().latest is not None else None
        errors = [error.as_json() for error in work.errors]
        emit({"ok": not errors, **count, "undo": path, "errors": errors})


async def _serve(desk: Desk, wish: Wish, source: Scanner, work: _Work) -> None:
    while (line := await source.scan()) is not None and line != END:
        if not line:
            continue
        try:
            if line == BACK:
                await _take_back(desk, work)
            elif barcode(line):
                await _write(desk, replace(wish, label=replace(wish.label, id=line)), work)
            else:
                raise refused("no-barcode")
        except models.TAG_ERRORS as error:
            work.count["refused"] += 1
            work.errors.append(error)
            desk.say(sentences.BAD, say=error.say, do=error.do)


def barcode(line: str) -> bool:
    """Whether this may be a barcode at all: a scanner that babbles is not written to tags."""
    return 1 <= len(line) <= _LONGEST and line.isprintable() and "�" not in line


async def _write(desk: Desk, wish: Wish, work: _Work) -> None:
    item = wish.label.id
    before = work.tag_of(item)
    if before and not desk.ask(sentences.AGAIN, item=item, uid=before):
        work.count["declined"] += 1
        return
    uid = await _one(desk, item)
    tag = await desk.alone()
    if tag.uid != uid:
        raise refused("other-tag", uid=tag.uid, wanted=uid)
    found = await desk.take(tag, eas=desk.site.security.eas)
    fresh = isinstance(found.content, Blank) or programming.same(found, wish)
    # Even with --over: the next barcode may have been scanned before the last item was taken away.
    mine = any(found.uid == one.uid for _, one, _ in work.done)
    if not fresh and (mine or not wish.over):
        now = programming.now(desk, found)
        if not desk.ask(sentences.OVER, uid=found.uid, now=now, item=item):
            work.count["declined"] += 1
            return
        if (await desk.alone()).uid != found.uid:
            raise refused("tag-gone", uid=found.uid)
    entry = None
    if await programming.put(desk, found, wish):
        entry = desk.book().latest
        work.count["written"] += 1
    else:
        work.count["same"] += 1
    work.done.append((item, found, entry))
    desk.say(sentences.DONE, item=item, n=work.count["written"] + work.count["same"])


async def _one(desk: Desk, item: str) -> str:
    """The UID of the one tag that lies there, as soon as one does."""
    for number in range(_WAIT):
        try:
            return (await desk.alone()).uid
        except Refused as error:
            if error.code != "no-tag":
                raise
        if number == 0:
            desk.say(sentences.LAY, item=item)
        await asyncio.sleep(0.05)
    raise refused("no-tag")


async def _take_back(desk: Desk, work: _Work) -> None:
    """Put the last tag that was written back as it was; it must lie there, alone."""
    while work.done and work.done[-1][2] is None:
        work.done.pop()
    if not work.done:
        desk.say(sentences.NOTHING_BACK)
        return
    item, found, entry = work.done[-1]
    tag = await desk.alone()
    if tag.uid != found.uid:
        raise refused("other-tag", uid=tag.uid, wanted=found.uid)
    now = await memory.take(desk.bench, tag, eas=found.held.eas is not None)
    if entry is not None:
        await writing.cure(desk.bench, desk.book(), entry, now, Mark.UNDONE)
    work.done.pop()
    work.count["undone"] += 1
    desk.say(sentences.TAKEN_BACK, item=item)
