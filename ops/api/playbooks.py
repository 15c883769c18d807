"""Playbooks over HTTP: those of this house, and what is wrong with them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from ops.api.guard import Guard
from ops.runbooks.library import Library


def routes(library: Library, guard: Guard) -> APIRouter:
    """The router of all of it."""
    router = APIRouter(prefix="/api/v1/playbooks", dependencies=[Depends(guard)])

    @router.get("")
    def every() -> dict[str, Any]:
        """Each playbook: the owner's, then the shipped ones."""
        return {"playbooks": [one.as_json() for one in library.all()]}

    @router.get("/{name}")
    def show(name: str) -> dict[str, Any]:
        """One playbook, by name or id: the document itself."""
        found = library.find(name)
        return {
            **found.as_json(),
            "playbook": dict(found.playbook.body) if found.playbook else None,
        }

    return router
