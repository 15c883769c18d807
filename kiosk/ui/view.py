"""What the screen shows: ``view(visit, status, texts, house) -> Screen``. Pure; the server only draws it.

A screen never holds a name, and of a card only the last four characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from kiosk.session.state import Line, Mode, Phase, Visit, Way
from kiosk.ui.rows import Look, Row, reading, row, tally
from kiosk.ui.words import Texts, bar, notice

_LOANS = frozenset(
    {Phase.LENT, Phase.OPENED, Phase.PENDING, Phase.TOLD, Phase.RESECURING, Phase.GIVING_BACK}
)


class Status(Protocol):
    """How the kiosk itself is."""

    @property
    def reader_ok(self) -> bool:
        """The tray answers."""
        ...

    @property
    def ils_ok(self) -> bool:
        """The library system answers."""
        ...

    @property
    def ready(self) -> bool:
        """Everything the kiosk needs has come up since it started."""
        ...


class Name(StrEnum):
    """Which screen; one template each."""

    WELCOME = "welcome"
    CARD = "card"
    CHECKING = "checking"
    BORROW = "borrow"
    RETURN = "return"
    DONE = "done"
    OUT = "out-of-service"


@dataclass(frozen=True, slots=True)
class House:
    """What a screen must know of its kiosk: device id, and times in seconds."""

    device: str
    idle: float = 60.0
    thanks: float = 8.0


@dataclass(frozen=True, slots=True)
class Action:
    """A button: what it posts, what it says; the primary one stands bottom right."""

    name: str
    label: str
    icon: str
    primary: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """One line of the closing list: a title and its due day or place."""

    title: str
    value: str


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything on one screen, in the patron's language. ``rows``: what needs the patron first, then newest first."""

    name: Name
    lang: str
    title: str
    lead: str = ""
    card: str = ""
    count: int = 0
    counted: str = ""
    allowance: str = ""
    tally: str = ""
    rows: tuple[Row, ...] = ()
    dues: tuple[Due, ...] = ()
    dues_label: str = ""
    note: str = ""
    code: str = ""
    say: str = ""
    actions: tuple[Action, ...] = ()
    ends_at: datetime | None = None


def view(visit: Visit, status: Status, texts: Texts, house: House) -> Screen:
    """The screen for this visit. Trouble of the kiosk itself closes it only while no books are under way."""
    if visit.barred and visit.mode in {Mode.IDLE, Mode.CARD, Mode.CHECKING}:
        return _closed(visit, texts, house)
    fault = _fault(visit, status)
    if fault:
        return _out(visit, texts, house, fault)
    match visit.mode:
        case Mode.IDLE:
            return _welcome(visit, texts)
        case Mode.CARD:
            return _card(visit, texts, house)
        case Mode.CHECKING:
            return _checking(visit, texts, house)
        case Mode.BORROW | Mode.RETURN:
            return _items(visit, status, texts, house)
        case Mode.DONE:
            return _done(visit, texts, house)


def last_four(card: str) -> str:
    """``•••• 0001``: enough for its owner to know the card, too little for anybody else."""
    return f"•••• {card[-4:]}" if len(card) > 4 else "••••"


def _fault(visit: Visit, status: Status) -> str:
    """The incident code that closes the kiosk, or nothing."""
    if not status.reader_ok and visit.mode in {Mode.IDLE, Mode.CARD}:
        return "E-READER"
    if visit.mode is not Mode.IDLE:
        return ""
    if not status.ils_ok:
        return "E-ILS"
    return "" if status.ready else "E-NOT-READY"


def _closed(visit: Visit, texts: Texts, house: House) -> Screen:
    title, lead, code = bar(visit.barred, texts)
    shown = texts.gettext("Incident code {code}").format(code=f"{house.device} · {code}")
    return Screen(Name.OUT, visit.lang, title, lead, code=shown, say=f"{title}. {lead}")


def _out(visit: Visit, texts: Texts, house: House, fault: str) -> Screen:
    _ = texts.gettext
    title = _("This station is taking a break")
    match fault:
        case "E-ILS":
            lead = _(
                "The library system is not answering, so this station has to wait. Please see the librarian."
            )
        case "E-NOT-READY":
            title = _("One moment, please")
            lead = _("This station is not ready yet. If it takes long, please see the librarian.")
        case _:
            lead = _(
                "Please use another station or see the librarian. We are sorry for the trouble."
            )
    code = _("Incident code {code}").format(code=f"{house.device} · {fault}")
    return Screen(Name.OUT, visit.lang, title, lead, code=code, say=f"{title}. {lead}")


def _welcome(visit: Visit, texts: Texts) -> Screen:
    _ = texts.gettext
    return Screen(
        Name.WELCOME, visit.lang, _("What would you like to do?"),
        _("Touch to choose, or place your card on the tray."),
        note=notice(visit.notice, texts), say=notice(visit.notice, texts),
        actions=(
            Action("borrow", _("Borrow"), "book-open", primary=True),
            Action("return", _("Return"), "undo-2"),
        ),
    )  # fmt: skip


def _card(visit: Visit, texts: Texts, house: House) -> Screen:
    _ = texts.gettext
    title = _("Place your library card on the tray")
    said = notice(visit.notice, texts)
    return Screen(
        Name.CARD, visit.lang, title,
        _("Books already on the tray may stay where they are."),
        note=said, say=said or title, actions=(Action("cancel", _("Back"), "arrow-left"),),
        ends_at=_end(visit, house.idle),
    )  # fmt: skip


