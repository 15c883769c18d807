"""The patron's screen over HTTP: one page, one live stream of fragments, one address for taps; no state of its own."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, cast
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from kiosk.session.state import Visit
from kiosk.settings import KioskSettings
from kiosk.ui.view import House, Screen, Status, view
from mocban.clock import Clock, SystemClock
from mocban.i18n import LANGS, catalog
from mocban.ids import new_id
from mocban.web import LOOPBACK, SecurityHeaders, fonts

ACTIONS: Final = frozenset({"borrow", "return", "finish", "cancel", "more", "lang", "stay"})
"""What a tap may ask for; ``lang`` carries the language, ``stay`` is only a sign of life."""
PING_SECONDS: Final = 5.0
BODY_MAX: Final = 2048
STREAMS_MAX: Final = 16
_STATIC = Path(__file__).parent / "static"


class Desk(Protocol):
    """The kiosk behind the screen."""

    @property
    def visit(self) -> Visit:
        """The visit as it is now."""
        ...

    @property
    def status(self) -> Status:
        """How the kiosk itself is now."""
        ...

    async def tap(self, action: str, value: str = "") -> None:
        """A person touched the screen; taps that do not fit the moment change nothing."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """Yields at once, then after every change of ``visit`` or ``status``."""
        ...


def build(
    desk: Desk,
    settings: KioskSettings,
    stop: asyncio.Event,
    *,
    extra_routes: Sequence[BaseRoute] = (),
    clock: Clock | None = None,
) -> Starlette:
    """The ASGI application. Live streams end at once when ``stop`` is set."""
    pages = _Pages(desk, settings, stop, clock or SystemClock())
    routes: list[BaseRoute] = [
        Route("/", pages.page, methods=["GET"]),
        Route("/events", pages.events, methods=["GET"]),
        Route("/act", pages.act, methods=["POST"]),
        *extra_routes,
        Mount("/static", StaticFiles(directory=_STATIC)),
        fonts(),
    ]
    hosts = LOOPBACK | {settings.host}
    return Starlette(
        routes=routes, middleware=[Middleware(cast("Any", SecurityHeaders), hosts=hosts)]
    )


class _Pages:
    """The three routes of the screen."""

    def __init__(
        self, desk: Desk, settings: KioskSettings, stop: asyncio.Event, clock: Clock
    ) -> None:
        self._desk = desk
        self._settings = settings
        self._stop = stop
        self._clock = clock
        self._house = House(settings.device, settings.idle_seconds, settings.thanks_seconds)
        self._token = new_id()  # known only to pages of this start; keeps other sites from tapping
        self._boot = new_id()  # an open page of an earlier start reloads when it sees another one
        self._streams = 0
        self._templates = Environment(
            loader=PackageLoader("kiosk.ui"), autoescape=select_autoescape(default=True),
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip

    async def page(self, _request: Request) -> Response:
        """The whole page with the screen of this moment; works as a picture even without the stream."""
        screen = self._screen()
        context = self._context(screen)
        body = self._templates.get_template("page.html").render(
            context,
            fragment=self._fragment(screen),
            token=self._token,
            boot=self._boot,
            left=self._left(screen),
        )
        return HTMLResponse(body)

    async def events(self, _request: Request) -> Response:
        """Server-sent events: ``hello`` (which start this is), ``screen`` at once and after every change, ``ping``."""
        if self._streams >= STREAMS_MAX:
            return _refusal(
                503, "too-many-streams", "too many screens are open", "close one of them"
            )
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def act(self, request: Request) -> Response:
        """One tap: ``action``, ``value``, ``token`` as form or JSON. 204; 400 or 403 if it makes no sense."""
        fields = _fields(await _body(request), request.headers.get("content-type", ""))
        if fields is None:
            return _refusal(
                400, "bad-request", "the tap could not be read", "send a small form or JSON object"
            )
        if not hmac.compare_digest(fields.get("token", "").encode(), self._token.encode()):
            return _refusal(403, "bad-token", "the page is not of this start", "reload the page")
        action, value = fields.get("action", ""), fields.get("value", "")
        if (
            action not in ACTIONS
            or (action == "lang") != bool(value)
            or (value and value not in LANGS)
        ):
            return _refusal(
                400,
                "unknown-action",
                "there is no such button",
                f"one of {', '.join(sorted(ACTIONS))}",
            )
        await self._desk.tap(action, value)
        return Response(status_code=204)

    async def _stream(self) -> AsyncIterator[bytes]:
        self._streams += 1
        changes = aiter(self._desk.changes())
        change = asyncio.ensure_future(anext(changes, False))
        ending = asyncio.ensure_future(self._stop.wait())
        try:
            yield _event("hello", {"boot": self._boot})
            while not self._stop.is_set():
                await asyncio.wait(
                    {change, ending}, timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if self._stop.is_set():
                    return
                if not change.done():
                    yield _event("ping", {})
                    continue
                if change.result() is False:  # the kiosk has no more changes to tell
                    return
                change = asyncio.ensure_future(anext(changes, False))
                yield _event("screen", self._message())
        finally:
            self._streams -= 1
            change.cancel()
            ending.cancel()

    def _message(self) -> dict[str, object]:
        screen = self._screen()
        return {
            "name": screen.name,
            "lang": screen.lang,
            "title": self._context(screen)["heading"],
            "say": screen.say,
            "left": self._left(screen),
            "html": self._fragment(screen),
        }

    def _screen(self) -> Screen:
        visit = self._desk.visit
        return view(visit, self._desk.status, catalog("kiosk", visit.lang), self._house)

    def _fragment(self, screen: Screen) -> str:
        return self._templates.get_template(f"{screen.name}.html").render(self._context(screen))

    def _context(self, screen: Screen) -> dict[str, Any]:
        texts = catalog("kiosk", screen.lang)
        library = _in(self._settings.library, screen.lang)
        return {
            "screen": screen, "_": texts.gettext, "langs": LANGS, "library": library,
            "station": _in(self._settings.station, screen.lang), "hours": _in(self._settings.hours, screen.lang),
            "heading": f"{screen.title} – {library}",
        }  # fmt: skip

    def _left(self, screen: Screen) -> float | None:
        """Seconds until the screen ends by itself, by the kiosk's clock; the browser's clock may be wrong."""
        if screen.ends_at is None:
            return None
        return round(max(0.0, (screen.ends_at - self._clock.now()).total_seconds()), 1)


def _in(words: Mapping[str, str], lang: str) -> str:
    """The words in ``lang``, else in the first language there is."""
    return words.get(lang) or next(iter(words.values()), "")


def _event(name: str, data: Mapping[str, object]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


async def _body(request: Request) -> bytes | None:
    """The body, or None as soon as it is longer than a tap can be."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX:
            return None
    return body


def _fields(body: bytes | None, kind: str) -> dict[str, str] | None:
    """The fields of a form or a flat JSON object of strings; None if it is neither."""
    if body is None:
        return None
    try:
        if kind.partition(";")[0].strip() == "application/json":
            given = json.loads(body)
            if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
                return None
            return cast("dict[str, str]", given)
        return dict(parse_qsl(body.decode(), max_num_fields=8))
    except (ValueError, RecursionError):
        return None


def _refusal(status: int, code: str, say: str, do: str) -> Response:
    return JSONResponse(
        {"ok": False, "errors": [{"code": code, "say": say, "do": do}]}, status_code=status
    )
