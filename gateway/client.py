"""The gateway's API as commands on its machine use it."""

from __future__ import annotations

from pathlib import Path

from gateway.settings import GatewaySettings
from mocban import access, config
from mocban.asking import Service


class Client(Service):
    """Speaks to the gateway this machine's configuration describes."""

    def __init__(self, path: Path | None, url: str = "") -> None:
        self.config = config.load("gateway", GatewaySettings, path)
        settings = self.config.app
        # A certificate names the public address; without one, the shortest way is the safest.
        own = settings.address if settings.tls_cert else settings.own_address
        # Whoever runs this may be another user than the service: only that one makes its secrets.
        super().__init__(
            "gateway", url or own,
            lambda: access.token(self.config.data_dir, "gateway", make=False), self.config.ca_file,
        )  # fmt: skip
