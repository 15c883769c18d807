"""What mosquitto_passwd writes for a password, but the same every time: a second run must change nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

ROUNDS = 1000
"""The passwords are made by a machine: no number of rounds would help one that can be guessed."""


def mosquitto_hash(password: str, user: str) -> str:
    """The second field of a line of mosquitto's password file: PBKDF2 with SHA-512, its salt drawn from both words."""
    salt = base64.b64encode(hmac.digest(password.encode(), user.encode(), "sha256")[:12]).decode()
    return f"$7${ROUNDS}${salt}${pbkdf2(password, salt, ROUNDS)}"


def pbkdf2(password: str, salt: str, rounds: int) -> str:
    """The hash alone; it and the salt are base64."""
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), rounds)
    return base64.b64encode(made).decode()


class FilterModule:
    """Ansible's way to find filters."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """The filters by name."""
        return {"mosquitto_hash": mosquitto_hash}
