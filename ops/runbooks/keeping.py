"""Executions kept going: what happens to them is journaled first, then carried out, timed and told.

Killed at any point, they go on from the journal: every effect that is due is begun again, and is the same effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from threading import RLock

from mocban import log
from mocban.clock import Clock
from mocban.errors import StorageError
from mocban.ids import jitter
from ops.incidents.port import Chronicle, Teller
from ops.runbooks.actions import Actions
from ops.runbooks.happenings import (
    Answered,
    Begun,
    Effect,
    Event,
    Http,
    Order,
    Passed,
    Sent,
    Wait,
    Woke,
)
from ops.runbooks.journal import Journal
from ops.runbooks.news import TIMELINE, News, news
from ops.runbooks.plan import begin, step
from ops.runbooks.state import Run

BACKOFF = (0.2, 5.0)
"""First and longest pause before the disk is tried again, in seconds."""
LOOK = 1.0
"""Longest pause between two looks at what is due, in seconds."""
_log = log.get("ops.runbooks")


@dataclass(slots=True)
class Live:
    """An execution that is not over, or not told of to its end.

    ``no``: its last happening; ``untold``: what is to be told, by happening.
    """

    run: Run
    no: int
    untold: list[tuple[int, list[News]]] = field(default_factory=list)


class Keeping:
    """The executions of one process. ``feed`` and ``hand`` from any thread, under ``lock``.

    ``live``: what is not over, or not told of to its end.
    """

    def __init__(
        self, journal: Journal, actions: Actions, clock: Clock, chronicle: Chronicle, teller: Teller, pool: Executor
    ) -> None:  # fmt: skip
        self.journal = journal
        self.lock = RLock()
        self.live: dict[str, Live] = {}
        self._actions = actions
        self._clock = clock
        self._chronicle = chronicle
        self._teller = teller
        self._pool = pool
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stir = asyncio.Event()
        self._tasks: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        self._due: dict[tuple[str, Wait], float] = {}
        for ident in journal.going():
            self._load(ident)

    async def run(self, stop: asyncio.Event) -> None:
        """See every execution through, until ``stop``."""
        self._stir = asyncio.Event()
        with self.lock:
            self._loop, self._stop = asyncio.get_running_loop(), stop
            self._due.clear()
        try:
            await asyncio.to_thread(self._wake)
            telling = asyncio.create_task(self._tell(stop))
            try:
                await self._watch(stop)
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
        finally:
            with self.lock:
                self._loop = self._stop = None
            tasks = tuple(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.clear()

    def _wake(self) -> None:
        with self.lock:
            going = [ident for ident, live in self.live.items() if live.run.stage != "over"]
        for ident in going:
            try:
                self.feed(ident, Woke(self._clock.now()))
            except StorageError:
                raise
            except Exception as error:  # noqa: BLE001  one execution must not hold up the others
                _log.error(
                    "execution.bug", execution=ident, error=type(error).__name__, exc_info=error
                )

    async def _watch(self, stop: asyncio.Event) -> None:
        """Times that come."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                self._stir.clear()
                with self.lock:
                    mono = self._clock.mono()
                    past = [one for one, end in self._due.items() if end <= mono]
                    left = min(
                        (end - mono for end in self._due.values() if end > mono), default=LOOK
                    )
                for ident, wait in past:
                    if await self._fed(
                        ident, Passed(self._clock.now(), wait.key, wait.what, wait.until)
                    ):
                        with self.lock:
                            self._due.pop((ident, wait), None)
                stirred = asyncio.ensure_future(self._stir.wait())
                await asyncio.wait(
                    {stopping, stirred},
                    timeout=min(left, LOOK),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                stirred.cancel()
                await asyncio.gather(stirred, return_exceptions=True)
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)

    def feed(self, ident: str, event: Event) -> bool:
        """``event`` happened: journal first, then all that follows. False if it changes nothing. StorageError."""
        with self.lock:
            live = self.live.get(ident)
            if live is None:
                return False
            after, effects = step(live.run, event)
            changed = after != live.run
            if changed and not (isinstance(event, Woke) and after.visits == live.run.visits):
                no = live.no + 1
                self.journal.append(ident, no, event, after)
                live.untold.append((no, news(live.run, event, after, no)))
                live.run, live.no = after, no
                if after.stage == "over":
                    _log.info(
                        "execution.over",
                        execution=ident,
                        outcome=after.outcome,
                        reason=after.reason,
                    )
                    for one in [one for one in self._due if one[0] == ident]:
                        del self._due[one]
            self.hand(ident, effects, event.at)
            return changed

    def hand(self, ident: str, effects: Sequence[Effect], at: datetime) -> None:
        """Have ``effects`` of what happened ``at`` carried out; before ``run`` began or after it ended, they are due

        at the next start. A time that begins now is whole, however the clock was set since.
        """
        with self.lock:
            loop = self._loop
            for effect in effects:
                if isinstance(effect, Wait):
                    now, whole = self._clock.now(), (effect.until - effect.since).total_seconds()
                    gone = effect.since != at
                    left = min((effect.until - now).total_seconds(), whole) if gone else whole
                    self._due.setdefault((ident, effect), self._clock.mono() + max(left, 0.0))
        if loop is not None:
            work = [one for one in effects if isinstance(one, Order | Http)]
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(self._begin_work, ident, work)

    def _begin_work(self, ident: str, effects: Sequence[Order | Http]) -> None:
        self._stir.set()
        stop = self._stop
        if stop is None or stop.is_set():
            return
        for effect in effects:
            name = (ident, effect.key, _name(effect))
            if name not in self._tasks:
                task = asyncio.create_task(self._carry(ident, effect, stop))
                self._tasks[name] = task
                task.add_done_callback(partial(self._carried, name))

    def _carried(self, name: tuple[str, str, str], _: asyncio.Task[None]) -> None:
        self._tasks.pop(name, None)

    async def _carry(self, ident: str, effect: Order | Http, stop: asyncio.Event) -> None:
        """One effect to its event. Our own bug in it becomes one too: nothing waits for ever."""
        job = str(effect.request.id) if isinstance(effect, Order) else effect.job
        tries = 0 if isinstance(effect, Order) else effect.tries
        event: Answered | None
        try:
            if isinstance(effect, Order):
                event = await self._actions.order(ident, effect, stop)
            else:
                sent = Sent(self._clock.now(), effect.key, job, tries)
                if not await self._fed(ident, sent, once=True):
                    return
                event = await self._actions.http(effect)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, a person is told
            _log.error(
                "effect.bug", execution=ident, job=job, error=type(error).__name__, exc_info=error
            )
            event = Answered(self._clock.now(), effect.key, job, "unknown", "bug", True, tries)
        if event is not None and not await self._fed(ident, event):
            # It cannot be written down, or does not fit: a person looks, and nothing waits for ever.
            event = Answered(self._clock.now(), effect.key, job, "unknown", "bug", True, tries)
            await self._fed(ident, event)

    async def _fed(self, ident: str, event: Event, *, once: bool = False) -> bool:
        """Feed ``event`` as soon as the disk takes it; with ``once``, False also means that it changed nothing."""
        pause = BACKOFF[0]
        while True:
            try:
                changed = await asyncio.get_running_loop().run_in_executor(
                    self._pool, self.feed, ident, event
                )
                return changed or not once
            except StorageError as error:
                _log.error("journal.refused", execution=ident, say=error.say, do=error.do)
            except Exception as error:  # noqa: BLE001  one execution must not hold up the others
                _log.error(
                    "execution.bug", execution=ident, error=type(error).__name__, exc_info=error
                )
                return False
            await asyncio.sleep(jitter(pause))
            pause = min(pause * 2, BACKOFF[1])

    # Telling

    async def _tell(self, stop: asyncio.Event) -> None:
        pause = BACKOFF[0]
        while not stop.is_set():
            try:
                await asyncio.to_thread(self._tell_all)
                pause = BACKOFF[0]
            except StorageError as error:
                _log.error("telling.failed", say=error.say, do=error.do)
                pause = min(pause * 2, BACKOFF[1])
            except Exception as error:  # noqa: BLE001  what cannot be told must not silence the rest for ever
                _log.error("telling.bug", error=type(error).__name__, exc_info=error)
                pause = BACKOFF[1]
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    def _tell_all(self) -> None:
        """Tell what is to be told; each is forgotten only when it stands there. StorageError: the rest comes later."""
        with self.lock:
            owed = [
                (ident, live, list(live.untold)) for ident, live in self.live.items() if live.untold
            ]
        for ident, live, untold in owed:
            for _, several in untold:
                for one in several:
                    self._tell_one(live.run, one)
            last = untold[-1][0]
            self.journal.told(ident, last)
            with self.lock:
                live.untold = [one for one in live.untold if one[0] > last]
                if live.run.stage == "over" and not live.untold:
                    self.live.pop(ident, None)

    def _tell_one(self, run: Run, one: News) -> None:
        if run.incident is not None:
            if one.what == "execution-begun":
                self._chronicle.attach(run.incident, run.id)
            if one.what in TIMELINE:
                args = {**one.args, **({"why": one.text} if one.text else {})}
                self._chronicle.add(run.incident, one.actor, one.what, one.ref, **args)
        fact = one.fact()
        if fact is not None:
            self._teller.tell(fact)

    def _load(self, ident: str) -> None:
        """Take up what the journal holds. What cannot be read is said, and does not hold up the others."""
        try:
            playbook, events = self.journal.playbook(ident), self.journal.events(ident)
            row = self.journal.row(ident)
            first = events[0]
            assert row is not None
            assert isinstance(first, Begun)
        except (StorageError, IndexError) as error:
            say = error.say if isinstance(error, StorageError) else "it has no beginning"
            _log.error("execution.unreadable", execution=ident, say=say)
            return
        run, _ = begin(playbook, first)
        live = Live(run, 1, [(1, news(None, first, run, 1))] if row.told < 1 else [])
        for no, event in enumerate(events[1:], 2):
            after, _ = step(run, event)
            if no > row.told:
                live.untold.append((no, news(run, event, after, no)))
            run = after
        live.run, live.no = run, len(events)
        self.live[ident] = live


def _name(effect: Order | Http) -> str:
    """What tells an effect from the others of its step."""
    return str(effect.request.id) if isinstance(effect, Order) else f"{effect.job} {effect.tries}"
