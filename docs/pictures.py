"""Takes the README's pictures from a running demo: `.venv/bin/python docs/pictures.py` (needs Debian's chromium).

`docs/pictures.py console` takes the console's alone, from a recorded night; it needs no browser.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from mocban.clock import SetClock
from mocban.demo.branch import Branch, Ports
from mocban.demo.once import BORROWED, CARD, CARRIED, ON_HOLD, RETURNED, Journey
from tests.support.console_desk import at_desk, shows
from tests.support.console_stand import Recorded

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
                shoot(branch.world_url, "panel", 1440, 900),
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


async def console() -> None:
    """The console, where a step waits for the person's approval."""
    night = SetClock(datetime(2026, 11, 25, 8, 5, tzinfo=UTC))
    with Recorded() as stand:
        desk = at_desk(
            stand.service, stand.service, lang="vi", me="minh", size=(100, 30), clock=night
        )
        async with desk as (app, pilot):
            await pilot.press("4")
            await shows(pilot, "Bấm y để duyệt")
            drawn = app.export_screenshot(title="mocban ops console")
    # The reader's own fonts: a picture that fetches something is no picture.
    drawn = re.sub(r"@font-face\s*\{.*?\}\s*", "", drawn, flags=re.DOTALL)
    drawn = drawn.replace(
        "Fira Code, monospace",
        "Menlo, Consolas, Noto Sans Mono, Liberation Mono, DejaVu Sans, monospace",
    )
    (FOLDER / "console.svg").write_text(drawn, encoding="utf-8")


if sys.argv[1:] != ["console"]:
    asyncio.run(main())
asyncio.run(console())
