"""ISO 28560-3, the fixed model of library tags (DS/INF 163): user memory -> what lies there.

``decode`` is tolerant and total: any bytes give a value, oddities become warnings.
The usage class is the low nibble of byte 0. Some early writers swapped the nibbles, but 0x21 is also a real
version 2: only a site that knows its tags may say ``swapped``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from kiosk.wire.content import (
    CardTag,
    Content,
    Damage,
    Damaged,
    Element,
    Foreign,
    ItemTag,
    Look,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.crc import CCITT_FALSE
from kiosk.wire.extension import LIBRARY, Chain, chain

BASIC_BLOCK: Final = 34
"""Bytes of the basic block; the last two are virtual zeros on a tag of 32."""
TRUNCATED: Final = 32
LONG_ID: Final = b"\x01"
"""In byte 3: the id stands in the library extension block."""
OWNER_CHARS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/:")
"""What an ISIL consists of (ISO 15511)."""

_ID, _COUNTRY, _LIBRARY = slice(3, 19), slice(21, 23), slice(23, BASIC_BLOCK)
_EARLY = re.compile(rb"(?=[\x04-\xff][\x01-\x05]\x00)")  # where a block of a known type may begin


def decode(data: bytes, *, swapped: bool = False) -> Content | None:
    """User memory from block 0, as many bytes as were read. None: not this model. Never raises.

    ``Damaged`` for what bears the signs of a basic block but has a wrong checksum, or too few bytes to tell.
    ``swapped``: this site's early tags have usage and version swapped in byte 0.
    """
    if len(data) < TRUNCATED:
        if _begins(data) or _begins(turn_blocks(data)):
            return Damaged(Damage.MISSING, TRUNCATED - len(data))
        return None
    found = straighten(data)
    if found is None:
        return None
    if found.wrong:
        lost = BASIC_BLOCK - len(data)
        if lost > 0 and _owner_goes_on(found.data):
            return Damaged(Damage.MISSING, lost)
        return Damaged(Damage.CHECKSUM)
    return _content(found, swapped=swapped)


@dataclass(frozen=True, slots=True)
class Straight:
    """A tag of this model with its bytes in the order of the standard. ``wrong``: by its signs alone, not its CRC."""

    data: bytes = field(repr=False)
    warnings: tuple[Warn, ...] = ()
    reversed: bool = False
    wrong: bool = False


def straighten(data: bytes) -> Straight | None:
    """The tag in the order of the standard, at least 32 bytes of it; None if it is not of this model."""
    found = _checked(data)
    if found is not None and _credible(data):
        return Straight(data, found)
    turned = turn_blocks(data[: BASIC_BLOCK + 2])
    found = _checked(turned) if _turned(turned) else None
    if found is not None:
        return Straight(turn_blocks(data), (*found, Warn.BLOCKS_REVERSED), reversed=True)
    signs, other = _damaged_signs(data), _damaged_signs(turned)
    if max(signs, other) < 3:
        return None
    if signs >= other:
        return Straight(data, wrong=True)
    return Straight(turn_blocks(data), (Warn.BLOCKS_REVERSED,), reversed=True, wrong=True)


def turn_blocks(data: bytes) -> bytes:
    """Each whole block of four bytes backwards; a rest is cut off, its order is unknown."""
    whole = len(data) - len(data) % 4
    turned = bytearray(whole)
    for at in range(4):
        turned[at::4] = data[3 - at : whole : 4]
    return bytes(turned)


def checksum(block: bytes) -> int:
    """CRC of a basic block: bytes 0-18 and 21-33, missing ones as 00; its own two are skipped."""
    full = block[:BASIC_BLOCK].ljust(BASIC_BLOCK, b"\x00")
    return CCITT_FALSE(full[:19] + full[21:])


def version_of(first: int, *, swapped: bool = False) -> tuple[int, int]:
    """Version and usage class in byte 0. A swapped one is version 1: its low nibble says so."""
    high, low = first >> 4, first & 0x0F
    return (low, high) if swapped and low == 1 and high <= Usage.EQUIPMENT else (high, low)


def blocks(data: bytes) -> tuple[Chain, int]:
    """Extension blocks of a straight tag, and where its owner code ends.

    Some writers put them right behind a short owner code. That is believed only where a block of a known type is
    right, and no right one stands in its own place.
    """
    place = chain(data)
    if any(block.right for block in place.blocks):
        return place, BASIC_BLOCK
    for match in _EARLY.finditer(data, 23, BASIC_BLOCK + 2):
        early = chain(data, match.start())
        if early.blocks and early.blocks[0].elements is not None:
            return early, match.start()
    return place, BASIC_BLOCK


def _checked(data: bytes) -> tuple[Warn, ...] | None:
    """None if the checksum is wrong, else the warnings that its form deserves."""
    stored = int.from_bytes(data[19:21], "little")
    if checksum(data) == stored:
        return ()
    # Written for 32 bytes, with other data behind; but one flipped bit in bytes 32 and 33 must still be seen.
    if int.from_bytes(data[32:34]).bit_count() > 1 and checksum(data[:TRUNCATED]) == stored:
        return (Warn.CRC_32,)
    return None


def _content(found: Straight, *, swapped: bool) -> Content:
    data, warnings = found.data, list(found.warnings)
    if Warn.CRC_32 in warnings:
        data = data[:TRUNCATED].ljust(BASIC_BLOCK + 1, b"\x00")
    version, usage = version_of(data[0], swapped=swapped)
    if data[0] >> 4 != version:
        warnings.append(Warn.NIBBLES_SWAPPED)
    elif version not in (1, 2):
        warnings.append(Warn.VERSION)
    place, owner_end = blocks(data)
    if owner_end < BASIC_BLOCK:
        warnings.append(Warn.EXTENSION_EARLY)
    told = [told for block in place.blocks for told in block.fields]
    raw = data[_ID]
    if raw[:1] == LONG_ID:
        long_id = next((value for label, value in told if label == _ALTERNATIVE_ID), None)
        if long_id is None:
            return _no_long_id(place)
        told.remove((_ALTERNATIVE_ID, long_id))
        warnings.append(Warn.LONG_ID)
        raw = long_id.encode()
    text = _text(raw, warnings)
    if not text:
        return Foreign(Look.NO_ID)
    owner = _owner(data[:owner_end], told, warnings)
    if not all(block.right for block in place.blocks):
        warnings.append(Warn.EXTENSION)
    if usage == Usage.PATRON_CARD:
        return CardTag(text, owner, version, tuple(warnings), fields=tuple(told))
    parts, part = _parts(data, warnings)
    return ItemTag(
        text, Usage(usage), parts, part, owner, version, tuple(warnings), fields=tuple(told)
    )


_ALTERNATIVE_ID = Element.ALTERNATIVE_ID.label
_ALTERNATIVE_OWNER = Element.ALTERNATIVE_OWNER.label


def _no_long_id(place: Chain) -> Damaged | Foreign:
    """Why the id that byte 3 promises is not there."""
    if any(block.number == LIBRARY and not block.right for block in place.blocks):
        return Damaged(Damage.CHECKSUM)
    return Damaged(Damage.MISSING, place.lack) if place.lack else Foreign(Look.NO_ID)


def _text(raw: bytes, warnings: list[Warn]) -> str:
    """The id up to its first 00; "" if it holds control characters: it will travel by SIP2."""
    raw = raw.split(b"\x00", 1)[0]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
        warnings.append(Warn.ID_NOT_UTF8)
    text = text.strip(" ")
    return text if text.isprintable() else ""


def _parts(block: bytes, warnings: list[Warn]) -> tuple[int, int]:
    parts, part = block[1], block[2]
    if parts == 0:
        warnings.append(Warn.PARTS_UNKNOWN)
    elif parts < part:
        warnings.append(Warn.PARTS_SWAPPED)
        parts, part = part, parts
    return parts, part


def _owner(block: bytes, told: list[tuple[str, str]], warnings: list[Warn]) -> Owner:
    """The owner in the basic block; if that is empty, the one that ``told`` gives, taken out of it."""
    if not block[21:].strip(b"\x00"):
        for label, value in told:
            if label == _ALTERNATIVE_OWNER:
                told.remove((label, value))
                return Owner.of(value)
    country = ""
    if _clean_country(block[_COUNTRY]):
        country = block[_COUNTRY].decode("ascii")
    else:
        warnings.append(Warn.COUNTRY)
    library = block[_LIBRARY].split(b"\x00", 1)[0].decode("latin-1").strip()
    if country and library.startswith(f"{country}-"):
        warnings.append(Warn.OWNER_REPEATS_COUNTRY)
        library = library[3:]
    return Owner(country, library.removeprefix("-") if library.isprintable() else "")


def _credible(data: bytes) -> bool:
    """Whether a right checksum may be believed: one text in 65,536 has it by chance."""
    if _is_text(data) and not _clean_head(data):
        return False
    return _clean_id(data[_ID]) or _likeness(data) >= 3


def _turned(data: bytes) -> bool:
    """Whether a turned tag may be believed if its checksum is right: the sum alone would be a second chance."""
    owner = data[21:BASIC_BLOCK].rstrip(b"\x00")
    return (
        _clean_head(data)
        and 1 <= data[2] <= data[1]
        and _clean_id(data[_ID])
        and (not owner or _clean_country(data[_COUNTRY]))
    )


def _damaged_signs(data: bytes) -> int:
    """Signs of a broken basic block; 0 if other models show as many.

    Texts of ISO 28560-2 look like an owner. So the id must be clean, or all else; and without an owner, 1 of 1 part.
    A long id in octets there fills id and owner here, with a length and a letter as the parts: one fault breaks
    either byte 0 or the parts, not both.
    """
    signs, clean = _likeness(data), _clean_id(data[_ID])
    single = data[1:3] == b"\x01\x01"
    if not _clean_head(data) and not single and (signs < 4 or data[2] > data[1]):
        return 0
    owner = _clean_country(data[_COUNTRY]) or _clean_owner(data[_LIBRARY])
    whole = signs == 4 or (clean and (owner or single))
    return signs if whole and not _is_text(data) and not _indexed(data) else 0


def _indexed(data: bytes) -> bool:
    """Whether an ISO 28560-2 element 1 is followed by its element 2, the index, as nearly always."""
    after = 2 + data[1]
    return data[0] & 0x8F == 0x01 and data[after : after + 1] == b"\x02"


def _likeness(data: bytes) -> int:
    """How many of five signs of a basic block ``data`` bears."""
    parts = 1 <= data[1] <= 99 and 1 <= data[2] <= 99
    country, owner = _clean_country(data[_COUNTRY]), _clean_owner(data[_LIBRARY])
    return sum((_clean_head(data), parts, _clean_id(data[_ID]), country, owner))


def _begins(data: bytes) -> bool:
    """Whether a basic block begins like this; a few bytes without an owner prove little, so they must all fit."""
    if len(data) < 3 or not _clean_head(data) or not 1 <= data[2] <= data[1] <= 99:
        return False
    number = data[_ID].rstrip(b"\x00")
    if number and not _clean_id(number):
        return False
    if len(data) < 23:
        return data[1:3] == b"\x01\x01"
    return number != b"" and (data[1:3] == b"\x01\x01" or _clean_country(data[_COUNTRY]))


def may_begin(data: bytes) -> bool:
    """Whether fewer than 32 bytes may be the beginning of a tag of this model: asked when they are of no other."""
    return any(
        len(one) >= 3
        and _clean_head(one)
        and 1 <= one[2] <= one[1] <= 99
        and (one[_ID].rstrip(b"\x00") == b"" or _clean_id(one[_ID]))
        for one in (data, turn_blocks(data))
    )


def _is_text(data: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in data[:4])


def _clean_head(data: bytes) -> bool:
    return data[0] >> 4 in (1, 2) and data[0] & 0x0F <= Usage.EQUIPMENT


def _clean_id(raw: bytes) -> bool:
    text = raw.rstrip(b"\x00")
    return text == LONG_ID or (text != b"" and _text(text, []) != "" and b"\x00" not in text)


def _clean_country(raw: bytes) -> bool:
    return len(raw) == 2 and raw.isalpha() and raw.isupper()


def _clean_owner(raw: bytes) -> bool:
    text = raw.rstrip(b"\x00")
    return text != b"" and OWNER_CHARS.issuperset(text)


def _owner_goes_on(data: bytes) -> bool:
    """Whether the checksum of a block cut short fits an owner code that fills the missing bytes.

    Two bytes are as wide as the checksum: just one pair fits. It counts if it continues the text.
    """
    if not _clean_owner(data[23:32]) or 0 in data[23:32]:
        return False
    register = int.from_bytes(data[19:21], "little")
    for _ in range(16):  # backwards through the two bytes, as if they were 00
        register = (register ^ 0x1021) >> 1 | 0x8000 if register & 1 else register >> 1
    register ^= CCITT_FALSE(data[:19] + data[21:32])
    first, second = register.to_bytes(2, "big")
    if first not in OWNER_CHARS or second not in OWNER_CHARS | {0}:
        return False
    return len(data) == TRUNCATED or data[32] == first
