"""Readers of facts sleep here until there is something to read: events that carry a cursor, never a fact."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response, StreamingResponse

from gateway.store.port import Readings
from mocban.errors import StorageError

PAUSE = 0.05
"""Seconds between two events, however many commits come in."""
PING = 15.0
"""Seconds of silence after which a comment keeps the line open."""


class Wakes:
    """Wakes every sleeping reader after a commit."""

    def __init__(self, readings: Readings, stop: asyncio.Event, most: int) -> None:
        self._readings = readings
        self._stop = stop
        self._most = most
        self._open = 0
        self._wake = asyncio.Event()

    def changed(self) -> None:
        """Facts were committed."""
        self._wake.set()
        self._wake = asyncio.Event()

    def full(self) -> bool:
        """No further stream can be had."""
        return self._open >= self._most

    async def stream(self) -> AsyncIterator[str]:
        """``facts`` with the cursor of the last committed fact: at once, then whenever it is another one."""
        self._open += 1
        sent = ""
        try:
            while not self._stop.is_set():
                wake = self._wake
                cursor = await asyncio.to_thread(self._readings.cursor)
                if cursor != sent:
                    sent = cursor
                    yield f"event: facts\ndata: {json.dumps({'next': cursor})}\n\n"
                else:
                    yield ": still here\n\n"
                await self._wait(wake, PING)
                await self._wait(None, PAUSE)
        except StorageError:
            return  # the reader comes back by itself
        finally:
            self._open -= 1

    async def _wait(self, wake: asyncio.Event | None, seconds: float) -> None:
        """Until ``wake`` or the stop, ``seconds`` at most."""
        waits = [
            asyncio.ensure_future(event.wait()) for event in (self._stop, wake) if event is not None
        ]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def routes(wakes: Wakes) -> APIRouter:
    """``/api/v1/facts/wake``."""
    router = APIRouter()

    @router.get("/api/v1/facts/wake", response_class=StreamingResponse)
    async def wake() -> Response:
        """Server-sent events ``facts`` with ``{"next": CURSOR}``: read on if that is not your own cursor."""
        if wakes.full():
            error = {
                "code": "busy",
                "say": "too many readers are waiting",
                "do": "end one, or ask again later",
            }
            return JSONResponse({"ok": False, "errors": [error]}, 503)
        return StreamingResponse(wakes.stream(), media_type="text/event-stream")

    return router
