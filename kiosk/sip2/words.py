"""What ``mocban sip2`` says to people. msgid is stable English; the Vietnamese stands in the catalog beside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from kiosk.sip2.told import Line, Nothing, Part
from kiosk.wire.sip2 import Checksum, clean
from kiosk.wire.sip2_dates import parse_due
from kiosk.wire.sip2_fields import MESSAGES
from kiosk.wire.sip2_redaction import HIDDEN
from kiosk.wire.sip2_tables import (
    FIELDS,
    FIXED,
    PATRON_STATUS,
    SUMMARY,
    SUPPORTED,
    meaning,
    raised,
    words,
)
from kiosk.wire.sip2_tolerance import Tolerance
from kiosk.wire.sip2_types import Kind, kind

HEAD = "{number}. {code} {name}, {by}, {checksum}"
TERMINAL, SYSTEM = "from the terminal", "from the library system"
SEQUENCE = "number {seq}"
CHECKSUMS = {
    Checksum.GOOD: "checksum right",
    Checksum.BAD: "CHECKSUM WRONG",
    Checksum.NONE: "no checksum",
}
LOOK_OUT = "Look out"
UNKNOWN = "Unknown field"
NOTHING = "{number}. This is no SIP2."
NO_LINES = "There is no SIP2 message. Give lines as they went over the wire, one a line."
HIDDEN_VALUE = "hidden"
"""Beside a value that is not shown."""

ERRORS = {
    "sip2-empty": "Only control characters: look whether the line speaks something else.",
    "sip2-free-text": "A free text instead of a message: the library system failed. Ask who looks after it.",
    "sip2-unknown-message": "Its number is of no message that SIP2 has. Ask what the other side speaks.",
    "sip2-cut-short": "The message ends too early. Ask for it again.",
    "sip2-line-too-long": "The line is too long to be a message. Give a file that has line ends.",
}
SENTENCES = {
    Tolerance.NOISE: "Stray bytes around the line were taken off. A terminal set to Telnet writes them.",
    Tolerance.LINE_FEED: "A line feed stood beside the line; SIP2 ends a line with CR alone.",
    Tolerance.SHORT_CHECKSUM: "The checksum has fewer than four digits; zeros were put in front.",
    Tolerance.DAMAGED_TRAILER: "Number and checksum are damaged. Believe none of it.",
    Tolerance.LAST_DELIMITER: "The last field does not end with |. It was read all the same.",
    Tolerance.STRAY_BYTE: "A single byte stood between two |. It was left out.",
    Tolerance.FIELD_ID: "A field begins with no proper id. Perhaps a value holds a |.",
    Tolerance.TWICE: "A field stands twice. The first counts.",
    Tolerance.UNEXPECTED: "{what} does not belong in this message. It was kept.",
    Tolerance.LACKS: "{what} is missing. Ask who looks after the library system.",
    Tolerance.ODD: "{what} is not as it should be.",
    Tolerance.LOWER_CASE: "{what} is a small letter and was read as a capital.",
    Tolerance.NOT_ENCODED: "Some letters are not {what}. Try another --encoding.",
    Tolerance.DECOMPOSED: "The letters and marks of {what} were apart and were put together.",
    Tolerance.CONTROL: "{what} holds control characters; blanks stand in their place.",
}


def everything() -> frozenset[str]:
    """All that people read here, for the catalogs and their test."""
    heads = (HEAD, TERMINAL, SYSTEM, SEQUENCE, LOOK_OUT, UNKNOWN, NOTHING, NO_LINES, HIDDEN_VALUE)
    names = (spec.name for spec in MESSAGES.values())
    said = (*CHECKSUMS.values(), *ERRORS.values(), *SENTENCES.values())
    return frozenset((*heads, *names, *said)) | words()


class Texts(Protocol):
    """A message catalog; ``gettext.NullTranslations`` is one."""

    def gettext(self, message: str, /) -> str:
        """The message in the reader's language."""
        ...


