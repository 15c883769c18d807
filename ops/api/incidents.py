"""Incidents over HTTP: what people report, see and do."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mocban.clock import Clock
from mocban.ids import DeviceId, new_id
from ops.api.guard import Guard
from ops.incidents.model import Kind
from ops.incidents.signals import of_report
from ops.incidents.store import Store

NOTE_MAX = 2000
"""Longest note, in characters."""
NO_MAX = 2**53
Person = Annotated[str, Field(pattern=r"^person:[a-z0-9][a-z0-9._-]{0,31}$")]
State = Literal["open", "acked", "resolved"]


def _clean(text: str) -> str:
    """``text`` without control characters."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text).strip()


def _legible(text: str) -> str:
    """The same; ValueError if nothing is left."""
    clean = _clean(text)
    if not clean:
        raise ValueError("it says nothing")
    return clean


def _of_people(kind: Kind) -> Kind:
    if kind == "alert":
        raise ValueError("only Alertmanager tells of that; leave it out")
    return kind


class Report(BaseModel):
    """What a person saw. The same ``id`` again is the same report."""

    model_config = ConfigDict(extra="forbid")
    id: UUID | None = None
    by: Person
    say: Annotated[str, Field(max_length=300), AfterValidator(_legible)]
    device: DeviceId | Literal[""] = ""
    kind: Annotated[Kind, AfterValidator(_of_people)] = "reported"


class Act(BaseModel):
    """Who acknowledges or resolves."""

    model_config = ConfigDict(extra="forbid")
    by: Person
    text: Annotated[str, Field(max_length=NOTE_MAX), AfterValidator(_clean)] = ""


class Note(BaseModel):
    """Something worth knowing. The same ``id`` again is the same note."""

    model_config = ConfigDict(extra="forbid")
    id: UUID | None = None
    by: Person
    text: Annotated[str, Field(max_length=NOTE_MAX), AfterValidator(_legible)]


def routes(store: Store, clock: Clock, guard: Guard) -> APIRouter:
    """The router of all of it."""
    router = APIRouter(dependencies=[Depends(guard)])

    @router.post("/api/v1/reports")
    def report(body: Report) -> dict[str, Any]:
        """A person's report opens an incident, or joins the one that stands open about it."""
        ident = str(body.id or UUID(new_id()))
        signal = of_report(ident, body.by, body.say, body.device, body.kind, clock.now())
        store.take([signal])
        incident = store.of_signal(signal.id)
        assert incident is not None
        return {"incident": incident.as_json()}

    @router.get("/api/v1/incidents")
    def incidents(
        state: State | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> dict[str, Any]:
        """Newest first; ``open`` means not resolved."""
        return {"incidents": [one.as_json() for one in store.incidents(state, limit)]}

    @router.get("/api/v1/incidents/{no}")
    def incident(no: int) -> dict[str, Any]:
        """One, with its timeline."""
        one, entries = store.incident(_bounded(no))
        return {"incident": one.as_json(), "timeline": [entry.as_json() for entry in entries]}

    @router.post("/api/v1/incidents/{no}/ack")
    def ack(no: int, body: Act) -> dict[str, Any]:
        """``by`` sees to it; 409 ``already`` if it is resolved."""
        return {"incident": store.ack(_bounded(no), body.by).as_json()}

    @router.post("/api/v1/incidents/{no}/note")
    def note(no: int, body: Note) -> dict[str, Any]:
        """A line in its timeline, also after it is resolved."""
        ident = str(body.id or UUID(new_id()))
        return {"incident": store.note(_bounded(no), body.by, body.text, ident).as_json()}

    @router.post("/api/v1/incidents/{no}/resolve")
    def resolve(no: int, body: Act) -> dict[str, Any]:
        """It is dealt with; 409 ``already`` if another person resolved it."""
        one = store.resolve(_bounded(no), body.by, body.text)
        return {"incident": one.as_json()}

    return router


def _bounded(number: int) -> int:
    """A number that the database takes; beyond, there is no such incident anyway."""
    return max(0, min(number, NO_MAX))
