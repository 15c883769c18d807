"""Asking one of our services over HTTP: its operator's token, and one sentence for whatever goes wrong. Synchronous."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mocban.errors import ConfigError, Exit, MocbanError, PeerUnreachable

T = TypeVar("T")
TIMEOUT = 10.0
"""Seconds one answer may take."""
ANSWER_MAX = 16 * 1024 * 1024
"""Longest answer taken, in bytes."""
_EXITS = {400: Exit.USAGE, 401: Exit.USAGE, 404: Exit.NO, 413: Exit.USAGE, 422: Exit.USAGE}


class Told(MocbanError):
    """The service said no, in its own words; ``status`` is that of HTTP."""

    def __init__(self, status: int, error: dict[str, str]) -> None:
        super().__init__(error["say"], error.get("do", ""), code=error["code"])
        self.status = status
        self.exit = Exit.UNREACHABLE if status >= 500 else _EXITS.get(status, Exit.NO)


class Service:
    """``name`` at ``url``. ``token`` is asked for at each call that changes something; ``private``: at every call.

    ConfigError for a bad address.
    PeerUnreachable: nobody answers. ``Told``: it said no.
    """

    def __init__(
        self, name: str, url: str, token: Callable[[], str], ca_file: Path | None = None,
        *, private: bool = False,
    ) -> None:  # fmt: skip
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"{url} is no address of a service", "it reads https://host:port")
        self.name = name
        self.url = url.rstrip("/")
        self._token = token
        self._private = private
        self._tls = ssl.create_default_context(cafile=ca_file) if url.startswith("https:") else None

    def get(
        self, path: str, timeout: float = TIMEOUT, *, authorized: bool = False
    ) -> dict[str, Any]:
        """The answer to a question; ``authorized``: asked in the operator's name."""
        headers = {"authorization": f"Bearer {self._token()}"} if authorized else {}
        return self._ask(urllib.request.Request(self.url + path, headers=headers), timeout, dict)

    def rows(self, path: str, timeout: float = TIMEOUT) -> list[Any]:
        """The answer to a question that is answered by a list."""
        return self._ask(urllib.request.Request(self.url + path), timeout, list)

    def post(self, path: str, body: dict[str, Any], timeout: float = TIMEOUT) -> dict[str, Any]:
        """The answer to something asked for in the operator's name."""
        headers = {
            "authorization": f"Bearer {self._token()}",
            "content-type": "application/json",
        }
        data = json.dumps(body).encode()
        return self._ask(
            urllib.request.Request(self.url + path, data=data, headers=headers, method="POST"),
            timeout,
            dict,
        )

    def _ask(self, request: urllib.request.Request, timeout: float, shape: Callable[[Any], T]) -> T:
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self._tls) as answer:
                body = answer.read(ANSWER_MAX + 1)
                if len(body) > ANSWER_MAX:
                    raise ValueError
                return shape(json.loads(body))
        except urllib.error.HTTPError as error:
            with error:
                raise self._told(error) from None
        except (OSError, ValueError, TypeError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise ConfigError(
                    f"{self.url} cannot prove itself: {reason.verify_message}",
                    "set ca_file and the address its certificate names",
                ) from error
            raise PeerUnreachable(
                f"no {self.name} answers at {self.url}", "start it, or name another with --url"
            ) from error

    def _told(self, error: urllib.error.HTTPError) -> Told:
        try:
            first = dict(json.loads(error.read())["errors"][0])
            return Told(error.code, first)
        except (ValueError, KeyError, TypeError, IndexError):
            say = f"the {self.name} answered {error.code}"
            return Told(error.code, {"code": "http", "say": say, "do": "look at its log"})
