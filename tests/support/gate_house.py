"""A gate's whole service in this process opposite an emulated reader, and what it told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from kiosk import gates
from kiosk.emulators import feig_gate as feig
from kiosk.emulators.world import DEMO, World
from kiosk.heed.feeds import Heed
from kiosk.settings import GateSettings
from mocban import feeds, identity
from mocban.clock import SystemClock
from mocban.config import Config
from mocban.identity import Identity

Emulator = Callable[[Path, Path, asyncio.Event], Awaitable[None]]


class House:
    """One world, one gate. ``settings``: of the gate, beside port and reader."""

    def __init__(self, folder: Path, seed: dict[str, Any]) -> None:
        self.folder = folder
        self.world = World.create(folder / "world.db", seed)
        self.link = folder / "gate-tty"
        self.key = identity.signing_key(folder / "gateway.key")
        self.settings: dict[str, Any] = {}
        self.url = f"serial://{self.link}?baud=38400&parity=E"

    @property
    def database(self) -> Path:
        """The gate's."""
        return self.folder / "gate" / "gate.db"

    def facts(self, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
        """What stands in the gate's outbox, or nothing before there is one."""
        if not self.database.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            try:
                rows = db.execute("SELECT kind, payload FROM outbox ORDER BY seq").fetchall()
            except sqlite3.OperationalError:
                return []
        told = [(kind, json.loads(payload)["data"]) for kind, payload in rows]
        return [one for one in told if not kinds or one[0] in kinds]

    def alarms(self) -> list[dict[str, Any]]:
        """Alarms told."""
        return [data for _, data in self.facts("gate-alarmed")]

    def parts(self, part: str) -> list[str]:
        """The states that a part of the gate was told in."""
        return [data["state"] for _, data in self.facts("device-changed") if data["part"] == part]

    def counted(self) -> int:
        """People told."""
        return sum(data["entered"] + data["left"] for _, data in self.facts("people-counted"))

    def feed(self, name: feeds.Name, *entries: feeds.Entry) -> None:
        """A signed feed, as if it had come before the gate started."""
        clock = SystemClock()
        self.database.parent.mkdir(exist_ok=True)
        heed = Heed(self.database, Identity("demo", "gate-1", "gate"), [self.key.public], clock)
        payload = feeds.sign(
            self.key, "demo", "gate-1", name, version=1, issued=clock.now(),
            expires=clock.now() + timedelta(hours=1), entries=entries,
        )  # fmt: skip
        assert heed.take(name, payload)
        heed.close()

    @contextlib.asynccontextmanager
    async def gate(self, **settings: Any) -> AsyncIterator[None]:
        """The gate's service, up once its reader answered, stopped at the end."""
        raw = {"port": 0, "gate": self.url, "poll_seconds": 0.05, **self.settings, **settings}
        config = Config(
            "gate", "demo", self.folder, "mqtt://127.0.0.1:9", GateSettings.model_validate(raw),
            gateway_keys=(self.key.public,),
        )  # fmt: skip
        stop = asyncio.Event()
        before = self.parts("gate").count("ok")
        task = asyncio.create_task(gates.main(config, stop))
        try:
            await until(lambda: task.done() or self.parts("gate").count("ok") > before)
            yield
        finally:
            stop.set()
            async with asyncio.timeout(2.5):
                await task

    async def settled(self, count: int) -> None:
        """Until so many people were counted: whatever they carried was judged before."""
        await until(lambda: self.counted() == count)


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition; fail at the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def seed(**changes: dict[str, Any]) -> dict[str, Any]:
    """The demo branch; ``de_men={"eas": True}`` changes the tag de-men."""
    raw = tomllib.loads(DEMO.read_text(encoding="utf-8"))
    for tag in raw["tag"]:
        tag.update(changes.get(tag["name"].replace("-", "_"), {}))
    return raw


def play(
    folder: Path, scenario: Callable[[House], Awaitable[None]], raw: dict[str, Any] | None = None,
    *, emulator: Emulator | None = None, **options: Any,
) -> None:  # fmt: skip
    """Run a scenario at an emulated gate; ``options`` are a FEIG emulator's."""

    async def body() -> None:
        house = House(folder, raw or seed())
        stop = asyncio.Event()
        main: Emulator = emulator or partial(feig.be, **options)
        peer = asyncio.ensure_future(main(house.world.path, house.link, stop))
        try:
            await until(lambda: house.link.is_symlink() or peer.done())
            await scenario(house)
        finally:
            stop.set()
            await peer
            house.world.close()

    asyncio.run(body())


def sightings(verdict: str) -> float:
    """How often this process's gates judged so."""
    return REGISTRY.get_sample_value("mocban_gate_sightings_total", {"verdict": verdict}) or 0.0
