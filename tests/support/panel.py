"""The demo's control panel running in this process, and someone who talks to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from kiosk.emulators import panel
from kiosk.emulators.things import read_seed
from kiosk.emulators.world import World
from mocban.web import bind, port_of

LINKS = {"kiosk": "http://127.0.0.1:8080/", "gateway": "http://127.0.0.1:8000/"}


@dataclass
class Open:
    """A running panel and someone who talks to it."""

    web: httpx.AsyncClient
    world: World
    stop: asyncio.Event
    running: asyncio.Task[None]

    async def post(self, verb: str, words: object) -> httpx.Response:
        """One order."""
        return await self.web.post(f"/world/{verb}", json=words)

    async def told(self) -> dict[str, Any]:
        """GET /world."""
        found: dict[str, Any] = (await self.web.get("/world")).json()
        return found

    async def place(self, name: str) -> str:
        """Where a tag is, by the API."""
        return next(str(tag["place"]) for tag in (await self.told())["tags"] if tag["name"] == name)


@contextlib.asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """A panel over a fresh demo branch; on leaving it must end by itself."""
    world = World.create(tmp_path / "world.db", read_seed())
    with bind("127.0.0.1", 0) as sock:
        port = port_of(sock)
    stop = asyncio.Event()
    running = asyncio.create_task(panel.main(world.path, "127.0.0.1", port, stop, LINKS))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5) as web:
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(httpx.ConnectError):
                    await web.get("/world")
                    break
                await asyncio.sleep(0.02)
        try:
            yield Open(web, world, stop, running)
        finally:
            stop.set()
            async with asyncio.timeout(2):
                await running
            world.close()


def play(tmp_path: Path, scene: Callable[[Open], Awaitable[None]]) -> None:
    """Run one scene against a panel."""

    async def scenario() -> None:
        async with opened(tmp_path) as branch:
            await scene(branch)

    asyncio.run(scenario())
