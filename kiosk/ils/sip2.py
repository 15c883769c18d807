"""The library system over SIP2: the port's calls as pairs of messages, and what a no means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, tzinfo

from kiosk.ils.link import USUAL, Link, Pace
from kiosk.ils.port import IlsSilent, ItemAnswer, LoanAnswer, PatronAnswer, Refusal, Sent
from kiosk.settings import IlsSettings
from kiosk.wire.sip2 import BLANK_DUE, Message, sayable
from kiosk.wire.sip2_dates import parse_due, stamp
from kiosk.wire.sip2_fields import (
    CARD_LOST,
    CHARGE_DENIED,
    FEES,
    FINES,
    RECALL_OVERDUE,
    TOO_MANY_BILLED,
    TOO_MANY_CHARGED,
    TOO_MANY_LOST,
    TOO_MANY_OVERDUE,
)
from mocban.clock import Clock

_NOBODY, _CHARGED = " " * 10, "  Y" + " " * 7
_LONGEST_SAY = 400  # characters of the library system's own words that a screen must bear
_OTHER, _ON_SHELF = 1, (3, 9)
_ON_LOAN, _ON_HOLD = (4, 5, 7, 11), (8,)
_NO_LOAN = (1, 2, 6, 10, 12, 13)


class Sip2:
    """The Ils port over one SIP2 line. Local times are in ``zone``, or the machine's zone."""

    def __init__(
        self,
        settings: IlsSettings,
        clock: Clock,
        *,
        zone: tzinfo | None = None,
        on_ready: Callable[[], None] = lambda: None,
        on_lost: Callable[[], None] = lambda: None,
        pace: Pace = USUAL,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._zone = zone
        self._link = Link(settings, on_ready=on_ready, on_lost=on_lost, pace=pace)

    @property
    def ready(self) -> bool:
        """True if the library system answers."""
        return self._link.ready

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the line up until ``stop``."""
        await self._link.run(stop)

    async def patron(self, card: str, *, charged: bool = False) -> PatronAnswer:
        """63 → 64. A missing BL counts as valid only if the card has a name."""
        if not self._sayable(card):
            return PatronAnswer(False, Refusal.CARD_UNKNOWN)
        answer = await self._ask_patron(card, charged)
        reason = patron_reason(answer)
        limit, count = _number(answer.get("CB")), _number(answer.fixed["charged"])
        remaining = None if limit is None or count is None else max(0, limit - count)
        return PatronAnswer(
            reason is None, reason or "", remaining, answer.all("AU") if charged else ()
        )

    async def lend(self, card: str, item: str, at: datetime) -> LoanAnswer:
        """11 → 12, with renewal forbidden. IlsSilent (MAYBE) also for a refusal after a repeat:
        the first copy may have been granted."""
        if not (self._sayable(card) and self._sayable(item)):
            return LoanAnswer(False, reason=Refusal.ITEM_UNKNOWN)
        date = stamp(at, self._zone)
        fixed = {"sc_renewal": "N", "no_block": "N", "date": date}
        fixed["nb_due"] = date if self._settings.nb_due_filled else BLANK_DUE
        fields = (*self._who(card), ("AB", item), ("AC", ""), ("BO", "N"), ("BI", "N"))
        answer, repeated = await self._link.ask(Message("11", fixed, fields))
        title = answer.get("AJ")
        if answer.fixed["ok"] in "1Y":
            untouched = answer.fixed["desensitize"] == "N" or answer.get("CI") == "Y"
            due = parse_due(answer.get("AH"), self._zone)
            return LoanAnswer(True, title, due, desensitize=not untouched, say=_say(answer))
        if repeated:
            raise IlsSilent(Sent.MAYBE, "refused after a repeat")
        reason = await self._why_not_lent(card, item, answer)
        return LoanAnswer(False, title, reason=reason, say=_say(answer))

    async def take_back(self, item: str, at: datetime, *, cancel: bool = False) -> LoanAnswer:
        """09 → 10. A refused cancel of an item on no loan is done: nothing is left to undo."""
        if not self._sayable(item):
            return LoanAnswer(False, reason=Refusal.ITEM_UNKNOWN)
        date = stamp(at, self._zone)
        fixed = {"no_block": "N", "date": date, "return_date": date}
        fields = (
            ("AP", self._settings.location),
            ("AO", self._settings.institution),
            ("AB", item),
            ("AC", ""),
            ("BI", "Y" if cancel else "N"),
        )
        answer, repeated = await self._link.ask(Message("09", fixed, fields))
        title, tray, alert = answer.get("AJ"), answer.get("CL"), answer.fixed["alert"] == "Y"
        if answer.fixed["ok"] in "1Y":
            return LoanAnswer(True, title, say=_say(answer), bin=tray, alert=alert)
        if repeated:
            raise IlsSilent(Sent.MAYBE, "refused after a repeat")
        known = await self._glance(item)
        if cancel and known is not None and _status(known) in (*_ON_SHELF, *_ON_HOLD):
            return LoanAnswer(True, title, bin=tray, alert=alert)
        unknown = known is not None and _unknown(known)
        reason = Refusal.ITEM_UNKNOWN if unknown else Refusal.DENIED
        return LoanAnswer(False, title, reason=reason, say=_say(answer), bin=tray, alert=alert)

    async def item(self, item: str) -> ItemAnswer:
        """17 → 18."""
        if not self._sayable(item):
            return ItemAnswer(_OTHER)
        answer = await self._ask_item(item)
        due = parse_due(answer.get("AH"), self._zone)
        return ItemAnswer(_status(answer), answer.get("AJ"), due)

    async def end(self, card: str) -> None:
        """35 → 36; what 36 says changes nothing."""
        if self._sayable(card):
            await self._link.ask(Message("35", {"date": self._now()}, self._who(card)))

    def _sayable(self, key: str) -> bool:
        return bool(key) and sayable(key, self._settings.encoding, key="AB")

    def _who(self, card: str) -> tuple[tuple[str, str], ...]:
        return ("AO", self._settings.institution), ("AA", card)

    def _now(self) -> str:
        return stamp(self._clock.now(), self._zone)

    async def _ask_patron(self, card: str, charged: bool) -> Message:
        summary = _CHARGED if charged else _NOBODY
        fixed = {"language": "000", "date": self._now(), "summary": summary}
        answer, _ = await self._link.ask(Message("63", fixed, (*self._who(card), ("AC", ""))))
        return answer

    async def _ask_item(self, item: str) -> Message:
        fields = ("AO", self._settings.institution), ("AB", item), ("AC", "")
        answer, _ = await self._link.ask(Message("17", {"date": self._now()}, fields))
        return answer

    async def _glance(self, item: str) -> Message | None:
        """18, or None: a refusal stands, even if its reason cannot be learned."""
        try:
            return await self._ask_item(item)
        except IlsSilent:
            return None

    async def _why_not_lent(self, card: str, item: str, answer: Message) -> Refusal:
        if _fee(answer):
            return Refusal.FEE_BLOCK
        known = await self._glance(item)
        if known is None:
            return Refusal.DENIED
        if _unknown(known):
            return Refusal.ITEM_UNKNOWN
        status = _status(known)
        if status in _ON_LOAN:
            return Refusal.ON_LOAN
        if status in _ON_HOLD or (_number(known.get("CF")) or 0) > 0:
            return Refusal.ON_HOLD
        if status in _NO_LOAN:
            return Refusal.NOT_FOR_LOAN
        try:
            return patron_reason(await self._ask_patron(card, False)) or Refusal.DENIED
        except IlsSilent:
            return Refusal.DENIED


def patron_reason(answer: Message) -> Refusal | None:
    """Why a card may not borrow. Recall and hold denied (2, 3) say nothing: many systems set them
    for everybody."""
    valid, named = answer.get("BL"), bool(answer.get("AE"))
    if valid != "Y" and not named:
        return Refusal.CARD_UNKNOWN
    flags = answer.fixed["patron_status"]

    def on(*positions: int) -> bool:
        return any(flags[position] == "Y" for position in positions)

    if valid == "N" or on(CARD_LOST):
        return Refusal.CARD_BLOCKED
    if on(FINES, FEES, TOO_MANY_BILLED):
        return Refusal.FEE_BLOCK
    if on(TOO_MANY_CHARGED):
        return Refusal.LOAN_LIMIT
    if on(CHARGE_DENIED, TOO_MANY_OVERDUE, TOO_MANY_LOST, RECALL_OVERDUE):
        return Refusal.CARD_BLOCKED
    return None


def _say(answer: Message) -> str:
    """The screen messages, each once, one a line."""
    return "\n".join(dict.fromkeys(answer.all("AF")))[:_LONGEST_SAY]


def _status(answer: Message) -> int:
    return _number(answer.fixed["circulation"]) or _OTHER


def _unknown(answer: Message) -> bool:
    """18 cannot say "no such item"; an empty title under status "other" is how systems say it."""
    return not answer.get("AJ") and _status(answer) == _OTHER


def _fee(answer: Message) -> bool:
    return any(digit in "123456789" for digit in answer.get("BV"))


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
