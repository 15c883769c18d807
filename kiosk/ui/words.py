"""What the screen says about books that were not lent or taken back: one sentence per code, and what to do.

Every sentence tells what happened and what to do with the book in hand, blames nobody and names nobody. The library
system's own words are not shown: they may be in another language and may hold a reader's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kiosk.session.state import Way


class Texts(Protocol):
    """A message catalog; ``gettext.NullTranslations`` is one."""

    def gettext(self, message: str, /) -> str:
        """The message in the patron's language."""
        ...

    def ngettext(self, msgid1: str, msgid2: str, n: int, /) -> str:
        """The message for ``n`` things in the patron's language."""
        ...


@dataclass(frozen=True, slots=True)
class Sentence:
    """The message (stable English) for a book in the hand of somebody who borrows or returns it."""

    borrow: str
    back: str = ""

    def for_way(self, way: Way) -> str:
        """The message for this way; most codes say the same in both."""
        return self.back if way is Way.RETURN and self.back else self.borrow


@dataclass(frozen=True, slots=True)
class Bar:
    """Why a kiosk begins nothing new: both messages for the patron, the code for whoever comes to help."""

    title: str
    lead: str
    code: str


def why(reason: str, way: Way, texts: Texts) -> str:
    """The sentence for a refusal code; an unknown code says that the librarian can help."""
    return texts.gettext(REASONS.get(reason, REASONS["denied"]).for_way(way))


def standing(code: str, way: Way, texts: Texts) -> str:
    """The sentence for a loan or return that stands but still needs the patron."""
    return texts.gettext(STANDING[code].for_way(way))


def notice(code: str, texts: Texts) -> str:
    """The sentence for a notice of the whole screen; empty for no notice."""
    return texts.gettext(NOTICES.get(code, NOTICES["other"])) if code else ""


def bar(why: str, texts: Texts) -> tuple[str, str, str]:
    """Title, sentence and incident code of a barred kiosk; an unknown reason says the same as a closed one."""
    one = BARS.get(why, BARS["closed"])
    return texts.gettext(one.title), texts.gettext(one.lead), one.code


def N_(message: str) -> str:  # noqa: N802  the name that extraction knows
    """Mark a message for extraction; it is translated where it is shown."""
    return message


REASONS: dict[str, Sentence] = {
    "on-hold": Sentence(
        N_("Another reader has reserved this book. Please leave it at the librarian's desk."),
        N_("Another reader is waiting for this book. Please hand it to the librarian."),
    ),
    "on-loan": Sentence(N_("This book is on loan to someone else. Please hand it to the librarian.")),
    "loan-limit": Sentence(
        N_("You have borrowed as many books as your card allows. Please leave this one at the librarian's desk.")
    ),
    "not-for-loan": Sentence(
        N_("This book is for reading in the library. Please read it here, or leave it at the librarian's desk."),
        N_("This book does not leave the library. Please hand it to the librarian."),
    ),
    "card-unknown": Sentence(N_("We could not find your card. Please take the book and the card to the librarian.")),
    "card-blocked": Sentence(
        N_("Your card cannot be used just now. Please take the book and the card to the librarian.")
    ),
    "item-unknown": Sentence(N_("This book is not in our catalogue yet. Please hand it to the librarian.")),
    "fee-block": Sentence(
        N_("There is an open fee on your card. Please take the book to the librarian, who will help you.")
    ),
    "denied": Sentence(
        N_("The library system did not allow this loan. Please take the book to the librarian."),
        N_("The library system did not take this book back. Please hand it to the librarian."),
    ),
    "set-incomplete": Sentence(
        N_("This set has several parts that are checked together. Please take all of them to the librarian.")
    ),
    "twice": Sentence(
        N_("Two books on the tray carry the same number. Please hand both of them to the librarian.")
    ),
    "blank": Sentence(N_("The chip in this book is still empty. Please hand the book to the librarian.")),
    "foreign": Sentence(N_("This book belongs to another library. Please hand it to the librarian.")),
    "damaged": Sentence(N_("The chip in this book cannot be read. Please hand the book to the librarian.")),
    "tag-failed": Sentence(
        N_("The chip could not be switched over, so this loan was undone. Please hand the book to the librarian."),
        N_("The book was taken back, but its chip could not be switched over. Please hand it to the librarian."),
    ),
    "ils-silent": Sentence(
        N_("The library system is not answering, so nothing was lent. Please leave the book with the librarian."),
        N_("The library system is not answering, so nothing was returned. Please give the book to the librarian."),
    ),
}  # fmt: skip
"""Every refusal code of the kiosk. What still needs the patron though it stands is in ``STANDING``."""

STANDING: dict[str, Sentence] = {
    "pending": Sentence(
        N_("Borrowed, but its chip would still set off the gate. Please show the book to the librarian before you go."),
        N_("Returned, but its chip could not be switched over. Please hand the book to the librarian."),
    ),
    "kept-closed": Sentence(N_("Recorded for reading in the library. Please do not carry the book through the gate.")),
    "lifted": Sentence(N_("Not finished yet. Please put the book back on the tray.")),
}  # fmt: skip
"""Loans and returns that stand in the library system but need the patron to do something."""

NOTICES: dict[str, str] = {
    "ils-silent": N_(
        "The library system is not answering, so nothing more can be recorded just now."
        " Please try again in a few minutes, or ask the librarian."
    ),
    "card-unknown": N_(
        "We could not find this card. Please try again, or show the card to the librarian."
    ),
    "card-blocked": N_("This card cannot be used just now. Please show it to the librarian."),
    "reader-lost": N_(
        "The tray stopped working. Books with a green tick are done; please take the others to the librarian."
    ),
    "barred": N_(
        "Nothing more can be borrowed or returned here just now. Books with a green tick are done;"
        " please touch Finish and take the others to the librarian's desk."
    ),
    "other": N_("Something needs the librarian's help. Please ask at the desk."),
}
"""Every notice code of the kiosk."""

BARS: dict[str, Bar] = {
    "closed": Bar(
        N_("This station is closed"),
        N_("The library has closed this station for now. Please go to the librarian's desk to borrow or return."),
        "E-CLOSED",
    ),
    "outbox-full": Bar(
        N_("This station is taking a break"),
        N_(
            "The connection to the centre has been away too long, so nothing more can be recorded here."
            " Please go to the librarian's desk to borrow or return."
        ),
        "E-OUTBOX",
    ),
    "wiped": Bar(
        N_("This station is out of use"),
        N_("The library has taken this station out of use. Please go to the librarian's desk to borrow or return."),
        "E-WIPED",
    ),
    "disk": Bar(
        N_("This station is taking a break"),
        N_("This station has no room left to record anything. Please go to the librarian's desk to borrow or return."),
        "E-DISK",
    ),
}  # fmt: skip
"""Every reason why a kiosk is barred."""
