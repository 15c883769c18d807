"""Dead letters judged anew after an upgrade."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from gateway.letters import Desk
from gateway.store.port import Outcome, Revived, Store
from mocban.events import Audited
from mocban.ids import new_id

PAGE = 200
"""Dead letters in one transaction: between two of them facts come in."""


class ReplayOut(BaseModel):
    """How many were tried, and what became of them."""

    ok: bool
    tried: int
    new: int
    duplicate: int
    still_dead: int


def routes(
    store: Store,
    desk: Desk,
    tell: Callable[[Audited], None],
    on_outcome: Callable[[Outcome], None],
    guard: Callable[..., None],
) -> APIRouter:
    """``POST /api/v1/dead/replay``; ``guard`` refuses whoever may not, ``tell`` keeps the audit."""
    router = APIRouter()

    @router.post("/api/v1/dead/replay", dependencies=[Depends(guard)])
    async def replay() -> ReplayOut:
        """Judge every dead letter anew. What is a fact now is stored at its old place with its arrival of then."""
        done: list[Revived] = []
        while not done or done[-1].tried == PAGE:
            after = done[-1].last if done else 0
            done.append(await asyncio.to_thread(store.revive, desk.reread, PAGE, after))
            page = done[-1]
            on_outcome(Outcome(new=page.new, changed=bool(page.new), orders=page.orders))
        new, duplicate = sum(page.new for page in done), sum(page.duplicate for page in done)
        still = sum(page.still_dead for page in done)
        said = f"{new} new, {duplicate} duplicate, {still} still dead"
        fact = Audited(ref=new_id(), actor="app:gateway", action="dead-replayed", object=said)
        await asyncio.to_thread(tell, fact)
        return ReplayOut(
            ok=True, tried=new + duplicate + still, new=new, duplicate=duplicate, still_dead=still
        )

    return router
