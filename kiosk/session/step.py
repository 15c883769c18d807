"""The transaction as a reducer: ``step(visit, event) -> (visit, effects)``. Pure; the runner does the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from kiosk.session import lines
from kiosk.session.effects import AskPatron, Effect, EndPatron
from kiosk.session.events import (
    Barred,
    CardSeen,
    Event,
    Expired,
    GivenBack,
    IlsBack,
    IlsDenied,
    IlsGranted,
    IlsUnsure,
    PatronKnown,
    PatronRefused,
    Rested,
    TagClosed,
    TagFailed,
    TagGone,
    TagOdd,
    TagOpened,
    TagSeen,
    Tapped,
    Told,
    Woke,
)
from kiosk.session.state import Line, Lying, Mode, Patron, Phase, Visit
from kiosk.session.tray import gone, lay, scan

Effects = tuple[Effect, ...]
Result = tuple[Visit, Effects]

LANGUAGES = ("vi", "en")


def step(visit: Visit, event: Event) -> Result:
    """What ``event`` makes of ``visit``, and what is to be done about it. Total: what does not fit changes nothing."""
    match event:
        case Woke():
            return _wake(visit, event)
        case Rested():
            return event.visit, ()
        case Tapped():
            return _tap(visit, event)
        case CardSeen():
            return _card(visit, event)
        case TagSeen():
            return lay(visit, Lying(event.item.uid, event.item), event.at)
        case TagOdd():
            return lay(visit, Lying(event.uid, why=event.why), event.at)
        case TagGone():
            return gone(visit, event.uid), ()
        case PatronKnown():
            return _known(visit, event)
        case PatronRefused():
            return _unknown(visit, event)
        case IlsBack():
            return _ils_back(visit, event.at)
        case Expired():
            return _rest(visit, event.at)
        case Barred():
            return _barred(visit, event)
        case (
            IlsGranted()
            | IlsDenied()
            | IlsUnsure()
            | GivenBack()
            | TagOpened()
            | TagClosed()
            | TagFailed()
            | Told()
        ):
            return _outcome(visit, event)
        case _:
            assert_never(event)


def due(visit: Visit) -> Effects:
    """Every effect due now, of this visit and of ended ones, as after a start: all of it may have been done before."""
    ask = (
        (AskPatron(visit.id, visit.patron.card),)
        if visit.mode is Mode.CHECKING and visit.patron
        else ()
    )
    return ask + tuple(
        effect
        for one in (*visit.old, visit)
        for line in one.lines
        if (effect := lines.due(one, line, left=one is not visit, again=True)) is not None
    )


def resting(visit: Visit) -> bool:
    """Nobody is at the kiosk; lines of ended visits may still be under way."""
    return visit.mode is Mode.IDLE


def _wake(visit: Visit, event: Woke) -> Result:
    visit = replace(visit, rules=event.rules)
    since = (event.at - visit.touched).total_seconds() if visit.touched else 0.0
    stale = visit.mode is not Mode.IDLE and not 0 <= since <= event.rules.idle_seconds
    end: Effects = ()
    if stale:
        # Nothing is under way after a start, so a loan whose tag was not opened can be taken back in good order.
        undone = (
            lines.undo(one, "ils-silent") if one.phase is Phase.LENT else one for one in visit.lines
        )
        visit, end = _rest(replace(visit, lines=tuple(undone)), event.at)
        end = tuple(effect for effect in end if isinstance(effect, EndPatron))
    visit = replace(_awake(visit), old=tuple(_awake(one) for one in visit.old))
    return visit, end + due(visit)


def _awake(visit: Visit) -> Visit:
    return replace(
        visit,
        lines=tuple(replace(one, waiting=False) if one.waiting else one for one in visit.lines),
    )


def _tap(visit: Visit, event: Tapped) -> Result:
    visit = replace(visit, touched=event.at, notice="")
    match event.action, visit.mode:
        case "lang", _:
            return (replace(visit, lang=event.value) if event.value in LANGUAGES else visit), ()
        case "borrow" | "return" | "more", _ if visit.barred:
            return visit, ()
        case "borrow", Mode.IDLE | Mode.DONE:
            return _begin(visit, Mode.CARD, event.visit, event.at)
        case "return", Mode.IDLE | Mode.DONE | Mode.CARD:
            fresh, effects = _begin(visit, Mode.RETURN, event.visit, event.at)
            fresh, more = scan(fresh, event.at)
            return fresh, effects + more
        case "finish" | "cancel", Mode.BORROW | Mode.RETURN if visit.lines:
            return replace(visit, mode=Mode.DONE), _farewell(visit)
        case "finish" | "cancel", _:
            return _rest(visit, event.at)
        case "more", Mode.DONE:
            return scan(replace(visit, mode=Mode.BORROW if visit.patron else Mode.RETURN), event.at)
        case _:
            return visit, ()


def _card(visit: Visit, event: CardSeen) -> Result:
    if visit.barred or visit.mode not in {Mode.IDLE, Mode.CARD, Mode.DONE}:
        return visit, ()
    fresh, effects = _begin(visit, Mode.CHECKING, event.visit, event.at)
    return replace(fresh, patron=Patron(event.card)), (*effects, AskPatron(event.visit, event.card))


def _barred(visit: Visit, event: Barred) -> Result:
    """Barred: who has laid no book yet is sent away, what is under way goes on. Opened: what lies there is taken up."""
    was, visit = visit.barred, replace(visit, barred=event.why)
    if not event.why:
        return scan(visit, event.at) if was else (visit, ())
    begun = visit.mode in {Mode.CARD, Mode.CHECKING, Mode.BORROW, Mode.RETURN}
    if begun and not visit.lines:
        rest, effects = _rest(visit, event.at)
        return replace(rest, lang=visit.lang), effects
    return visit, ()


def _known(visit: Visit, event: PatronKnown) -> Result:
    if visit.mode is not Mode.CHECKING or visit.id != event.visit or visit.patron is None:
        return visit, ()
    patron = replace(visit.patron, remaining=event.remaining)
    return scan(replace(visit, mode=Mode.BORROW, patron=patron, touched=event.at), event.at)


def _unknown(visit: Visit, event: PatronRefused) -> Result:
    if visit.mode is not Mode.CHECKING or visit.id != event.visit:
        return visit, ()
    return replace(visit, mode=Mode.CARD, patron=None, notice=event.reason, touched=event.at), ()


def _ils_back(visit: Visit, at: datetime) -> Result:
    """What waited for the library system is due again, and what lies there refused for its silence is asked anew."""
    done = tuple(_retried(one, left=True) for one in visit.old)
    now, effects = _retried(visit, left=False)
    notice = "" if visit.notice == "ils-silent" else visit.notice
    now, anew = scan(replace(now, notice=notice, old=tuple(one for one, _ in done)), at)
    return now, sum((more for _, more in done), ()) + effects + anew


def _retried(visit: Visit, *, left: bool) -> Result:
    waiting = {
        line.no
        for line in visit.lines
        if line.waiting and line.phase in {Phase.UNKNOWN, Phase.GIVING_BACK}
    }
    fresh = tuple(
        replace(line, waiting=False) if line.no in waiting else line for line in visit.lines
    )
    found = (lines.due(visit, line, left=left) for line in fresh if line.no in waiting)
    return replace(visit, lines=fresh), tuple(effect for effect in found if effect is not None)


def _outcome(visit: Visit, event: lines.OnLineEvent) -> Result:
    if visit.id == event.visit:
        now, effects = _advanced(visit, event, visit, left=False)
        if now is not visit:
            now = replace(now, touched=event.at, notice=_noticed(now, event))
    else:
        done = tuple(
            _advanced(one, event, visit, left=True) if one.id == event.visit else (one, ())
            for one in visit.old
        )
        effects = sum((more for _, more in done), ())
        now = replace(
            visit, old=tuple(one for one, _ in done if not all(map(lines.final, one.lines)))
        )
    if isinstance(event, TagFailed) and event.gone:
        # Whatever the pad reported last: it did not answer. If it lies there after all, it will be seen anew.
        uids = {line.item.uid for one in (now, *now.old) for line in one.lines if not line.here}
        now = replace(now, pad=tuple(one for one in now.pad if one.uid not in uids))
    return now, effects


def _advanced(visit: Visit, event: lines.OnLineEvent, whole: Visit, *, left: bool) -> Result:
    line = visit.line(event.line)
    if line is None:
        return visit, ()
    fresh = lines.advance(line, event, whole.rules.tag_tries, left=left)
    if fresh is line:
        return visit, ()
    changed = replace(visit, lines=tuple(fresh if one is line else one for one in visit.lines))
    effect = None if fresh.waiting else lines.due(visit, fresh, left=left)
    return changed, (effect,) if effect is not None else ()


def _noticed(visit: Visit, event: lines.OnLineEvent) -> str:
    silent = isinstance(event, IlsUnsure) or (
        isinstance(event, IlsDenied) and event.reason == "ils-silent"
    )
    return "ils-silent" if silent else visit.notice


def _begin(visit: Visit, mode: Mode, ident: str, at: datetime) -> Result:
    """A new visit; the one before it, if any, is over."""
    rest, effects = _rest(visit, at)
    return replace(rest, mode=mode, id=ident, lang=visit.lang, started=at, touched=at), effects


def _rest(visit: Visit, at: datetime) -> Result:
    """Nobody is there any more. Lines not final move into ``old``; what lies on the pad and was dealt with is spent."""
    settled = tuple(lines.settled(line) for line in visit.lines)
    told = (
        lines.due(visit, fresh, left=True)
        for line, fresh in zip(visit.lines, settled, strict=True)
        if fresh is not line
    )
    effects = tuple(effect for effect in told if effect is not None)
    if visit.mode in {Mode.BORROW, Mode.RETURN}:
        effects += _farewell(visit)
    unfinished = tuple(line for line in settled if not lines.final(line))
    old = visit.old + (_closed(visit, unfinished) if unfinished else ())
    dealt = {line.item.uid for line in visit.lines}
    pad = tuple(replace(one, spent=True) if one.uid in dealt else one for one in visit.pad)
    fresh = Visit(old=old, pad=pad, rules=visit.rules, touched=at, barred=visit.barred)
    return fresh, effects


def _closed(visit: Visit, unfinished: tuple[Line, ...]) -> tuple[Visit, ...]:
    """The ended visit as it is kept: only what finishing its lines needs."""
    return (
        Visit(
            id=visit.id,
            patron=visit.patron,
            lines=unfinished,
            started=visit.started,
            touched=visit.touched,
        ),
    )


def _farewell(visit: Visit) -> Effects:
    return (EndPatron(visit.id, visit.patron.card),) if visit.patron else ()
