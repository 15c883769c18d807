"""One tag written as a whole or not at all, as far as that can be: put down first, written, read back, or put back.

Only what differs is written. The content comes first and the security mark last: a tag that is half written is never
opened for the gate by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from kiosk.devices.base import Bench
from kiosk.tagging.book import Book, Entry, Mark
from kiosk.tagging.memory import Held, Memory, again, runs
from kiosk.tagging.refusals import Refused, half, not_noted, refused
from mocban.errors import ConfigError, DeviceLost, StorageError

CALIBRATE = "calibrate"
"""The verb that tries values: its end is always the value before."""

T = TypeVar("T")
Meaning = tuple[tuple[int, int], ...]


async def write(
    bench: Bench, book: Book, verb: str, memory: Memory, after: Held, meaning: Meaning = ()
) -> bool:
    """Make the tag hold ``after`` (None: as it is); False if it does already, and nothing was written.

    Refused ``not-written``: it is as it was. Half, DeviceLost: tag or reader went away; ``cure`` helps.
    """
    before = memory.held
    after = Held(
        after.data,
        before.afi if after.afi is None else after.afi,
        before.dsfid if after.dsfid is None else after.dsfid,
        before.eas if after.eas is None else after.eas,
    )
    if before == after:
        return False

    async def work() -> bool:
        entry = book.begin(verb, memory.uid, memory.block, before, after, meaning)
        if await _put(bench, entry, before, after):
            _ended(book, entry, Mark.DONE)
            return True
        await _back(bench, book, entry, memory)
        return False

    if not await _whole(work(), memory.uid, book):
        raise refused("not-written", uid=memory.uid)
    return True


async def cure(
    bench: Bench, book: Book, entry: Entry, memory: Memory, mark: Mark, *, torn: bool = False, anyway: bool = False,
) -> bool:  # fmt: skip
    """Bring the tag to the end of ``entry`` that ``mark`` names: DONE or UNDONE.

    False: its AFI says something that the entry knows nothing of, and was left; all else is as it should be.
    ``torn``: the write had no end, so that one block may be neither old nor new. Refused ``written-since``, of a torn
    one ``written-over``: more of it changed since; ``anyway`` writes over that.
    """
    back = mark is Mark.UNDONE
    source, target = (entry.after, entry.before) if back else (entry.before, entry.after)
    alike = memory.block == entry.block and len(memory.held.data) == len(target.data)
    if not alike or (strange(memory, entry) > torn and not anyway):
        raise refused("written-over" if torn else "written-since", uid=memory.uid)
    afi = None if source.afi == target.afi else _afi(memory.held.afi, entry, back=back, torn=torn)
    eas = None if source.eas == target.eas else target.eas
    if entry.verb == CALIBRATE:
        afi, eas = target.afi, target.eas

    async def work() -> None:
        if back:
            book.end(entry, Mark.UNDOING)
        if not await _put(bench, entry, memory.held, replace(target, afi=afi, eas=eas)):
            raise half(entry.uid, book.path)
        _ended(book, entry, mark)

    await _whole(work(), entry.uid, book)
    return afi is not None or source.afi == target.afi


def strange(memory: Memory, entry: Entry) -> int:
    """How many blocks hold neither what was there before nor what was to be written."""
    size, now = memory.block, memory.held.data
    parts = range(0, len(now), size)
    old, new = entry.before.data, entry.after.data
    return sum(
        now[at : at + size] not in (old[at : at + size], new[at : at + size]) for at in parts
    )


def _afi(now: int | None, entry: Entry, *, back: bool, torn: bool) -> int | None:
    """The AFI to write. Items are lent and returned between a write and its undoing: what that means is kept.

    Old and new values may be the same two the other way round: after a write that ended, the tag speaks as the new do.
    """
    source, target = entry.before.afi, entry.after.afi
    pairs = dict(entry.meaning)
    if back:
        source, target, pairs = target, source, {new: old for old, new in entry.meaning}
    if now is None or now == source:
        return target
    if not torn and now in pairs:
        return pairs[now]
    if now == target or now in pairs.values():
        return now
    return pairs.get(now)


async def _whole(work: Coroutine[Any, Any, T], uid: str, book: Book) -> T:
    """Do it to its end even if a person presses Ctrl-C: the ladder ends by itself, and then so do we."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.exception()  # was heard; what it left is in the file
        raise
    except DeviceLost as error:
        raise DeviceLost(error.say.rstrip("."), half(uid, book.path).do) from error


async def _put(bench: Bench, entry: Entry, now: Held, wanted: Held) -> bool:
    """Write what differs; False at the first thing that the tag did not take, or the reader cannot write."""
    try:
        return await _all(bench, entry, now, wanted)
    except ConfigError as error:
        if error.code != "unsupported":
            raise
        return False


async def _all(bench: Bench, entry: Entry, now: Held, wanted: Held) -> bool:
    uid = entry.uid
    for first, data in runs(now.data, wanted.data, entry.block):
        if not await bench.write(uid, first, data):
            return False
    if wanted.dsfid not in (None, now.dsfid) and not await bench.write_dsfid(uid, wanted.dsfid):
        return False
    if wanted.afi not in (None, now.afi) and not await bench.write_afi(uid, wanted.afi):
        return False
    return wanted.eas in (None, now.eas) or await bench.write_eas(uid, armed=bool(wanted.eas))


async def _back(bench: Bench, book: Book, entry: Entry, memory: Memory) -> None:
    """Put the tag back as it was; Half if that fails as well, or nobody answers."""
    try:
        now = await again(bench, memory)
    except Refused:
        raise half(entry.uid, book.path) from None
    # The file says already that it may be half written, and the tag comes first.
    with suppress(StorageError):
        book.end(entry, Mark.UNDOING)
    if not await _put(bench, entry, now.held, entry.before):
        raise half(entry.uid, book.path)
    _ended(book, entry, Mark.UNDONE)


def _ended(book: Book, entry: Entry, mark: Mark) -> None:
    """Put down the end. StorageError ``not-noted``: the tag is whole, but the file does not say so."""
    try:
        book.end(entry, mark)
    except StorageError as error:
        raise not_noted(entry.uid, book.path) from error
