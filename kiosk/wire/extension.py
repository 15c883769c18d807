"""Extension blocks of ISO 28560-3, behind the basic block: what they say, and how it is written.

A block: its length with itself | id, two bytes, least significant first | XOR | fields. The XOR of all its bytes is 0.
In place of a length, 00 ends the blocks and 01 is a filler. An id whose high byte is FF goes on for two bytes more;
where the XOR then stands is not proven: we take it to follow the id. Nothing is lost if that is wrong, for the byte
left out of a field's value is what the others' XOR gives.

Fields stand in a fixed order, each text with 00 behind it; empty ones at the end are left out. Only ids 1 to 5 are
read, and only if their fields fit: the edition of 2024 is said to number the blocks anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import Final

from kiosk.wire.content import Element, Fields
from mocban.errors import LocalProtocolError

START: Final = 34
"""Where the blocks begin: behind the basic block."""
LIBRARY: Final = 1
"""The block that also holds a long id, and an owner that the basic block cannot hold."""
END, FILLER = 0x00, 0x01
_LONGEST = 255
_PRINTABLE = 0x20
_FACTORY = (0x55, 0xFF)

_ORDER: dict[int, tuple[Element, ...]] = {
    1: (Element.MEDIA_FORMAT, Element.ALTERNATIVE_ID, Element.ALTERNATIVE_OWNER),
    2: (
        Element.SUPPLIER, Element.LOCAL_PRODUCT, Element.ORDER_NUMBER, Element.INVOICE,
        Element.GS1_PRODUCT, Element.SUPPLY_STAGE,
    ),
    3: (Element.SHELF_LOCATION, Element.MARC_MEDIA, Element.ONIX_MEDIA, Element.SUBSIDIARY),
    4: (Element.TITLE,),
    5: (Element.ILL_BORROWER, Element.ILL_TRANSACTION, Element.ALTERNATIVE_ILL_BORROWER),
}  # fmt: skip
_HOME = {element: number for number, order in _ORDER.items() for element in order}
_BYTES = (Element.MEDIA_FORMAT, Element.SUPPLY_STAGE)  # one byte each, no 00 behind; 0 is empty
_LABELS = {element.label: element for element in _HOME}


@dataclass(frozen=True, slots=True)
class Block:
    """One block at offset ``at`` of the tag, as found, right or wrong."""

    at: int
    raw: bytes = field(repr=False)

    @property
    def right(self) -> bool:
        """Whether it is as long as a block must be and its XOR is 0."""
        return len(self.raw) >= 4 + 2 * self.wide and not reduce(xor, self.raw)

    @property
    def wide(self) -> bool:
        """Whether the id has 24 bits."""
        return self.raw[2:3] == b"\xff"

    @property
    def number(self) -> int:
        """The block id."""
        low = self.raw[1:2]
        return int.from_bytes(low + (self.raw[3:5] if self.wide else self.raw[2:3]), "little")

    @property
    def name(self) -> str:
        """``block-107``, or ``wide-block-70000`` if the id has 24 bits."""
        return f"{'wide-' * self.wide}block-{self.number}"

    @property
    def elements(self) -> dict[Element, str] | None:
        """What it says; None unless it is right, of a known type, and its fields fit."""
        order = _ORDER.get(self.number)
        if order is None or self.wide or not self.right:
            return None
        read = _read(self.raw[4:], order)
        return _read(self.raw[3:-1], order) if _older(self.raw, order, read) else read

    @property
    def fields(self) -> Fields:
        """What it says as fields; one in hexadecimal if that is not known. Nothing of a wrong block."""
        elements = self.elements
        if elements is not None:
            return tuple((element.label, value) for element, value in elements.items())
        return ((self.name, self.raw[4 + 2 * self.wide :].hex()),) if self.right else ()


@dataclass(frozen=True, slots=True)
class Chain:
    """Blocks in the order of the tag. ``end``: where they end. ``lack``: bytes more that must be read to go on.

    ``lack`` 0: there is an end, or nothing was ever written here.
    """

    blocks: tuple[Block, ...]
    end: int
    lack: int


def chain(data: bytes, start: int = START) -> Chain:
    """The blocks from ``start``. Never raises; what runs over the end of ``data`` is no block."""
    if untouched(data[start:]) and data[start:]:
        return Chain((), start, 0)
    blocks: list[Block] = []
    at = start
    while at < len(data) and (length := data[at]) != END:
        if at + length > len(data):
            return Chain(tuple(blocks), at, at + length - len(data))
        if length != FILLER:
            blocks.append(Block(at, data[at : at + length]))
        at += length
    return Chain(tuple(blocks), at, max(0, at + 1 - len(data)))


def untouched(data: bytes) -> bool:
    """Whether this is memory as a factory leaves it: 00, or 55 or FF with 00 at the end."""
    written = data.rstrip(b"\x00")
    return not written or (written[0] in _FACTORY and written.count(written[0]) == len(written))


def build(number: int, payload: bytes, *, wide: bool = False) -> bytes:
    """A block; LocalProtocolError if it were longer than 255 bytes."""
    head = number.to_bytes(3 if wide else 2, "little")
    head = head[:1] + b"\xff" + head[1:] if wide else head
    length = 2 + len(head) + len(payload)
    if length > _LONGEST:
        raise LocalProtocolError(
            f"An extension block of {length} bytes is longer than the {_LONGEST} of ISO 28560-3.",
            "Shorten the texts.",
        )
    rest = bytes((length,)) + head + payload
    return rest[: 1 + len(head)] + bytes((reduce(xor, rest),)) + payload


def compose(fields: Fields, *, long_id: str = "", owner: str = "") -> list[bytes]:
    """The blocks that say ``fields``, by their ids; a second of one type if an element is told twice.

    ``long_id`` and ``owner`` go into the library block where alternative ones would stand. LocalProtocolError for an
    element that has no place in this model, and for a value that it cannot hold.
    """
    told: list[tuple[Element, str]] = []
    raws: list[bytes] = []
    for label, value in fields:
        if (element := _LABELS.get(label)) is not None:
            told.append((element, value))
        else:
            raws.append(_opaque(label, value))
    taken = {element for element, _ in told}
    for element, value in ((Element.ALTERNATIVE_ID, long_id), (Element.ALTERNATIVE_OWNER, owner)):
        if value and element in taken:
            raise LocalProtocolError(
                f"The place of {element.label} is needed for what the basic block cannot hold.",
                f"Write the label without {element.label}.",
            )
        told += [(element, value)] * bool(value)
    blocks: dict[int, list[dict[Element, bytes]]] = defaultdict(list)
    for element, value in told:
        rows = blocks[_HOME[element]]
        row = next((row for row in rows if element not in row), None)
        if row is None:
            rows.append(row := {})
        row[element] = _value(element, value)
    for number in sorted(blocks, reverse=True):
        raws[:0] = [build(number, _write(row, _ORDER[number])) for row in blocks[number]]
    return raws


def named(fields: Fields) -> frozenset[str]:
    """The unknown blocks, by name, that ``fields`` tell themselves."""
    return frozenset(label for label, _ in fields if label not in _LABELS)


def _read(payload: bytes, order: Sequence[Element]) -> dict[Element, str] | None:
    found: dict[Element, str] = {}
    for at, element in enumerate(order):
        if element in _BYTES:
            text = str(payload[0]) if payload[:1].strip(b"\x00") else ""
            if element is Element.MEDIA_FORMAT and payload[:1] >= bytes((_PRINTABLE,)):
                return None  # there are no so many formats: this is a letter
            payload = payload[1:]
        else:
            raw, _, payload = payload.partition(b"\x00")
            read = _text(raw)
            if read is None or not _fits(element, read):
                return None
            text = read
        if text:
            found[element] = text
        if at + 1 < len(order) and not payload:
            break
    return found if not payload.strip(b"\x00") else None


def _older(raw: bytes, order: Sequence[Element], read: dict[Element, str] | None) -> bool:
    """Whether the XOR stands at the end, as an older layout has it; ``read``: what the newer one makes of it.

    The XOR is right in both. So something must not fit here and fit there: a number where a text begins, or UTF-8.
    """
    if read is None and (raw[-1] < _PRINTABLE or (order[0] in _BYTES and raw[4] >= _PRINTABLE)):
        return True
    if Element.SUPPLY_STAGE in order or raw[3:-1].isascii():
        return False  # a byte that is no text, or nothing to tell UTF-8 by
    return _is_utf8(raw[3:-1]) and not _is_utf8(raw[4:])


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _text(raw: bytes) -> str | None:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text if text.isprintable() else None


def _fits(element: Element, text: str) -> bool:
    match element:
        case Element.MARC_MEDIA | Element.ONIX_MEDIA:
            return len(text) in (0, 2) and text.isascii()
        case Element.GS1_PRODUCT:
            return not text or (text.isascii() and text.isdigit() and len(text) <= 14)
        case _:
            return True


def _value(element: Element, text: str) -> bytes:
    if element in _BYTES:
        most = _PRINTABLE - 1 if element is Element.MEDIA_FORMAT else 255
        if text.isascii() and text.isdigit() and len(text) <= 3 and 0 < int(text) <= most:
            return bytes((int(text),))
        raise LocalProtocolError(f"{element.label} is a number from 1 to {most}, and nothing else.")
    if text and text.isprintable() and _fits(element, text):
        return text.encode()
    raise LocalProtocolError(
        f"{element.label} holds something that ISO 28560-3 cannot say.",
        "Write printable text; media formats have two characters, a GS1 number digits only.",
    )


def _write(row: dict[Element, bytes], order: Sequence[Element]) -> bytes:
    payload = b""
    for element in order:
        if element in _BYTES:
            payload += row.get(element, b"\x00")
        else:
            payload += row.get(element, b"") + b"\x00"
    return payload.rstrip(b"\x00")


def _opaque(label: str, value: str) -> bytes:
    narrow = label.removeprefix("wide-")
    number = narrow.removeprefix("block-")
    wide = narrow != label
    try:
        if number == narrow or not number.isdecimal() or len(number) > 8:
            raise ValueError
        if wide or int(number) >> 8 != 0xFF:
            return build(int(number), bytes.fromhex(value), wide=wide)
        raise ValueError
    except (ValueError, OverflowError):
        raise LocalProtocolError(
            f"ISO 28560-3 has no place for {label!r}, or not for its value.",
            "Write the label without it, or choose ISO 28560-2.",
        ) from None
