"""Healing: a tag that some loan or return left in the wrong state is put right when it lies on this pad.

It is done between visits or behind their back: whoever is at the kiosk comes first, and a tag that a line has to do
with is the line's. The tag is written, proven, then told; a crash in between finds it right already, and tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from prometheus_client import Counter

from kiosk.heed.feeds import Debt
from kiosk.ils.port import IlsSilent
from kiosk.perform import CHARGED, World
from kiosk.securing import Wrote, look, secure, unsecure
from kiosk.session.lines import final
from kiosk.session.state import Visit
from mocban import log
from mocban.errors import MocbanError, StorageError
from mocban.events import SecurityMended
from mocban.feeds import Want

PAUSE = (2.0, 60.0)
"""First and longest pause before a tag that could not be mended is tried again, seconds."""

ASKING = 3.0
"""Seconds to wait for the library system's word on an item."""
IN_HOUSE = frozenset({3, 6, 8, 9, 10})
"""SIP2 circulation status: available; being processed; on the hold shelf; to be shelved; between two houses."""

_log = log.get("kiosk.mending")
_mended = Counter(
    "mocban_mended_total", "Tags in the wrong state, by what became of them", ["outcome"]
)


def due(visit: Visit, wanted: Callable[[str], Debt | None]) -> Debt | None:
    """The tag to be mended now, if any: it lies there, is the item that is meant, and no line has to do with it.

    While a line of the running visit is under way, nothing is: the pad is the patron's.
    """
    if visit.barred not in {"", "closed"}:
        return None
    if any(not final(line) and not line.waiting for line in visit.lines):
        return None
    busy = {line.item.uid for one in (visit, *visit.old) for line in one.lines if not final(line)}
    for lying in visit.pad:
        if lying.item is None or lying.uid in busy:
            continue
        debt = wanted(lying.uid)
        if debt is not None and debt.item in {"", lying.item.id[:64]}:
            return replace(debt, item=lying.item.id[:64])
    return None


async def wish(debt: Debt, world: World) -> Want | None:
    """The state its tag should be brought into; None: nobody can say, so it is not written.

    The desk lends and takes back, too, and nobody tells us. So the library system's word on the item goes before the
    debt's: what is not lent is closed. A lent item is opened, but never closed by an old word. While it is silent,
    a tag may be closed, but none is opened: its item may stand on the shelf again.
    """
    try:
        about = await world.ils.item(debt.item)
    except IlsSilent:
        return _unasked(debt)
    if about.status in CHARGED:
        return "off" if debt.want == "off" else None
    return "on" if about.title and about.status in IN_HOUSE else debt.want


def _unasked(debt: Debt) -> Want | None:
    return "on" if debt.want == "on" else None


async def mend(debt: Debt, want: Want | None, world: World) -> bool:
    """Bring the tag into the state ``want``, prove it and tell; False if it takes no write, is gone, or is let be.

    StorageError: it was not told.
    """
    state = want or debt.want
    held = await look(world.pad, debt.uid, world.security, closed=state == "on")
    if held is None or (not held and want is None):
        return False
    if not held:
        put = secure if want == "on" else unsecure
        if await put(world.pad, debt.uid, world.security) is not Wrote.YES:
            return False
    world.facts.put(SecurityMended(uid=debt.uid, mended=debt.ref, item=debt.item, security=state))
    world.pending.mended(debt)
    return True


class Mending:
    """Looks after every round of the pad, and mends one tag at a time in the pad's ``turn``."""

    def __init__(self, world: World, turn: asyncio.Lock, visit: Callable[[], Visit]) -> None:
        self._world = world
        self._turn = turn
        self._visit = visit
        self._task: asyncio.Task[None] | None = None
        self._rest: dict[str, tuple[float, float]] = {}  # uid: not before, and the next pause

    def look(self) -> None:
        """A round was made."""
        here = {lying.uid for lying in self._visit().pad}
        self._rest = {uid: rest for uid, rest in self._rest.items() if uid in here}
        if self._task is None and self._due() is not None:
            self._task = asyncio.get_running_loop().create_task(self._mend())

    async def end(self) -> None:
        """Mend no more. What a write that is cut off did to its tag is found out another time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _due(self) -> Debt | None:
        if self._world.security.by == "database":
            return None
        now = self._world.clock.mono()

        def wanted(uid: str) -> Debt | None:
            return (
                self._world.pending.wanted(uid) if self._rest.get(uid, (now, 0))[0] <= now else None
            )

        try:
            return due(self._visit(), wanted)
        except StorageError as error:
            _log.error("mending.failed", say=error.say)
            return None

    async def _mend(self) -> None:
        debt = None
        try:
            debt = self._due()
            want = await self._wish(debt) if debt is not None else None
            async with self._turn:  # it may have been somebody's until now, and the tag as well
                if debt is not None and debt == self._due():
                    self._came(debt, done=await mend(debt, want, self._world))
        except Exception as error:  # noqa: BLE001  a bug of ours must not stop the healing of other tags
            say = error.say if isinstance(error, MocbanError) else type(error).__name__
            _log.error("mending.failed", why=say)
            if debt is not None:
                self._wait(debt.uid)
        finally:
            self._task = None

    async def _wish(self, debt: Debt) -> Want | None:
        try:
            async with asyncio.timeout(ASKING):
                return await wish(debt, self._world)
        except TimeoutError:
            return _unasked(debt)

    def _came(self, debt: Debt, *, done: bool) -> None:
        _mended.labels("done" if done else "failed").inc()
        _log.info("mending", uid=debt.uid, want=debt.want, done=done)
        if done:
            self._rest.pop(debt.uid, None)
        else:
            self._wait(debt.uid)

    def _wait(self, uid: str) -> None:
        pause = self._rest.get(uid, (0.0, PAUSE[0]))[1]
        self._rest[uid] = (self._world.clock.mono() + pause, min(pause * 2, PAUSE[1]))
