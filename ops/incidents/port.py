"""What runbooks and incidents know of each other, and of whoever tells facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mocban.events import Audited


class Chronicle(Protocol):
    """An incident's timeline, as others may write to it. From any thread; StorageError if the disk refuses."""

    def add(self, incident: int, actor: str, what: str, ref: str = "", **args: str) -> None:
        """One more entry. ``ref`` names the happening: told twice, it stands there once. No such incident: nothing."""
        ...

    def knows(self, incident: int) -> bool:
        """There is such an incident."""
        ...

    def attach(self, incident: int, execution: str) -> None:
        """``execution`` works on ``incident``."""
        ...


class Starter(Protocol):
    """Whoever begins a playbook. From any thread."""

    def begin(
        self, playbook: str, by: str, variables: Mapping[str, str], incident: int | None = None, id: str = "",  # noqa: A002
    ) -> str:  # fmt: skip
        """The execution's id; the same ``id`` again is the same execution.

        Refusal if there is no such playbook, it is not signed, or a variable is missing; StorageError.
        """
        ...


class Teller(Protocol):
    """Where ``audited`` facts go, durably. From any thread."""

    def tell(self, fact: Audited) -> None:
        """Telling twice (same ref and action) is telling once."""
        ...
