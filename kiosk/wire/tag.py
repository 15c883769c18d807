"""Any tag of any model: bytes of its memory -> what it says."""

from __future__ import annotations

from dataclasses import replace

from kiosk.wire import iso28560_2, iso28560_3, iso28560_4, ndef, plain, rfid501, uhf_tag
from kiosk.wire.content import (
    Blank,
    CardTag,
    Content,
    Damage,
    Damaged,
    Element,
    Foreign,
    ItemTag,
    Look,
    Warn,
)
from kiosk.wire.iso15962 import parse

_LEAST = 32  # bytes to read before anything can be said
_HEADS = (0x11, 0x21)  # of a circulating item in ISO 28560-3
_SHORT_ID = 5  # bytes; fewer are what items have parts
_TWO_BLOCKS = 8  # below, the first bytes of a fixed block pass for a data set


def decode(
    data: bytes,
    *,
    afi: int | None = None,
    dsfid: int | None = None,
    epc: bytes = b"",
    swapped: bool = False,
) -> Content:
    """User memory from block 0, as many bytes as were read -> Content. Total: never raises.

    ``afi`` and ``dsfid`` as the tag told them, if it was asked: hints, never needed. ``epc``: of a UHF tag, its
    protocol control word and UII (ISO/IEC 18000-63 bank 01 from word 1); ``data`` is then its user bank, empty if it
    was not read. Without ``epc``, ``data`` may also be such a bank 01 whole. ``swapped``: this site's tags have the
    nibbles of byte 0 the other way (ISO 28560-3).

    Models with a check value come first. What looks like one of them but fails the check is *damaged* and nothing
    else: a model without a check value would make an id of it.
    """
    del afi  # says what security state a tag is in, never which model it is of
    if epc:
        return uhf_tag.decode(epc, data)
    if not data:
        return Damaged(Damage.MISSING, _LEAST)
    if plain.is_blank(data):
        return Blank()
    fixed = iso28560_3.decode(data, swapped=swapped)
    if isinstance(fixed, ItemTag | CardTag):
        return fixed
    bank = _bank(data)
    if bank is not None and not isinstance(bank, Damaged):
        return bank
    sets = iso28560_2.decode(data) if len(data) >= _TWO_BLOCKS else None
    if dsfid != iso28560_2.DSFID:
        if isinstance(sets, ItemTag | CardTag) and _twofold(data):
            sets = replace(sets, warnings=(*sets.warnings, Warn.NO_CHECK))
        return fixed or bank or sets or _unchecked(data)
    told = iso28560_2.decode(data, certain=True)
    if not isinstance(told, ItemTag | CardTag):
        # The DSFID may be another format's left-over: whatever stands there whole is more than what it promises.
        found = fixed or bank or sets or _unchecked(data)
        return told if isinstance(found, Foreign) and isinstance(told, Damaged) else found
    alone = not isinstance(sets, ItemTag | CardTag)  # nothing but the DSFID speaks for it
    if alone and not isinstance(found := fixed or bank or _unchecked(data), Foreign):
        return found
    two = len(data) < _LEAST and _twofold(data)
    if (alone or two or fixed is not None) and Warn.NO_CHECK not in told.warnings:
        told = replace(told, warnings=(*told.warnings, Warn.NO_CHECK))
    return told


def _bank(data: bytes) -> Content | None:
    """Bank 01 of a UHF tag, if the memory is one. Not where a plain number stands: no PC of a bank is text.

    In one of 65,536 HF tags a StoredCRC fits by chance, so what is said behind it must make sense too.
    """
    bank = None if plain.decode_ascii(data) is not None else uhf_tag.recognise(data)
    return None if isinstance(bank, Foreign) else bank


def _twofold(data: bytes) -> bool:
    """Whether data sets may as well be what is left of a fixed block, for no list of elements (OID 2) speaks for them.

    11 is version 1 and a circulating item, or an integer as the id; then come parts and part, or length and number.
    """
    if any(one.oid == Element.CONTENT_PARAMETER for one in parse(data).sets):
        return False
    return data[0] < 0x80 and (data[0] in _HEADS or data[1] < _SHORT_ID)


def _unchecked(data: bytes) -> Content:
    """The models that nothing guards, the most telling first."""
    if iso28560_4.is_user_bank(data):
        return Foreign(Look.USER_BANK)
    found = rfid501.decode(data) or plain.decode_ascii(data) or ndef.decode(data)
    if found is None and len(data) < _LEAST and iso28560_3.may_begin(data):
        return Damaged(Damage.MISSING, _LEAST - len(data))
    return found or Foreign(_look(data))


def _look(data: bytes) -> Look:
    if data[0] == 0x04 and data[2:3] == b"\x00":
        return Look.RFID501
    if data[0] in (0xE1, 0xE2):
        return Look.NDEF
    if len(data) >= 4 and all(0x20 <= byte < 0x7F for byte in data[:4]):
        return Look.TEXT
    return Look.UNKNOWN
