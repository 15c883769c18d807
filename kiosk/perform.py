"""Carry out one effect and say what it came to. No effect raises: every failure is an event, or none for EndPatron.

What may have been done before is looked up before it is done again (SIP2 has no idempotency key).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, assert_never

from kiosk.devices.base import Pad
from kiosk.ils.port import Ils, IlsSilent, LoanAnswer, Sent
from kiosk.pending import Pending
from kiosk.securing import Wrote, secure, unsecure
from kiosk.session.effects import (
    AskPatron,
    Effect,
    EndPatron,
    GiveBack,
    Lend,
    Secure,
    TakeBack,
    Tell,
    Unsecure,
)
from kiosk.session.events import (
    Event,
    GivenBack,
    IlsDenied,
    IlsGranted,
    IlsUnsure,
    PatronKnown,
    PatronRefused,
    TagClosed,
    TagFailed,
    TagOpened,
    Told,
)
from kiosk.session.state import Way
from kiosk.settings import Security
from mocban.clock import Clock
from mocban.errors import LocalProtocolError
from mocban.events import Fact, ItemRefused, LineFact, LoanMade, ReturnMade

CHARGED = frozenset({4, 5, 7, 11})
"""SIP2 circulation status: charged; charged, not to be recalled yet; recalled; claimed returned."""

SILENT = "ils-silent"


class Facts(Protocol):
    """Where facts are told; ``mocban.outbox.Outbox`` is one."""

    def put(self, fact: Fact) -> bool:
        """Store it durably; False if it was told before."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """What a kiosk acts on."""

    ils: Ils
    pad: Pad
    facts: Facts
    security: Security
    clock: Clock
    pending: Pending


async def perform(effect: Effect, world: World) -> Event | None:
    """The event that ``effect`` came to. Raises only for a fact that cannot be stored, and for our own bugs."""
    match effect:
        case AskPatron():
            return await _ask(effect, world)
        case EndPatron():
            await _end(effect, world)
            return None
        case Lend():
            return await _lend(effect, world)
        case TakeBack():
            return await _take_back(effect, world)
        case GiveBack():
            return await _give_back(effect, world)
        case Unsecure():
            wrote = await unsecure(world.pad, effect.item.uid, world.security)
            at = (world.clock.now(), effect.visit, effect.line)
            return (
                TagOpened(*at) if wrote is Wrote.YES else TagFailed(*at, gone=wrote is Wrote.GONE)
            )
        case Secure():
            wrote = await secure(world.pad, effect.item.uid, world.security)
            at = (world.clock.now(), effect.visit, effect.line)
            return (
                TagClosed(*at) if wrote is Wrote.YES else TagFailed(*at, gone=wrote is Wrote.GONE)
            )
        case Tell():
            told = fact(effect, world.security)
            world.facts.put(told)
            world.pending.heard(told)
            return Told(world.clock.now(), effect.visit, effect.line)
        case _:
            assert_never(effect)


def fact(effect: Tell, site: Security) -> LineFact:
    """The fact about a line; its natural key is the visit and the line number, so telling twice is telling once.

    Where no tag is written, its security is ``none``; a loan for use in the house says so besides.
    """
    session, line, item = effect.visit, effect.line, effect.item.id[:64]
    if effect.refused:
        action = effect.way.value
        return ItemRefused.model_validate(
            {
                "session": session,
                "line": line,
                "item": item,
                "uid": effect.item.uid,
                "action": action,
                "reason": effect.refused[:64],
            }
        )
    kind = LoanMade if effect.way is Way.BORROW else ReturnMade
    more: dict[str, object] = {"bin": effect.bin[:255]}
    if effect.way is Way.BORROW:
        more = {"due": effect.due, "stays": effect.stays}
    written = site.by != "database"
    return kind.model_validate(
        {
            "session": session,
            "line": line,
            "item": item,
            "uid": effect.item.uid,
            "security": effect.security if written else "none",
            **more,
        }
    )


def failed(effect: Effect, error: Exception, at: datetime) -> Event | None:
    """What an effect came to that broke off by a bug of ours; None where it can only be tried again.

    What could not even be put into words (an item id that the line cannot carry) was not sent.
    """
    unsaid = isinstance(error, LocalProtocolError)
    match effect:
        case AskPatron():
            return PatronRefused(at, effect.visit, "card-unknown" if unsaid else SILENT)
        case Lend() | TakeBack() if unsaid and not effect.again:
            return IlsDenied(at, effect.visit, effect.line, reason="item-unknown")
        case Lend() | TakeBack() | GiveBack():
            return IlsUnsure(at, effect.visit, effect.line)
        case Unsecure() | Secure():
            return TagFailed(at, effect.visit, effect.line)
        case EndPatron() | Tell():
            return None
        case _:
            assert_never(effect)


async def _ask(effect: AskPatron, world: World) -> Event:
    try:
        answer = await world.ils.patron(effect.card)
    except IlsSilent:
        return PatronRefused(world.clock.now(), effect.visit, SILENT)
    if answer.allowed:
        return PatronKnown(world.clock.now(), effect.visit, answer.remaining)
    return PatronRefused(world.clock.now(), effect.visit, str(answer.reason or "card-blocked"))


async def _end(effect: EndPatron, world: World) -> None:
    try:
        await world.ils.end(effect.card)
    except IlsSilent:
        return


async def _lend(effect: Lend, world: World) -> Event:
    """A loan that this card has already is the one we asked for; a refusal is believed only if there is none."""
    ils, item = world.ils, effect.item.id
    where = (effect.visit, effect.line)
    sent = effect.again
    try:
        if effect.again:
            if await _has(ils, effect.card, item):
                return await _found(effect, world)
            if effect.settle:
                return IlsDenied(world.clock.now(), *where, reason=SILENT)
        answer = await ils.lend(effect.card, item, effect.at or world.clock.now())
        sent = True
        # The first asking may have arrived late: then this refusal means "you have it already".
        if effect.again and not answer.ok and await _has(ils, effect.card, item):
            return await _found(effect, world)
    except IlsSilent as silence:
        return _silent(world.clock.now(), where, sent=sent or silence.sent is Sent.MAYBE)
    return _answered(world.clock.now(), where, answer)


async def _has(ils: Ils, card: str, item: str) -> bool:
    return item in (await ils.patron(card, charged=True)).charged


async def _found(effect: Lend, world: World) -> Event:
    """A loan found afterwards. That it was for the reading room is not said a second time: it is opened.

    A book the card had on loan before it was laid here looks the same; SIP2 has nothing to tell the two apart.
    """
    about = await world.ils.item(effect.item.id)
    return IlsGranted(world.clock.now(), effect.visit, effect.line, about.title, about.due)


async def _take_back(effect: TakeBack, world: World) -> Event:
    where = (effect.visit, effect.line)
    sent = effect.again
    try:
        if effect.again:
            about = await world.ils.item(effect.item.id)
            if (
                about.status not in CHARGED and about.title
            ):  # without a title the system does not know it
                return IlsGranted(world.clock.now(), *where, about.title)
            if effect.settle:
                return IlsDenied(world.clock.now(), *where, reason=SILENT, title=about.title)
        answer = await world.ils.take_back(effect.item.id, effect.at or world.clock.now())
    except IlsSilent as silence:
        return _silent(world.clock.now(), where, sent=sent or silence.sent is Sent.MAYBE)
    return _answered(world.clock.now(), where, answer)


async def _give_back(effect: GiveBack, world: World) -> Event:
    """Only what the card has: by now the item may be on loan to somebody else."""
    ils, item, at = world.ils, effect.item.id, effect.at or world.clock.now()
    try:
        if not await _has(ils, effect.card, item):
            return GivenBack(world.clock.now(), effect.visit, effect.line)
        done = (await ils.take_back(item, at, cancel=True)).ok or (await ils.take_back(item, at)).ok
        done = done or not await _has(ils, effect.card, item)
    except IlsSilent:
        return IlsUnsure(world.clock.now(), effect.visit, effect.line)
    if done:
        return GivenBack(world.clock.now(), effect.visit, effect.line)
    return IlsDenied(world.clock.now(), effect.visit, effect.line)


def _silent(at: datetime, where: tuple[str, int], *, sent: bool) -> Event:
    """What was never sent changed nothing; anything else must be asked about."""
    return IlsUnsure(at, *where) if sent else IlsDenied(at, *where, reason=SILENT)


def _answered(at: datetime, where: tuple[str, int], answer: LoanAnswer) -> Event:
    if not answer.ok:
        return IlsDenied(
            at, *where, reason=str(answer.reason or "denied"), say=answer.say, title=answer.title
        )
    return IlsGranted(at, *where, answer.title, answer.due, answer.bin, answer.desensitize)
