"""The 3M model of library tags ("RFID 501"): eight blocks of four bytes, no checksum.

``04 | set 4, total 4 | 00 | type`` | 16 bytes of ASCII, 00 behind | branch 12, library 20, most significant first |
signed 32, the site's own | 00000000. *set* is the ordinal of the part, *total* the number of parts. The model knows
neither usage nor ISIL nor patron cards.
"""

from __future__ import annotations

from typing import Final

from kiosk.wire.content import (
    NOBODY,
    Content,
    Damage,
    Damaged,
    Fields,
    ItemTag,
    Label,
    Model,
    Usage,
    Warn,
)
from mocban.errors import LocalProtocolError

SIZE: Final = 32
"""Bytes of the model; what lies behind is not of it."""
TYPE, BRANCH, LIBRARY, CUSTOM = "type", "branch", "library", "custom"
"""Names in ``fields``; values in decimal. Types: 0 other, 1 book, 2 magazine, 3 bound journal, 4 audio tape, 5 video,
6 CD, 7 diskette, 8 book and diskette, 9 book and CD, 13 book and audio tape."""

_RANGES = {TYPE: range(32), BRANCH: range(1 << 12), LIBRARY: range(1 << 20)}
_RANGES[CUSTOM] = range(-(1 << 31), 1 << 31)
_CERTAIN = 8  # bytes from which a tag cut short is told from others


def decode(data: bytes) -> Content | None:
    """User memory from block 0. None: not this model; without a checksum every byte must fit. Never raises."""
    if len(data) < _CERTAIN or data[0] != 0x04 or data[2] != 0 or data[3] not in _RANGES[TYPE]:
        return None
    written = data[4:20].rstrip(b"\x00")
    number = written.strip(b" ").decode("latin-1")
    if not number or not all(0x20 <= byte < 0x7F for byte in written) or any(data[28:SIZE]):
        return None
    if len(data) < SIZE:
        return Damaged(Damage.MISSING, SIZE - len(data), Model.RFID501)
    warnings = [Warn.NO_CHECK]
    part, parts = data[1] >> 4, data[1] & 0x0F
    if parts == 0:
        warnings.append(Warn.PARTS_UNKNOWN)
    elif parts < part:
        warnings.append(Warn.PARTS_SWAPPED)
        parts, part = part, parts
    place = int.from_bytes(data[20:24], "big")
    fields = (
        (TYPE, str(data[3])),
        (BRANCH, str(place >> 20)),
        (LIBRARY, str(place & 0xFFFFF)),
        (CUSTOM, str(int.from_bytes(data[24:28], "big", signed=True))),
    )
    return ItemTag(
        number, Usage.UNSAID, parts, part, NOBODY, 0, tuple(warnings), Model.RFID501, 0, fields
    )


def encode(label: Label, size: int, *, block: int = 4, over: bytes = b"") -> bytes:
    """The whole user memory, ``size`` bytes; of ``over``, a tag of this model, what the label does not say stays.

    LocalProtocolError for what this model cannot hold: an owner, a usage, more than 15 parts, a number that is not
    ASCII or longer than 16 characters.
    """
    del block
    if size < SIZE:
        raise LocalProtocolError(
            f"A tag of {size} bytes is too small: the 3M model needs {SIZE}.", "Take a larger tag."
        )
    if over and len(over) != size:
        raise LocalProtocolError(
            f"Only {len(over)} of the tag's {size} bytes were read: the rest would be lost.",
            "Read the whole tag first.",
        )
    old = decode(over)
    known = dict(old.fields) if isinstance(old, ItemTag) else {}
    behind = over[SIZE:] if isinstance(old, ItemTag) else bytes(size - SIZE)
    values = _values(label.fields, known)
    number = plain_number(label, 16).ljust(16, b"\x00")
    if not 1 <= label.part <= label.parts <= 15:
        raise LocalProtocolError(
            f"Part {label.part} of {label.parts} cannot be written: the 3M model counts to 15.",
            "Say how many parts the item has, 1 to 15, and which of them this is.",
        )
    head = bytes((0x04, label.part << 4 | label.parts, 0x00, values[TYPE]))
    place = (values[BRANCH] << 20 | values[LIBRARY]).to_bytes(4, "big")
    custom = values[CUSTOM].to_bytes(4, "big", signed=True)
    return head + number + place + custom + bytes(4) + behind


def plain_number(label: Label, most: int) -> bytes:
    """The number of a model that knows nothing but ASCII numbers: no usage, no owner. LocalProtocolError otherwise."""
    number = label.id.encode("ascii", "replace")
    if label.usage not in (Usage.CIRCULATING, Usage.UNSAID) or label.sub:
        raise LocalProtocolError(
            "This model of tag cannot say how the item is used, nor hold a patron card.",
            "Choose ISO 28560.",
        )
    if label.owner != NOBODY:
        raise LocalProtocolError(
            "This model of tag has no place for an owner code.",
            "Write the label without it, or choose ISO 28560.",
        )
    if not label.id.isascii() or not label.id.isprintable() or label.id.strip(" ") != label.id:
        raise LocalProtocolError(
            "This number cannot stand on such a tag: plain letters, digits and signs do.",
            "Choose ISO 28560 for other letters.",
        )
    if not 1 <= len(number) <= most:
        raise LocalProtocolError(
            f"The number has {len(number)} characters: 1 to {most} fit this tag.",
            "Choose ISO 28560 for a longer number.",
        )
    return number


def _values(fields: Fields, known: dict[str, str]) -> dict[str, int]:
    for name, value in fields:
        digits = value.removeprefix("-") if name == CUSTOM else value
        right = digits.isascii() and digits.isdecimal() and len(digits) <= 10
        if name not in _RANGES or not right or int(value) not in _RANGES[name]:
            raise LocalProtocolError(
                f"The 3M model has no place for {name!r}, or not for its value.",
                "Write the label without it, or choose ISO 28560.",
            )
    said = known | dict(fields)
    return {name: int(said.get(name, "0")) for name in _RANGES}