def rows(number: int, line: Line | Nothing, texts: Texts) -> Iterator[str]:
    """Lines for a terminal."""
    say = texts.gettext
    if isinstance(line, Nothing):
        yield say(NOTHING).format(number=number) + " " + say(ERRORS[line.error.code])
        if line.line:
            yield f"   {_plain(line.line)}"
        return
    yield _head(number, line, texts)
    shown = [("", label(part.key, texts), part) for part in line.fixed]
    shown += [(part.key, label(part.key, texts), part) for part in line.fields]
    wide = max((len(name) for _, name, _ in shown), default=0)
    for key, name, part in shown:
        yield f"   {_plain(key):2} {name:{wide}}  {_beside(part, texts)}".rstrip()
    for warning in line.warnings:
        yield f"   {say(LOOK_OUT)}: {sentence(warning, texts)}"


def as_json(number: int, line: Line | Nothing, texts: Texts) -> dict[str, Any]:
    """The shape of one line in ``--json``."""
    if isinstance(line, Nothing):
        body: dict[str, Any] = {"n": number, "ok": False, "error": line.error.as_json()}
        return body | ({"line": clean(line.line)} if line.line else {})
    return {
        "n": number, "ok": line.checksum is not Checksum.BAD, "code": line.code, "name": MESSAGES[line.code].name,
        "label": texts.gettext(MESSAGES[line.code].name), "by": "terminal" if line.request else "library-system",
        "seq": line.seq, "checksum": line.checksum.value,
        "fixed": [{"name": part.key, **_part(part, texts)} for part in line.fixed],
        "fields": [{"id": part.key, **_part(part, texts)} for part in line.fields],
        "warnings": list(line.warnings), "line": clean(line.line),
    }  # fmt: skip


def label(key: str, texts: Texts) -> str:
    """The name of a field or fixed part."""
    return texts.gettext(FIXED.get(key) or FIELDS.get(key) or UNKNOWN)


def sentence(warning: str, texts: Texts) -> str:
    """What is odd, and what became of it."""
    tolerance = Tolerance.of(warning)
    what = warning.removeprefix(tolerance).strip()
    return texts.gettext(SENTENCES[tolerance]).format(what=_named(what, texts))


def means(part: Part, texts: Texts) -> str:
    """What a value means, where it does not say so itself; "" else."""
    key, value = part.key, part.value or ""
    tables = {"patron_status": PATRON_STATUS, "summary": SUMMARY, "BX": SUPPORTED}
    if key in tables:
        return ", ".join(texts.gettext(name) for name in raised(tables[key], value))
    if key in ("date", "return_date", "nb_due", "sync") or kind(key) in (Kind.DATE, Kind.DUE):
        moment = parse_due(value)
        return f"{moment.astimezone():%d/%m/%Y %H:%M:%S}" if moment else ""
    said = meaning(key, value)
    return texts.gettext(said) if said else ""


def _part(part: Part, texts: Texts) -> dict[str, Any]:
    return {
        "label": label(part.key, texts),
        "value": part.value,
        "hidden": part.value is None,
        "means": means(part, texts),
    }


def _head(number: int, line: Line, texts: Texts) -> str:
    say = texts.gettext
    by, checksum = say(TERMINAL if line.request else SYSTEM), say(CHECKSUMS[line.checksum])
    name = say(MESSAGES[line.code].name)
    head = say(HEAD).format(number=number, code=line.code, name=name, by=by, checksum=checksum)
    return head if line.seq is None else f"{head}, {say(SEQUENCE).format(seq=line.seq)}"


def _beside(part: Part, texts: Texts) -> str:
    if part.value is None:
        return f"{HIDDEN} ({texts.gettext(HIDDEN_VALUE)})"
    said = means(part, texts)
    return f"{_plain(part.value)}  ({said})" if said else _plain(part.value)


def _named(what: str, texts: Texts) -> str:
    """A fixed part by its name, fields by their ids, an encoding as it is."""
    return texts.gettext(FIXED[what]) if what in FIXED else what


def _plain(text: str) -> str:
    """Without what would write over a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
