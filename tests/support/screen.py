"""A desk whose visit a test decides, and the screen served for it on a real socket."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from html.parser import HTMLParser

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kiosk.session.state import Item, Line, Mode, Patron, Phase, Visit, Way
from kiosk.settings import KioskSettings
from kiosk.ui.server import build
from mocban.clock import SetClock
from mocban.web import bind, port_of, serve

CARD = "TV2400001"
AT = SetClock().now()
WITHIN = 5.0


@dataclass(frozen=True)
class Condition:
    """How the kiosk itself is."""

    reader_ok: bool = True
    ils_ok: bool = True
    ready: bool = True


class Counter:
    """A desk whose visit the test decides; it keeps the taps it is given."""

    def __init__(self) -> None:
        self.visit = Visit()
        self.status = Condition()
        self.taps: list[tuple[str, str]] = []
        self.watchers = 0
        self._changed = asyncio.Event()

    async def tap(self, action: str, value: str = "") -> None:
        self.taps.append((action, value))
        if action == "lang":
            self.show(replace(self.visit, lang=value))

    async def changes(self) -> AsyncIterator[None]:
        self.watchers += 1
        try:
            while True:
                changed = self._changed
                yield None
                await changed.wait()
        finally:
            self.watchers -= 1

    def show(self, visit: Visit, status: Condition | None = None) -> None:
        """Make this the present, and say so."""
        self.visit, self.status = visit, status or self.status
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


@dataclass
class Stand:
    """A served screen: its desk, its clock, a client, and the event that ends it."""

    desk: Counter
    clock: SetClock
    web: httpx.AsyncClient
    stop: asyncio.Event
    serving: asyncio.Task[None]

    async def token(self) -> str:
        """The token as a browser finds it."""
        found = re.search(r'data-token="([0-9a-f]{32})"', (await self.web.get("/")).text)
        assert found
        return found[1]


@asynccontextmanager
async def stand() -> AsyncIterator[Stand]:
    """Serve the screen on a free port until the block ends."""
    desk, clock, stop = Counter(), SetClock(), asyncio.Event()
    app = build(desk, KioskSettings(), stop, clock=clock, extra_routes=[Route("/healthz", _well)])
    sock = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{port_of(sock)}"
    serving = asyncio.create_task(serve(app, sock, stop))
    async with httpx.AsyncClient(base_url=url, timeout=WITHIN, trust_env=False) as web:
        try:
            yield Stand(desk, clock, web, stop, serving)
        finally:
            stop.set()
            await asyncio.wait_for(serving, WITHIN)


def run(scenario: Callable[[Stand], Awaitable[None]]) -> None:
    """Run ``scenario`` against a served screen."""

    async def whole() -> None:
        async with stand() as here:
            await asyncio.wait_for(scenario(here), 20)

    asyncio.run(whole())


async def events(reply: httpx.Response) -> AsyncIterator[tuple[str, dict[str, object]]]:
    """The events of a stream as they arrive."""
    name = ""
    async for text in reply.aiter_lines():
        if text.startswith("event: "):
            name = text[7:]
        elif text.startswith("data: "):
            yield name, json.loads(text[6:])


def visits() -> dict[str, tuple[Visit, Condition]]:
    """A visit for every screen, with a row of every phase and way."""
    patron, fine = Patron(CARD, remaining=5), Condition()
    due = AT + timedelta(days=14)

    def lines(way: Way) -> tuple[Line, ...]:
        return tuple(
            Line(
                no, Item(f"BG{no:08}", f"E00401{no:010X}"), way, phase, f"Sách <b>số</b> {no}", due=due,
                reason="on-hold" if phase in {Phase.REFUSED, Phase.SAID} else "", say="Held for NGUYEN VAN AN",
            )
            for no, phase in enumerate(Phase, 1)
        )  # fmt: skip

    def one(mode: Mode, way: Way | None = None) -> Visit:
        known = None if mode in {Mode.CARD, Mode.RETURN} else patron
        return Visit(mode, "v1", known, lines(way) if way else (), started=AT, touched=AT)

    return {
        "welcome": (Visit(), fine),
        "card": (replace(one(Mode.CARD), notice="ils-silent"), fine),
        "checking": (one(Mode.CHECKING), fine),
        "borrow": (one(Mode.BORROW, Way.BORROW), fine),
        "return": (one(Mode.RETURN, Way.RETURN), fine),
        "done": (one(Mode.DONE, Way.BORROW), fine),
        "out-of-service": (Visit(), Condition(reader_ok=False)),
    }


class Markup(HTMLParser):
    """Checks well-formedness and collects attributes."""

    VOID = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.scripts: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "script":
            self.scripts.append(dict(attrs).get("src") or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        assert not (self.open and self.open[-1] in {"script", "style"} and data.strip()), (
            "inline script or style"
        )


async def until(true: Callable[[], bool]) -> None:
    """Wait until ``true()``, with a deadline."""
    deadline = asyncio.get_running_loop().time() + WITHIN
    while not true():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def _well(_request: Request) -> Response:
    return PlainTextResponse("well")
