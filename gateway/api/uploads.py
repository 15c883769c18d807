"""Log uploads over HTTP: a device puts with the token of its order, the operator reads."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel
from starlette.responses import FileResponse

from gateway.api.operator import Guard
from gateway.uploads import Uploads
from mocban.access import Refusal, bearer
from mocban.clock import rfc3339


class UploadOut(BaseModel):
    """One collection of logs: its order, its bytes, when it came."""

    order: str
    size: int
    at: str


class UploadsOut(BaseModel):
    """Uploads, newest first."""

    uploads: list[UploadOut]


def routes(uploads: Uploads, guard: Guard) -> APIRouter:
    """The router of all of it."""
    router = APIRouter()

    @router.put("/api/v1/uploads/{order}", status_code=201)
    async def put(
        order: str, request: Request,
        authorization: Annotated[str, Header()] = "",
        content_length: Annotated[int | None, Header(ge=0)] = None,
    ) -> dict[str, int]:  # fmt: skip
        """Gzipped JSON lines, once for each order."""
        taking = await asyncio.to_thread(
            uploads.intake, order, bearer(authorization), content_length
        )
        with taking:
            async for chunk in request.stream():
                taking.write(chunk)
            size = await asyncio.to_thread(taking.keep)
        return {"size": size}

    @router.get("/api/v1/uploads")
    def listed() -> UploadsOut:
        """What is here."""
        found = [
            UploadOut(order=one.order, size=one.size, at=rfc3339(one.at)) for one in uploads.all()
        ]
        return UploadsOut(uploads=found)

    @router.get("/api/v1/uploads/{order}", dependencies=[Depends(guard)])
    def show(order: str) -> FileResponse:
        """One of them, as it came."""
        path = uploads.path(order)
        if path is None:
            raise Refusal(404, "upload-unknown", "there is no such upload")
        return FileResponse(path, media_type="application/gzip", filename=path.name)

    return router
