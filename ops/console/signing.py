"""A person's signatures over everything they were shown, made by ssh-keygen while it has the terminal to itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mocban import identity, sshkeygen
from mocban.errors import ConfigError, RemoteProtocolError
from ops.console.feed import Body
from ops.runbooks.signing import check


class Interrupted(Exception):
    """The person stopped it."""


def sign(documents: Sequence[Body], key: Path) -> list[str]:
    """One signature for each document, in order. ConfigError, ``Interrupted``."""
    stopped: list[int] = []
    made: list[str] = []
    with _heard(stopped):
        for one in documents:
            try:
                made.append(sshkeygen.sign(key, identity.canonical(one["body"]), one["namespace"]))
            except ConfigError:
                if stopped:
                    raise Interrupted from None
                raise
            if stopped:
                raise Interrupted
    return made


def right(detail: Body, ask: Body) -> bool:
    """Whether ``ask`` wants signed what it says: this step, its commands as shown, and nothing else."""
    try:
        check(detail, ask)
    except (RemoteProtocolError, KeyError, TypeError, ValueError):
        return False
    return True


def usual() -> str:
    """The key most people have, if it is there; else ""."""
    folder = Path.home() / ".ssh"
    for name in ("id_ed25519", "id_ed25519.pub"):
        if (folder / name).exists():
            return str(folder / name)
    return ""


@contextmanager
def _heard(stopped: list[int]) -> Iterator[None]:
    """Ctrl-C ends ssh-keygen, which shares our terminal, and not the console. Only in the main thread."""
    try:
        before = signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
