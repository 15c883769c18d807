"""How much of a request is taken, and for how long it is waited for: before anybody asks who sends it."""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse

from mocban.web import Asgi, Message, Receive, Scope, Send
from ops.api.errors import said

BODY_MAX = 1024 * 1024
"""Longest body, in bytes: as long as a delivery of Alertmanager may be."""
HEARD_MAX = 16 * BODY_MAX
"""Most bytes heard out, and forgotten, so that whoever sends too much can read why it is refused."""
SECONDS = 20.0
"""Longest time a body may take to come."""


class Bounded:
    """413 ``too-long`` and 408 ``too-slow``. The body is whole before the app sees the request, or it never does."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(_body(scope, receive), SECONDS)
        except TimeoutError:
            say = f"the body did not come within {SECONDS:.0f} seconds"
            await _refuse(408, "too-slow", say, "send it at once", scope, receive, send)
            return
        except _TooLongError:
            do = "send less; in Alertmanager's receiver set max_alerts"
            await _refuse(413, "too-long", f"more than {BODY_MAX} bytes", do, scope, receive, send)
            return
        if body is None:
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def given() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, given, send)


class _TooLongError(Exception):
    pass


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """The body; None if whoever sent it went away."""
    told = dict(scope["headers"]).get(b"content-length", b"0")
    if told.isdigit() and int(told[:20]) > HEARD_MAX:
        raise _TooLongError
    body, heard = bytearray(), 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        heard += len(part)
        if heard <= BODY_MAX:
            body += part
        elif heard > HEARD_MAX:
            raise _TooLongError
        else:
            body.clear()
        if not message.get("more_body", False):
            if heard > BODY_MAX:
                raise _TooLongError
            return bytes(body)


async def _refuse(
    status: int, code: str, say: str, do: str, scope: Scope, receive: Receive, send: Send
) -> None:
    answer = JSONResponse(said(code, say, do), status, {"connection": "close"})
    await answer(scope, receive, send)
