"""Ids and randomness: the one place that draws random numbers."""

from __future__ import annotations

import re
import secrets
import uuid
from random import SystemRandom
from typing import Annotated

from pydantic import AfterValidator

_FACTS = uuid.UUID("6d6f6362-616e-5001-8000-66616374732e")  # our namespace for derived fact ids
_DEVICE = re.compile(r"[a-z0-9-]{3,32}")
_random = SystemRandom()


def check_device(name: str) -> str:
    """``name`` if it is a device id ``[a-z0-9-]{3,32}``; ValueError if not."""
    if not _DEVICE.fullmatch(name):
        raise ValueError("a device id is 3 to 32 characters of a-z, 0-9 and -")
    return name


DeviceId = Annotated[str, AfterValidator(check_device)]


def fact_id(device: str, *key: str | int) -> uuid.UUID:
    """The derived id of a fact: UUIDv5 over its device and natural key, so telling twice is telling once."""
    return uuid.uuid5(_FACTS, "\x1f".join((device, *map(str, key))))


def new_epoch() -> str:
    """A random 64-bit outbox generation as 16 hex digits."""
    return secrets.token_hex(8)


def new_id() -> str:
    """A random id (sessions, tokens) as 32 hex digits."""
    return secrets.token_hex(16)


def pick(below: int) -> int:
    """A random whole number in [0, below)."""
    return _random.randrange(below)


def jitter(seconds: float) -> float:
    """A random share of ``seconds`` in (0, seconds]: full jitter for back-off."""
    return seconds * (1.0 - _random.random())
