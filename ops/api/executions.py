"""Executions over HTTP: begun, looked at, approved, denied, resumed, stopped."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from mocban.sshsig import SIGNATURE_MAX
from ops.api.guard import Guard
from ops.runbooks.engine import Engine

Name = Annotated[str, Field(min_length=1, max_length=64)]
Reason = Annotated[str, Field(max_length=500)]
State = Literal["open", "running", "waiting", "done", "failed", "stopped"]
"""``open`` means not over."""


class Begin(BaseModel):
    """What is begun, and by whom. ``dry``: only tell what would be done."""

    model_config = ConfigDict(extra="forbid")
    id: str = ""
    playbook: Annotated[str, Field(min_length=1, max_length=200)]
    by: Name
    variables: Annotated[dict[str, str], Field(max_length=200)] = {}
    incident: Annotated[int, Field(ge=1, le=2**53)] | None = None
    dry: bool = False


class Approve(BaseModel):
    """One person's signatures: one for each document of the ask, in order."""

    model_config = ConfigDict(extra="forbid")
    step: Annotated[str, Field(max_length=200)]
    by: Name
    signatures: Annotated[
        list[Annotated[str, Field(max_length=SIGNATURE_MAX)]], Field(max_length=200)
    ]


class Deny(BaseModel):
    """Who says no, and why."""

    model_config = ConfigDict(extra="forbid")
    step: Annotated[str, Field(max_length=200)]
    by: Name
    reason: Reason = ""


class Resume(BaseModel):
    """What became of a step that waits for a person's word."""

    model_config = ConfigDict(extra="forbid")
    step: Annotated[str, Field(max_length=200)]
    by: Name
    outcome: Literal["done", "failed", "retry"]
    reason: Reason = ""


class Stop(BaseModel):
    """Who stops it, and why."""

    model_config = ConfigDict(extra="forbid")
    by: Name
    reason: Reason = ""


def routes(engine: Engine, guard: Guard) -> APIRouter:
    """The router of all of it."""
    router = APIRouter(prefix="/api/v1/executions", dependencies=[Depends(guard)])

    @router.post("")
    async def begin(body: Begin) -> dict[str, Any]:
        """Begin a playbook; the same ``id`` again is the same execution. ``dry``: its steps, and nothing happens."""
        if body.dry:
            steps = await asyncio.to_thread(engine.dry, body.playbook, body.by, body.variables)
            return {"execution": None, "steps": steps}
        ident = await asyncio.to_thread(
            engine.begin, body.playbook, body.by, body.variables, body.incident, body.id
        )
        return {"execution": (await asyncio.to_thread(engine.execution, ident))["execution"]}

    @router.get("")
    def newest(
        state: State | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> dict[str, Any]:
        """Executions, newest first."""
        return {"executions": engine.executions(state, limit)}

    @router.get("/{execution}")
    def show(execution: str) -> dict[str, Any]:
        """One execution, its steps, its log, and what it asks."""
        return engine.execution(execution)

    @router.post("/{execution}/approve")
    def approve(execution: str, body: Approve) -> dict[str, Any]:
        """A person approves a step."""
        return {"execution": engine.approve(execution, body.step, body.by, body.signatures)}

    @router.post("/{execution}/deny")
    def deny(execution: str, body: Deny) -> dict[str, Any]:
        """A person does not approve: the step fails."""
        return {"execution": engine.deny(execution, body.step, body.by, body.reason)}

    @router.post("/{execution}/resume")
    def resume(execution: str, body: Resume) -> dict[str, Any]:
        """A person tells what became of a step."""
        return {
            "execution": engine.resume(execution, body.step, body.by, body.outcome, body.reason)
        }

    @router.post("/{execution}/stop")
    def stop(execution: str, body: Stop) -> dict[str, Any]:
        """No further step begins, and what was done is undone."""
        return {"execution": engine.stop(execution, body.by, body.reason)}

    return router
