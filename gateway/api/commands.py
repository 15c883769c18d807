"""Orders over HTTP: asked with the operator's token, looked at by everybody who may read."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse

from gateway.api.operator import Guard
from gateway.commands import Dispatch
from gateway.store.orders import OrderRow, SqliteOrders, State
from mocban import commands
from mocban.access import Refusal

BODY_MAX = 32_768
"""Longest ask, in bytes."""


class Ask(BaseModel):
    """What is asked for, and who approved it."""

    model_config = ConfigDict(extra="forbid")
    request: commands.Request
    approvals: Annotated[list[commands.Approval], Field(max_length=8)] = []


class OrderOut(BaseModel):
    """One order; a token among its arguments is not shown. ``result`` is the device's answer."""

    id: str
    by: str
    device: str
    app: str
    name: str
    args: dict[str, Any]
    approved: list[str]
    expires: str
    state: State
    epoch: str
    seq: int
    reason: str
    result: dict[str, Any]
    asked: str
    sent: str
    received: str
    answered: str


class OrdersOut(BaseModel):
    """Orders, newest first."""

    orders: list[OrderOut]


def routes(dispatch: Dispatch, orders: SqliteOrders, guard: Guard) -> APIRouter:
    """The router of all of it."""
    router = APIRouter()

    @router.post("/api/v1/commands", dependencies=[Depends(guard)], response_model=OrderOut)
    async def ask(request: Request) -> JSONResponse:
        """Ask for an order (201), or for one asked before (200): ``{"request": …, "approvals": […]}``."""
        body = _parse(await _body(request))
        row, new = await asyncio.to_thread(dispatch.ask, body.request, body.approvals)
        return JSONResponse(_out(row).model_dump(mode="json"), 201 if new else 200)

    @router.get("/api/v1/commands")
    def newest(
        state: State | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> OrdersOut:
        """The newest orders, in one state or in all."""
        return OrdersOut(orders=[_out(row) for row in orders.newest(limit, state)])

    @router.get("/api/v1/commands/{order}")
    def show(order: str) -> OrderOut:
        """One order."""
        row = orders.get(order)
        if row is None:
            raise Refusal(404, "order-unknown", "there is no such order")
        return _out(row)

    return router


async def _body(request: Request) -> bytes:
    """The whole body, if it is not too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX:
            raise Refusal(413, "too-long", f"an ask has at most {BODY_MAX} bytes")
    return body


def _parse(body: bytes) -> Ask:
    try:
        return Ask.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise Refusal(422, "usage", f"{where}: {first['msg']}"[:200], "see /openapi.json") from None


def _out(row: OrderRow) -> OrderOut:
    args = json.loads(row.request)["args"]
    if "token" in args:
        args["token"] = "…"  # noqa: S105  it hides one
    return OrderOut(
        id=row.id, by=row.asker, device=row.device, app=row.app, name=row.name, args=args,
        approved=row.persons.split(), expires=row.expires, state=row.state, epoch=row.epoch, seq=row.seq,
        reason=row.reason, result=json.loads(row.result), asked=row.asked, sent=row.sent,
        received=row.received, answered=row.answered,
    )  # fmt: skip
