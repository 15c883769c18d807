"""The doors of the API: the operator's token, and that of Alertmanager, which opens the webhook alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import Header

from mocban.access import Refusal, bearer, same, token

Guard = Callable[..., Any]
"""A dependency of FastAPI that raises ``Refusal`` 401."""
WEBHOOK = "webhook"
"""Name of Alertmanager's token."""


def operator(data_dir: Path) -> Guard:
    """Lets in who has the operator's token. ConfigError if that cannot be had."""
    return _guard({"operator": token(data_dir, "ops")})


def webhook(data_dir: Path) -> Guard:
    """Lets in who has Alertmanager's token, or the operator's. ConfigError if they cannot be had."""
    return _guard({WEBHOOK: token(data_dir, "ops", WEBHOOK), "operator": token(data_dir, "ops")})


def _guard(tokens: dict[str, str]) -> Guard:
    name = next(iter(tokens))

    async def guard(authorization: Annotated[str, Header()] = "") -> None:
        given = bearer(authorization)
        # Each is compared: the time taken tells nothing.
        found = [same(given, one) for one in tokens.values()]
        if not any(found):
            raise Refusal(
                401, "no-token", f"this needs the {name}'s token",
                f"send Authorization: Bearer with the content of ops/keys/{name}.token in the data folder",
            )  # fmt: skip

    return guard
