"""The demo's persons: who approves orders and who stands at the gate. Their SSH keys lie in the demo's folder."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

NAMES = ("lan", "minh")


def keys(folder: Path) -> dict[str, str]:
    """Name to public key line; keys that are not there yet are made in ``folder``, as ssh-keygen makes them."""
    folder.mkdir(mode=0o700, exist_ok=True)
    return {name: _public(folder / name) for name in NAMES}


def _public(path: Path) -> str:
    if path.exists():
        key = load_ssh_private_key(path.read_bytes(), None)
    else:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
