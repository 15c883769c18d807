"""What ``mocban tag`` refuses, and what it cannot do: a code, what is the matter, what to do.

Both sentences are in the shell's language. msgid is stable English; the Vietnamese stands in the catalog beside.
"""

from __future__ import annotations

from typing import TypeVar

from mocban.errors import Exit, MocbanError, Permanent, RemoteFault, StorageError
from mocban.i18n import catalog, language

REFUSALS: dict[str, tuple[str, str]] = {
    "no-tag": ("no tag lies on the reader", "lay the item flat on it, then try again"),
    "two-tags": (
        "{n} tags lie on the reader: {uids}",
        "leave only the one that is meant, so that no other is written",
    ),
    "no-such-tag": ("the tag {uid} does not lie on the reader", "lay it there, then try again"),
    "other-tag": (
        "on the reader lies the tag {uid}, not {wanted}",
        "lay the right item there; nothing was written",
    ),
    "not-read": ("the tag {uid} is seen but cannot be read", "move it to the middle of the reader"),
    "tag-gone": (
        "the tag {uid} does not answer any more",
        "lay it back in the middle of the reader, then try again",
    ),
    "holds-item": (
        "the tag {uid} already holds the item {item}",
        "lay the right tag there, or say --over to write over it",
    ),
    "holds-card": (
        "the tag {uid} is a patron card",
        "take it away, or say --over to write over it",
    ),
    "holds-other": (
        "the tag {uid} holds something that we cannot read",
        "see mocban tag read; say --over to write over it",
    ),
    "does-not-fit": ("the tag {uid} cannot hold this: {why}", "{do}"),
    "not-written": (
        "the tag {uid} did not take what was written, and was put back as it was",
        "move it to the middle and try again; blocks or DSFID may be locked: --keep-dsfid, or another tag",
    ),
    "half-written": (
        "the tag {uid} is half written: it went away or failed during the write",
        "lay it on the reader, then mocban tag convert --resume to finish it, or mocban tag undo {path}",
    ),
    "not-noted": (
        "the tag {uid} is whole, but the undo file {path} could not take that down: the disk is full or read-only",
        "make room, then mocban tag convert --resume with the tag on the reader; no further tag was written",
    ),
    "half-written-before": (
        "the tag {uid} was left half written on {at}",
        "mocban tag convert --resume finishes it, mocban tag undo {path} puts it back",
    ),
    "written-since": (
        "the tag {uid} was written by somebody else since then",
        "see mocban tag read; say --even-so to write over that",
    ),
    "written-over": (
        "the tag {uid} was left half written, and was written by somebody else since then",
        "see mocban tag read; if that is right, mocban tag convert --resume --leave; --even-so writes over it",
    ),
    "nothing-to-undo": (
        "the undo file says nothing about the tags on the reader",
        "lay the tag there that it is about, or name the right file",
    ),
    "nothing-to-resume": (
        "no tag on the reader is half written",
        "see mocban tag read; there is nothing to do",
    ),
    "blank": ("the tag {uid} is blank", "write it with mocban tag program"),
    "damaged": (
        "the tag {uid} cannot be trusted: its check value is wrong or bytes are missing",
        "compare the barcode, then mocban tag program --over",
    ),
    "foreign": (
        "the tag {uid} is no library tag that we know",
        "compare the barcode, then mocban tag program --over",
    ),
    "afi-unknown": (
        "the AFI {afi} of the tag {uid} is neither in stock nor on loan at this site",
        "say what it means with --from-in-stock and --from-on-loan, or leave it with --keep-afi",
    ),
    "parts-unknown": (
        "the tag {uid} does not say how many parts the item has",
        "say --single if it is one, or write it with mocban tag program --parts",
    ),
    "not-lockable": (
        "the number of the tag {uid} cannot be locked: it does not fill whole blocks of its own",
        "write it with --model iso28560-2 --lockable first; no other layout can do it",
    ),
    "lock-security": (
        "{what} is what the gates of this site go by: once locked, the item can never be lent or returned again",
        "do not lock it; ISO 28560-1 forbids it; say --even-so if you must",
    ),
    "not-locked": ("the tag {uid} did not take the lock", "it may be locked already"),
    "no-afi": (
        "the tag {uid}, or this reader, tells no AFI",
        "take another tag or another reader, or set kiosk.security.by to what they can do",
    ),
    "no-eas": (
        "the tag {uid}, or this reader, knows no EAS",
        "take another tag or another reader, or set kiosk.security.by to afi",
    ),
    "gate-undecided": (
        "no pair of values was found of which one rings and the other does not",
        "see what the gate is set to, or ask its maker; a gate that goes by a database rings for none",
    ),
    "no-barcode": (
        "that is no barcode",
        "scan again; 1 to 64 letters, digits and signs make one",
    ),
    "too-many": (
        "more than {n} tags were read",
        "end here and go on with a new list, shelf by shelf",
    ),
}

E = TypeVar("E", bound=MocbanError)


class Refused(RemoteFault, Permanent):
    """A tag, or what lies there, is not as it must be. Nothing is half done unless the code says so."""

    exit = Exit.NO


class Half(RemoteFault, Permanent):
    """A tag was left half written; the undo file knows it."""

    exit = Exit.PARTLY
    code = "half-written"


def refused(code: str, **values: object) -> Refused:
    """The refusal of that code, in the shell's language."""
    return _told(Refused, code, values)


def half(uid: str, path: object) -> Half:
    """The tag of this UID is half written; the undo file is at ``path``."""
    return _told(Half, "half-written", {"uid": uid, "path": path})


def not_noted(uid: str, path: object) -> StorageError:
    """The tag of this UID is as it should be; the undo file at ``path`` does not say so."""
    return _told(StorageError, "not-noted", {"uid": uid, "path": path})


def _told(kind: type[E], code: str, values: dict[str, object]) -> E:
    say, do = REFUSALS[code]
    get = catalog("kiosk.tagging", language()).gettext
    shown = {name: plain(value) for name, value in values.items()}
    return kind(get(say).format(**shown), get(do).format(**shown), code=code)


def plain(value: object) -> object:
    """Text as it stands on a tag, without what would write over a terminal."""
    if not isinstance(value, str):
        return value
    return "".join(letter if letter.isprintable() else "�" for letter in value)
