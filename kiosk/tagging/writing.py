"""One tag written as a whole or not at all, as far as that can be: put down first, written, read back, or put back.

Only what differs is written. The content comes first and the security mark last: a tag that is half written is never
opened for the gate by it.
"""

from __future__ import annotations

from dataclasses import replace

from kiosk.devices.base import Bench
from kiosk.tagging.book import Book, Entry, Mark
from kiosk.tagging.memory import Held, Memory, again, runs
from kiosk.tagging.refusals import Refused, half, refused
from mocban.errors import DeviceLost

CALIBRATE = "calibrate"
"""The verb that tries values: its end is always the value before."""
_TORN = 1  # blocks that may be neither old nor new: the one that was being written

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
    entry = book.begin(verb, memory.uid, memory.block, before, after, meaning)
    try:
        if await _put(bench, entry, before, after):
            book.end(entry, Mark.DONE)
            return True
        await _back(bench, book, entry, memory)
    except DeviceLost as error:
        raise DeviceLost(error.say, half(memory.uid, book.path).do) from error
    raise refused("not-written", uid=memory.uid)


async def cure(
    bench: Bench, book: Book, entry: Entry, memory: Memory, mark: Mark, *, anyway: bool = False
) -> bool:
    """Bring the tag to the end of ``entry`` that ``mark`` names: DONE or UNDONE.

    False: its AFI says something that the entry knows nothing of, and was left; all else is as it should be.
    Refused ``written-since``: more of it changed than a broken write explains; ``anyway`` writes over that.
    """
    back = mark is Mark.UNDONE
    source, target = (entry.after, entry.before) if back else (entry.before, entry.after)
    if memory.block != entry.block or len(memory.held.data) != len(target.data):
        raise refused("written-since", uid=memory.uid)
    if strange(memory, entry) > _TORN and not anyway:
        raise refused("written-since", uid=memory.uid)
    afi = None if source.afi == target.afi else _afi(memory.held.afi, entry, back=back)
    eas = None if source.eas == target.eas else target.eas
    if entry.verb == CALIBRATE:
        afi, eas = target.afi, target.eas
    if back:
        book.end(entry, Mark.UNDOING)
    try:
        done = await _put(bench, entry, memory.held, replace(target, afi=afi, eas=eas))
    except DeviceLost as error:
        raise DeviceLost(error.say, half(entry.uid, book.path).do) from error
    if not done:
        raise half(entry.uid, book.path)
    book.end(entry, mark)
    return afi is not None or source.afi == target.afi


def strange(memory: Memory, entry: Entry) -> int:
    """How many blocks hold neither what was there before nor what was to be written."""
    size, now = memory.block, memory.held.data
    parts = range(0, len(now), size)
    old, new = entry.before.data, entry.after.data
    return sum(
        now[at : at + size] not in (old[at : at + size], new[at : at + size]) for at in parts
    )


def _afi(now: int | None, entry: Entry, *, back: bool) -> int | None:
    """The AFI to write. Items are lent and returned between a write and its undoing: what that means is kept."""
    old, new = entry.before.afi, entry.after.afi
    target = old if back else new
    if now is None or now in (old, new):
        return target
    pairs = {b: a for a, b in entry.meaning} if back else dict(entry.meaning)
    if now in pairs.values():
        return now
    return pairs.get(now)


async def _put(bench: Bench, entry: Entry, now: Held, wanted: Held) -> bool:
    """Write what differs; False at the first thing that the tag did not take."""
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
    book.end(entry, Mark.UNDOING)
    if not await _put(bench, entry, now.held, entry.before):
        raise half(entry.uid, book.path)
    book.end(entry, Mark.UNDONE)
