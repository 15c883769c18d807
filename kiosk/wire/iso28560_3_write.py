"""Writing ISO 28560-3: a label -> the whole memory of a tag, sparing what others wrote there.

On a tag that is of this model already, these stay as found: its byte order, its version, extension blocks that we do
not know or that are broken, in their places, and whatever lies behind the end of the blocks. A block that says what
the label says stays as it is, byte for byte. Everything else that the old content said goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kiosk.wire.content import NOBODY, Fields, Label, Owner, Usage, Warn
from kiosk.wire.extension import END, FILLER, START, Block, compose, named, untouched
from kiosk.wire.iso28560_3 import (
    BASIC_BLOCK,
    LONG_ID,
    OWNER_CHARS,
    TRUNCATED,
    Straight,
    blocks,
    checksum,
    straighten,
    turn_blocks,
    version_of,
)
from mocban.errors import LocalProtocolError

_ID_BYTES: Final = 16
_COUNTRY_AT, _LIBRARY_AT = 21, 23
_VERSION = 1


def encode(
    label: Label, size: int, *, block: int = 4, over: bytes = b"", swapped: bool = False
) -> bytes:
    """The whole user memory, ``size`` bytes. ``over``: all of it as it is now; empty or of another model, it goes.

    ``block``: bytes of a block, which matter to models with locks only. ``swapped`` as for ``decode``.
    LocalProtocolError if the label does not fit this model or this tag.
    """
    del block
    if size < TRUNCATED:
        raise LocalProtocolError(
            f"A tag of {size} bytes is too small: ISO 28560-3 needs {TRUNCATED}.",
            "Take a larger tag.",
        )
    if over and len(over) != size:
        raise LocalProtocolError(
            f"Only {len(over)} of the tag's {size} bytes were read: the rest would be lost.",
            "Read the whole tag first.",
        )
    old = straighten(over) if over else None
    if old is None or not old.reversed:
        image = _image(label, size, old, swapped=swapped)
    else:
        rest = size % 4  # its order is unknown: it stays
        image = turn_blocks(_image(label, size - rest, old, swapped=swapped)) + over[size - rest :]
    new = straighten(image)
    if new is None or new.wrong or new.reversed != (old is not None and old.reversed):
        raise LocalProtocolError(
            "This label could not be told from a tag of another kind.",
            "Reset the tag, then write it; or choose another usage.",
        )
    return image


def _image(label: Label, size: int, old: Straight | None, *, swapped: bool) -> bytes:
    behind = b""
    if old is not None and Warn.CRC_32 in old.warnings and not untouched(old.data[TRUNCATED:size]):
        size, behind = TRUNCATED, old.data[TRUNCATED:size]  # the form found, for what lies behind
    basic, long_id, isil = _basic(label, size, _version(old, swapped=swapped))
    if size < BASIC_BLOCK:
        return basic[:size] + behind
    wanted = compose(label.fields, long_id=long_id, owner=isil)
    return basic + _laid(wanted, old, label.fields, size)


def _basic(label: Label, size: int, version: int) -> tuple[bytes, str, str]:
    """34 bytes, and what they cannot hold: a long id, an owner's whole ISIL."""
    number = _number(label.id)
    parts = _parts(label)
    country, library, isil = _owner(label.owner, size)
    long_id = label.id if len(number) > _ID_BYTES else ""
    if size < BASIC_BLOCK and (long_id or isil or label.fields):
        what = "this number" if long_id else "this owner code" if isil else "more than the number"
        raise LocalProtocolError(
            f"{size} bytes have no room for {what}.", "Take a larger tag, or shorten it."
        )
    head = bytes((version << 4 | label.usage, *parts))
    front = head + (LONG_ID if long_id else number).ljust(_ID_BYTES, b"\x00")
    back = country.ljust(2, b"\x00") + library.ljust(BASIC_BLOCK - _LIBRARY_AT, b"\x00")
    crc = checksum(front + bytes(2) + back).to_bytes(2, "little")
    return front + crc + back, long_id, isil


def _number(ident: str) -> bytes:
    if ident and ident.isprintable() and ident.strip(" ") == ident:
        return ident.encode()
    raise LocalProtocolError(
        "This number cannot stand on a tag: it is empty, or has control characters or outer spaces.",
        "Scan or type the number again.",
    )


def _parts(label: Label) -> tuple[int, int]:
    if label.sub:
        raise LocalProtocolError(
            "ISO 28560-3 has no sub-class of usage.", "Write 0, or choose ISO 28560-2."
        )
    if label.usage is Usage.PATRON_CARD and (label.parts, label.part) != (1, 1):
        raise LocalProtocolError("A card has one part.", "Write part 1 of 1.")
    if 1 <= label.part <= label.parts <= 255:
        return label.parts, label.part
    raise LocalProtocolError(
        f"Part {label.part} of {label.parts} cannot be written.",
        "Say how many parts the item has, 1 to 255, and which of them this is.",
    )


