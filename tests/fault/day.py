"""A kiosk and a gate as processes on a disk of ours, and a patron who borrows a book and brings it back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from kiosk.emulators import feig_pad as reader
from kiosk.emulators import ils as acs
from kiosk.emulators.world import DEMO, World
from mocban.demo.branch import get
from mocban.errors import PeerUnreachable
from tests.fault.harness import HOST, Process, free_port

BOOK, ITEM, CARD = "de-men", "BG00012345", "the-1"
IN_STOCK, ON_LOAN = 0x07, 0xC2
PATIENT = 20.0
"""Seconds one step of the day may take, restarts of the kiosk included."""


class Kiosk(Process):
    """``mocban kiosk run`` whose data is in ``data``; configuration and log are beside it."""

    def __init__(
        self, folder: Path, data: Path, sip2: int, pad: Path, mqtt: int = 9, shared: str = "",
        port: int = 0,
    ) -> None:  # fmt: skip
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}/"
        self.data = data
        file = folder / "kiosk.toml"
        file.write_text(
            f'data_dir = "{data}"\nmqtt = "mqtt://{HOST}:{mqtt}"\n{shared}[kiosk]\nport = {self.port}\n'
            f'thanks_seconds = 1\npad = "serial://{pad}?baud=38400&parity=E"\n'
            f'[kiosk.ils]\nurl = "sip2://{HOST}:{sip2}"\nuser = "kiosk"\npassword = "demo"\ntimeout = 2.0\n',
            encoding="utf-8",
        )
        argv = [sys.executable, "-m", "mocban", "kiosk", "run", "--config", str(file)]
        super().__init__("kiosk", argv, folder)

    def health(self) -> dict[str, object]:
        """``/healthz``; empty if nobody answers."""
        try:
            return dict(json.loads(get(f"{self.url}healthz")))
        except PeerUnreachable:
            return {}

    def ready(self) -> bool:
        """Whether it says that it is ready."""
        return bool(self.health().get("ready"))

    def screen(self) -> str:
        """The name of the screen a patron sees; empty if there is none."""
        try:
            found = re.search(r'data-screen="([a-z-]+)"', get(self.url).decode())
        except PeerUnreachable:
            return ""
        return found[1] if found else ""

    def act(self, action: str) -> None:
        """Touch the screen; nothing if it does not answer."""
        with contextlib.suppress(PeerUnreachable):
            token = re.search(r'data-token="([0-9a-f]+)"', get(self.url).decode())
            if token is not None:
                get(f"{self.url}act", {"action": action, "token": token[1]})

    def told(self, kind: str) -> int:
        """How many different facts of ``kind`` stand in the outbox on disk."""
        rows = self._rows("SELECT payload FROM outbox WHERE kind = ?", kind)
        return len({json.loads(payload)["id"] for (payload,) in rows})

    def at_rest(self) -> bool:
        """Whether the journal holds no unfinished visit. A tap on the welcome screen, or its bars, begin none."""
        kinds = [kind for (kind,) in self._rows("SELECT kind FROM journal ORDER BY no")]
        return set(kinds) <= {"Rested", "Woke", "Tapped", "Barred"}

    def _rows(self, sql: str, *values: object) -> list[tuple[str]]:
        file = self.data / "kiosk" / "kiosk.db"
        if not file.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)) as db:
            try:
                return db.execute(sql, values).fetchall()
            except sqlite3.OperationalError:
                return []


class Gate(Process):
    """``mocban kiosk gate`` on ``folder/tty`` whose data is in ``data``; it cries for each passage."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.data = data
        self.port = free_port()
        file = folder / "gate.toml"
        file.write_text(
            f'data_dir = "{data}"\nmqtt = "mqtt://{HOST}:9"\n[gate]\nport = {self.port}\nhold_seconds = 0\n'
            f'parked_seconds = 3600\npoll_seconds = 0.02\ngate = "serial://{folder}/tty?baud=38400&parity=E"\n',
            encoding="utf-8",
        )
        argv = [sys.executable, "-m", "mocban", "kiosk", "gate", "--config", str(file)]
        super().__init__("gate", argv, folder)

    @property
    def running(self) -> bool:
        """Started, and not ended by itself."""
        return self._process is not None and self.code is None

    def ready(self) -> bool:
        """The reader answered, and it says so."""
        try:
            return bool(json.loads(get(f"http://{HOST}:{self.port}/healthz")).get("ready"))
        except PeerUnreachable:
            return False

    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """Kind and content of every row in the outbox on disk; nothing before there is one."""
        file = self.data / "gate" / "gate.db"
        if not file.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)) as db:
            try:
                rows = db.execute("SELECT kind, payload FROM outbox ORDER BY seq").fetchall()
            except sqlite3.OperationalError:
                return []
        return [(kind, json.loads(payload)["data"]) for kind, payload in rows]


