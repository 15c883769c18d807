"""What to do next. One effect per phase, one event per effect; every effect is idempotent or reconcilable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kiosk.session.state import Item, Way


@dataclass(frozen=True, slots=True)
class AskPatron:
    """Ask the library system about the card (SIP2 63) → PatronKnown | PatronRefused."""

    visit: str
    card: str

    def __repr__(self) -> str:  # never in a log
        return "AskPatron(…)"


@dataclass(frozen=True, slots=True)
class EndPatron:
    """Tell the library system that the patron is done (SIP2 35); its failure is ignored, no event follows."""

    visit: str
    card: str

    def __repr__(self) -> str:
        return "EndPatron(…)"


@dataclass(frozen=True, slots=True)
class OnLine:
    """Base of an effect on one line."""

    visit: str
    line: int
    item: Item


@dataclass(frozen=True, slots=True)
class Lend(OnLine):
    """SIP2 11 → IlsGranted | IlsDenied | IlsUnsure. ``again``: it may have been sent before, so reconcile first.

    ``settle``: the patron has left, so only find out what became of it; do not ask anew.
    """

    card: str = ""
    at: datetime | None = None
    again: bool = False
    settle: bool = False

    def __repr__(self) -> str:
        return f"Lend({self.visit}/{self.line})"


@dataclass(frozen=True, slots=True)
class TakeBack(OnLine):
    """SIP2 09 → IlsGranted | IlsDenied | IlsUnsure. ``again`` and ``settle`` as for Lend."""

    at: datetime | None = None
    again: bool = False
    settle: bool = False


@dataclass(frozen=True, slots=True)
class Unsecure(OnLine):
    """Write the on-loan AFI, read it back → TagOpened | TagFailed."""


@dataclass(frozen=True, slots=True)
class Secure(OnLine):
    """Write the in-stock AFI, read it back → TagClosed | TagFailed."""


@dataclass(frozen=True, slots=True)
class GiveBack(OnLine):
    """Undo a loan, if the card still has it (SIP2 09 with BI=Y, then without) → GivenBack | IlsDenied | IlsUnsure."""

    card: str = ""
    at: datetime | None = None

    def __repr__(self) -> str:
        return f"GiveBack({self.visit}/{self.line})"


@dataclass(frozen=True, slots=True)
class Tell(OnLine):
    """Put the line's fact into the outbox → Told. ``refused``: the reason, for an ItemRefused; else it was done.

    ``stays``: lent for use in the house.
    """

    way: Way = Way.BORROW
    refused: str = ""
    due: datetime | None = None
    bin: str = ""
    security: str = ""
    stays: bool = False


Effect = AskPatron | EndPatron | Lend | TakeBack | Unsecure | Secure | GiveBack | Tell
