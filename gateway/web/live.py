"""The dashboard's HTTP side: the page, and a stream of its fragments as they change. Streams end at once on stop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from gateway.web.pages import Pages
from mocban.errors import StorageError
from mocban.i18n import LANGS

PAUSE = 0.15
"""Seconds between two renderings, however many facts come in."""
REFRESH = 20.0
"""Seconds after which ages are rendered anew though no fact came; also keeps the line open."""


class Live:
    """Wakes every open dashboard when something was committed. One rendering a language serves them all."""

    def __init__(self, pages: Pages, stop: asyncio.Event, most: int) -> None:
        self.pages = pages
        self._stop = stop
        self._most = most
        self._open = 0
        self._version = 0
        self._wake = asyncio.Event()
        self._rendered: dict[str, tuple[int, dict[str, str]]] = {}
        self._locks = {lang: asyncio.Lock() for lang in LANGS}

    def changed(self) -> None:
        """Something was committed."""
        self._version += 1
        self._wake.set()
        self._wake = asyncio.Event()

    def full(self) -> bool:
        """No further stream can be had."""
        return self._open >= self._most

    async def stream(self, lang: str) -> AsyncIterator[str]:
        """Server-sent events ``board``: JSON of the fragments that differ from what was sent before."""
        self._open += 1
        try:
            yield "retry: 1000\n\n"
            sent: dict[str, str] = {}
            while not self._stop.is_set():
                wake = self._wake
                fragments = await self._fragments(lang)
                news = {name: html for name, html in fragments.items() if sent.get(name) != html}
                sent = fragments
                yield f"event: board\ndata: {json.dumps(news)}\n\n" if news else ": still here\n\n"
                await self._wait(wake, REFRESH)
                await self._wait(None, PAUSE)
        except StorageError:
            return  # the browser comes back by itself; the page says what is wrong
        finally:
            self._open -= 1

    async def _fragments(self, lang: str) -> dict[str, str]:
        async with self._locks[lang]:
            version, fragments = self._rendered.get(lang, (-1, {}))
            if version != self._version:
                version = self._version  # what is committed while we render is the next one's
                fragments = await asyncio.to_thread(self.pages.fragments, lang)
                self._rendered[lang] = (version, fragments)
            return fragments

    async def _wait(self, wake: asyncio.Event | None, seconds: float) -> None:
        """Until ``wake`` or the stop, ``seconds`` at most. A quiet time out makes the rendering stale."""
        waits = [
            asyncio.ensure_future(event.wait()) for event in (self._stop, wake) if event is not None
        ]
        try:
            done, _ = await asyncio.wait(
                waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not done and wake is not None:
                self._version += 1
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def routes(live: Live) -> APIRouter:
    """``/`` and ``/live``, each with ``?lang=vi|en``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def page(request: Request) -> Response:
        """The dashboard."""
        return HTMLResponse(live.pages.page(_lang(request)))

    @router.get("/live")
    async def stream(request: Request) -> Response:
        """Server-sent events."""
        if live.full():
            error = {
                "code": "busy",
                "say": "too many dashboards are open",
                "do": "close one, or reload later",
            }
            return JSONResponse({"ok": False, "errors": [error]}, 503)
        return StreamingResponse(live.stream(_lang(request)), media_type="text/event-stream")

    return router


def _lang(request: Request) -> str:
    """The language asked for; Vietnamese for anything else."""
    lang = request.query_params.get("lang", "")
    return lang if lang in LANGS else LANGS[0]