class Patron:
    """Borrows one book and brings it back; begins again when the kiosk gives up, as people do."""

    def __init__(self, world: World, kiosk: Kiosk) -> None:
        self.world = world
        self.kiosk = kiosk
        self.codes: list[int] = []
        """Exit codes of a kiosk that ended by itself and was started again."""

    async def borrow(self) -> None:
        """Until the book is on loan and its tag open."""
        await self._visit(
            lambda: self.world.loan(ITEM) is not None and self.world.tag(BOOK).afi == ON_LOAN, CARD
        )

    async def bring_back(self) -> None:
        """Until the book is back and its tag secured."""
        await self._visit(
            lambda: self.world.loan(ITEM) is None and self.world.tag(BOOK).afi == IN_STOCK, None
        )

    async def until(self, true: Callable[[], bool], what: str, seconds: float = PATIENT) -> None:
        """Wait for a condition; a kiosk that ended is started again, as its service would be."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not await asyncio.to_thread(true):
            self._revive()
            assert loop.time() < end, f"waited {seconds} s in vain until {what}: {self._tell()}"
            await asyncio.sleep(0.02)

    async def _visit(self, done: Callable[[], bool], card: str | None) -> None:
        """One visit after the other until ``done``; nothing lies there in between."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENT
        while not done():
            assert loop.time() < end, f"the visit does not end well: {self._tell()}"
            again = loop.time() + 6.0
            laid = False
            while not done() and loop.time() < min(end, again):
                self._revive()
                screen = await asyncio.to_thread(self.kiosk.screen)
                if screen == "welcome":
                    if card is None:
                        await asyncio.to_thread(self.kiosk.act, "return")
                    else:
                        self.world.show_card(card)
                elif screen in {"borrow", "return"} and not laid:
                    self.world.lay(BOOK)
                    laid = True
                    # From here on: who lifts a book just granted, tired of a kiosk out of service, returns it twice.
                    again = loop.time() + 6.0
                await asyncio.sleep(0.02)
            await asyncio.to_thread(self.kiosk.act, "finish")
            self.world.show_card(None)
            self.world.lift(BOOK)
            await asyncio.sleep(0.5)  # long enough for the pad to see that nothing lies there

    async def leave(self) -> None:
        """Until the welcome screen stands and the journal is at rest."""
        await self.until(self._left, "the journal is at rest")

    def _left(self) -> bool:
        if self.kiosk.screen() == "welcome":
            return self.kiosk.at_rest()
        self.kiosk.act("cancel")
        return False

    def _revive(self) -> None:
        code = self.kiosk.code
        if code is not None:
            self.codes.append(code)
            self.kiosk.start()

    def _tell(self) -> dict[str, object]:
        return {
            "loan": self.world.loan(ITEM), "afi": self.world.tag(BOOK).afi, "screen": self.kiosk.screen(),
            "health": self.kiosk.health(), "codes": self.codes, "counters": self.world.counters(),
            "log": self.kiosk.log.read_text(encoding="utf-8")[-1500:],
        }  # fmt: skip


@contextlib.asynccontextmanager
async def peers(
    folder: Path, past: Path | None = None, sip2: int = 0
) -> AsyncIterator[tuple[World, int, Path]]:
    """World, library system (its port) and pad (its tty); ``past``: a world's file to go on with."""
    path, stop, sip2, pad = (
        folder / "world.db",
        asyncio.Event(),
        sip2 or free_port(),
        folder / "pad",
    )
    if past is None:
        world = World.create(path, tomllib.loads(DEMO.read_text(encoding="utf-8")))
    else:
        shutil.copy(past, path)
        world = World(path)
    tasks = [
        asyncio.create_task(acs.main(path, HOST, sip2, stop)),
        asyncio.create_task(reader.main(path, pad, stop)),
    ]
    try:
        yield world, sip2, pad
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        world.close()
