"""The gateway as one process: ingest from the broker, one store, API and dashboard."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from importlib.resources import files
from typing import cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from gateway.api import commands, facts, replay, uploads, wake
from gateway.api.operator import operator, refuse
from gateway.beats import Beats
from gateway.ingest import Ingest, Orders
from gateway.letters import Desk
from gateway.meters import Meters
from gateway.outward import Outward
from gateway.own import Own
from gateway.post import Post
from gateway.projections import apply
from gateway.settings import GatewaySettings
from gateway.store.port import Outcome, Readings
from gateway.store.readings import SqliteReadings
from gateway.store.sqlite import SqliteStore
from gateway.web.live import Live
from gateway.web.live import routes as live_routes
from gateway.web.pages import Pages
from mocban import log, supervise, web
from mocban.access import Refusal
from mocban.clock import Clock, SystemClock
from mocban.config import Config
from mocban.errors import StorageError
from mocban.health import Health
from mocban.web import LOOPBACK, SecurityHeaders

_log = log.get("gateway")


async def main(config: Config[GatewaySettings], stop: asyncio.Event) -> None:
    """Run until ``stop``; ConfigError if the port or the data folder cannot be had."""
    settings, clock = config.app, SystemClock()
    health = Health(clock, needs=("broker", "store"))
    tls = (
        web.Tls(settings.tls_cert, settings.tls_key)
        if settings.tls_cert and settings.tls_key
        else None
    )
    with ExitStack() as opened:
        sock = opened.enter_context(web.bind(settings.host, settings.port))
        store = SqliteStore(config.database, apply, settings.stray_letters)
        opened.callback(store.close)
        readings = SqliteReadings(config.database)
        opened.callback(readings.close)
        guard = operator(config.data_dir)
        beats = Beats(config.tenant, clock)
        meters, post = Meters(readings, beats), Post(config.identity)
        desk = Desk(config.tenant, ZoneInfo(settings.timezone), settings.late_days)
        wakes = wake.Wakes(readings, stop, settings.streams)
        live = Live(Pages(readings, health, clock, settings), stop, settings.streams)

        def committed(outcome: Outcome) -> None:
            """Whoever follows what is stored hears of every commit."""
            if outcome.changed:
                live.changed()
            if outcome.new:
                wakes.changed()
            if outcome.dead.get("seq-reuse"):
                own.look()
            outward.on_outcome(outcome)

        own = Own(config.database, settings.device, clock, store, desk, readings.clones, committed)
        opened.callback(own.close)
        outward = Outward(config, post, own, clock, lambda: ingest.ready.is_set())
        opened.callback(outward.close)
        ingest = Ingest(
            Orders(config.mqtt, config.identity, settings.batch, settings.keep_alive, config.ca_file, store.renewed,
                   config.broker_password),
            store, desk, clock, health, meters, post, committed, outward.on_ready, live.changed,
            beats.take,
        )  # fmt: skip
        app = build(readings, beats, meters, health, clock, settings, live)
        app.include_router(wake.routes(wakes))
        app.include_router(replay.routes(store, desk, own.tell, committed, guard))
        app.include_router(commands.routes(outward.dispatch, outward.orders, guard))
        app.include_router(uploads.routes(outward.uploads, guard))
        app.add_exception_handler(Refusal, refuse)
        hosts = LOOPBACK | {settings.host, urlsplit(settings.address).hostname or settings.host}
        _log.info("gateway.start", port=web.port_of(sock))
        await supervise.keep(
            {
                "ingest": ingest.run,
                "own": own.run,
                "watchdog": health.watchdog,
                **outward.services(),
                "http": lambda end: web.serve(SecurityHeaders(app, hosts), sock, end, tls),
            },
            stop,
        )
    _log.info("gateway.end")


def build(
    readings: Readings,
    beats: Beats,
    meters: Meters,
    health: Health,
    clock: Clock,
    settings: GatewaySettings,
    live: Live,
) -> FastAPI:
    """The app. /openapi.json describes it; there is no page of docs, which would load foreign scripts."""
    app = FastAPI(
        title="mocban gateway",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.include_router(facts.routes(readings, beats, meters, health, clock, settings))
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

    return app
