"""The API of operations as commands and console on its machine use it, and who asks it."""

from __future__ import annotations

import re
from pathlib import Path

from mocban import access, config
from mocban.asking import Service
from mocban.cli import user
from mocban.errors import ConfigError
from ops.settings import OpsSettings

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


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


def person(by: str = "") -> str:
    """``person:NAME`` of ``by``, or of the shell's user. ConfigError if that is no name."""
    name = by.removeprefix("person:").strip().lower() or user()
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{by[:40]} is no name" if by else "it is not known who you are",
            "write --by NAME: small letters, digits, . _ -", code="usage",
        )  # fmt: skip
    return f"person:{name}"
