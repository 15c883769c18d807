"""One line of a visit: which effect is due in its phase, and what an outcome makes of it. Pure.

The rule that keeps loans, tags and facts together through any crash: one effect per phase, one event per effect, and
undo closes the tag before it gives the loan back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, assert_never

from kiosk.session.effects import Effect, GiveBack, Lend, Secure, TakeBack, Tell, Unsecure
from kiosk.session.events import (
    GivenBack,
    IlsDenied,
    IlsGranted,
    IlsUnsure,
    TagClosed,
    TagFailed,
    TagOpened,
    Told,
)
from kiosk.session.state import FINAL, Item, Line, Phase, Visit, Way

OnLineEvent = (
    IlsGranted | IlsDenied | IlsUnsure | GivenBack | TagOpened | TagClosed | TagFailed | Told
)


def due(visit: Visit, line: Line, *, left: bool, again: bool = False) -> Effect | None:
    """The one effect due in the line's phase; none in a final one. ``left``: the patron has gone."""
    card = visit.patron.card if visit.patron else ""
    no, item = line.no, line.item
    match line.phase:
        case Phase.ASKED | Phase.UNKNOWN:
            again = again or line.phase is Phase.UNKNOWN
            if line.way is Way.BORROW:
                return Lend(visit.id, no, item, card, line.at, again, settle=left)
            # A book that still lies there was left to be returned; one that is gone may be in somebody's bag.
            return TakeBack(visit.id, no, item, line.at, again, settle=left and not line.here)
        case Phase.LENT:
            return Unsecure(visit.id, no, item)
        case Phase.TAKEN | Phase.RESECURING:
            return Secure(visit.id, no, item)
        case Phase.GIVING_BACK:
            return GiveBack(visit.id, no, item, card, line.at)
        case Phase.OPENED | Phase.CLOSED | Phase.PENDING:
            return Tell(
                visit.id, no, item, line.way, due=line.due, bin=line.bin, security=_security(line),
                stays=line.stays,
            )  # fmt: skip
        case Phase.REFUSED:
            return Tell(visit.id, no, item, line.way, refused=line.reason or "denied")
        case Phase.TOLD | Phase.SAID | Phase.UNDONE:
            return None
        case _:
            assert_never(line.phase)


def advance(line: Line, event: OnLineEvent, tries: int, *, left: bool) -> Line:
    """The line after ``event``; the same object if the event does not belong to its phase."""
    match event, line.phase:
        case IlsGranted(), Phase.ASKED | Phase.UNKNOWN:
            return _granted(line, event, left=left)
        case IlsDenied(), Phase.ASKED | Phase.UNKNOWN:
            title = event.title or line.title
            return _to(line, Phase.REFUSED, reason=event.reason, say=event.say, title=title)
        case IlsUnsure(), Phase.ASKED | Phase.UNKNOWN:
            return replace(line, phase=Phase.UNKNOWN, waiting=True)
        case IlsUnsure(), Phase.GIVING_BACK:
            return replace(line, waiting=True)
        case (
            IlsDenied(),
            Phase.GIVING_BACK,
        ):  # it cannot be undone: the loan stands, its tag is closed
            return pending(line)
        case GivenBack(), Phase.GIVING_BACK:
            return _to(line, Phase.UNDONE)
        case TagOpened(), Phase.LENT:
            return _to(line, Phase.OPENED)
        case TagClosed(), Phase.TAKEN:
            return _to(line, Phase.CLOSED)
        case TagClosed(), Phase.RESECURING:
            return _to(line, Phase.GIVING_BACK)
        case TagFailed(), Phase.LENT | Phase.TAKEN | Phase.RESECURING:
            return _failed(line, tries, gone=event.gone, left=left)
        case Told(), Phase.OPENED | Phase.CLOSED | Phase.PENDING:
            return _to(line, Phase.TOLD)
        case Told(), Phase.REFUSED:
            return _to(line, Phase.SAID)
        case _:
            return line


def pending(line: Line) -> Line:
    """The tag cannot be reached, or not be proven: the loan or return stands and is told so."""
    return _to(line, Phase.PENDING, security="pending")


def undo(line: Line, reason: str) -> Line:
    """Take a loan back whose tag is not opened: first make sure that it is closed."""
    return _to(line, Phase.RESECURING, reason=reason)


def settled(line: Line) -> Line:
    """The line when its patron leaves: what only waits for the tag to come back waits no longer."""
    if line.waiting and line.phase in {Phase.LENT, Phase.TAKEN}:
        return pending(line)
    return line


def judged(lines: tuple[Line, ...], unsettled: frozenset[str], item: Item, way: Way) -> str:
    """Why ``item`` is refused before anybody is asked, or nothing. ``unsettled``: items of ended visits under way.

    A set of several tagged parts is the desk's matter when it is lent, and so is each of its further tags.
    """
    same = [line for line in lines if line.item.id == item.id]
    if item.id in unsettled:
        return "ils-silent"
    if item.parts > 1 and (way is Way.BORROW or same):
        return "set-incomplete"
    return "twice" if same else ""


def passing(line: Line) -> bool:
    """It failed for a reason that may be over: the tag was odd or could not be written, the library system silent."""
    match line.phase:
        case Phase.SAID:
            return not line.item.id or line.reason == "ils-silent"
        case Phase.UNDONE:
            return True
        case _:
            return False


def final(line: Line) -> bool:
    """Nothing more will happen to it."""
    return line.phase in FINAL


def _granted(line: Line, event: IlsGranted, *, left: bool) -> Line:
    known = replace(line, title=event.title or line.title, due=event.due, bin=event.bin)
    if line.way is Way.RETURN:
        return _to(known, Phase.TAKEN)
    if left:  # nobody is there to carry it out
        return undo(known, "ils-silent") if line.here else pending(known)
    if (
        not event.desensitize
    ):  # it stays in the house: an earlier failure may have left its tag open
        return _to(known, Phase.TAKEN, security="none", stays=True)
    return _to(known, Phase.LENT)


def _failed(line: Line, tries: int, *, gone: bool, left: bool) -> Line:
    failed = replace(line, tries=line.tries + 1, here=line.here and not gone)
    spent = failed.tries >= tries
    match line.phase:
        case Phase.RESECURING:  # unreachable here means that nobody can prove its state
            return pending(failed) if gone or spent else failed
        case Phase.LENT if spent:
            return undo(failed, "tag-failed")
        case Phase.TAKEN if spent:
            return pending(failed)
        case _ if gone:
            return pending(failed) if left else replace(failed, waiting=True)
        case _:
            return failed


def _security(line: Line) -> str:
    return line.security or ("off" if line.way is Way.BORROW else "on")


def _to(line: Line, phase: Phase, **changes: Any) -> Line:
    """``line`` in its next phase: a fresh count of tries, nothing waited for."""
    return replace(line, phase=phase, tries=0, waiting=False, **changes)
