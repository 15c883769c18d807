"""The UHF format of the Chinese university libraries ("gaoxiao"), met on Chinese equipment: all of it lies in the UII.

The PC's toggle is 0. Byte 0: bit 7 *on loan*, bits 5-4 reserved, bits 3-0 sorting; byte 1: bits 7-6 how the id is
written, bits 5-0 version less one; bytes 2-3 which elements the user bank holds; from byte 4 the id:
0  64 bits, least significant byte first: length 4 | last character 8 | characters 3, 2, 1 with 6 each | the fourth, a
   digit, 4 | the digits between, as a number, 30. Ids below 8 characters stand as length and ASCII.
1  96 bits, the same with 6 bits for every character but the last; ids below 12 characters as length and ASCII.
2, 3  UTF-8.
There is no check value, and nothing marks the format: it is taken for read only if every field is in its range.
"""

from __future__ import annotations

from kiosk.wire import epc as bank
from kiosk.wire.content import NOBODY, ItemTag, Label, Model, Usage, Warn
from mocban.errors import LocalProtocolError

_ON_LOAN = 0x80
_LATEST = 15  # versions above were never seen; random bytes show them often
_GS1 = range(0x2C, 0x40)  # headers of GS1: SGTIN, SSCC and their like
_SHORT, _LONG = 8, 12  # bytes of the two packed ids, and the characters from which they are packed
_DIGITS = frozenset("0123456789")
_PACKED = _DIGITS | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ELEMENTS = (31, 30, 29, 28, 27, 26, 24, 16, 15, 14, 12, 11, 6, 5, 4, 3)  # bit 15 first


def decode(epc: bytes) -> ItemTag | None:
    """PC and UII -> an item; None if this is not the format. Never raises."""
    found = bank.split(epc)
    if found is None or found.pc.iso or found.missing or len(found.uii) < 6:
        return None
    head, form, uii = found.uii[0], found.uii[1], found.uii
    if head & 0x40 or head & 0x7F in _GS1 or form & 0x3F >= _LATEST:
        return None
    text = _id(form >> 6, uii[4:])
    if text is None:
        return None
    parameter = int.from_bytes(uii[2:4], "big")
    named = [str(oid) for bit, oid in enumerate(_ELEMENTS) if parameter >> (15 - bit) & 1]
    fields = (("sorting", str(head & 0x0F)), ("user-elements", " ".join(named)))
    return ItemTag(
        text, Usage.UNSAID, 1, 1, NOBODY, (form & 0x3F) + 1, (Warn.GAOXIAO, Warn.NO_CHECK),
        Model.ISO28560_4, fields=fields,
    )  # fmt: skip


def encode(label: Label, *, on_loan: bool, over: bytes = b"") -> bytes:
    """PC and UII. Of ``over``, a tag of this format, everything but the id stays.

    LocalProtocolError if the id does not fit: up to 14 characters, capitals and digits.
    """
    old = bank.split(over)
    keep = old.uii[:4] if old is not None and decode(over) is not None else bytes(4)
    for form, pack in enumerate((_pack_short, _pack_long)):
        packed = pack(label.id)
        if packed is not None:
            head = bytes((keep[0], form << 6 | keep[1] & 0x3F)) + keep[2:4]
            uii = head + packed
            made = bank.join(
                uii + bytes(len(uii) % 2), afi=None, umi=old is not None and old.pc.umi
            )
            return lend(made, on_loan=on_loan)
    raise LocalProtocolError("This id does not fit the tag: 1 to 14 capitals and digits do.")


def lent(epc: bytes) -> bool | None:
    """Whether the tag says that its item is on loan; None if it is not of this format."""
    return bool(epc[2] & _ON_LOAN) if decode(epc) is not None else None


def lend(epc: bytes, *, on_loan: bool) -> bytes:
    """The same tag with its security bit set or cleared; LocalProtocolError if it is not of this format."""
    if decode(epc) is None:
        raise LocalProtocolError("This UHF tag has no security bit in its first byte.")
    return epc[:2] + bytes((epc[2] & 0x7F | _ON_LOAN * on_loan,)) + epc[3:]


