"""A person at the console without a terminal: the keys they press, and the screen as they read it."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import textual.app
import textual.pilot
from textual.pilot import Pilot
from textual.widgets import Input

from mocban.asking import Service
from mocban.clock import Clock
from ops.console.app import Console
from ops.console.grid import Grid
from ops.console.modals import Read
from tests.support.console_stand import Recorded
from tests.support.gateway_stand import CLOCK

DEADLINE = 15.0
Scene = Callable[[Console, Pilot[None]], Awaitable[None]]


def visit(scene: Scene, stand: Recorded, **how: Any) -> None:
    """Play ``scene`` at a console before ``stand``."""

    async def play() -> None:
        async with at_desk(stand.service, stand.service, **how) as (console, pilot):
            await scene(console, pilot)

    asyncio.run(play())


@asynccontextmanager
async def at_desk(
    ops: Service, gateway: Service, lang: str = "vi", me: str = "", key: str = "", size: tuple[int, int] = (80, 24),
    heard: bool = True, clock: Clock | None = None,
) -> AsyncIterator[tuple[Console, Pilot[None]]]:  # fmt: skip
    """The console without a terminal, once it knows something; and who presses its keys.

    ``heard``: both services answer it; else it is enough that it has asked.
    """
    console = Console(ops, gateway, lang, me, key, clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textual.app, "wait_for_idle", _breath)
        patch.setattr(textual.pilot, "wait_for_idle", _breath)
        async with console.run_test(size=size) as pilot:
            for name in ("ops", "gateway"):
                await until(pilot, lambda: _knows(console, name, heard), f"{name} was asked")  # noqa: B023
            console.draw()
            await until(pilot, lambda: bool(console.page.query(Grid)), "the page stands")
            await until(pilot, console.page.settled, "what stands first stays there")
            yield console, pilot
            assert console.fault is None, console.fault


async def _breath(min_sleep: float = 0.0, max_sleep: float = 0.0) -> None:
    """Textual waits after each key until the process is idle, or a second long; beside a service it hardly ever is.

    So a test waits for what it wants to see, and not for that.
    """
    await asyncio.sleep(0.02)


def _knows(console: Console, name: str, heard: bool) -> bool:
    line = getattr(console.feed.picture, name)
    return line.at is not None or (not heard and bool(line.trouble))


async def until(
    pilot: Pilot[None], true: Callable[[], bool], what: str, deadline: float = DEADLINE
) -> None:
    """Wait for a condition while the console lives on."""
    end = CLOCK.mono() + deadline
    while not true():
        assert CLOCK.mono() < end, f"waited {deadline} s in vain until {what}:\n" + "\n".join(
            lines(pilot.app)
        )
        await pilot.pause(0.02)


async def shows(pilot: Pilot[None], text: str, deadline: float = DEADLINE) -> None:
    """Wait until ``text`` stands on the screen."""
    await until(
        pilot,
        lambda: text in " ".join(" ".join(lines(pilot.app)).split()),
        f"“{text}” is shown",
        deadline,
    )


_TEXT = re.compile(r'<text class="[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', re.DOTALL)


def lines(app: Any) -> list[str]:
    """The screen, line by line, as it would be drawn."""
    found: dict[float, str] = {}
    picture = app.export_screenshot()
    for x, y, text in _TEXT.findall(picture[picture.index("-matrix") :]):
        plain = html.unescape(text).replace("\xa0", " ")
        row = found.get(float(y), "")
        column = round(float(x) / 12.2)
        found[float(y)] = row.ljust(column) + plain
    return [found[y].rstrip() for y in sorted(found)]


def joined(pilot: Pilot[None]) -> str:
    """The screen as one line."""
    return " ".join(" ".join(lines(pilot.app)).split())


async def write(pilot: Pilot[None], text: str) -> None:
    """Type ``text`` where the console asks for it, once it asks."""
    await until(pilot, lambda: isinstance(pilot.app.focused, Input), "it asks for a text")
    field = pilot.app.focused
    assert isinstance(field, Input)
    field.insert_text_at_cursor(text)
    await pilot.pause()


async def agree(pilot: Pilot[None]) -> None:
    """Enter, to a text that stands there and can have been read."""
    paper = pilot.app.screen
    assert isinstance(paper, Read)
    await until(pilot, lambda: paper.ready, "it can have been read")
    await pilot.press("enter")
