"""The data elements of ISO 28560-2, one by one: a data set <-> its value as text."""

from __future__ import annotations

import re

from kiosk.wire import compaction, isil
from kiosk.wire.compaction import Code
from kiosk.wire.content import Element
from kiosk.wire.iso15962 import LONGEST, DataSet
from mocban.errors import LocalProtocolError

LONGEST_ID = 31  # bytes as packed: a length of 20 hex or more looks like text of another model

_ISILS = (Element.OWNER, Element.ILL_BORROWER)
NUMBERS = (Element.TYPE_OF_USAGE, Element.MEDIA_FORMAT, Element.SUPPLY_STAGE)
_NUMBER_CODES = (Code.APPLICATION, Code.INTEGER, Code.OCTETS)  # writers differ
_GTIN = 13  # digits
_UNCLEAN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_OIDS = frozenset(Element)
_ALWAYS_UTF8 = (Element.ONIX_MEDIA, Element.TITLE)  # as those writers do whose tags we know


def known(oid: int) -> bool:
    """Whether ISO 28560-1 gives the element a name."""
    return oid in _OIDS


def name(oid: int) -> str:
    """``shelf-location``; ``oid-29`` for what ISO 28560-1 does not name."""
    return Element(oid).label if known(oid) else f"oid-{oid}"


def read(one: DataSet) -> str | None:
    """The value, wrong pads forgiven (see ``exact``); None if the element or its form is not known. Never raises.

    Numbers are decimal, a type of usage too; a GS1 product is of 13 digits.
    """
    code = Code(one.code)
    plain = code in _NUMBER_CODES and len(one.data) == 1
    text: str | None
    if not known(one.oid) or one.oid == Element.CONTENT_PARAMETER:
        text = None
    elif one.oid in NUMBERS and plain:
        text = str(one.data[0])
    elif one.oid == Element.TYPE_OF_USAGE:
        text = None
    elif one.oid in _ISILS and code is Code.APPLICATION:
        text = isil.decode(one.data)
    elif one.oid == Element.GS1_PRODUCT and code in (Code.APPLICATION, Code.INTEGER):
        digits = str(int.from_bytes(one.data, "big")).zfill(_GTIN)
        text = digits if one.data and len(digits) == _GTIN else None
    else:
        text = compaction.unpack(code, one.data)
    return text if text is not None and clean(text) else None


def exact(one: DataSet, text: str) -> bool:
    """Whether the data is ``text`` as the standard packs it; where it leaves a choice, always."""
    code = Code(one.code)
    if code is Code.APPLICATION or one.oid in NUMBERS or one.oid == Element.GS1_PRODUCT:
        return True
    return compaction.exact(code, one.data, text)


def write(oid: int, text: str) -> DataSet:
    """The value as a data set without pads; LocalProtocolError with the reason if the element cannot hold it."""
    if not clean(text):
        raise _refusal(oid, "has characters that no tag can hold")
    if oid in NUMBERS:
        if not (_digits(text) and int(text) <= 255):
            raise _refusal(oid, "is not a number from 0 to 255")
        return DataSet(oid, Code.APPLICATION, bytes((int(text),)))
    if oid in _ISILS and isil.fits(text):
        return DataSet(oid, Code.APPLICATION, isil.encode(text))
    if oid == Element.GS1_PRODUCT:
        if not (_digits(text) and len(text) <= _GTIN):
            raise _refusal(oid, "is not a number of 13 digits")
        return DataSet(oid, Code.APPLICATION, int(text).to_bytes(6, "big"))
    code = Code.UTF8 if oid in _ALWAYS_UTF8 else compaction.choose(text)
    data = compaction.pack(code, text)
    longest = LONGEST_ID if oid == Element.PRIMARY_ID else LONGEST
    if len(data) > longest:
        raise _refusal(oid, f"takes {len(data)} bytes; {longest} is the most")
    return DataSet(oid, code, data)


def clean(text: str) -> bool:
    """Whether there is no control character and no half of a surrogate pair in ``text``."""
    return _UNCLEAN.search(text) is None


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _GTIN


def _refusal(oid: int, why: str) -> LocalProtocolError:
    return LocalProtocolError(
        f"The element {name(oid)} {why}.", "Change it or leave it out.", code="label-unfit"
    )
