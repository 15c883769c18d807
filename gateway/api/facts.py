"""Committed facts for readers, the counters, the devices and the dead letters; metrics and health.

Everything is read from what is committed. There is no login in this release: the gateway listens on the loopback only.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from gateway.meters import Meters
from gateway.settings import GatewaySettings
from gateway.store.port import MEASURES, Measure, Readings, dead_by_reason
from mocban.clock import Clock
from mocban.health import Health

LIMIT = 1000
"""Most entries in one answer."""
Page = Annotated[int, Query(ge=1, le=LIMIT)]


class FactOut(BaseModel):
    """One committed fact; ``ts`` is the device's clock, ``rx`` the gateway's."""

    cursor: int
    device: str
    epoch: str
    seq: int
    id: str
    kind: str
    kv: int
    ts: str
    rx: str
    data: dict[str, Any]


class FactsOut(BaseModel):
    """A page of facts; ask again with ``after=next``."""

    facts: list[FactOut]
    next: int


class DayOut(BaseModel):
    """The counters of one local day."""

    day: str
    counts: dict[Measure, int]


class CountsOut(BaseModel):
    """Today, the days before it that have facts (newest first), and all days together."""

    today: DayOut
    days: list[DayOut]
    totals: dict[Measure, int]


class DeviceOut(BaseModel):
    """One app on one device; ``online`` is null when it never said."""

    device: str
    app: str
    online: bool | None
    version: str
    since: str
    facts: int
    last_kind: str
    last_ts: str
    last_rx: str


class DeadOut(BaseModel):
    """One dead letter, without its payload: that may be anything."""

    no: int
    device: str
    epoch: str
    seq: int | None
    topic: str
    reason: str
    rx: str
    size: int
    times: int


class DeadsOut(BaseModel):
    """How many there ever were, by reason, and the newest of them."""

    count: int
    by_reason: dict[str, int]
    letters: list[DeadOut]


def routes(
    readings: Readings, meters: Meters, health: Health, clock: Clock, settings: GatewaySettings
) -> APIRouter:
    """The router of all of it."""
    router = APIRouter()
    zone = ZoneInfo(settings.timezone)

    @router.get("/api/v1/facts")
    def facts(after: Annotated[int, Query(ge=0, lt=2**63)] = 0, limit: Page = 100) -> FactsOut:
        """Committed facts with a cursor greater than ``after``, in the order of commit."""
        found = readings.facts(after, limit)
        out = [
            FactOut(
                cursor=f.cursor, device=f.device, epoch=f.epoch, seq=f.seq, id=f.id, kind=f.kind, kv=f.kv,
                ts=f.ts, rx=f.rx, data=json.loads(f.payload)["data"],
            )
            for f in found
        ]  # fmt: skip
        return FactsOut(facts=out, next=found[-1].cursor if found else after)

    @router.get("/api/v1/counts")
    def counts() -> CountsOut:
        """Loans, returns, refusals, alarms and people: today, by local day, altogether."""
        today = clock.now().astimezone(zone).date()
        first = today - timedelta(days=settings.days - 1)
        days = readings.days(first.isoformat(), (today + timedelta(days=1)).isoformat())
        zero: dict[Measure, int] = dict.fromkeys(MEASURES, 0)
        name = today.isoformat()
        return CountsOut(
            today=DayOut(day=name, counts=days.get(name, zero)),
            days=[DayOut(day=day, counts=days[day]) for day in sorted(days, reverse=True)],
            totals=readings.totals(),
        )

    @router.get("/api/v1/devices")
    def devices() -> list[DeviceOut]:
        """Every app of every device that ever spoke."""
        return [DeviceOut.model_validate(row, from_attributes=True) for row in readings.devices()]

    @router.get("/api/v1/dead")
    def dead(limit: Page = 100) -> DeadsOut:
        """Messages that could not be facts."""
        by_reason = dead_by_reason(readings.tally())
        letters = [
            DeadOut.model_validate(row, from_attributes=True) for row in readings.dead(limit)
        ]
        return DeadsOut(count=sum(by_reason.values()), by_reason=by_reason, letters=letters)

    @router.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        """Prometheus text."""
        return Response(meters.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        """200 while every check passes, else 503; the body says which does not and why."""
        return JSONResponse(health.as_json(), 200 if health.ok else 503)

    return router
