"""What happened, as the journal keeps it. Every outcome names its visit and line, so replay finds its place.

``at`` is wall time when the event was fed. A new field needs a default: old journals must still be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kiosk.session.state import RULES, Item, Rules, Visit


@dataclass(frozen=True, slots=True)
class Woke:
    """The process started, under these rules: the next effect of every unfinished line is due again."""

    at: datetime
    rules: Rules = RULES


@dataclass(frozen=True, slots=True)
class Rested:
    """The journal was compacted: the state as it stood, in place of everything before."""

    at: datetime
    visit: Visit


@dataclass(frozen=True, slots=True)
class Tapped:
    """A person touched the screen: ``borrow return finish cancel more lang`` (``value``: the language)."""

    at: datetime
    action: str
    value: str = ""
    visit: str = ""  # id for a visit this tap may begin


@dataclass(frozen=True, slots=True)
class CardSeen:
    """A patron card was read (tag of usage class 8, or later a card reader)."""

    at: datetime
    card: str
    visit: str  # id for a visit this card may begin

    def __repr__(self) -> str:  # never in a log
        return "CardSeen(…)"


@dataclass(frozen=True, slots=True)
class TagSeen:
    """An item lies on the pad and was decoded."""

    at: datetime
    item: Item


@dataclass(frozen=True, slots=True)
class TagOdd:
    """A tag lies on the pad that is no usable item: ``why`` is blank, foreign, damaged or twice."""

    at: datetime
    uid: str
    why: str


@dataclass(frozen=True, slots=True)
class TagGone:
    """A tag left the pad."""

    at: datetime
    uid: str


@dataclass(frozen=True, slots=True)
class PatronKnown:
    """The library system knows the card and lets it borrow."""

    at: datetime
    visit: str
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class PatronRefused:
    """The library system does not let this card borrow; ``reason``: card-unknown, card-blocked, ils-silent."""

    at: datetime
    visit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Base of what an effect on a line came to."""

    at: datetime
    visit: str
    line: int


@dataclass(frozen=True, slots=True)
class IlsGranted(Outcome):
    """Lent or taken back. ``desensitize`` False: the loan stands but the tag stays closed (reading room)."""

    title: str = ""
    due: datetime | None = None
    bin: str = ""
    desensitize: bool = True


@dataclass(frozen=True, slots=True)
class IlsDenied(Outcome):
    """Refused, nothing was changed; ``reason`` is a refusal code, ``say`` the library system's words."""

    reason: str = "denied"
    say: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class IlsUnsure(Outcome):
    """Sent, but no answer came: the library system may or may not have done it."""


@dataclass(frozen=True, slots=True)
class GivenBack(Outcome):
    """The undone loan is gone from the library system."""


@dataclass(frozen=True, slots=True)
class TagOpened(Outcome):
    """The tag was written and read back as on loan."""


@dataclass(frozen=True, slots=True)
class TagClosed(Outcome):
    """The tag was written and read back as in stock."""


@dataclass(frozen=True, slots=True)
class TagFailed(Outcome):
    """The tag could not be written or verified; ``gone``: it did not answer at all."""

    gone: bool = False


@dataclass(frozen=True, slots=True)
class Told(Outcome):
    """The fact is in the outbox."""


@dataclass(frozen=True, slots=True)
class IlsBack:
    """The library system answers again: lines in phase ``unknown`` may be reconciled."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Expired:
    """Nobody touched anything for the idle time, or the thank-you screen has stood long enough."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Barred:
    """From now on nothing new is begun at this kiosk; ``why``: closed, outbox-full, wiped, disk; "" opens it again."""

    at: datetime
    why: str = ""


type_names = (
    Woke, Rested, Tapped, CardSeen, TagSeen, TagOdd, TagGone, PatronKnown, PatronRefused, IlsGranted, IlsDenied,
    IlsUnsure, GivenBack, TagOpened, TagClosed, TagFailed, Told, IlsBack, Expired, Barred,
)  # fmt: skip
Event = (
    Woke | Rested | Tapped | CardSeen | TagSeen | TagOdd | TagGone | PatronKnown | PatronRefused | IlsGranted
    | IlsDenied | IlsUnsure | GivenBack | TagOpened | TagClosed | TagFailed | Told | IlsBack | Expired
    | Barred
)  # fmt: skip
