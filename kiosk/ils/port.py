"""The library system behind one port. Implementations: ``sip2``; later ``offline``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Sent(StrEnum):
    """How sure we are that a request never reached the library system."""

    NEVER = "never"  # no connection: nothing was sent
    MAYBE = "maybe"  # bytes left, no answer came


class Refusal(StrEnum):
    """Why the library system, or we for it, said no. The screen has a sentence for each."""

    ON_HOLD = "on-hold"  # kept for another reader
    ON_LOAN = "on-loan"  # somebody has it, perhaps this very card
    LOAN_LIMIT = "loan-limit"
    NOT_FOR_LOAN = "not-for-loan"
    CARD_UNKNOWN = "card-unknown"
    CARD_BLOCKED = "card-blocked"
    ITEM_UNKNOWN = "item-unknown"
    FEE_BLOCK = "fee-block"
    DENIED = "denied"  # refused, and it could not be learned why


class IlsSilent(Exception):
    """No answer from the library system; ``sent`` says whether it may have acted."""

    def __init__(self, sent: Sent, why: str = "") -> None:
        super().__init__(why or f"the library system is silent ({sent})")
        self.sent = sent


@dataclass(frozen=True, slots=True)
class PatronAnswer:
    """What 64 says. ``allowed`` only if the card is valid and borrowing is not denied;
    ids and names stay out of logs.
    """

    allowed: bool
    reason: str = ""  # card-unknown, card-blocked, … when not allowed
    remaining: int | None = None
    charged: tuple[str, ...] = field(default=(), repr=False)  # item ids on loan to this card


@dataclass(frozen=True, slots=True)
class LoanAnswer:
    """What 12 or 10 says. ``ok`` False: refused, with our ``reason`` code (Refusal) and the
    system's own words ``say``.

    ``desensitize`` False: the loan stands, but the tag is not to be touched. A return always
    arms the tag.
    """

    ok: bool
    title: str = ""
    due: datetime | None = None
    desensitize: bool = True
    reason: str = ""
    say: str = ""
    bin: str = ""
    alert: bool = False


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """What 18 says; ``status`` is SIP2's circulation status (4 = charged)."""

    status: int
    title: str = ""
    due: datetime | None = None


class Ils(Protocol):
    """Every call may raise IlsSilent. Refusals are answers, not errors."""

    async def patron(self, card: str, *, charged: bool = False) -> PatronAnswer:
        """Who is this card (63); with ``charged``, also which items it has."""
        ...

    async def lend(self, card: str, item: str, at: datetime) -> LoanAnswer:
        """Lend one item (11, no renewal)."""
        ...

    async def take_back(self, item: str, at: datetime, *, cancel: bool = False) -> LoanAnswer:
        """Take one item back (09); ``cancel`` undoes a loan (BI=Y)."""
        ...

    async def item(self, item: str) -> ItemAnswer:
        """What is known of an item (17)."""
        ...

    async def end(self, card: str) -> None:
        """End the patron's session (35)."""
        ...
