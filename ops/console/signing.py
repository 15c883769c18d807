"""A person's signatures over everything they were shown, made by ssh-keygen while it has the terminal to itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mocban import commands, identity, sshkeygen
from mocban.errors import ConfigError
from ops.console.feed import Body
from ops.runbooks.asks import NAMESPACE


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
    """Whether ``ask`` wants signed what it says: this step of this execution, then orders, and nothing else."""
    try:
        execution, (first, *orders) = detail["execution"], ask["documents"]
        body = first["body"]
        return bool(
            first["namespace"] == NAMESPACE
            and (body["v"], body["execution"], body["step"]) == (1, execution["id"], ask["step"])
            and body["playbook"] == execution["playbook"]["sha256"]
            and body["by"] == execution["by"]
            and all(one["namespace"] == commands.NAMESPACE for one in orders)
        )
    except (KeyError, TypeError, ValueError):
        return False


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