def _checking(visit: Visit, texts: Texts, house: House) -> Screen:
    title = texts.gettext("Checking your card…")
    return Screen(
        Name.CHECKING, visit.lang, title, texts.gettext("This takes only a moment."), card=_owner(visit),
        say=title, actions=(Action("cancel", texts.gettext("Cancel"), "x"),), ends_at=_end(visit, house.idle),
    )  # fmt: skip


def _items(visit: Visit, status: Status, texts: Texts, house: House) -> Screen:
    """Borrowing or returning: the count that matters, and what lies on the tray."""
    _, n_ = texts.gettext, texts.ngettext
    borrowing = visit.mode is Mode.BORROW
    rows = _rows(visit.lines, texts, visit.lang)
    done = sum(one.look is Look.DONE for one in rows)
    said = notice("barred" if visit.barred else visit.notice or _ailing(status), texts)
    counted = (
        n_("book borrowed", "books borrowed", done)
        if borrowing
        else n_("book returned", "books returned", done)
    )
    loud = next((f"{one.title}: {one.why}" for one in rows if one.look is Look.TROUBLE), "")
    return Screen(
        Name.BORROW if borrowing else Name.RETURN, visit.lang,
        _("Borrow books") if borrowing else _("Return books"),
        _("Put the whole pile on the tray"), card=_owner(visit) if borrowing else "",
        count=done, counted=counted, allowance=_allowance(visit, texts) if borrowing else _("No card needed"),
        tally=tally(rows, borrowing, texts), rows=rows, note=said, say=said or loud or f"{done} {counted}",
        actions=(Action("finish", _("Finish"), "check", primary=True),),
        ends_at=_end(visit, house.idle),
    )  # fmt: skip


def _done(visit: Visit, texts: Texts, house: House) -> Screen:
    """Thank you: what was lent or returned, and what to leave behind."""
    _ = texts.gettext
    rows = _rows(visit.lines, texts, visit.lang)
    fine = tuple(one for one in rows if one.look is Look.DONE)
    lent, back = (sum(one.way is way for one in fine) for way in (Way.BORROW, Way.RETURN))
    title = _closing(lent, back, texts)
    labels = {one.label for one in fine}
    busy = any(one.look in {Look.BUSY, Look.ASKING} for one in rows)
    say = title
    if busy:
        lead = _(
            "Please wait a moment and keep the books on the tray: one is still being recorded."
        )
    elif lent:
        lead = _("Remember to take all your books from the tray.")
    elif back:
        lead = _("Thank you for bringing them back.")
    else:
        lead = _("See you again soon.")
    more = _("Borrow more") if visit.patron is not None else _("Return more")
    leave = Action("cancel", _("Leave now"), "log-out", primary=True)
    return Screen(
        Name.DONE, visit.lang, title, lead, count=lent + back, say=say,
        rows=tuple(one for one in rows if one.look is Look.TROUBLE),
        dues=tuple(Due(one.title, one.value) for one in reversed(fine)),
        dues_label=labels.pop() if len(labels) == 1 else "", note=notice(visit.notice, texts),
        actions=(leave,) if visit.barred else (Action("more", more, "undo-2"), leave),
        ends_at=_end(visit, house.thanks),
    )  # fmt: skip


def _closing(lent: int, back: int, texts: Texts) -> str:
    n_ = texts.ngettext
    if lent and back:
        return texts.gettext("Done! {lent} borrowed, {back} returned").format(lent=lent, back=back)
    if lent:
        return n_("Done! You borrowed {n} book", "Done! You borrowed {n} books", lent).format(
            n=lent
        )
    if back:
        return n_("Done! You returned {n} book", "Done! You returned {n} books", back).format(
            n=back
        )
    return texts.gettext("Goodbye!")


def _rows(lines: tuple[Line, ...], texts: Texts, lang: str) -> tuple[Row, ...]:
    """Newest first, those that need the patron on top, those still read next."""
    rank = {Look.TROUBLE: 0, Look.ASKING: 1, Look.BUSY: 2, Look.DONE: 2}
    rows = [row(line, texts, lang) for line in reversed(lines) if line.phase is not Phase.ASKED]
    asked = [line for line in lines if line.phase is Phase.ASKED]
    if asked:
        rows.insert(0, reading(asked, texts))
    return tuple(sorted(rows, key=lambda one: rank[one.look]))


def _owner(visit: Visit) -> str:
    return last_four(visit.patron.card) if visit.patron is not None else ""


def _ailing(status: Status) -> str:
    if not status.reader_ok:
        return "reader-lost"
    if not status.ils_ok:
        return "ils-silent"
    return "" if status.ready else "other"


def _allowance(visit: Visit, texts: Texts) -> str:
    """How many more may be lent, if the library system said so."""
    if visit.patron is None or visit.patron.remaining is None:
        return ""
    left = visit.patron.remaining - sum(
        line.way is Way.BORROW and line.phase in _LOANS for line in visit.lines
    )
    if left <= 0:
        return texts.gettext("Your card is full now")
    return texts.ngettext(
        "You may borrow {n} more book", "You may borrow {n} more books", left
    ).format(n=left)


def _end(visit: Visit, seconds: float) -> datetime | None:
    return visit.touched + timedelta(seconds=seconds) if visit.touched is not None else None
