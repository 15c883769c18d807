"""Serving pages safely: sockets bound by us, one orderly end, and the headers every page of ours carries."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mocban.errors import ConfigError
from mocban.health import Health

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEAD_SECONDS = 10.0
"""How long whoever connects may take to say what they want, and at most twice that."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. ConfigError with a sentence if it cannot be had."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(128)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"port {port} on {host} cannot be had: {error.strerror or error}",
            "stop the other program that uses it, or set another port",
            code="port-in-use",
        ) from error
    return sock


def port_of(sock: socket.socket) -> int:
    """The port a bound socket got."""
    return int(sock.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate chain and its key, as PEM files. ConfigError if they cannot be read or do not fit."""

    cert: Path
    key: Path

    def __post_init__(self) -> None:
        try:
            # An answer instead of a question: a service has nobody to type a passphrase.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key, lambda: "")
        except (OSError, ValueError) as error:
            why = (
                error.strerror if isinstance(error, OSError) else ""
            ) or "it is no key of its own"
            raise ConfigError(
                f"certificate {self.cert} with key {self.key} cannot be used: {why}",
                "name PEM files the service's user may read, the key without a passphrase",
            ) from error


async def serve(
    app: Asgi, sock: socket.socket, stop: asyncio.Event, tls: Tls | None = None
) -> None:
    """Serve ``app`` on ``sock`` until ``stop`` is set, then end within a second; HTTPS only with ``tls``.

    Live streams must watch ``stop`` themselves: what still hangs is cut off. The socket is closed on return.
    """
    import uvicorn  # only services that serve pages pay for it
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Patient(H11Protocol):
        """Hangs up on who connects and does not finish asking: uvicorn itself waits for ever."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._look()

        def _look(self) -> None:
            if not self.transport.is_closing():
                self.loop.call_later(HEAD_SECONDS, self._tired, self.cycle)

        def _tired(self, before: Any) -> None:
            asking = self.cycle is None or self.cycle.response_complete
            if self.cycle is before and asking and self.timeout_keep_alive_task is None:
                self.transport.close()
            else:
                self._look()

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Any:
            yield  # signals are the process's matter, not one server's

    server = Server(
        uvicorn.Config(
            app, http=Patient, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1,
            server_header=False, h11_max_incomplete_event_size=64 * 1024, limit_concurrency=256,
            ssl_certfile=tls.cert if tls else None, ssl_keyfile=tls.key if tls else None,
        )
    )  # fmt: skip
    task = asyncio.create_task(server.serve(sockets=[sock]))
    waiter = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await task
    finally:
        waiter.cancel()
        server.force_exit = True
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        sock.close()


class SecurityHeaders:
    """Strict CSP, no store, and no entry for pages of other origins (DNS rebinding, cross-site posts)."""

    def __init__(self, app: Asgi, hosts: frozenset[str] = LOOPBACK) -> None:
        self._app = app
        self._hosts = hosts
        self._headers = [
            (b"content-security-policy", CSP.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {k: v.decode("latin-1") for k, v in scope["headers"]}
        origin = headers.get(b"origin")
        own = _host(headers.get(b"host", "")) in self._hosts
        if not own or (
            origin and scope["method"] not in {"GET", "HEAD"} and not self._same(origin, headers)
        ):
            await send({"type": "http.response.start", "status": 403, "headers": self._headers})
            await send({"type": "http.response.body", "body": b"foreign host or origin\n"})
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", []))
                names = {name.lower() for name, _ in given}
                given += [pair for pair in self._headers if pair[0] not in names]
                if b"cache-control" not in names:
                    given.append((b"cache-control", b"no-store"))
                message["headers"] = given
            await send(message)

        await self._app(scope, receive, dressed)

    def _same(self, origin: str, headers: dict[bytes, str]) -> bool:
        return urlsplit(origin).netloc == headers.get(b"host", "")


def _host(header: str) -> str:
    """The host of a Host header, without port and brackets."""
    return urlsplit(f"//{header}").hostname or ""


def health_routes(health: Health) -> list[Any]:
    """Starlette routes ``/healthz`` (503 until ready) and ``/metrics`` of one process."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def healthz(_: Request) -> Response:
        return JSONResponse(health.as_json(), 200 if health.ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/metrics", metrics)]


def fonts() -> Any:
    """Starlette route ``/fonts``: Be Vietnam Pro (OFL) and its ``fonts.css``, one file per script; kept for a day."""
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    files = StaticFiles(directory=Path(__file__).with_name("fonts"))

    async def kept(scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                message["headers"] = [*message["headers"], (b"cache-control", b"max-age=86400")]
            await send(message)

        await files(scope, receive, dated)

    return Mount("/fonts", kept)
