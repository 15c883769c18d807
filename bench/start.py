"""From process start to ready: kiosk (reader, SIP2 98, 1,000 events replayed), gateway (canary) and operations.

The reference is the floor of the same machine in the same run: a bare Starlette or FastAPI process until its first 200.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from kiosk.journal import Journal
from kiosk.session.events import Event, Expired, Tapped
from mocban.benches import Case, case
from mocban.demo.branch import Branch, Ports, get
from mocban.errors import PeerUnreachable

EVENTS = 1000
BARE = """
import sys, uvicorn
from {module} import {name}
app = {name}()
app.add_route("/healthz", lambda request: __import__("starlette.responses").responses.Response("ok"))
uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""


def run(quick: bool) -> list[Case]:
    """Each service: seconds to ready and MiB resident, interleaved with their floors."""
    return asyncio.run(_run(3 if quick else 9))


async def _run(rounds: int) -> list[Case]:
    figures: dict[str, list[float]] = {
        name: []
        for name in (
            "kiosk s",
            "kiosk MiB",
            "gateway s",
            "ops s",
            "ops MiB",
            "starlette s",
            "starlette MiB",
            "fastapi s",
            "fastapi MiB",
        )
    }
    with tempfile.TemporaryDirectory(prefix="mocban-bench-") as folder:
        async with Branch(Path(folder), Ports.free()) as branch:
            for _ in range(rounds):
                await branch.kill("kiosk")
                _fill(Path(folder) / "kiosk" / "kiosk.db")
                seconds, mib = await _restart(branch, "kiosk")
                figures["kiosk s"].append(seconds)
                figures["kiosk MiB"].append(mib)
                await branch.kill("gateway")
                seconds, _ = await _restart(branch, "gateway")
                figures["gateway s"].append(seconds)
                await branch.kill("ops")
                seconds, mib = await _restart(branch, "ops")
                figures["ops s"].append(seconds)
                figures["ops MiB"].append(mib)
                for module, name, key in (
                    ("starlette.applications", "Starlette", "starlette"),
                    ("fastapi", "FastAPI", "fastapi"),
                ):
                    with _bare(module, name) as (seconds, mib):
                        figures[f"{key} s"].append(seconds)
                        figures[f"{key} MiB"].append(mib)
    return [
        case("kiosk: start to ready", figures["kiosk s"], figures["starlette s"], unit="s", goal=1.2,
             what="bare Starlette"),
        case("kiosk: resident when ready", figures["kiosk MiB"], figures["starlette MiB"], unit="MiB", goal=90,
             what="bare Starlette"),
        case("gateway: start to ready", figures["gateway s"], figures["fastapi s"], unit="s", goal=2.0,
             what="bare FastAPI"),
        case("operations: start to ready", figures["ops s"], figures["fastapi s"], unit="s", goal=1.0,
             what="bare FastAPI"),
        case("operations: resident when ready", figures["ops MiB"], figures["fastapi MiB"], unit="MiB", goal=90,
             what="bare FastAPI"),
    ]  # fmt: skip


async def _restart(branch: Branch, name: str) -> tuple[float, float]:
    """Seconds from the start of the process until it says ready, and its resident MiB then."""
    began = time.perf_counter()
    await branch.revive(name)
    seconds = time.perf_counter() - began
    process = branch.children[name].process
    assert process is not None
    return seconds, _resident(process.pid)


def _fill(database: Path) -> None:
    """Leave a journal with ``EVENTS`` events more, as a kiosk killed before it could compact them."""
    journal = Journal(database)
    at = datetime(2026, 11, 22, 8, tzinfo=UTC)
    first: list[Event] = [Tapped(at, "return", visit="0" * 32)]
    rest: list[Event] = [Tapped(at, "lang", "en" if n % 2 else "vi") for n in range(EVENTS - 2)]
    for event in [*first, *rest, Expired(at)]:
        journal.append(event)
    assert journal.rows >= EVENTS
    journal.close()


@contextmanager
def _bare(module: str, name: str) -> Iterator[tuple[float, float]]:
    port = Ports.free().kiosk
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", BARE.format(module=module, name=name), str(port)], env=os.environ
    ) as process:
        try:
            while True:
                try:
                    get(f"http://127.0.0.1:{port}/healthz")
                    break
                except PeerUnreachable:
                    time.sleep(0.03)
            yield time.perf_counter() - began, _resident(process.pid)
        finally:
            process.terminate()


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return (
        int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        / 1024
    )
