"""Where a card or the library system's words stand in an event, and what is left of a visit whose card cannot be read.

A value is sealed under the id of its visit, wherever the event stands in the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kiosk.session.events import CardSeen, Event, IlsDenied, Rested
from kiosk.session.lines import final
from kiosk.session.state import Phase, Visit

Turn = Callable[[str, str], str]
"""(visit id, value) -> the value sealed, or opened."""

_TOLD_NEXT = frozenset({Phase.OPENED, Phase.CLOSED, Phase.PENDING, Phase.REFUSED})


def secret(event: Event) -> bool:
    """Whether anything in ``event`` names a patron, or may."""
    match event:
        case CardSeen():
            return True
        case IlsDenied():
            return bool(event.say)
        case Rested():
            return any(
                one.patron is not None or any(line.say for line in one.lines)
                for one in (event.visit, *event.visit.old)
            )
        case _:
            return False


def turned(event: Event, card: Turn, say: Turn) -> Event:
    """``event`` with its cards and its words turned: sealed before it is stored, opened after it was read."""
    match event:
        case CardSeen():
            return replace(event, card=card(event.visit, event.card))
        case IlsDenied() if event.say:
            return replace(event, say=say(event.visit, event.say))
        case Rested():
            return replace(event, visit=_visit(event.visit, card, say))
        case _:
            return event


def holders(visit: Visit) -> set[str]:
    """Ids of the visits in the state that hold something sealed."""
    return {
        one.id
        for one in (visit, *visit.old)
        if one.patron is not None or any(line.say for line in one.lines)
    }


def without(visit: Visit, broken: set[str]) -> tuple[Visit, dict[str, tuple[str, ...]]]:
    """The state without the visits whose card cannot be read; their ids, and the items that are the desk's matter now.

    Nobody can ask for them at the library system any more. What was done already is still told; what else lay there
    is spent, so that the next reader does not inherit it.
    """
    gone = [one for one in (*visit.old, visit) if one.id in broken and one.patron is not None]
    lost = {
        one.id: tuple(
            line.item.id for line in one.lines if line.phase not in _TOLD_NEXT and not final(line)
        )
        for one in gone
    }
    *old, last = (_told_only(one) if one.id in lost else one for one in (*visit.old, visit))
    if visit.id in lost:
        old.append(last)
        dealt = {line.item.uid for line in visit.lines}
        pad = tuple(replace(one, spent=True) if one.uid in dealt else one for one in visit.pad)
        last = Visit(pad=pad, rules=visit.rules, touched=visit.touched, barred=visit.barred)
    return replace(last, old=tuple(one for one in old if one.lines)), lost


def _told_only(visit: Visit) -> Visit:
    lines = tuple(one for one in visit.lines if one.phase in _TOLD_NEXT)
    return Visit(id=visit.id, lines=lines, started=visit.started, touched=visit.touched)


def _visit(visit: Visit, card: Turn, say: Turn) -> Visit:
    patron = visit.patron
    return replace(
        visit,
        patron=replace(patron, card=card(visit.id, patron.card)) if patron is not None else None,
        lines=tuple(
            replace(line, say=say(visit.id, line.say)) if line.say else line for line in visit.lines
        ),
        old=tuple(_visit(one, card, say) for one in visit.old),
    )
