"""What operations themselves have to tell: audit facts, through an outbox and a bus of their own."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from threading import Lock

from mocban.bus import Bus
from mocban.clock import Clock
from mocban.config import Config
from mocban.events import Audited
from mocban.health import Health
from mocban.ids import new_id
from mocban.outbox import FULL, Outbox
from ops.settings import OpsSettings


class Turn:
    """A lock that whoever let go of it does not get again while another waits: a long list to tell stops no alert.

    SQLite's own waiting for another writer would sleep in ever longer steps. Not to be taken twice by one thread.
    """

    def __init__(self) -> None:
        self._next = Lock()
        self._mine = Lock()

    def __enter__(self) -> None:
        with self._next:  # held while waiting: those who come after wait here
            self._mine.acquire()

    def __exit__(self, *_: object) -> None:
        self._mine.release()


class Telling:
    """A ``Teller``. It shares the file of the service and keeps a second process off it.

    ``turn``: whoever writes into that file takes it first.
    """

    def __init__(self, config: Config[OpsSettings], clock: Clock, health: Health) -> None:
        self.turn = Turn()
        self._started = False
        self._outbox = Outbox(
            config.database, config.app.device, clock, cap=config.outbox_mib * 2**20
        )
        self._outbox.on_full = lambda on: health.check("outbox", not on, FULL if on else "")
        self._outbox.on_full(self._outbox.full)
        self._bus = Bus(
            config.mqtt, config.identity, self._outbox, ca_file=config.ca_file, password=config.broker_password,
        )  # fmt: skip
        self._bus.on_alarm = lambda say: health.check("broker", not say, say)

    def tell(self, fact: Audited) -> None:
        """``Teller.tell``; StorageError if the disk refuses."""
        with self.turn:
            self._outbox.put(fact)

    async def run(self, stop: asyncio.Event) -> None:
        """Tell once that the service started, and keep the outbox draining until ``stop``."""
        if not self._started:
            fact = Audited(
                ref=new_id(), actor="app:ops", action="service-started", object=version("mocban")
            )
            await asyncio.to_thread(self.tell, fact)
            self._started = True
        await self._bus.run(stop)

    def close(self) -> None:
        """Give the file back."""
        self._outbox.close()
