"""What a visit is: a ``Visit`` of ``Line`` s. Frozen values; ``step`` makes the next one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Mode(StrEnum):
    """Where the visit stands."""

    IDLE = "idle"
    CARD = "card"  # borrowing was chosen, no card yet
    CHECKING = "checking"  # a card was read, the library system is asked who it is
    BORROW = "borrow"
    RETURN = "return"
    DONE = "done"


class Phase(StrEnum):
    """Where one line stands. Every phase but the final ones has exactly one effect due."""

    # borrowing: ASKED -Lend-> LENT -Unsecure-> OPENED -Tell-> TOLD
    ASKED = "asked"
    UNKNOWN = "unknown"  # sent, no answer: Reconcile is due before anything is repeated
    LENT = "lent"
    OPENED = "opened"
    # returning: ASKED -TakeBack-> TAKEN -Secure-> CLOSED -Tell-> TOLD
    # a loan for the reading room goes the same way after Lend, with security "none"
    TAKEN = "taken"
    CLOSED = "closed"
    # undo of a loan whose tag could not be opened: the tag first, then the loan
    RESECURING = "resecuring"
    GIVING_BACK = "giving-back"
    # the tag cannot be reached any more: the loan or return stands, told with security "pending"
    PENDING = "pending"
    REFUSED = "refused"  # -Tell-> SAID
    # final
    TOLD = "told"
    SAID = "said"
    UNDONE = "undone"


FINAL = frozenset({Phase.TOLD, Phase.SAID, Phase.UNDONE})


class Way(StrEnum):
    """What a line wants."""

    BORROW = "borrow"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Item:
    """One tagged item as the pad reported it; ``uid`` is upper-case hex, MSB first."""

    id: str
    uid: str
    parts: int = 1
    part: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """One item of a visit. ``reason`` is a refusal code, ``say`` the library system's own words (shown second)."""

    no: int
    item: Item
    way: Way
    phase: Phase
    title: str = ""
    due: datetime | None = None
    reason: str = ""
    say: str = ""
    bin: str = ""
    here: bool = True  # the tag is in the field
    tries: int = 0  # tag writes that failed in this phase
    security: str = ""  # what the fact will say; empty = as wanted
    at: datetime | None = None  # when it was laid
    waiting: bool = False  # nothing is under way: the tag must come back, or the library system
    stays: bool = False  # lent for use in the house: its tag must be closed


@dataclass(frozen=True, slots=True)
class Patron:
    """Who borrows. Only the journal and the library system see ``card``; a screen gets the last four."""

    card: str
    remaining: int | None = None  # how many more may be lent, if the library system says

    def __repr__(self) -> str:  # never in a log
        return "Patron(…)"


@dataclass(frozen=True, slots=True)
class Lying:
    """What lies on the pad: a decoded item, or an odd tag and ``why``. ``spent``: it belongs to an ended visit.

    A spent tag must be lifted before it counts again, so that nobody borrows or returns what another left there.
    """

    uid: str
    item: Item | None = None
    why: str = ""
    spent: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What the site decided. Kept in the state (set by ``Woke``), so that a replay folds by the rules of its time."""

    tag_tries: int = 5  # failed writes of one tag before a loan is undone
    idle_seconds: float = 60  # a visit found older than this at start is over


RULES = Rules()


@dataclass(frozen=True, slots=True)
class Visit:
    """The whole state of a kiosk: the running visit, and lines of earlier ones not yet final."""

    mode: Mode = Mode.IDLE
    id: str = ""
    patron: Patron | None = None
    lines: tuple[Line, ...] = ()
    notice: str = ""  # code of a sentence the screen shows: ils-silent, card-unknown, card-blocked, reader-lost …
    started: datetime | None = None
    touched: datetime | None = None  # last sign of life of the patron
    lang: str = "vi"
    old: tuple[Visit, ...] = ()  # ended visits with lines still under way, those lines only
    pad: tuple[Lying, ...] = ()  # what lies on the pad, visit or not
    rules: Rules = RULES
    barred: str = (
        ""  # why nothing new is begun here: closed, outbox-full, wiped, disk; empty: it is open
    )

    def line(self, no: int) -> Line | None:
        """Line number ``no``, if there is one."""
        return next((line for line in self.lines if line.no == no), None)
