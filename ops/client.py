"""The API of operations as commands and console on its machine use it."""

from __future__ import annotations

from pathlib import Path

from mocban import access, config
from mocban.asking import Service
from ops.settings import OpsSettings


class Client(Service):
    """Speaks to the service this machine's configuration describes."""

    def __init__(self, path: Path | None, url: str = "") -> None:
        self.config = config.load("ops", OpsSettings, path)
        # Whoever runs this may be another user than the service: only that one makes its secrets.
        super().__init__(
            "operations service", url or self.config.app.own_address,
            lambda: access.token(self.config.data_dir, "ops", make=False), self.config.ca_file,
            private=True,
        )  # fmt: skip
