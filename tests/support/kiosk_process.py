"""A real kiosk process over one world, to be killed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import sqlite3
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from kiosk.emulators import feig_pad as reader
from kiosk.emulators import ils as acs
from kiosk.emulators.world import DEMO, World
from mocban import web


async def until(condition: Callable[[], bool], seconds: float = 25.0, step: float = 0.005) -> None:
    """Wait for a condition; fail at the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(step)


class Process:
    """``mocban kiosk run`` whose files stand in ``data``; without it, beside those of the world in ``folder``."""

    def __init__(
        self, folder: Path, sip2: int, data: Path | None = None, **settings: float
    ) -> None:
        self.data = data or folder
        self.data.mkdir(exist_ok=True)
        self._config = folder / f"{self.data.name}.toml"
        more = "".join(f"{key} = {value}\n" for key, value in settings.items())
        self._process: asyncio.subprocess.Process | None = None
        self._config.write_text(
            f'data_dir = "{self.data}"\nmqtt = "mqtt://127.0.0.1:9"\n[kiosk]\nport = 0\n'
            f'{more}pad = "serial://{folder}/pad?baud=38400&parity=E"\n'
            f'[kiosk.ils]\nurl = "sip2://127.0.0.1:{sip2}"\nuser = "kiosk"\npassword = "demo"\n'
        )

    async def start(self) -> None:
        """Started; it is ready when it has told that its reader answers."""
        known = len(self.facts("device-changed"))
        with (self.data / "kiosk.log").open("ab") as log:
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
        file = self.data / "kiosk" / "kiosk.db"
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
        with contextlib.closing(sqlite3.connect(self.data / "kiosk" / "kiosk.db", timeout=5)) as db:
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


def holding(folder: Path, what: bytes) -> list[str]:
    """Files under ``folder`` in whose bytes ``what`` stands, raw or in one of the ways text may be written."""
    wide, hexed = what.decode("latin-1").encode("utf-16-le"), what.hex().encode()
    forms = {what, what.lower(), wide, hexed, hexed.upper(), base64.b64encode(what).rstrip(b"=")}
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) >= 3
    return [file.name for file in files if any(form in file.read_bytes() for form in forms)]
