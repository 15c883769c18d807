"""The gateway's API as commands on its machine use it: the operator's token, one sentence for whatever goes wrong."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from gateway.access import operator_token
from gateway.settings import GatewaySettings
from mocban import config
from mocban.errors import ConfigError, Exit, MocbanError, PeerUnreachable

TIMEOUT = 10.0
"""Seconds one answer may take."""
_EXITS = {400: Exit.USAGE, 401: Exit.USAGE, 404: Exit.NO, 413: Exit.USAGE, 422: Exit.USAGE}


class Told(MocbanError):
    """The gateway said no, in its own words."""

    def __init__(self, status: int, error: dict[str, str]) -> None:
        super().__init__(error["say"], error.get("do", ""), code=error["code"])
        self.exit = Exit.UNREACHABLE if status >= 500 else _EXITS.get(status, Exit.NO)


class Client:
    """Speaks to the gateway this machine's configuration describes."""

    def __init__(self, path: Path | None, url: str = "") -> None:
        self.config = config.load("gateway", GatewaySettings, path)
        settings = self.config.app
        # A certificate names the public address; without one, the shortest way is the safest.
        own = settings.address if settings.tls_cert else settings.own_address
        self.url = (url or own).rstrip("/")
        self._tls = (
            ssl.create_default_context(cafile=self.config.ca_file)
            if self.url.startswith("https:")
            else None
        )

    def get(self, path: str) -> dict[str, Any]:
        """The answer to a question."""
        return self._ask(urllib.request.Request(self.url + path))

    def post(self, path: str, body: dict[str, Any], timeout: float = TIMEOUT) -> dict[str, Any]:
        """The answer to something asked for in the operator's name."""
        # Whoever runs this may be another user than the service: only that one makes its secrets.
        token = operator_token(self.config.data_dir, make=False)
        headers = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
        }
        data = json.dumps(body).encode()
        return self._ask(
            urllib.request.Request(self.url + path, data=data, headers=headers, method="POST"),
            timeout,
        )

    def _ask(self, request: urllib.request.Request, timeout: float = TIMEOUT) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self._tls) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                raise _told(error) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise ConfigError(
                    f"{self.url} cannot prove itself: {reason.verify_message}",
                    "set ca_file and public_url",
                ) from error
            raise PeerUnreachable(
                f"no gateway answers at {self.url}", "start it, or name another with --url"
            ) from error


def _told(error: urllib.error.HTTPError) -> Told:
    try:
        first = dict(json.loads(error.read())["errors"][0])
        return Told(error.code, first)
    except (ValueError, KeyError, TypeError, IndexError):
        say = f"the gateway answered {error.code}"
        return Told(error.code, {"code": "http", "say": say, "do": "look at its log"})
