"""The gate process whole: emulated gate on a pty, siren, outbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from kiosk import gates
from kiosk.emulators import feig_gate as emulator
from kiosk.emulators.world import DEMO, World
from kiosk.settings import GateSettings
from mocban.config import Config


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition; fail at the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def facts(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """What stands in the gate's outbox, or nothing before there is one."""
    file = folder / "gate" / "gate.db"
    if not file.exists():
        return []
    with contextlib.closing(sqlite3.connect(file)) as db:
        try:
            rows = db.execute("SELECT kind, payload FROM outbox ORDER BY seq").fetchall()
        except sqlite3.OperationalError:
            return []
    return [(kind, json.loads(payload)["data"]) for kind, payload in rows]


@contextlib.asynccontextmanager
async def gate(folder: Path) -> AsyncIterator[None]:
    """The gate process's main, up once the reader answered, stopped at the end."""
    settings = GateSettings(port=0, gate=f"serial://{folder}/gate-tty?baud=38400&parity=E")
    stop = asyncio.Event()
    before = len(facts(folder))
    config = Config("gate", "demo", folder, "mqtt://127.0.0.1:9", settings)
    task = asyncio.create_task(gates.main(config, stop))
    try:
        await until(lambda: task.done() or ("device-changed", "ok") in [
            (kind, data.get("state")) for kind, data in facts(folder)[before:]
        ])  # fmt: skip
        yield
    finally:
        stop.set()
        async with asyncio.timeout(1.5):
            await task


def play(folder: Path, scenario: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario over a world and its emulated gate."""

    async def body() -> None:
        world = World.create(folder / "world.db", tomllib.loads(DEMO.read_text(encoding="utf-8")))
        stop = asyncio.Event()
        peer = asyncio.create_task(emulator.main(folder / "world.db", folder / "gate-tty", stop))
        try:
            await scenario(world)
        finally:
            stop.set()
            await peer
            world.close()

    asyncio.run(body())


def test_an_armed_book_cries_at_once_and_is_told_and_a_lent_one_walks_out(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        async with gate(tmp_path):
            world.walk(["dat-rung"], "out")
            world.walk(["de-men"], "out")
            await until(lambda: world.sirens() == 1)
            await until(lambda: any(kind == "gate-alarmed" for kind, _ in facts(tmp_path)))
            world.walk(["de-men"], "out")  # within the hold time
            await until(
                lambda: sum(d["left"] for k, d in facts(tmp_path) if k == "people-counted") == 3
            )
        alarms = [data for kind, data in facts(tmp_path) if kind == "gate-alarmed"]
        assert [(a["item"], a["direction"], a["reason"]) for a in alarms] == [
            ("BG00012345", "out", "armed")
        ]
        assert world.sirens() == 1

    play(tmp_path, scenario)


def test_people_are_counted_across_a_restart_and_numbers_do_not_repeat(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        async with gate(tmp_path):
            world.walk([], "in")
            await until(lambda: any(kind == "people-counted" for kind, _ in facts(tmp_path)))
        world.walk([], "in")
        world.walk([], "out")
        async with gate(tmp_path):
            await until(
                lambda: sum(d["left"] for k, d in facts(tmp_path) if k == "people-counted") == 1
            )
        counted = [data for kind, data in facts(tmp_path) if kind == "people-counted"]
        assert sum(data["entered"] for data in counted) == 2
        numbers = [data["passage"] for data in counted]
        assert numbers == sorted(set(numbers))

    play(tmp_path, scenario)
