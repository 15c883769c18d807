"""Errors by *whose fault* and *retry or not*; the supervisor's policy is the order of its ``except`` clauses.

Every error carries a stable ``code``, a sentence ``say`` (what happened) and a sentence ``do`` (what to do next).
Neither sentence may name a patron. A concrete class inherits one fault and one duration.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    NO = 1
    USAGE = 2
    PARTLY = 3
    UNREACHABLE = 4
    OURS = 70


class MocbanError(Exception):
    """Root of all our errors; ``exit`` is what a command ends with when nobody catches it."""

    code = "error"
    exit = Exit.OURS

    def __init__(self, say: str, do: str = "", *, code: str | None = None) -> None:
        super().__init__(say)
        self.say = say
        self.do = do
        if code is not None:
            self.code = code

    def as_json(self) -> dict[str, str]:
        """``{"code", "say", "do"}``, the shape every ``--json`` answer uses."""
        return {"code": self.code, "say": self.say, "do": self.do}


class LocalFault(MocbanError):
    """This box or this code is at fault: configuration, disk, programming."""


class RemoteFault(MocbanError):
    """The other side is at fault: a reader, a library system, a broker."""

    exit = Exit.UNREACHABLE


class Transient(MocbanError):
    """May go away by itself: retry with back-off."""


class Permanent(MocbanError):
    """Will not go away by itself: do not retry."""


class ConfigError(LocalFault, Permanent):
    """Wrong or missing configuration, a missing package, a port in use."""

    code = "config"
    exit = Exit.USAGE


class StorageError(LocalFault, Transient):
    """A database or folder cannot be read or written (full disk, read-only, locked)."""

    code = "storage"


class LocalProtocolError(LocalFault, Permanent):
    """We tried to say something the protocol does not allow: a bug of ours."""

    code = "local-protocol"


class RemoteProtocolError(RemoteFault, Permanent):
    """The other side sent something the protocol does not allow."""

    code = "remote-protocol"


class PeerUnreachable(RemoteFault, Transient):
    """No connection, connection lost, or no answer in time."""

    code = "peer-unreachable"


class DeviceLost(PeerUnreachable):
    """A reader, gate or printer went away."""

    code = "device-lost"
