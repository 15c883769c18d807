"""The gateway as one process: ingest from the broker, one store, API and dashboard."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import cast
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from gateway.api import facts
from gateway.ingest import Ingest, Orders
from gateway.letters import Desk
from gateway.meters import Meters
from gateway.projections import apply
from gateway.settings import GatewaySettings
from gateway.store.port import Readings
from gateway.store.readings import SqliteReadings
from gateway.store.sqlite import SqliteStore
from gateway.web.live import Live
from gateway.web.live import routes as live_routes
from gateway.web.pages import Pages
from mocban import log, supervise, web
from mocban.clock import Clock, SystemClock
from mocban.config import Config
from mocban.errors import StorageError
from mocban.health import Health
from mocban.web import LOOPBACK, Asgi, SecurityHeaders

_log = log.get("gateway")


async def main(config: Config[GatewaySettings], stop: asyncio.Event) -> None:
    """Run until ``stop``; ConfigError if the port or the data folder cannot be had."""
    settings, clock = config.app, SystemClock()
    health = Health(clock, needs=("broker", "store"))
    sock = web.bind(settings.host, settings.port)
    try:
        store = SqliteStore(config.database, apply, settings.stray_letters)
        readings = SqliteReadings(config.database)
    except BaseException:
        sock.close()
        raise
    meters = Meters(readings)
    live = Live(Pages(readings, health, clock, settings), stop, settings.streams)
    ingest = Ingest(
        Orders(config.mqtt, config.identity, settings.batch, settings.keep_alive), store,
        Desk(config.tenant, ZoneInfo(settings.timezone), settings.late_days), clock, health, meters, live.changed,
    )  # fmt: skip
    app = build(readings, meters, health, clock, settings, live)
    _log.info("gateway.start", port=web.port_of(sock))
    try:
        await supervise.keep(
            {"ingest": ingest.run, "http": lambda end: web.serve(app, sock, end)}, stop
        )
    finally:
        store.close()
        readings.close()
        _log.info("gateway.end")


def build(
    readings: Readings,
    meters: Meters,
    health: Health,
    clock: Clock,
    settings: GatewaySettings,
    live: Live,
) -> Asgi:
    """The ASGI app. /openapi.json describes it; there is no page of docs, which would load foreign scripts."""
    app = FastAPI(
        title="mocban gateway",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.include_router(facts.routes(readings, meters, health, clock, settings))
    app.include_router(live_routes(live))
    app.mount("/static", StaticFiles(directory=str(files("gateway.web") / "static")))
    app.router.routes.append(web.fonts())

    @app.exception_handler(StorageError)
    async def storage(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"ok": False, "errors": [cast(StorageError, error).as_json()]}, 503)

    @app.exception_handler(RequestValidationError)
    async def usage(_: Request, error: Exception) -> JSONResponse:
        first = cast(RequestValidationError, error).errors()[0]
        say = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        return JSONResponse(
            {"ok": False, "errors": [{"code": "usage", "say": say, "do": "see /openapi.json"}]}, 422
        )

    return SecurityHeaders(app, LOOPBACK | {settings.host})
