"""``mocban tag inventory``: what stands on a shelf, against a list of what should.

The list and the result are tables that spreadsheets open: a cell that a spreadsheet would run as a formula is written
with an apostrophe before it.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import typer

from kiosk.devices.base import Tag
from kiosk.tagging import memory, sentences
from kiosk.tagging.desk import Desk
from kiosk.tagging.refusals import refused
from kiosk.wire.content import CardTag, Content, ItemTag
from kiosk.wire.tag import decode
from mocban.cli import emit
from mocban.errors import ConfigError, DeviceLost, Exit, StorageError

_LARGEST = 32 << 20  # bytes of a list
_LONGEST = 200  # characters of a number
_MOST = 200_000  # tags of one round along the shelves
_HEADS = frozenset(
    ("barcode", "item", "id", "number", "mã vạch", "mã", "số đăng ký cá biệt", "đkcb", "số đkcb")
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_PAUSE = 0.05  # seconds between two rounds over an empty field


@dataclass(frozen=True, slots=True)
class Seen:
    """One tag that was read. ``item`` "": no item. ``secured`` None: not asked, or the site has no mark on the tag."""

    uid: str
    item: str = field(default="", repr=False)
    part: int = 1
    parts: int = 1
    secured: bool | None = None
    card: bool = False


@dataclass(slots=True)
class Shelf:
    """What was seen so far, against ``wanted`` (None: no list)."""

    wanted: dict[str, None] | None = None
    tags: dict[str, Seen] = field(default_factory=dict)
    items: dict[str, list[Seen]] = field(default_factory=dict)
    half: list[str] = field(default_factory=list)
    """UIDs of tags that an earlier write left half done."""

    def put(self, seen: Seen) -> None:
        """One more tag."""
        self.tags[seen.uid] = seen
        if seen.item:
            self.items.setdefault(seen.item, []).append(seen)

    @property
    def found(self) -> list[str]:
        """Items that were seen and should be there."""
        return [item for item in self.items if self.wanted is None or item in self.wanted]

    @property
    def missing(self) -> list[str]:
        """Items that should be there and were not seen."""
        return [item for item in self.wanted or () if item not in self.items]

    @property
    def unexpected(self) -> list[str]:
        """Items that were seen and are not on the list."""
        return [] if self.wanted is None else [i for i in self.items if i not in self.wanted]

    @property
    def open(self) -> list[str]:
        """Items of which a tag does not say that they are in stock."""
        return [item for item, tags in self.items.items() if any(t.secured is False for t in tags)]

    @property
    def unreadable(self) -> list[str]:
        """UIDs of tags that are neither item nor card."""
        return [tag.uid for tag in self.tags.values() if not tag.item and not tag.card]

    @property
    def twice(self) -> dict[str, list[str]]:
        """Items of which the same part stands on more than one tag, with their UIDs."""
        found = {}
        for item, tags in self.items.items():
            if len({(tag.part, tag.parts) for tag in tags}) < len(tags):
                found[item] = [tag.uid for tag in tags]
        return found

    @property
    def right(self) -> bool:
        """Whether nothing is to be done."""
        lists = (self.missing, self.unexpected, self.open, self.unreadable, self.twice, self.half)
        return not any(lists)

    def rows(self) -> list[list[str]]:
        """The result as a table, its head first."""
        table = [["item", "state", "security", "part", "parts", "uid"]]
        for item, tags in self.items.items():
            state = "found" if self.wanted is None or item in self.wanted else "unexpected"
            for tag in tags:
                mark = {True: "in stock", False: "open", None: ""}[tag.secured]
                table.append([item, state, mark, str(tag.part), str(tag.parts), tag.uid])
        table += [[item, "missing", "", "", "", ""] for item in self.missing]
        table += [["", "unreadable", "", "", "", uid] for uid in self.unreadable]
        return table


async def inventory(
    desk: Desk, wanted: dict[str, None] | None, *, seconds: float | None, out: Path | None
) -> None:
    """Read until Ctrl-C, or for so many seconds. Exit 1 if anything is not as it should be."""
    shelf = Shelf(wanted)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled = True
    lost: DeviceLost | None = None
    try:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    except (RuntimeError, ValueError):  # not the main thread
        handled = False
    desk.say(sentences.COUNTING)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _read(desk, shelf, stop)
    except DeviceLost as error:  # what was seen so far is not lost with the reader
        lost = error
    finally:
        if handled:
            loop.remove_signal_handler(signal.SIGINT)
    if out is not None:
        write_table(out, shelf.rows())
    _tell(desk, shelf, out, lost)
    if lost is not None:
        desk.show(f"{lost.say.rstrip('.')}: {lost.do.rstrip('.')}.")
        raise typer.Exit(Exit.UNREACHABLE)
    if not shelf.right:
        raise typer.Exit(Exit.NO)


def read_list(path: Path, column: str = "") -> dict[str, None]:
    """Item numbers of a file: one a line, or a table with , ; or tabs of which ``column`` is taken, else the first.

    ConfigError if it cannot be read, holds no number, or has no such column.
    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"the list {path} is no file", "name a file")
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"the list {path} is too large", "split it, shelf by shelf")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        told = error.strerror or type(error).__name__
        raise ConfigError(f"the list {path} cannot be read: {told}", "name a file") from error
    except UnicodeDecodeError:
        raise ConfigError(
            f"the list {path} is no text in UTF-8", "save it as CSV UTF-8 in the spreadsheet"
        ) from None
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text), delimiter=_delimiter(text)) if any(row)
        ]
    except csv.Error as error:
        raise ConfigError(f"the list {path} is no table: {error}", "save it as CSV") from None
    at = _column(rows, column, path)
    if rows and (column or rows[0][at].strip().casefold() in _HEADS):
        rows = rows[1:]
    numbers = [row[at].strip().removeprefix("'") for row in rows if len(row) > at]
    found = dict.fromkeys(one for one in numbers if one and not one.startswith("#"))
    if not found:
        raise ConfigError(f"the list {path} holds no number", "write one item number a line")
    if any(len(one) > _LONGEST for one in found):
        raise ConfigError(f"the list {path} holds no item numbers", "write one item number a line")
    return found


