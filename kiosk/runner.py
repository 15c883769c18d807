"""The one loop: an event goes into the journal, then into ``step``; what is due is done and comes back as an event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from kiosk.devices.base import Tag
from kiosk.inventory import Inventory, Rounds
from kiosk.journal import Journal
from kiosk.mending import Mending
from kiosk.patience import Patience
from kiosk.perform import World, failed, perform
from kiosk.session.effects import Effect, Secure, Tell, Unsecure
from kiosk.session.events import (
    Barred,
    CardSeen,
    Event,
    Expired,
    IlsBack,
    IlsUnsure,
    Rested,
    Tapped,
    Woke,
)
from kiosk.session.state import Rules, Visit
from kiosk.session.step import resting, step
from kiosk.settings import KioskSettings
from kiosk.silence import Silence
from kiosk.untold import Untold
from mocban import log
from mocban.errors import MocbanError, StorageError
from mocban.events import Audited, DeviceChanged
from mocban.health import Health
from mocban.ids import jitter, new_id

ROWS_MAX = 1000
"""Rows of the journal before it is compacted even while somebody is at the kiosk."""
PATIENCE = 10.0
"""Seconds a tag write waits for a lost pad."""
TURN = 45.0
"""Seconds within which the pad is asked again, or tried again: what takes longer hangs."""
UNHEARD = 15.0
"""Seconds after the start when a library system that never answered is told as lost."""
RETRY = (0.2, 5.0)
"""First and longest pause before the disk is tried again, seconds."""
BARS = ("wiped", "closed", "outbox-full", "disk")
"""Why a kiosk may be barred; of several reasons the first is shown."""

_log = log.get("kiosk.runner")


@dataclass(frozen=True, slots=True)
class Status:
    """How the kiosk itself is. ``ready``: everything it needs has come up since it started, and the disk works."""

    reader_ok: bool = False
    ils_ok: bool = False
    ready: bool = False


class Runner:
    """Owns the visit. The screen reads ``visit`` and ``status``, taps, and waits for ``changes``."""

    def __init__(
        self, settings: KioskSettings, journal: Journal, world: World, health: Health
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._world = world
        self._clock = world.clock
        self._health = health
        health.expect("pad", TURN)
        self.visit = Visit()
        self.status = Status()
        self._pad_turn = asyncio.Lock()
        self._ils_turn = asyncio.Lock()
        self._tell_turn = asyncio.Lock()
        self._inventory = Inventory(world.pad, self._pad_turn)
        self._rounds = Rounds()
        self._mending = Mending(world, self._pad_turn, lambda: self.visit)
        self._tasks: set[asyncio.Task[None]] = set()
        self._replayed = False
        self._stop = asyncio.Event()
        self._told: dict[str, bool] = {}  # devices as last told
        self._wake = asyncio.Event()
        self._patience = Patience(
            settings, self._clock, lambda: self._try(Expired(self._clock.now()))
        )
        self._silence = Silence(self._ils_back)
        self._unheard: asyncio.TimerHandle | None = None
        self._bars: dict[str, bool] = {}
        self._owed = False  # the journal was to be compacted, and the disk refused
        self._recovering: asyncio.TimerHandle | None = None
        self._untold = Untold(world.facts)

    async def run(self, stop: asyncio.Event) -> None:
        """Take up where the journal ends, then go on until ``stop``. StorageError if the journal cannot be read."""
        self._stop = stop
        self.visit = self._journal.replay()
        self._abandon()
        self._replayed = True
        if self.visit.barred:  # by whoever barred it, until they say otherwise
            self._bars.setdefault(self.visit.barred, True)
        rules = Rules(self._settings.tag_tries, self._settings.idle_seconds)
        self.feed(Woke(self._clock.now(), rules))
        self._bar()
        self._health.check("journal", ok=True)
        self._say()
        self._wake_all()
        self._unheard = asyncio.get_running_loop().call_later(UNHEARD, self._never_heard)
        watch = asyncio.create_task(self._inventory.run(self, stop))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({watch, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await (
                self._end()
            )  # before the pad is closed: a write cut off by us says nothing about its tag
            watch.cancel()
            stopped.cancel()
            ends = await asyncio.gather(watch, stopped, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def feed(self, event: Event) -> None:
        """Journal, then step, then begin what is due. StorageError: the event is not on disk and nothing happened."""
        try:
            self._journal.append(event)
        except StorageError:
            self._disk(ok=False)
            raise
        self._disk(ok=True)
        before = self.visit
        self.visit, effects = step(before, event)
        if not isinstance(event, Rested | Woke):
            _log.info(
                "event",
                kind=type(event).__name__,
                visit=getattr(event, "visit", ""),
                mode=str(self.visit.mode),
            )
        for effect in effects:
            self._begin(effect)
        if isinstance(event, IlsUnsure):
            self._silence.met()
        self._compact(before, event)
        if self.visit != before:
            self._patience.follow(before, self.visit)
            self._wake_all()

    async def tap(self, action: str, value: str = "") -> None:
        """A person touched the screen; a disk that takes no events takes no taps."""
        self._try(Tapped(self._clock.now(), action, value, new_id()))

    def bar(self, why: str, on: bool) -> None:
        """One reason (of ``BARS``) to begin nothing new here, or its end; while any stands, the kiosk is barred.

        The one that is shown stands in the journal and holds after a restart until ``bar`` says that it is over.
        """
        self._bars[why] = on
        self._bar()

    async def at_rest(self, patience: float) -> bool:
        """True as soon as nobody is at the kiosk and nothing is under way; False if that takes longer (seconds).

        Lines of ended visits may still wait for the library system: they stand in ``visit.old``.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while True:
                    wake = self._wake
                    if not self._replayed or not resting(self.visit):
                        await wake.wait()
                    elif self._tasks:
                        await asyncio.wait(set(self._tasks))
                    else:
                        return True
        return False

    async def changes(self) -> AsyncIterator[None]:
        """Yields at once, then after every change of ``visit`` or ``status``."""
        while True:
            wake = self._wake
            yield
            await wake.wait()

    def lies(self, tags: list[Tag]) -> None:
        """One round of the pad. What could not be stored will be seen again."""
        self._health.pulse("pad")
        known = frozenset(one.uid for one in self.visit.pad)
        for change in self._rounds.compare(tags, known, self._clock.now()):
            self._try(change)
        if not self._stop.is_set():
            self._mending.look()

    def reader(self, *, ok: bool, why: str = "") -> None:
        """The pad came up or was lost."""
        self._health.pulse("pad")
        self._device("reader", ok=ok, why=why)

    def ils(self, *, ok: bool) -> None:
        """The library system answers, or does not; if it does, what waits for it is due again."""
        self._device("ils", ok=ok, why="" if ok else "the library system does not answer")
        if ok:
            self._silence.broken()

    # Barred, abandoned

    def _bar(self) -> None:
        """Feed the reason that counts now, if it is another one; a disk that does not take it is asked again."""
        if self._replayed and not self._stop.is_set() and self._shown() != self.visit.barred:
            self._try(Barred(self._clock.now(), self._shown()))

    def _shown(self) -> str:
        on = [why for why, is_on in self._bars.items() if is_on]
        return min(on, key=lambda one: (*BARS, one).index(one), default="")

    def _abandon(self) -> None:
        """Tell of visits whose card cannot be read here (a restored disk), and of their items, then forget them."""
        for lost, items in self._journal.lost.items():
            self._world.facts.put(
                Audited(
                    ref=lost, actor="app:kiosk", action="visit-abandoned", object=" ".join(items)[:255],
                    outcome="failed", reason="seal-broken",
                )
            )  # fmt: skip
            _log.error("visit.abandoned", visit=lost, why="seal-broken", do="settle at the desk")
        if self._journal.lost:
            self._journal.compact(Rested(self._clock.now(), self.visit))

    # Effects

    def _begin(self, effect: Effect) -> None:
        task = asyncio.get_running_loop().create_task(self._do(effect))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, effect: Effect) -> None:
        """One effect, in its turn, and its event. No failure gets out."""
        if isinstance(effect, Secure | Unsecure):
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._inventory.up.wait()
            async with self._pad_turn:
                event = await self._outcome(effect)
        else:
            async with self._tell_turn if isinstance(effect, Tell) else self._ils_turn:
                event = await self._outcome(effect)
        pause = RETRY[0]
        while event is not None:  # what was done must not be forgotten for want of room on the disk
            if self._try(event):
                return
            await asyncio.sleep(jitter(pause))
            pause = min(pause * 2, RETRY[1])

    async def _outcome(self, effect: Effect) -> Event | None:
        pause = RETRY[0]
        while True:
            try:
                event = await perform(effect, self._world)
            except StorageError as error:
                self._disk(ok=False)
                _log.error("tell.failed", say=error.say)
            except Exception as error:  # noqa: BLE001  a bug of ours must not leave a line without an outcome
                say = error.say if isinstance(error, MocbanError) else type(error).__name__
                _log.error("effect.failed", effect=type(effect).__name__, why=say)
                event = failed(effect, error, self._clock.now())
                if event is not None or not isinstance(effect, Tell):
                    return event
            else:
                return event
            await asyncio.sleep(jitter(pause))
            pause = min(pause * 2, RETRY[1])

    def _try(self, event: Event) -> bool:
        """Feed; False if the disk refused, or what it holds is not known yet."""
        if not self._replayed:
            return False
        try:
            self.feed(event)
        except StorageError as error:
            _log.error("journal.failed", say=error.say)
            return False
        return True

    # The library system

    def _never_heard(self) -> None:
        if "ils" not in self._told:
            self.ils(ok=False)

    def _ils_back(self) -> bool:
        """Ask for what waits for the library system; False if the disk refused that, and the line is up already."""
        waits = any(
            line.waiting or (line.reason == "ils-silent" and line.here)
            for one in (self.visit, *self.visit.old)
            for line in one.lines
        )
        due = self.status.ils_ok and (waits or self.visit.notice == "ils-silent")
        return not due or self._try(IlsBack(self._clock.now()))

    # Condition

    def _device(self, part: str, *, ok: bool, why: str) -> None:
        if self._stop.is_set():  # it was not lost, we are leaving
            return
        self._health.check(part, ok, why)
        if self._told.get(part) != ok:
            self._told[part] = ok
            code = "" if ok else "unreachable"
            fact = DeviceChanged(
                part=part, state="ok" if ok else "lost", code=code, at=self._clock.now()
            )
            if not self._untold.tell(fact):
                self._disk(ok=False)
            (_log.info if ok else _log.warning)("device", part=part, ok=ok, why=why)
        self._say()

    def _disk(self, *, ok: bool) -> None:
        self._health.check("journal", ok, "" if ok else "the disk takes no events")
        if ok != self._told.get("disk", True):
            self._told["disk"] = ok
            self._say()
        if not ok and self._recovering is None and not self._stop.is_set():
            self._recovering = asyncio.get_running_loop().call_later(RETRY[1], self._recover)

    def _recover(self) -> None:
        """Nobody can touch a kiosk that is out of service: it finds out by itself that the disk works again."""
        self._recovering = None
        if self._try(Barred(self._clock.now(), self._shown())) and not self._untold.tell():
            self._disk(ok=False)

    def _say(self) -> None:
        well = self._told.get("disk", True)
        now = Status(
            self._told.get("reader", False),
            self._told.get("ils", False),
            self._health.ready and well,
        )
        if now != self.status:
            self.status = now
            self._wake_all()

    def _wake_all(self) -> None:
        old, self._wake = self._wake, asyncio.Event()
        old.set()

    def _compact(self, before: Visit, event: Event) -> None:
        """At rest nothing of the ended visits may stay on the disk."""
        came_to_rest = resting(self.visit) and (
            not resting(before)
            or len(self.visit.old) < len(before.old)
            or isinstance(event, Woke | CardSeen)  # a barred kiosk lets a card begin nothing
        )
        try:
            if came_to_rest or self._owed or self._journal.rows > ROWS_MAX:
                self._owed = True
                self._journal.compact(Rested(self._clock.now(), self.visit))
                self._owed = False
            elif resting(self.visit):
                self._journal.cut()
        except StorageError as error:
            _log.error("journal.failed", say=error.say)
            self._disk(ok=False)  # it is tried again even if nobody comes

    async def _end(self) -> None:
        self._patience.end()
        self._silence.end()
        await self._mending.end()
        for handle in (self._unheard, self._recovering):
            if handle is not None:
                handle.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
