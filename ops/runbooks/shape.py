"""JSON values taken for what they should be: what is not has the empty value of its kind. Pure."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from mocban.clock import parse_rfc3339


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """A JSON array."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """A text."""
    return value if isinstance(value, str) else ""


def maybe(value: Any) -> str | None:
    """A text, or nothing."""
    return value if isinstance(value, str) else None


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a JSON array."""
    return tuple(one for one in items(value) if isinstance(one, str))


def seconds(value: Any) -> float | None:
    """A time span in seconds; CACAO counts milliseconds."""
    return value / 1000 if type(value) is int and 0 <= value <= 2**53 else None


def decoded(value: Any) -> str | None:
    """What base64 of UTF-8 says."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (TypeError, ValueError, binascii.Error):
        return None


def moment(value: Any) -> datetime | None:
    """A moment as RFC 3339 writes it."""
    try:
        return parse_rfc3339(value)
    except (TypeError, ValueError):
        return None
