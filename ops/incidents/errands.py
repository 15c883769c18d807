"""What an incident leaves to do: facts to tell, a playbook to begin, and what resolves itself in time.

All of it stands in the store. It is done at least once, under ids that make twice once, and forgotten only afterwards.
A playbook is for what is so now: it does not begin by itself for what is over, resolved, or older than ``FRESH`` (told
late by a device that was offline, or read after operations were down). The timeline says so, and a person decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta

from mocban import log
from mocban.access import Refusal
from mocban.clock import Clock
from mocban.errors import StorageError
from mocban.health import Health
from mocban.ids import jitter
from ops.incidents.model import Incident
from ops.incidents.owed import Due
from ops.incidents.port import Starter, Teller
from ops.incidents.store import OURS, Store

FRESH = timedelta(hours=1)
"""Age of the last signal after which no playbook begins by itself."""
EVERY = 10.0
"""Seconds between two looks at what resolves itself."""
BACKOFF = (0.2, 5.0)
"""First and longest pause before the disk is tried again, in seconds."""
_log = log.get("ops.errands")


class Errands:
    """``declared``: the variables that the playbook of that name wants from whoever begins it; Refusal if unknown."""

    def __init__(
        self, store: Store, teller: Teller, starter: Starter, declared: Callable[[str], Collection[str]],
        health: Health, clock: Clock,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._store = store
        self._teller = teller
        self._starter = starter
        self._declared = declared
        self._health = health
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        store.on_errand = self.look

    def look(self) -> None:
        """There is something to do; from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop ended: done at the next start
                self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``."""
        self._loop = asyncio.get_running_loop()
        pause = BACKOFF[0]
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                self._wake.clear()
                wait = EVERY
                try:
                    await asyncio.to_thread(self.once)
                    pause = BACKOFF[0]
                except StorageError as error:
                    _log.error("errands.failed", say=error.say)
                    self._health.check("errands", False, error.say)
                    wait, pause = jitter(pause), min(pause * 2, BACKOFF[1])
                else:
                    self._health.check("errands", True)
                waking = asyncio.ensure_future(self._wake.wait())
                waits = {stopping} if wait < EVERY else {stopping, waking}
                await asyncio.wait(waits, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
                await asyncio.gather(waking, return_exceptions=True)
        finally:
            self._loop = None
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)

    def once(self) -> None:
        """Do all that stands there now. StorageError: the rest is done later."""
        for due, incident in self._store.due():
            self._begin(due, incident)
        while untold := self._store.untold():
            for _, fact in untold:
                self._teller.tell(fact)
            self._store.told(no for no, _ in untold)
        self._store.settle()

    def _begin(self, due: Due, one: Incident) -> None:
        known = {"__device__": one.device, "__app__": one.app, "__incident__": str(one.no)}
        try:
            self._check(one)
            wanted = self._declared(due.playbook)
            self._starter.begin(
                due.playbook, OURS, {name: known[name] for name in wanted if name in known}, one.no,
                id=due.execution,
            )  # fmt: skip
        except Refusal as refusal:
            # The id is ours alone: it began before a crash, and the incident has learned more since.
            if refusal.code != "id-reuse":
                _log.warning(
                    "errands.refused", incident=one.no, playbook=due.playbook, code=refusal.code
                )
                self._store.refused(due, refusal, again=refusal.status >= 500)
                return
        _log.info("errands.begun", incident=one.no, playbook=due.playbook)
        self._store.begun(due)

    def _check(self, one: Incident) -> None:
        """Refusal if it is not for a playbook any more."""
        do = "begin it yourself if it is still needed"
        if one.state == "resolved" or one.over:
            raise Refusal(409, "over", "it is over", do)
        if self._clock.now() - one.last > FRESH:
            raise Refusal(409, "too-old", "it was told too late", do)
