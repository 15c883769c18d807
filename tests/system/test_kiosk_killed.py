"""A real kiosk process killed in the middle of a borrow and started again: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from kiosk.emulators import ils as acs
from kiosk.emulators import pad as reader
from kiosk.emulators.world import DEMO, World
from mocban import web

ITEM, CARD = "BG00012345", "TV2400001"


async def until(condition: Callable[[], bool], seconds: float = 25.0, step: float = 0.005) -> None:
    """Wait for a condition; fail at the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(step)


class Process:
    """``mocban kiosk run`` over a folder."""

    def __init__(self, folder: Path, sip2: int) -> None:
        self._folder = folder
        self._config = folder / "mocban.toml"
        self._process: asyncio.subprocess.Process | None = None
        self._config.write_text(
            f'data_dir = "{folder}"\nmqtt = "mqtt://127.0.0.1:9"\n[kiosk]\nport = 0\n'
            f'pad = "serial://{folder}/pad?baud=38400&parity=E"\n'
            f'[kiosk.ils]\nurl = "sip2://127.0.0.1:{sip2}"\nuser = "kiosk"\npassword = "demo"\n'
        )

    async def start(self) -> None:
        """Started; it is ready when it has told that its reader answers."""
        known = len(self.facts("device-changed"))
        with (self._folder / "kiosk.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "mocban",
                "kiosk",
                "run",
                "--config",
                str(self._config),
                stderr=log,
            )
        await until(lambda: len(self.facts("device-changed")) >= known + 2)

    async def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        assert await self._process.wait() == -signal.SIGKILL
        self._process = None

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        async with asyncio.timeout(5):
            return await process.wait()

    def facts(self, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
        """What stands in the outbox on disk."""
        file = self._folder / "kiosk" / "kiosk.db"
        if not file.exists():
            return []
        with contextlib.closing(sqlite3.connect(file, timeout=5)) as db:
            try:
                rows = db.execute("SELECT kind, payload FROM outbox ORDER BY seq").fetchall()
            except sqlite3.OperationalError:
                return []
        return [(kind, json.loads(payload)["data"]) for kind, payload in rows if kind in kinds]

    def journal(self) -> set[str]:
        """Kinds of events in the journal on disk."""
        with contextlib.closing(
            sqlite3.connect(self._folder / "kiosk" / "kiosk.db", timeout=5)
        ) as db:
            return {kind for (kind,) in db.execute("SELECT kind FROM journal")}


@contextlib.asynccontextmanager
async def peers(folder: Path) -> AsyncIterator[tuple[World, int]]:
    """World, library system and pad."""
    path, stop = folder / "world.db", asyncio.Event()
    with web.bind("127.0.0.1", 0) as sock:
        sip2 = web.port_of(sock)
    world = World.create(path, tomllib.loads(DEMO.read_text(encoding="utf-8")))
    tasks = [
        asyncio.create_task(acs.main(path, "127.0.0.1", sip2, stop)),
        asyncio.create_task(reader.main(path, folder / "pad", stop)),
    ]
    try:
        yield world, sip2
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        world.close()


MOMENTS: dict[str, Callable[[World, Process], bool]] = {
    "the tag was seen": lambda _, kiosk: "TagSeen" in kiosk.journal(),
    "the library system lent it": lambda world, _: world.loan(ITEM) is not None,
    "the grant is in the journal": lambda _, kiosk: "IlsGranted" in kiosk.journal(),
    "the tag was opened": lambda world, _: world.tag("de-men").afi == 0xC2,
    "the fact is in the outbox": lambda _, kiosk: bool(kiosk.facts("loan-made")),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kiosk_killed_in_the_middle_of_a_borrow_finishes_it(tmp_path: Path, moment: str) -> None:
    async def scenario() -> None:
        async with peers(tmp_path) as (world, sip2):
            kiosk = Process(tmp_path, sip2)
            try:
                await kiosk.start()
                world.show_card("the-1")
                await until(lambda: "PatronKnown" in kiosk.journal())
                world.lay("de-men")
                await until(lambda: MOMENTS[moment](world, kiosk), step=0.001)
                await kiosk.kill()
                await kiosk.start()
                await until(
                    lambda: bool(kiosk.facts("loan-made")) and world.tag("de-men").afi == 0xC2
                )
                assert await kiosk.stop() == 0
                loan = world.loan(ITEM)
                assert loan is not None
                assert loan.card == CARD
                assert world.counters()["loans_in_ils"] == 1
                assert world.counters()["undone_in_ils"] == 0
                told = kiosk.facts("loan-made", "item-refused", "return-made")
                assert [(kind, data["item"], data["security"]) for kind, data in told] == [
                    ("loan-made", ITEM, "off")
                ]
                assert CARD not in (tmp_path / "kiosk.log").read_text(encoding="utf-8")
            finally:
                await kiosk.stop()

    asyncio.run(scenario())
