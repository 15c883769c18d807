"""The door of every route that changes something: the operator's token.

Reading needs none; the gateway listens on the loopback.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import Header, Request
from starlette.responses import JSONResponse

from mocban.access import Refusal, bearer, same
from mocban.access import token as token_of

Guard = Callable[..., None]
"""A dependency of FastAPI that raises ``Refusal`` 401."""


def operator(data_dir: Path) -> Guard:
    """The dependency itself; ConfigError if the token cannot be had."""
    token = token_of(data_dir, "gateway")

    def guard(authorization: Annotated[str, Header()] = "") -> None:
        if not same(bearer(authorization), token):
            raise Refusal(
                401, "no-token", "this needs the operator's token",
                "send Authorization: Bearer with the content of gateway/keys/operator.token in the data folder",
            )  # fmt: skip

    return guard


async def refuse(_: Request, error: Exception) -> JSONResponse:
    """The answer to a ``Refusal``: register it as the handler of that exception."""
    assert isinstance(error, Refusal)
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else None
    return JSONResponse({"ok": False, "errors": [error.as_json()]}, error.status, headers)
