"""A library system, a kiosk's SIP2 client and the world between them, over a real socket."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from kiosk.emulators import ils
from kiosk.emulators.ils import Acs, Knobs
from kiosk.emulators.ils_desk import Desk
from kiosk.emulators.world import World
from kiosk.ils.link import Pace
from kiosk.ils.sip2 import Sip2
from kiosk.settings import IlsSettings
from kiosk.wire.sip2_exchange import LineFramer
from mocban.clock import SetClock

HANOI = timezone(timedelta(hours=7))
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)  # 15:00 in Hanoi
DUE = datetime(2026, 12, 6, 16, 59, 59, tzinfo=UTC)  # 14 days on, 23:59:59 in Hanoi
CARD, OTHER, LOCKED = "TV2400001", "TV2400002", "TV2400003"
BOOK, GERMAN, KEPT, OUT = "BG00012345", "201123463", "2935000003649", "BG00054321"
FAST = Pace(first=0.02, most=0.05, refused=0.05, idle=60.0)
DEADLINE = 5.0
LOGIN = b"9300CNkiosk|COdemo|\r"


async def until(true: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Wait for a condition, not for luck."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


@dataclass
class Branch:
    """A library system, a kiosk's client, and the world between them."""

    world: World
    acs: Acs
    client: Sip2
    told: list[str]

    @property
    def knobs(self) -> Knobs:
        """How the library system misbehaves."""
        return self.acs.knobs

    @property
    def loans(self) -> int:
        """Loans the library system has counted."""
        return self.world.counters()["loans_in_ils"]


def demo_seed() -> dict[str, Any]:
    """The demo branch's seed, parsed."""
    file = Path(ils.__file__).with_name("worlds") / "demo.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


@asynccontextmanager
async def branch(
    path: Path,
    *,
    knobs: Knobs | None = None,
    settings: IlsSettings | None = None,
    pace: Pace = FAST,
    ready: bool = True,
    not_out_ok: bool = True,
    desensitize: bool = True,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> AsyncIterator[Branch]:
    """The demo world in ``path`` (its seed after ``change``), its ACS, and our client, ready."""
    seed = demo_seed()
    if change is not None:
        change(seed)
    world = World.create(path / "world.db", seed)
    clock = SetClock(NOW)
    desk = Desk(world, clock, zone=HANOI, not_out_ok=not_out_ok, desensitize=desensitize)
    acs = Acs(world, clock, knobs=knobs, desk=desk)
    stop = asyncio.Event()
    told: list[str] = []
    serving = asyncio.create_task(acs.run("127.0.0.1", 0, stop))
    await until(lambda: acs.port != 0)
    chosen = settings or IlsSettings(timeout=0.3, retries=2)
    chosen = chosen.model_copy(
        update={
            "url": f"sip2://127.0.0.1:{acs.port}",
            "user": chosen.user or "kiosk",
            "password": SecretStr("demo"),
            "institution": "VN-BG01",
            "location": "KIOSK1",
        }
    )
    client = Sip2(
        chosen,
        clock,
        zone=HANOI,
        pace=pace,
        on_ready=lambda: told.append("ready"),
        on_lost=lambda: told.append("lost"),
    )
    running = asyncio.create_task(client.run(stop))
    try:
        if ready:
            await until(lambda: client.ready)
        yield Branch(world, acs, client, told)
    finally:
        stop.set()
        async with asyncio.timeout(1.0):
            await asyncio.gather(serving, running)
        world.close()


def play(scenario: Awaitable[None]) -> None:
    """Run one scenario in a loop of its own."""

    async def run() -> None:
        await scenario

    asyncio.run(run())


async def say(port: int, *lines: bytes) -> list[bytes]:
    """Send lines one after the other; what came back, up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    framer = LineFramer()
    answers: list[bytes] = []
    try:
        async with asyncio.timeout(DEADLINE):
            for line in lines:
                writer.write(line)
                before = len(answers)
                while len(answers) == before:
                    if not (data := await reader.read(4096)):
                        return answers
                    answers += framer.feed(data)
    finally:
        writer.close()
        await writer.wait_closed()
    return answers
