"""ISO 28560-3, the fixed model of library tags (DS/INF 163): user memory -> what lies there.

``decode`` is tolerant and total: any bytes give a value, oddities become warnings.
The usage class is the low nibble of byte 0, always: some writers swap them, but 0x21 is also a
real version 2.
"""

from __future__ import annotations

from collections.abc import Iterator

from kiosk.wire.content import (
    Blank,
    CardTag,
    Content,
    Damage,
    Damaged,
    Foreign,
    ItemTag,
    Look,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.crc import CCITT_FALSE

BASIC_BLOCK = 34  # bytes; the last two are virtual zeros on a tag of 32
_TRUNCATED = 32
_LONG_ID = b"\x01"  # byte 3: the id stands in the library extension block
_LIBRARY_BLOCK = 1
_OWNER_CHARS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/:")


def decode(data: bytes) -> Content:
    """User memory from block 0, as many bytes as were read -> Content. Never raises."""
    if not data:
        return Damaged(Damage.MISSING, _TRUNCATED)
    if _is_blank(data):
        return Blank()
    if len(data) < _TRUNCATED:
        if _likeness(data) >= 2:
            return Damaged(Damage.MISSING, _TRUNCATED - len(data))
        return Foreign(_look(data))
    turned = turn_blocks(data)
    if (found := _checked(data)) is not None:
        return _content(data, found)
    # The sum alone would let 1 in 65,536 broken tags through this second door: all signs too.
    if _likeness(turned) == _SIGNS and (found := _checked(turned)) is not None:
        return _content(turned, (*found, Warn.BLOCKS_REVERSED))
    if max(_likeness(data), _likeness(turned)) >= 3:
        lost = BASIC_BLOCK - len(data)
        if lost > 0 and (_owner_goes_on(data) or _owner_goes_on(turned)):
            return Damaged(Damage.MISSING, lost)
        return Damaged(Damage.CHECKSUM)
    return Foreign(_look(data))


def turn_blocks(data: bytes, size: int = 4) -> bytes:
    """Each whole block of ``size`` bytes backwards; a rest is cut off, its order is unknown."""
    whole = len(data) - len(data) % size
    return b"".join(data[at : at + size][::-1] for at in range(0, whole, size))


def checksum(block: bytes) -> int:
    """CRC of a basic block: bytes 0-18 and 21-33, missing ones as 00; its own two are skipped."""
    full = block[:BASIC_BLOCK].ljust(BASIC_BLOCK, b"\x00")
    return CCITT_FALSE(full[:19] + full[21:])


_SIGNS = 5


def _checked(data: bytes) -> tuple[Warn, ...] | None:
    """None if the checksum is wrong, else the warnings that its form deserves."""
    stored = int.from_bytes(data[19:21], "little")
    if checksum(data) == stored:
        return ()
    # Only a factory filler excuses bytes 32 and 33: one flipped bit there must still be seen.
    if data[32:34] in (b"\x55\x55", b"\xff\xff") and checksum(data[:32]) == stored:
        return (Warn.CRC_32,)
    return None


def _content(data: bytes, found: tuple[Warn, ...]) -> Content:
    warnings = list(found)
    block = data[:32].ljust(BASIC_BLOCK, b"\x00") if Warn.CRC_32 in found else data[:BASIC_BLOCK]
    version, usage = block[0] >> 4, Usage(block[0] & 0x0F)
    if version not in (1, 2):
        warnings.append(Warn.VERSION)
    raw = block[3:19]
    if raw[:1] == _LONG_ID:
        long_id = _long_id(data)
        if isinstance(long_id, Damaged):
            return long_id
        raw = long_id
    text = _text(raw, warnings)
    if not text:
        return Foreign(Look.NO_ID)
    owner = _owner(block, warnings)
    if usage is Usage.PATRON_CARD:
        return CardTag(text, owner, version, tuple(warnings))
    parts, part = _parts(block, warnings)
    return ItemTag(text, usage, parts, part, owner, version, tuple(warnings))


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


def _owner(block: bytes, warnings: list[Warn]) -> Owner:
    country = ""
    if block[21:23].isalpha() and block[21:23].isupper():
        country = block[21:23].decode("ascii")
    else:
        warnings.append(Warn.COUNTRY)
    library = block[23:BASIC_BLOCK].split(b"\x00", 1)[0].decode("latin-1").strip()
    if country and library.startswith(f"{country}-"):
        warnings.append(Warn.OWNER_REPEATS_COUNTRY)
        library = library[3:]
    return Owner(country, library.removeprefix("-") if library.isprintable() else "")


def _long_id(data: bytes) -> bytes | Damaged:
    """The second field of the library extension block; Damaged if that was not read."""
    for number, payload in _extensions(data):
        if number == _LIBRARY_BLOCK:
            return payload[1:].split(b"\x00", 1)[0]
    return Damaged(Damage.MISSING, _extension_lack(data))


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Blocks from byte 34: length with itself (0 end, 1 filler), id LSB first, XOR, fields."""
    at = BASIC_BLOCK
    while at < len(data) and (length := data[at]):
        block = data[at : at + length]
        at += length
        if length < 4 or len(block) < length:
            continue
        parity = 0
        for byte in block:
            parity ^= byte
        if parity == 0 and block[2] != 0xFF:  # FF: a 24-bit id, none of which we know
            yield int.from_bytes(block[1:3], "little"), block[4:]


def _extension_lack(data: bytes) -> int:
    """How many bytes more would show the first extension block, at least 1."""
    length = data[BASIC_BLOCK] if len(data) > BASIC_BLOCK else 1
    return max(1, BASIC_BLOCK + length - len(data))


def _is_blank(data: bytes) -> bool:
    written = data.rstrip(b"\x00")
    return not written.strip(b"\xff") or not written.strip(b"\x55")


def _likeness(data: bytes) -> int:
    """How many of five signs of a basic block ``data`` bears; a block cut short bears fewer."""
    head = data[:1] != b"" and data[0] >> 4 in (1, 2) and data[0] & 0x0F <= 9
    parts = len(data) > 2 and 1 <= data[1] <= 99 and 1 <= data[2] <= 99
    country, owner = _clean_country(data[21:23]), _clean_owner(data[23:BASIC_BLOCK])
    return sum((head, parts, _clean_id(data[3:19]), country, owner))


def _clean_id(raw: bytes) -> bool:
    text = raw.rstrip(b"\x00")
    return text == _LONG_ID or (text != b"" and all(0x20 <= byte != 0x7F for byte in text))


def _clean_country(raw: bytes) -> bool:
    return len(raw) == 2 and all(0x41 <= byte <= 0x5A for byte in raw)


def _clean_owner(raw: bytes) -> bool:
    text = raw.rstrip(b"\x00")
    return text != b"" and _OWNER_CHARS.issuperset(text)


def _owner_goes_on(data: bytes) -> bool:
    """Whether the checksum of a block cut short fits an owner code that fills the missing bytes.

    Two bytes are as wide as the checksum: just one pair fits. It counts if it continues the text.
    """
    if not _clean_owner(data[23:32]) or 0 in data[23:32]:
        return False
    stored = int.from_bytes(data[19:21], "little")
    start = CCITT_FALSE(data[:19] + data[21:32])
    for first in _OWNER_CHARS:
        after = CCITT_FALSE(bytes((first,)), start)
        if any(CCITT_FALSE(bytes((second,)), after) == stored for second in (0, *_OWNER_CHARS)):
            return len(data) == _TRUNCATED or data[32] == first
    return False


def _look(data: bytes) -> Look:
    if data[0] == 0x04 and data[2:3] == b"\x00" and _clean_id(data[4:20]):
        return Look.RFID501
    if data[0] in (0xE1, 0xE2):
        return Look.NDEF
    if data[0] & 0x8F in (0x01, 0x81) and data[0] & 0x70 and _precursors_add_up(data):
        return Look.ISO28560_2
    if len(data) >= 4 and all(0x20 <= byte < 0x7F for byte in data[:4]):
        return Look.TEXT
    return Look.UNKNOWN


def _precursors_add_up(data: bytes) -> bool:
    """Whether ISO 15962 sets (precursor, [OID], [pads], length, data) lead to a 00 or the end."""
    at = 0
    while at < len(data) and data[at]:
        head = data[at]
        at += 1 + (head & 0x0F == 0x0F)
        pads = 0
        if head & 0x80:
            pads = data[at] if at < len(data) else 0
            at += 1
        if at >= len(data) or data[at] > 127:
            return False
        at += 1 + data[at] + pads
    return at <= len(data)
