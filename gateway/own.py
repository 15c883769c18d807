"""What the gateway itself has to tell: its own facts, through its own outbox, without the broker.

A fact told is durable at once and stands among the others a moment later, also while no broker answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from gateway.letters import Desk, Message
from gateway.store.port import Outcome, Store
from mocban import log
from mocban.clock import Clock
from mocban.errors import StorageError
from mocban.events import Audited, Fact
from mocban.ids import jitter, new_id
from mocban.messages import Ack
from mocban.outbox import Outbox
from mocban.topics import Topic

PAGE = 100
"""Facts in one transaction."""
BACKOFF = (0.1, 5.0)
"""First and longest pause before the disk is tried again, in seconds."""
TRIES = 3
"""How often a fact is put before the disk is said to refuse it."""
_log = log.get("gateway.own")


class Own:
    """The teller of one gateway. ``clones``: the (device, epoch) that somebody else tells under, too."""

    def __init__(
        self, path: Path, device: str, clock: Clock, store: Store, desk: Desk,
        clones: Callable[[], Iterable[tuple[str, str]]] = tuple,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
    ) -> None:  # fmt: skip
        # As the store: wait for nobody long, try again, and be able to stop.
        self._outbox = Outbox(path, device, clock, patience=0.2)
        self._device = device
        self._clock = clock
        self._store = store
        self._desk = desk
        self._clones = clones
        self._on_outcome = on_outcome
        self._suspected: set[tuple[str, str]] = set()
        self._put = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outbox.on_put = self.look

    def tell(self, fact: Fact) -> None:
        """Store ``fact`` durably; from any thread. StorageError if the disk refuses."""
        for tries_left in reversed(range(TRIES)):
            try:
                self._outbox.put(fact)
                return
            except StorageError:  # the store may be at it
                if not tries_left:
                    raise

    def look(self) -> None:
        """There may be something to tell, a clone for instance; from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop ended: told at the next start
                self._loop.call_soon_threadsafe(self._put.set)

    def close(self) -> None:
        """Give the file back."""
        self._outbox.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Tell that the service started, then bring whatever is told into the store, until ``stop``."""
        self._loop = asyncio.get_running_loop()
        start = Audited(
            ref=new_id(), actor="app:gateway", action="service-started", object=version("mocban")
        )
        pause, told = BACKOFF[0], False
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                self._put.clear()
                try:
                    if not told:
                        await asyncio.to_thread(self.tell, start)
                        told = True
                    await self._drain()
                    pause, wait = BACKOFF[0], None
                except StorageError as error:
                    _log.error("own.failed", say=error.say, do=error.do)
                    wait, pause = jitter(pause), min(pause * 2, BACKOFF[1])
                putting = asyncio.ensure_future(self._put.wait())
                waits = {stopping} if wait is not None else {stopping, putting}
                await asyncio.wait(waits, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                putting.cancel()
                await asyncio.gather(putting, return_exceptions=True)
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)

    async def _drain(self) -> None:
        while True:
            outcome, gone = await asyncio.to_thread(self._page)
            if outcome is not None:
                self._on_outcome(outcome)
            if not gone:
                return

    def _page(self) -> tuple[Outcome | None, int]:
        """Some of what waits into the store; how many rows went."""
        self._suspect()
        rows = self._outbox.rows(0, PAGE)
        if not rows:
            return None, 0
        rx = self._clock.now()
        letters = []
        for row in rows:
            topic = str(Topic(self._desk.tenant, self._device, "evt", row.kind))
            message = Message(topic, row.payload, self._outbox.epoch, str(row.seq))
            letter = self._desk.read(message, rx)
            assert letter is not None
            letters.append(letter)
        outcome = self._store.append(letters)
        gone = sum(
            self._outbox.acked(Ack(epoch=mark.epoch, upto=mark.upto, chain=mark.chain or None))
            for mark in outcome.watermarks
        )
        return outcome, gone

    def _suspect(self) -> None:
        """Tell of every clone once: the outbox and the store know what was told before this start."""
        for device, epoch in self._clones():
            if (device, epoch) not in self._suspected:
                self.tell(
                    Audited(
                        ref=epoch, actor=f"device:{device}", action="clone-suspected", object=device,
                        outcome="failed",
                    )
                )  # fmt: skip
                self._suspected.add((device, epoch))