def write_table(path: Path, rows: list[list[str]]) -> None:
    """The table as CSV, whole or not at all. StorageError if it cannot be written."""
    text = io.StringIO()
    csv.writer(text).writerows([harmless(cell) for cell in row] for row in rows)
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_text(text.getvalue(), encoding="utf-8-sig", newline="")
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        told = error.strerror or type(error).__name__
        raise StorageError(f"{path} cannot be written: {told}", "name another file") from error


def harmless(cell: str) -> str:
    """The cell as no spreadsheet takes it for a formula."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


async def _read(desk: Desk, shelf: Shelf, stop: asyncio.Event) -> None:
    while not stop.is_set():
        tags = await desk.bench.tags()
        for tag in tags:
            if tag.uid in shelf.tags or not (tag.data or tag.epc):
                continue
            if len(shelf.tags) >= _MOST:
                error = refused("too-many", n=_MOST)
                desk.show(f"{error.say}: {error.do}.")
                return
            seen = await _see(desk, tag)
            if seen is None:
                continue
            before = shelf.items.get(seen.item, [])
            shelf.put(seen)
            _note(desk, shelf, seen, before[:1])
        if not tags:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE)


async def _see(desk: Desk, tag: Tag) -> Seen | None:
    """One tag; None if it left before its mark was read: it comes again."""
    content: Content = decode(tag.data, afi=tag.afi, dsfid=tag.dsfid, epc=tag.epc)
    match content:
        case CardTag():
            return Seen(tag.uid, card=True)
        case ItemTag():
            site, secured = desk.site.security, None
            if site.afi:
                afi = tag.afi if tag.afi is not None else await memory.family(desk.bench, tag.uid)
                if afi is None and not tag.epc:
                    return None
                secured = afi == site.in_stock
            if site.eas and secured is not False:
                secured = await memory.alarm(desk.bench, tag.uid) is True
            return Seen(tag.uid, content.id, content.part, content.parts, secured)
        case _:
            return Seen(tag.uid)


def _note(desk: Desk, shelf: Shelf, seen: Seen, before: list[Seen]) -> None:
    """A line about the tag that came last, and one for whatever is wrong with it."""
    if seen.card:
        return
    if (left := desk.unfinished().get(seen.uid)) is not None:
        shelf.half.append(seen.uid)
        desk.say(sentences.HALF_SEEN, uid=seen.uid, at=desk.when(left.entry.at), path=left.path)
    if not seen.item:
        desk.say(sentences.UNREADABLE, uid=seen.uid)
        return
    if shelf.wanted is None:
        desk.say(sentences.SEEN, item=seen.item, n=len(shelf.items))
    elif seen.item in shelf.wanted:
        desk.say(sentences.FOUND, item=seen.item, n=len(shelf.found), all=len(shelf.wanted))
    else:
        desk.say(sentences.UNEXPECTED, item=seen.item)
    if seen.secured is False:
        desk.say(sentences.OPEN, item=seen.item)
    if before and seen.item in shelf.twice:
        desk.say(sentences.TWICE, item=seen.item, uid=before[0].uid, other=seen.uid)


def _tell(desk: Desk, shelf: Shelf, out: Path | None, lost: DeviceLost | None) -> None:
    for item in shelf.missing:
        desk.say(sentences.MISSING, item=item)
    desk.say(
        sentences.SUM, found=len(shelf.found), missing=len(shelf.missing), unexpected=len(shelf.unexpected),
        open=len(shelf.open), unreadable=len(shelf.unreadable),
    )  # fmt: skip
    if out is not None:
        desk.say(sentences.OUT, path=out)
    if desk.asked.as_json:
        cards = sum(tag.card for tag in shelf.tags.values())
        errors = [] if lost is None else [lost.as_json()]
        emit(
            {
                "ok": shelf.right and not errors, "found": shelf.found, "missing": shelf.missing,
                "unexpected": shelf.unexpected, "open": shelf.open, "unreadable": shelf.unreadable,
                "twice": shelf.twice, "half_written": shelf.half, "cards": cards, "errors": errors,
            }
        )  # fmt: skip


def _delimiter(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=line.count)


def _column(rows: list[list[str]], column: str, path: Path) -> int:
    if not column or not rows:
        return 0
    heads = [cell.strip().casefold() for cell in rows[0]]
    if column.strip().casefold() not in heads:
        raise ConfigError(
            f"the list {path} has no column {column}",
            f"its columns are: {', '.join(rows[0])[:200]}",
        )
    return heads.index(column.strip().casefold())
