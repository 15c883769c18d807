"""A visit in the making, for the tests of ``step``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kiosk.session.effects import (
    Effect,
)
from kiosk.session.events import (
    CardSeen,
    Event,
    IlsGranted,
    PatronKnown,
    TagSeen,
    Tapped,
)
from kiosk.session.state import Item, Line, Mode, Rules, Visit
from kiosk.session.step import step

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
DUE = AT + timedelta(days=14)
BOOK, OTHER = Item("BG00012345", "E1"), Item("11223344", "E2")
CARD = "TV2400001"


class Desk:
    """A visit and what the last event asked for."""

    def __init__(self, *events: Event) -> None:
        self.visit = Visit(rules=Rules(tag_tries=3))
        self.asked: tuple[Effect, ...] = ()
        self(*events)

    def __call__(self, *events: Event) -> tuple[Effect, ...]:
        for event in events:
            self.visit, self.asked = step(self.visit, event)
        return self.asked

    def mode(self) -> Mode:
        """Where the visit stands now."""
        return self.visit.mode

    def line(self, no: int = 1) -> Line:
        line = next(
            (line for one in (self.visit, *self.visit.old) for line in one.lines if line.no == no),
            None,
        )
        assert line is not None
        return line


def tap(action: str, value: str = "", visit: str = "w") -> Tapped:
    return Tapped(AT, action, value, visit)


def borrowing(*events: Event) -> Desk:
    return Desk(CardSeen(AT, CARD, "v"), PatronKnown(AT, "v", 3), *events)


def asked(*events: Event) -> Desk:
    return borrowing(TagSeen(AT, BOOK), *events)


def lent(*events: Event) -> Desk:
    return asked(IlsGranted(AT, "v", 1, "Dế Mèn", DUE), *events)


def returning(*events: Event) -> Desk:
    return Desk(tap("return", visit="v"), TagSeen(AT, BOOK), *events)
