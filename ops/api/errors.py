"""How the API says no: always ``{"ok": false, "errors": [{"code", "say", "do"}]}``."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from mocban import log
from mocban.access import Refusal
from mocban.errors import StorageError

_log = log.get("ops.api")


def said(code: str, say: str, do: str = "") -> dict[str, Any]:
    """The body."""
    return {"ok": False, "errors": [{"code": code, "say": say, "do": do}]}


def register(app: FastAPI) -> None:
    """Every error of the API in our shape."""

    async def refuse(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refusal)
        headers = {"www-authenticate": "Bearer"} if error.status == 401 else None
        return JSONResponse({"ok": False, "errors": [error.as_json()]}, error.status, headers)

    async def storage(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StorageError)
        return JSONResponse({"ok": False, "errors": [error.as_json()]}, 503)

    async def usage(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = next((str(part) for part in first["loc"][1:]), "body")
        what = first["msg"].removeprefix("Value error, ")
        return JSONResponse(said("usage", f"{where}: {what}"[:300], "see /openapi.json"), 422)

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return JSONResponse(
            said("http", str(error.detail), "see /openapi.json"), error.status_code, error.headers
        )

    async def bug(_: Request, error: Exception) -> JSONResponse:
        _log.error("api.fault", why=type(error).__name__)
        say = f"this is a fault of mocban ({type(error).__name__})"
        return JSONResponse(said("bug", say, "send the log to those who maintain it"), 500)

    app.add_exception_handler(Exception, bug)
    app.add_exception_handler(Refusal, refuse)
    app.add_exception_handler(StorageError, storage)
    app.add_exception_handler(RequestValidationError, usage)
    app.add_exception_handler(HTTPException, http)
