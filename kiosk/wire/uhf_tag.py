"""Any UHF tag: what its bank 01 and user memory say, and its security changed, whichever format it is of."""

from __future__ import annotations

from dataclasses import replace

from kiosk.wire import epc as bank
from kiosk.wire import gaoxiao, iso28560_4, raw_uii
from kiosk.wire.content import (
    Blank,
    Content,
    Damage,
    Damaged,
    Foreign,
    ItemTag,
    Model,
    Warn,
)

_SHORTEST = 4  # a PC and one word
_CERTAIN = 10  # characters of plain text that URN Code 40 makes by chance once in a million
_FACTORY = 0xE2  # the makers' first byte: the UII is then a copy of the chip's own number


def decode(epc: bytes, user: bytes = b"") -> Content:
    """PC and UII, and user memory as far as it was read -> Content. Total: never raises.

    In this order: blank, long plain text, ISO 28560-4, plain text, gaoxiao, a number in BCD, foreign. Some sites write
    plain text behind the AFI of a library item; URN Code 40 looks like it in a few words, hardly ever in five.
    """
    found = bank.split(epc)
    if found is None:
        return Damaged(Damage.MISSING, _SHORTEST - len(epc), Model.ISO28560_4)
    if found.missing:
        return Damaged(Damage.MISSING, found.missing, Model.ISO28560_4)
    if is_blank(found):
        return Blank()
    text = raw_uii.plain(epc)
    if text is not None and len(text.id) >= _CERTAIN:
        return text
    return (
        iso28560_4.decode(epc, user)
        or text
        or gaoxiao.decode(epc)
        or raw_uii.digits(epc)
        or Foreign()
    )


def is_blank(found: bank.Epc) -> bool:
    """Nothing was written: no UII, one of 00 or FF alone, or the maker's."""
    if not found.uii.strip(b"\x00") or not found.uii.strip(b"\xff"):
        return True
    pc = found.pc
    return not (pc.iso or pc.xpc or pc.attribute) and found.uii[0] == _FACTORY


def recognise(data: bytes) -> Content | None:
    """Memory that is bank 01 itself (see ``epc.recognise``); None if nothing says so.

    A StoredCRC that is there and wrong is damage: the tag computes it anew at every power-up, so the bytes were read
    or copied wrong. Where it is left out nothing guards the id, and a warning says so.
    """
    found = bank.recognise(data)
    if found is None:
        return None
    if found.checked is False:
        return Damaged(Damage.CHECKSUM, model=Model.ISO28560_4)
    content = decode(found.epc)
    if (
        found.checked is None
        and isinstance(content, ItemTag)
        and Warn.NO_CHECK not in content.warnings
    ):
        return replace(content, warnings=(*content.warnings, Warn.NO_CHECK))
    return content


def afi(epc: bytes) -> int | None:
    """Security as bank 01 tells it, as an AFI: its own, or the one that says the same as the bit of gaoxiao."""
    found = bank.split(epc)
    if found is None:
        return None
    if found.pc.iso:
        return found.pc.afi
    lent = gaoxiao.lent(epc)
    return None if lent is None else bank.ON_LOAN if lent else bank.IN_STOCK


def secured(epc: bytes, wanted: int) -> bytes | None:
    """The same tag telling AFI ``wanted``; None if its bank 01 cannot: gaoxiao knows in stock and on loan alone."""
    found = bank.split(epc)
    if found is None:
        return None
    if found.pc.iso:
        return bank.with_afi(epc, wanted)
    if wanted not in (bank.IN_STOCK, bank.ON_LOAN) or gaoxiao.decode(epc) is None:
        return None
    return gaoxiao.lend(epc, on_loan=wanted == bank.ON_LOAN)
