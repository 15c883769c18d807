"""Committed facts for readers, the counters, the devices and the dead letters; metrics and health.

Everything is read from what is committed. There is no login in this release: the gateway listens on the loopback only.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from gateway.beats import Beats, Heard
from gateway.meters import Meters
from gateway.settings import GatewaySettings
from gateway.store.port import (
    MEASURES,
    CursorGone,
    DeviceRow,
    Measure,
    Readings,
    dead_by_reason,
    revived_by_reason,
)
from mocban.clock import Clock, rfc3339
from mocban.health import Health

LIMIT = 1000
"""Most entries in one answer."""
Cursor = Annotated[str, Query(pattern=r"^([0-9a-f]{16}\.)?[0-9]{1,18}$")]
"""``gen.n``; a bare ``n`` is of the present generation."""
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
    """A page of facts; ask again with ``after=next``, which is opaque."""

    facts: list[FactOut]
    next: str


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
    """One app on one device; ``online`` is null when it never said. ``seen``: when it was last heard of.

    ``waiting``: facts in its outbox that are not confirmed; ``oldest``: since when the oldest of them waits, brought
    to the gateway's clock; ``mode``. All three are of its last heartbeat, and null if none is still to be believed.
    """

    device: str
    app: str
    online: bool | None
    version: str
    since: str
    facts: int
    last_kind: str
    last_ts: str
    last_rx: str
    seen: str
    waiting: int | None = None
    oldest: str | None = None
    mode: str | None = None


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
    """How many there ever were, by reason; how many of them became facts after all; the newest of the rest."""

    count: int
    by_reason: dict[str, int]
    revived: int
    letters: list[DeadOut]


def routes(
    readings: Readings, beats: Beats, meters: Meters, health: Health, clock: Clock, settings: GatewaySettings,
) -> APIRouter:  # fmt: skip
    """The router of all of it."""
    router = APIRouter()
    zone = ZoneInfo(settings.timezone)

    @router.get("/api/v1/facts", response_model=FactsOut, responses={410: {}})
    def facts(after: Cursor = "0", limit: Page = 100) -> FactsOut | JSONResponse:
        """Committed facts after the cursor, in the order of commit. A fact may come twice: drop it by its id.

        410 ``cursor-gone``: this store knows nothing of that cursor; begin at 0.
        """
        try:
            at = readings.place(after)
        except CursorGone as error:
            return JSONResponse({"ok": False, "errors": [error.as_json()]}, 410)
        found = readings.facts(at, limit)
        out = [
            FactOut(
                cursor=f.cursor, device=f.device, epoch=f.epoch, seq=f.seq, id=f.id, kind=f.kind, kv=f.kv,
                ts=f.ts, rx=f.rx, data=json.loads(f.payload)["data"],
            )
            for f in found
        ]  # fmt: skip
        return FactsOut(facts=out, next=readings.cursor(found[-1].cursor if found else at))

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
        rows = readings.devices()
        seen, fresh = beats.seen(rows), beats.fresh()
        return [
            _device(row, seen.get((row.device, row.app)), fresh.get((row.device, row.app)))
            for row in rows
        ]

    @router.get("/api/v1/dead")
    def dead(limit: Page = 100) -> DeadsOut:
        """Messages that could not be facts."""
        tally = readings.tally()
        by_reason = dead_by_reason(tally)
        letters = [
            DeadOut.model_validate(row, from_attributes=True) for row in readings.dead(limit)
        ]
        revived = sum(revived_by_reason(tally).values())
        return DeadsOut(
            count=sum(by_reason.values()), by_reason=by_reason, revived=revived, letters=letters
        )

    @router.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        """Prometheus text."""
        return Response(meters.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        """200 while every check passes, else 503; the body says which does not and why."""
        return JSONResponse(health.as_json(), 200 if health.ok else 503)

    return router


def _device(row: DeviceRow, seen: datetime | None, heard: Heard | None) -> DeviceOut:
    out = DeviceOut(**asdict(row), seen=rfc3339(seen) if seen else "")
    if heard is not None:
        beat = heard.beat
        out.waiting, out.mode = beat.waiting, beat.mode or None
        if beat.oldest is not None:
            out.oldest = rfc3339(heard.rx - (beat.clock - beat.oldest))
    return out