def _owner(owner: Owner, size: int) -> tuple[bytes, bytes, str]:
    """Country and library for the basic block, else the whole ISIL for the library extension block."""
    if owner == NOBODY:
        return b"", b"", ""
    country, library = owner.country.encode(), owner.library.encode()
    if not OWNER_CHARS.issuperset(country + library):
        raise LocalProtocolError(
            "This owner code is no ISIL: letters A to Z, digits, - / : may stand in it.",
            "Correct the library's code.",
        )
    two = len(country) == 2 and country.isalpha() and country.isupper()
    room = min(size, BASIC_BLOCK) - _LIBRARY_AT
    # Other tools write the whole ISIL or a hyphen here; what looks like that would be read as theirs.
    doubled = library.startswith((b"-", country + b"-"))
    if two and len(library) <= room and not doubled:
        return country, library, ""
    if library:
        return b"", b"", owner.isil
    raise LocalProtocolError(
        "An owner needs the library's code behind the country's.", "Write it like VN-BG01."
    )


def _version(old: Straight | None, *, swapped: bool) -> int:
    if old is None:
        return _VERSION
    version, _ = version_of(old.data[0], swapped=swapped)
    return version if not old.wrong or version in (1, 2) else _VERSION


@dataclass(frozen=True, slots=True)
class _Kept:
    """What must stay: ``blocks`` in their places; from ``tail`` on, every byte. ``end``: where the old blocks end."""

    blocks: tuple[Block, ...]
    end: int
    tail: int


def _laid(wanted: list[bytes], old: Straight | None, fields: Fields, size: int) -> bytes:
    """Bytes 34 to ``size``: ``wanted`` put between what is kept; one that stands there already is left alone."""
    memory = bytearray(size)
    kept = _Kept((), START, size)
    if old is not None:
        memory[:] = old.data[:size].ljust(size, b"\x00")
        kept, wanted = _kept(memory, wanted, named(fields))
    placed = list(kept.blocks)
    if any(each.at < START for each in placed):  # they go where they belong
        wanted, placed = wanted + [each.raw for each in placed], []
    at = START
    for each in placed:
        while wanted and at + len(wanted[0]) <= each.at:
            memory[at : at + len(wanted[0])] = wanted[0]
            at += len(wanted.pop(0))
        memory[at : each.at] = bytes((FILLER,)) * (each.at - at)
        at = each.at + len(each.raw)
    end = at + sum(map(len, wanted))
    behind = kept.tail < size
    if wanted and end + behind > kept.tail:
        raise _full(end - kept.tail, behind=behind)
    memory[at:end] = b"".join(wanted)
    if end < kept.tail:
        memory[end] = END
        old_end = max(end, min(kept.end, kept.tail - 1))
        memory[end + 1 : old_end + 1] = bytes(old_end - end)
    return bytes(memory[START:])


def _kept(
    memory: bytearray, wanted: list[bytes], names: frozenset[str]
) -> tuple[_Kept, list[bytes]]:
    """What stays of the old extension, and what of ``wanted`` is not there yet."""
    data, wanted = bytes(memory), list(wanted)
    place, _ = blocks(data)
    keep: list[Block] = []
    for each in place.blocks:
        same = next((raw for raw in wanted if _same(each, raw)), None)
        if same is not None:
            wanted.remove(same)
            keep.append(each)
        elif each.elements is None and not (each.right and each.name in names):
            keep.append(each)
    if place.lack and place.end < len(data):  # no block, and nobody knows what else
        return _Kept(tuple(keep), place.end, place.end), wanted
    behind = max(place.end + 1, START)
    tail = len(data)
    if not untouched(data[behind:]):
        tail -= len(data[behind:].lstrip(b"\x00"))
    return _Kept(tuple(keep), place.end, tail), wanted


def _same(block: Block, raw: bytes) -> bool:
    if block.raw == raw:
        return True
    elements = block.elements
    return elements is not None and elements == Block(block.at, raw).elements


def _full(lack: int, *, behind: bool) -> LocalProtocolError:
    if behind:
        return LocalProtocolError(
            "The tag has no room for this label: data of another maker lie behind it.",
            "Shorten its texts; or reset the tag first if nobody needs those data.",
        )
    return LocalProtocolError(
        f"The label is {lack} bytes too long for this tag.",
        "Shorten its texts, or take a larger tag.",
    )
