"""Who may change something, and how the API says no."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

from mocban import identity
from mocban.errors import LocalFault, Permanent
from mocban.ids import new_id

_BEARER = re.compile(r"[Bb]earer +([0-9a-f]{32,128})")


class Refusal(LocalFault, Permanent):
    """``status`` is that of HTTP; the body has the shape of every ``--json`` error."""

    def __init__(self, status: int, code: str, say: str, do: str = "") -> None:
        super().__init__(say, do, code=code)
        self.status = status


def token_file(data_dir: Path, app: str, name: str = "operator") -> Path:
    """Where the token ``name`` of the service ``app`` lies: only its user reads it."""
    return data_dir / app / "keys" / f"{name}.token"


def token(data_dir: Path, app: str, name: str = "operator", *, make: bool = True) -> str:
    """What stands in ``token_file``; if there is none, a new one, or "" unless ``make``.

    ConfigError if it cannot be had.
    """
    path = token_file(data_dir, app, name)
    try:
        if not make and not path.exists():
            return ""
    except OSError:
        pass  # said below
    return identity.secret_file(path, lambda: (new_id() + new_id()).encode()).decode()


def bearer(header: str) -> str:
    """The token in an Authorization header, empty if there is none."""
    found = _BEARER.fullmatch(header.strip())
    return found[1] if found else ""


def same(one: str, other: str) -> bool:
    """Whether two tokens are equal, in a time that tells nothing about them."""
    return hmac.compare_digest(one.encode(), other.encode())
