"""Alertmanager's webhook (version 4): stored before it is answered, so that what it was told 200 is never lost.

Alertmanager repeats what is answered 5xx or not at all, and gives up on 4xx: 503 when the disk refuses, 400 only for
what can never be read. Of a delivery with damaged alerts the sound ones are kept.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mocban import log
from mocban.access import Refusal
from mocban.clock import Clock
from mocban.errors import StorageError
from mocban.health import Health
from ops.api.guard import Guard
from ops.incidents.meters import Meters
from ops.incidents.model import Signal
from ops.incidents.signals import of_alert
from ops.incidents.store import Store

BODY_MAX = 1024 * 1024
"""Longest delivery, in bytes."""
ALERTS_MAX = 1000
"""Most alerts taken of one delivery; the rest counts as truncated."""
LEFT_OUT_MAX = 1_000_000
"""Most alerts believed to be left out."""
_log = log.get("ops.alerts")


def _sound(text: str) -> str:
    """``text`` if it can be written down; ValueError for half a character."""
    text.encode()
    return text


Text = Annotated[str, Field(max_length=10_000), AfterValidator(_sound)]
Note = Annotated[str, AfterValidator(lambda text: _sound(text[:10_000]))]
"""Cut, not refused: nobody's words are long enough to lose an alert for."""


class Alert(BaseModel):
    """One alert of a delivery, as far as it matters here."""

    model_config = ConfigDict(extra="ignore", strict=True)
    status: Annotated[str, Field(pattern=r"^(firing|resolved)$")]
    labels: Annotated[dict[Text, Text], Field(max_length=100)]
    annotations: Annotated[dict[Text, Note], Field(max_length=100)] = {}
    startsAt: Text  # noqa: N815  their names
    endsAt: Text = ""  # noqa: N815
    fingerprint: Text = ""


class AlertsOut(BaseModel):
    """What became of a delivery. ``truncated``: left out by Alertmanager, or above our limit."""

    ok: bool = True
    new: int
    known: int
    malformed: int
    truncated: int
    incidents: list[int]


def routes(store: Store, meters: Meters, health: Health, clock: Clock, guard: Guard) -> APIRouter:
    """``POST /api/v1/alerts``."""
    router = APIRouter()

    @router.post("/api/v1/alerts", dependencies=[Depends(guard)])
    async def alerts(request: Request) -> AlertsOut:
        """A delivery: each alert is a signal, known by fingerprint, start and status."""
        began, outcome = clock.mono(), "failed"
        try:
            out = await _take(request)
            outcome = "stored"
            health.check("store", True)
            return out
        except Refusal:
            outcome = "refused"
            raise
        except StorageError as error:
            health.check("store", False, error.say)
            raise
        finally:
            meters.webhook.labels(outcome).observe(clock.mono() - began)

    async def _take(request: Request) -> AlertsOut:
        found, left_out = _read(await body_of(request, BODY_MAX))
        truncated = left_out + max(0, len(found) - ALERTS_MAX)
        signals, malformed = [], 0
        for raw in found[:ALERTS_MAX]:
            try:
                signals.append(_signal(Alert.model_validate(raw), clock))
            except ValueError:  # pydantic's error is one
                malformed += 1
        if malformed:
            meters.malformed.inc(malformed)
            _log.error("alerts.malformed", amount=malformed, of=len(found))
        if truncated:
            meters.truncated.inc(truncated)
            _log.warning("alerts.truncated", amount=truncated)
        if malformed and not signals:
            raise Refusal(
                400, "bad-alerts", f"none of {malformed} alerts can be read",
                "send what Alertmanager's webhook sends, version 4",
            )  # fmt: skip
        taken = await asyncio.to_thread(store.take, signals, truncated)
        return AlertsOut(
            new=taken.new, known=taken.known, malformed=malformed, truncated=truncated, incidents=list(taken.incidents)
        )  # fmt: skip

    return router


async def body_of(request: Request, most: int) -> bytes:
    """The request's body. Refusal 413 as soon as it is longer than ``most``."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Refusal(
                413, "too-long", f"more than {most} bytes", "set max_alerts in Alertmanager's receiver",
            )  # fmt: skip
    return bytes(body)


def _read(body: bytes) -> tuple[list[Any], int]:
    """The alerts of a delivery, not yet judged, and how many Alertmanager left out. Refusal 400 if it is none."""
    try:
        delivery = json.loads(body)
        found, left_out = delivery["alerts"], delivery.get("truncatedAlerts", 0)
        if not isinstance(found, list) or not isinstance(left_out, int) or left_out < 0:
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        raise Refusal(
            400, "bad-delivery", "this is no delivery of Alertmanager",
            "send what its webhook sends, version 4: a JSON object with alerts",
        ) from None  # fmt: skip
    return found, min(left_out, LEFT_OUT_MAX)


def _signal(alert: Alert, clock: Clock) -> Signal:
    return of_alert(
        alert.status, alert.labels, alert.annotations, alert.startsAt, alert.endsAt, alert.fingerprint, clock.now()
    )  # fmt: skip
