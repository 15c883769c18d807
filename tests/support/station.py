"""A box that obeys orders, and whose process can be killed at any step, for the tests of orders at the edge."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from kiosk.remote.ledger import Ledger
from kiosk.remote.orders import Remote
from mocban import commands, identity
from mocban.clock import SetClock
from mocban.commands import CollectLogs
from mocban.errors import PeerUnreachable, StorageError
from mocban.events import Fact
from mocban.identity import Identity
from mocban.messages import Receipt
from mocban.outbox import Outbox
from tests.support.person import Person

ME = Identity("demo", "kiosk-1", "kiosk")
NOW = SetClock().now()


class Dies(BaseException):
    """The process is killed here."""


class Fuse:
    """Kills the process at its ``at``-th step."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.steps = 0

    def __call__(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Dies


class FusedLedger(Ledger):
    """The real ledger in a process that may be killed before and after every write."""

    fuse: Fuse = Fuse()

    def take(self, *args: Any) -> None:
        self.fuse()
        super().take(*args)
        self.fuse()

    def refuse(self, *args: Any) -> None:
        self.fuse()
        super().refuse(*args)
        self.fuse()

    def begin(self, *args: Any) -> None:
        super().begin(*args)
        self.fuse()

    def end(self, *args: Any) -> None:
        self.fuse()
        super().end(*args)
        self.fuse()

    def answered(self, *args: Any) -> None:
        self.fuse()
        super().answered(*args)
        self.fuse()

    def stand(self, *args: Any) -> None:
        self.fuse()
        super().stand(*args)
        self.fuse()


@dataclass
class App:
    """An app as far as orders touch it; what it was told stays over a restart."""

    modes: frozenset[str] = frozenset({"open", "closed"})
    acts: list[str] = field(default_factory=list)
    mode: str = ""
    busy: bool = False
    hangs: bool = False
    stop: asyncio.Event | None = None
    fuse: Fuse = field(default_factory=Fuse)

    async def self_test(self) -> dict[str, str]:
        self._act("self-test")
        if self.hangs:
            await asyncio.Event().wait()
        return {"reader": "ok", "disk": "9 MiB free"}

    async def restart(self, patience: float) -> bool:
        self._act("restart")
        if self.busy:
            return False
        assert self.stop is not None
        self.stop.set()
        return True

    def set_mode(self, mode: str) -> None:
        self.mode = mode

    async def wipe(self) -> None:
        self._act("wipe")

    async def collect(self, order: CollectLogs) -> dict[str, Any]:
        self._act("collect-logs")
        if self.busy:
            raise PeerUnreachable("no upload")
        return {"bytes": 10, "lines": 1}

    def _act(self, what: str) -> None:
        self.fuse()
        self.acts.append(what)
        self.fuse()


class Facts:
    """The outbox in a process that may be killed, or on a disk that takes nothing."""

    def __init__(self, outbox: Outbox, fuse: Fuse) -> None:
        self._outbox = outbox
        self._fuse = fuse
        self.fails = False

    @property
    def epoch(self) -> str:
        return self._outbox.epoch

    def put(self, fact: Fact) -> bool:
        self._fuse()
        if self.fails:
            raise StorageError("the disk is full")
        new = self._outbox.put(fact)
        self._fuse()
        return new


class Station:
    """One box: its disk, its app, and the process on it, which can be killed and started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = identity.signing_key(folder / "gateway.key")
        self.staff: dict[str, str] = {}
        self.clock = SetClock()
        self.app = App()
        self.receipts: list[Receipt] = []
        self.shown: list[str] = []
        self.asked = 0
        self.start()

    def start(self, fuse: Fuse | None = None) -> None:
        fuse = fuse or Fuse()
        self.app.fuse = fuse
        self.outbox = Outbox(self.folder / "x.db", ME.device, self.clock)
        self.ledger = FusedLedger(self.folder / "x.db")
        self.ledger.fuse = fuse
        self.facts = Facts(self.outbox, fuse)
        self.remote = Remote(
            ME, [self.key.public], self.staff, self.ledger, self.facts, self.clock, self.app,
            lambda name, payload: self.receipts.append(Receipt.parse(payload)),
            collect=self.app.collect, shown=self.shown.append,
        )  # fmt: skip

    def kill(self) -> None:
        self.ledger.close()
        self.outbox.close()

    def again(self, fuse: Fuse | None = None) -> None:
        self.kill()
        self.start(fuse)

    def order(
        self, name: str, *by: Person, seq: int = 0, epoch: str = "", expires: datetime | None = None,
        issued: datetime = NOW, args: dict[str, Any] | None = None, **other: Any,
    ) -> bytes:  # fmt: skip
        self.asked += 1
        body = {
            "id": UUID(int=self.asked), "by": "person:boss", "tenant": "demo", "device": "kiosk-1", "app": "kiosk",
            "name": name, "args": args or {}, "expires": expires or NOW + timedelta(minutes=5), **other,
        }  # fmt: skip
        request = commands.Request.model_validate(body)
        approvals = [person.approves(request) for person in by]
        return commands.sign(
            self.key, request, approvals, epoch=epoch or self.outbox.epoch, seq=seq or self.asked, issued=issued,
        ).encode()  # fmt: skip

    def settle(self) -> None:
        """The process runs until nothing is due, or it ends itself; then it is started again."""

        async def body() -> None:
            self.app.stop = stop = asyncio.Event()
            running = asyncio.create_task(self.remote.run(stop))
            async with asyncio.timeout(5):
                while not running.done() and self.ledger.due() is not None:
                    await asyncio.sleep(0)
                stop.set()
                await running

        asyncio.run(body())

    def told(self, kind: str) -> list[dict[str, Any]]:
        rows = [row for row in self.outbox.rows(0, 2000) if row.kind == kind]
        return [json.loads(row.payload)["data"] for row in rows]

    def answers(self) -> list[tuple[str, str, str]]:
        """Name, outcome and reason of every answer told."""
        return [(a["name"], a["outcome"], a["reason"]) for a in self.told("command-answered")]

    def audits(self) -> list[tuple[str, str, str, str]]:
        return [
            (a["actor"], a["action"], a["outcome"], a["reason"])
            for a in self.told("audited")
            if a["action"] != "epoch-renewed"
        ]

    def does(self, payload: bytes, name: str) -> tuple[str, str, str]:
        """What became of one order, told at the end."""
        self.remote.order(name, payload)
        self.settle()
        self.again()
        return self.answers()[-1]
