"""The gateway's loop as the watchdog sees it: it turns without a broker and while nothing comes, not on a dead disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway import ingest
from gateway.beats import Beats
from gateway.ingest import Ingest, Orders
from gateway.letters import Desk
from gateway.meters import Meters
from gateway.post import Post
from gateway.projections import apply
from gateway.store.port import Letter, Outcome
from gateway.store.readings import SqliteReadings
from gateway.store.sqlite import SqliteStore
from mocban.clock import SetClock
from mocban.health import Health
from mocban.identity import Identity
from tests.support.kiosk_branch import until
from tests.support.scripted_broker import ScriptedBroker

ME = Identity("demo", "gateway", "gateway")


class DeadDisk(SqliteStore):
    """A store on a disk that does not come back, until ``mended``."""

    asked, mended = threading.Event(), threading.Event()

    def append(self, letters: Sequence[Letter]) -> Outcome:
        self.asked.set()
        self.mended.wait(30)
        return super().append(letters)


@dataclass
class Watched:
    """An ingest at work, its health and the clock its health goes by."""

    ingest: Ingest
    health: Health
    clock: SetClock

    async def turned(self) -> None:
        """Once the loop has turned after all its allowance is gone."""
        self.clock.advance(ingest.TURN + 60)
        assert self.health.stuck() == ["ingest"]
        await until(lambda: self.health.stuck() == [])


@asynccontextmanager
async def watched(
    url: str, folder: Path, kind: type[SqliteStore] = SqliteStore
) -> AsyncIterator[Watched]:
    clock, stop = SetClock(), asyncio.Event()
    health = Health(clock)
    store, readings = kind(folder / "g.db", apply), SqliteReadings(folder / "g.db")
    at = Ingest(
        Orders(url, ME, keep_alive=2), store, Desk("demo", ZoneInfo("UTC")), clock, health,
        Meters(readings, Beats("demo", clock)), Post(ME),
    )  # fmt: skip
    task = asyncio.create_task(at.run(stop))
    try:
        yield Watched(at, health, clock)
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)
        store.close()
        readings.close()


def test_it_turns_without_a_broker_and_while_nothing_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "BACKOFF", (0.05, 0.2))

    async def scenario() -> None:
        async with watched("mqtt://127.0.0.1:9", tmp_path) as at:
            for _ in range(3):
                await at.turned()
        async with (
            ScriptedBroker() as broker,
            watched(f"mqtt://127.0.0.1:{broker.port}", tmp_path) as at,
        ):
            await until(at.ingest.ready.is_set)
            for _ in range(2):
                await at.turned()

    asyncio.run(scenario())


def test_a_disk_that_does_not_come_back_is_noticed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            ScriptedBroker() as broker,
            watched(f"mqtt://127.0.0.1:{broker.port}", tmp_path, DeadDisk) as at,
        ):
            await until(at.ingest.ready.is_set)
            broker.send("mocban/v1/demo/kiosk-1/evt/loan-made", b"no fact")
            await until(DeadDisk.asked.is_set)
            at.clock.advance(ingest.TURN + 1)
            stuck = at.health.stuck()
            DeadDisk.mended.set()
            assert stuck == ["ingest"]
            await until(lambda: at.health.stuck() == [])

    asyncio.run(scenario())
