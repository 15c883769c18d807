"""A barcode written straight into the UII of a UHF tag, as many label printers do: ASCII, or two digits a byte.

Nothing marks such a tag and nothing checks it. ``plain`` and ``digits`` take what can hardly be anything else; a site
that knows its own tags says so with a ``Form``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, assert_never

from kiosk.wire import epc as bank
from kiosk.wire.content import NOBODY, ItemTag, Model, Usage, Warn

_PLAIN = re.compile(rb"[0-9A-Za-z][0-9A-Za-z.:/_-]{2,60}[0-9A-Za-z]")
_LONGEST_NUMBER = 20  # digits of a barcode; more of them are somebody's serial number


@dataclass(frozen=True, slots=True)
class Form:
    """How a site writes its UIIs: ``length`` characters from byte ``offset``, less a leading ``prefix``.

    ``length`` 0: to the end, less what fills it (00, FF, or the nibble F).
    """

    kind: Literal["ascii", "bcd", "hex"]
    offset: int = 0
    length: int = 0
    prefix: str = ""


def read(uii: bytes, form: Form) -> str | None:
    """The id by the site's form; None if this UII is not of that form."""
    raw, length = uii[form.offset :], form.length or None
    match form.kind:
        case "ascii":
            text = raw[:length].rstrip(b"\x00\xff ").decode("ascii", "replace")
            good = text.isascii() and text.isprintable()
        case "bcd":
            text = raw.hex()[:length].rstrip("f")
            good = text.isdecimal()
        case "hex":
            text, good = raw.hex().upper()[:length], True
        case _:
            assert_never(form.kind)
    if not good or not text.startswith(form.prefix):
        return None
    return text.removeprefix(form.prefix) or None


def plain(epc: bytes) -> ItemTag | None:
    """An item whose UII is nothing but letters, digits and a few signs, filled up with 00, FF or blanks."""
    found = bank.split(epc)
    if found is None or found.missing:
        return None
    kept = found.uii.rstrip(b"\x00\xff ").lstrip(b"\x00")
    if not _PLAIN.fullmatch(kept):
        return None
    return _item(kept.decode("ascii"), "ascii", (Warn.NO_CHECK,))


def digits(epc: bytes) -> ItemTag | None:
    """An item whose UII is a number, two digits a byte, filled up with 00 in front or F behind."""
    found = bank.split(epc)
    if found is None or found.missing or found.pc.iso:
        return None
    kept = found.uii.lstrip(b"\x00").hex().rstrip("f")
    if not kept.isdecimal() or not 8 <= len(kept) <= _LONGEST_NUMBER:
        return None
    return _item(kept, "bcd", (Warn.BCD, Warn.NO_CHECK))


def _item(text: str, form: str, warnings: tuple[Warn, ...]) -> ItemTag:
    return ItemTag(
        text, Usage.UNSAID, 1, 1, NOBODY, warnings=warnings, model=Model.ASCII, fields=(("uii", form),)
    )  # fmt: skip
