"""How the demo asks its services: is it there, is it ready, what does it say. Synchronous."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import Any

from mocban.errors import PeerUnreachable

HOST = "127.0.0.1"


def listens(port: int) -> bool:
    """Somebody takes connections there."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((HOST, port)) == 0


def ready(port: int) -> bool:
    """A service of ours there has said that it is ready."""
    try:
        return bool(get_json(f"http://{HOST}:{port}/healthz").get("ready"))
    except PeerUnreachable:
        return False


def answers(url: str) -> bool:
    """A foreign service says yes."""
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def get(
    url: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> bytes:
    """GET, or POST ``body`` as JSON; PeerUnreachable on any failure."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"content-type": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bytes(answer.read(1 << 22))
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(1 << 16)
        if error.code == 503:  # healthz of a service that is not well yet
            return text
        raise PeerUnreachable(f"{url} answers {error.code}: {text[:200]!r}") from None
    except OSError as error:
        raise PeerUnreachable(f"{url} does not answer: {error}") from None


def get_json(
    url: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """As ``get``, decoded."""
    try:
        found = json.loads(get(url, body, headers))
    except ValueError as error:
        raise PeerUnreachable(f"{url} does not answer in JSON") from error
    return found if isinstance(found, dict) else {"value": found}
