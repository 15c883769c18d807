"""Operations as one process: facts and alerts in, incidents and playbooks, one API."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import timedelta

from fastapi import FastAPI, Response
from starlette.responses import JSONResponse

from mocban import access, log, supervise, web
from mocban.asking import Service
from mocban.clock import SystemClock
from mocban.config import Config
from mocban.follow import Follower
from mocban.health import Health
from mocban.web import LOOPBACK, SecurityHeaders
from ops.api import alerts, errors, executions, guard, incidents, playbooks
from ops.api.bounds import Bounded
from ops.incidents.correlate import Rules
from ops.incidents.errands import Errands
from ops.incidents.intake import Intake
from ops.incidents.meters import Meters
from ops.incidents.store import Store
from ops.runbooks.engine import Engine
from ops.runbooks.library import Library
from ops.settings import OpsSettings
from ops.settings import playbooks as playbooks_of
from ops.telling import Telling

_log = log.get("ops")


async def main(config: Config[OpsSettings], stop: asyncio.Event) -> None:
    """Run until ``stop``; ConfigError if the port or the data folder cannot be had."""
    settings, clock = config.app, SystemClock()
    health = Health(clock, needs=("store",))
    with ExitStack() as opened:
        sock = opened.enter_context(web.bind(settings.host, settings.port))
        # First: it is what keeps a second process off these files.
        telling = Telling(config, clock, health)
        opened.callback(telling.close)
        store = Store(
            config.database, clock, Rules(timedelta(minutes=settings.same_minutes), settings.storm),
            settings.autorun, telling.turn,
        )  # fmt: skip
        opened.callback(store.close)
        health.check("store", True)
        operator, webhook = guard.operator(config.data_dir), guard.webhook(config.data_dir)
        gateway = Service(
            "gateway", settings.gateway_url, lambda: _gateway_token(config), config.ca_file
        )
        library = Library(playbooks_of(config.data_dir), settings.playbook_keys)
        engine = Engine(config, clock, gateway, store, telling, library)
        opened.callback(engine.close)
        errands = Errands(
            store, telling, engine, lambda name: _wanted(library, name), health, clock
        )
        follower = Follower(
            settings.gateway_url, config.database.with_name("facts.cursor"), ca_file=config.ca_file, clock=clock
        )  # fmt: skip
        meters = Meters(store)
        intake = Intake(follower, store, health, settings.device, lambda: meters.read(clock.now()))
        app = build(health, meters)
        app.include_router(alerts.routes(store, meters, health, clock, webhook))
        app.include_router(incidents.routes(store, clock, operator))
        app.include_router(executions.routes(engine, operator))
        app.include_router(playbooks.routes(library, operator))
        _log.info("ops.start", port=web.port_of(sock))
        await supervise.keep(
            {
                "telling": telling.run,
                "errands": errands.run,
                "intake": intake.run,
                "engine": engine.run,
                "http": lambda end: web.serve(
                    SecurityHeaders(Bounded(app), LOOPBACK | {settings.host}), sock, end
                ),
            },
            stop,
        )
    _log.info("ops.end")


def build(health: Health, meters: Meters) -> FastAPI:
    """The app with what every service of ours answers. /openapi.json describes it."""
    app = FastAPI(
        title="mocban operations", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json"
    )  # fmt: skip
    errors.register(app)

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        """Prometheus text."""
        return Response(meters.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        """200 while every check passes, else 503; the body says which does not and why."""
        return JSONResponse(health.as_json(), 200 if health.ok else 503)

    return app


def _gateway_token(config: Config[OpsSettings]) -> str:
    """The gateway's operator token: a credential, else the file on this machine."""
    given = config.app.gateway_token
    if given is not None:
        return given.get_secret_value()
    return access.token(config.data_dir, "gateway", make=False)


def _wanted(library: Library, name: str) -> list[str]:
    """The variables that whoever begins that playbook gives; Refusal if there is none."""
    playbook = library.find(name).playbook
    return [one.name for one in playbook.variables.values() if one.external] if playbook else []
