"""Takes the README's pictures from a running demo: `.venv/bin/python docs/pictures.py` (needs Debian's chromium)."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from mocban.demo.branch import Branch, Ports
from mocban.demo.once import BORROWED, CARD, CARRIED, ON_HOLD, RETURNED, Journey

FOLDER = Path(__file__).with_name("pictures")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--timeout=3000",
)  # fmt: skip


async def main() -> None:
    """The kiosk while borrowing, the panel with the books on the pad, the dashboard after the day."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        async with Branch(Path(data), Ports.free()) as branch:
            day = Journey(branch, print)
            await shoot(branch.kiosk_url, "kiosk-welcome", 1080, 1920)
            await day._world("card", tag=CARD)
            await day._screen("borrow")
            for tag in (*BORROWED, ON_HOLD):
                await day._world("lay", tag=tag)
            await day._counter("tags_disarmed", 2)
            await day._screen("borrow", "row-refused")
            await asyncio.gather(
                shoot(branch.kiosk_url, "kiosk", 1080, 1920),
                shoot(branch.world_url, "panel", 1366, 768),
            )
            await day._act("finish")
            for tag in (CARD, *BORROWED, ON_HOLD):
                await day._world("lift", tag=tag)
            await day._act("cancel")
            await day._act("return")
            await day._world("lay", tag=RETURNED)
            await day._counter("tags_armed", 1)
            await day._act("finish")
            await day._world("walk", tags=[CARRIED], direction="out")
            await day._counter("siren_frames", 1)
            await day.count()
            await shoot(branch.gateway_url, "dashboard", 1366, 900)


async def shoot(url: str, name: str, width: int, height: int) -> None:
    """One screenshot into docs/pictures."""
    chromium = shutil.which("chromium")
    assert chromium, "apt install chromium"
    with tempfile.TemporaryDirectory() as profile:
        process = await asyncio.create_subprocess_exec(
            chromium, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}",
            f"--screenshot={FOLDER / name}.png", url, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await process.wait() == 0


asyncio.run(main())
