"""What lies on the pad, and which of it becomes a line of the visit. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from kiosk.session import lines
from kiosk.session.effects import Effect
from kiosk.session.state import Item, Line, Lying, Mode, Phase, Visit, Way

Result = tuple[Visit, tuple[Effect, ...]]


def lay(visit: Visit, lying: Lying, at: datetime) -> Result:
    """A tag came to lie on the pad: a line that waited for it goes on, or it is a new one if a visit is running."""
    known = next((one for one in visit.pad if one.uid == lying.uid), None)
    if known is not None:  # only a better reading of the same tag is news
        lying = replace(lying, spent=known.spent and known.item == lying.item)
    pad = (*(one for one in visit.pad if one.uid != lying.uid), lying)
    old = tuple(replace(one, lines=_here(one.lines, lying.uid, here=True)) for one in visit.old)
    visit = replace(visit, pad=pad, old=old, lines=_here(visit.lines, lying.uid, here=True))
    visit, effects = _go_on(visit, lying.uid)
    visit, more = _taken_up(visit, lying, at)
    return visit, effects + more


def scan(visit: Visit, at: datetime) -> Result:
    """Take up everything that lies there already, as when the card is known at last."""
    effects: tuple[Effect, ...] = ()
    for lying in visit.pad:
        visit, more = _taken_up(visit, lying, at)
        effects += more
    return visit, effects


def gone(visit: Visit, uid: str) -> Visit:
    """A tag left the pad. It may be laid again; what it waits for is decided when the visit ends."""
    return replace(
        visit,
        pad=tuple(one for one in visit.pad if one.uid != uid),
        lines=_here(visit.lines, uid, here=False),
        old=tuple(replace(one, lines=_here(one.lines, uid, here=False)) for one in visit.old),
    )


def _here(among: tuple[Line, ...], uid: str, *, here: bool) -> tuple[Line, ...]:
    if all(line.item.uid != uid or line.here == here for line in among):
        return among
    return tuple(replace(line, here=here) if line.item.uid == uid else line for line in among)


def _go_on(visit: Visit, uid: str) -> Result:
    """Write the tag of a line that waited for it to come back."""
    effects: tuple[Effect, ...] = ()
    for line in visit.lines:
        if line.item.uid == uid and line.waiting and line.phase in {Phase.LENT, Phase.TAKEN}:
            fresh = replace(line, waiting=False)
            visit = replace(
                visit, lines=tuple(fresh if one is line else one for one in visit.lines)
            )
            effect = lines.due(visit, fresh, left=False)
            effects += (effect,) if effect is not None else ()
    return visit, effects


def _taken_up(visit: Visit, lying: Lying, at: datetime) -> Result:
    """A new line, unless no visit is running, the kiosk is barred, or the tag is spent or has one that stands."""
    if visit.mode not in {Mode.BORROW, Mode.RETURN} or lying.spent or visit.barred:
        return visit, ()
    have = [line for line in visit.lines if line.item.uid == lying.uid]
    over = [line for line in have if lines.passing(line)]
    if (have and lying.item is None) or len(have) > len(over):
        return visit, ()
    others = tuple(line for line in visit.lines if line not in over)
    line = _line(visit, others, lying, at)
    visit = replace(visit, lines=(*others, line), touched=at)
    effect = lines.due(visit, line, left=False)
    return visit, (effect,) if effect is not None else ()


def _line(visit: Visit, others: tuple[Line, ...], lying: Lying, at: datetime) -> Line:
    way = Way.BORROW if visit.mode is Mode.BORROW else Way.RETURN
    no = max((line.no for line in visit.lines), default=0) + 1
    if lying.item is None:
        return Line(no, Item("", lying.uid), way, Phase.SAID, reason=lying.why, at=at)
    unsettled = frozenset(
        line.item.id for one in visit.old for line in one.lines if not lines.final(line)
    )
    reason = lines.judged(others, unsettled, lying.item, way)
    return Line(no, lying.item, way, Phase.REFUSED if reason else Phase.ASKED, reason=reason, at=at)
