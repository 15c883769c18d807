"""An ingest with a store of its own on any broker, also one that lies, for the tests of the gateway's line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from prometheus_client import generate_latest

from gateway.beats import Beats
from gateway.ingest import Ingest, Orders
from gateway.letters import Desk
from gateway.meters import Meters
from gateway.post import Post
from gateway.projections import apply
from gateway.store.port import Outcome
from gateway.store.readings import SqliteReadings
from gateway.store.sqlite import SqliteStore
from mocban.clock import SystemClock
from mocban.health import Health
from mocban.identity import Identity


@dataclass
class Ingesting:
    """What an ingest puts out and says of itself; ``metrics`` only once it has ended."""

    post: Post
    health: Health
    metrics: str = ""


@asynccontextmanager
async def ingesting(
    url: str, folder: Path, *, keep_alive: int, patience: float,
    on_outcome: Callable[[Outcome], None] = lambda _: None, on_ready: Callable[[], None] = lambda: None,
) -> AsyncIterator[Ingesting]:  # fmt: skip
    """It runs inside; at the end it must stop within ``patience`` seconds."""
    clock, stop, me = SystemClock(), asyncio.Event(), Identity("demo", "gateway", "gateway")
    at = Ingesting(Post(me), Health(clock, needs=("broker", "store")))
    store, readings = SqliteStore(folder / "g.db", apply), SqliteReadings(folder / "g.db")
    beats = Beats("demo", clock)
    meters = Meters(readings, beats)
    ingest = Ingest(
        Orders(url, me, keep_alive=keep_alive), store, Desk("demo", ZoneInfo("UTC")), clock, at.health, meters,
        at.post, on_outcome, on_ready, on_beat=beats.take,
    )  # fmt: skip
    task = asyncio.create_task(ingest.run(stop))
    try:
        yield at
    finally:
        stop.set()
        await asyncio.wait_for(task, patience)
        at.metrics = generate_latest(meters.registry).decode()
        store.close()
        readings.close()
