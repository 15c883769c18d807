"""Somebody of the staff who approves orders, for the tests of orders."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mocban import commands


class Person:
    """Somebody with an SSH key, signing with the real ssh-keygen."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which("ssh-keygen") is None:
            pytest.skip("NOT TESTED: approvals, ssh-keygen is missing (apt install openssh-client)")
        self.name = name
        self.key = folder / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.key)],
            check=True,
        )
        self.line = self.key.with_suffix(".pub").read_text()

    def sign(self, message: bytes, namespace: str = commands.NAMESPACE) -> str:
        """The signature as it stands in an approval."""
        return subprocess.run(
            ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(self.key)],
            input=message, capture_output=True, check=True,
        ).stdout.decode()  # fmt: skip

    def approves(self, request: commands.Request) -> commands.Approval:
        """This person's approval of ``request``."""
        return commands.Approval(by=self.name, sig=self.sign(request.canonical()))
