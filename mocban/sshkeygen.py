"""A person signs with their SSH key through the real ssh-keygen; the key never leaves it or the agent."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mocban.errors import ConfigError


def sign(key: Path, message: bytes, namespace: str) -> str:
    """The armoured SSHSIG over ``message``. ``key``: a private key, or its ``.pub`` if an agent holds it.

    ssh-keygen asks its owner for a passphrase by itself. ConfigError if it is missing or does not sign.
    """
    try:
        done = subprocess.run(
            ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(key)],
            input=message, capture_output=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise ConfigError(
            "ssh-keygen is missing", "install the package openssh-client", code="missing-package"
        ) from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigError(
            f"{key} does not sign: {why[-1] if why else 'ssh-keygen gives no reason'}",
            "name an Ed25519 key of yours, or its .pub with the key in your agent",
        )
    return done.stdout.decode()