def _id(form: int, raw: bytes) -> str | None:
    match form:
        case 0:
            return _unpack(raw, _SHORT, 8)
        case 1:
            return _unpack(raw, _LONG, 12)
        case _:
            try:
                text = raw.rstrip(b"\x00").decode("utf-8")
            except UnicodeDecodeError:
                return None
            return text if len(text) >= 4 and text.isprintable() else None


def _unpack(raw: bytes, size: int, packed_from: int) -> str | None:
    length = raw[0] & 0x0F
    if not 1 <= length <= 14:
        return None
    if length < packed_from:
        text = raw[1 : 1 + length]
        rest = raw[1 + length :]
        if raw[0] >> 4 or len(text) < length or any(rest):
            return None
        return text.decode("ascii") if all(0x21 <= byte <= 0x7E for byte in text) else None
    if len(raw) < size or any(raw[size:]):
        return None
    value = int.from_bytes(raw[:size], "little")
    text_of = _short if size == _SHORT else _long
    said = text_of(value, length)
    return said if said is not None and "!" <= said[-1] <= "~" else None


def _short(value: int, length: int) -> str | None:
    last = chr(value >> 4 & 0xFF)
    front = "".join(chr(0x30 + (value >> shift & 0x3F)) for shift in (24, 18, 12))
    fourth, number = value >> 30 & 0x0F, value >> 34
    between = str(number).zfill(length - 5)
    if not _PACKED.issuperset(front) or fourth > 9 or len(between) > length - 5:
        return None
    return f"{front}{fourth}{between}{last}"


def _long(value: int, length: int) -> str | None:
    low, middle, high = value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF, value >> 64
    tail = length - 11
    if middle >> 30 or high >> 30 or low >> (12 + 6 * tail):
        return None
    sixes = [high >> shift & 0x3F for shift in (24, 18, 12, 6, 0)]
    sixes += [middle >> shift & 0x3F for shift in (24, 18, 12, 6, 0)]
    sixes += [low >> 12 + 6 * n & 0x3F for n in reversed(range(tail))]
    text = "".join(chr(0x30 + six) for six in sixes)
    return text + chr(low >> 4 & 0xFF) if _PACKED.issuperset(text) else None


def _pack_short(text: str) -> bytes | None:
    if not _fits(text):
        return None
    if len(text) < _SHORT:
        return (bytes((len(text),)) + text.encode("ascii")).ljust(_SHORT, b"\x00")
    if not _PACKED.issuperset(text[:3]) or not _DIGITS.issuperset(text[3:-1]):
        return None
    number = int(text[4:-1])
    if number >= 1 << 30:
        return None
    front = [ord(letter) - 0x30 for letter in text[:3]]
    value = number << 34 | int(text[3]) << 30 | front[0] << 24 | front[1] << 18 | front[2] << 12
    return (value | ord(text[-1]) << 4 | len(text)).to_bytes(_SHORT, "little")


def _pack_long(text: str) -> bytes | None:
    if not _fits(text):
        return None
    if len(text) < _LONG:
        return (bytes((len(text),)) + text.encode("ascii")).ljust(_LONG, b"\x00")
    if not _PACKED.issuperset(text[:-1]):
        return None
    sixes = [ord(letter) - 0x30 for letter in text[:-1]]
    high, middle, low = (_join(part) for part in (sixes[:5], sixes[5:10], sixes[10:]))
    low = (low << 8 | ord(text[-1])) << 4 | len(text)
    return (high << 64 | middle << 32 | low).to_bytes(_LONG, "little")


def _fits(text: str) -> bool:
    return 1 <= len(text) <= 14 and all("!" <= letter <= "~" for letter in text)


def _join(sixes: list[int]) -> int:
    value = 0
    for six in sixes:
        value = value << 6 | six
    return value
