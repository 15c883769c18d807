"""ISO 28560-2, library tags as data sets of ISO/IEC 15962: user memory -> what lies there, and back.

The model has no check value. Unless the DSFID says so, a tag must look like one of this model in every set;
oddities of a tag that surely is one become warnings.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never

from kiosk.wire.content import (
    NOBODY,
    CardTag,
    Content,
    Damage,
    Damaged,
    Element,
    Fields,
    Foreign,
    ItemTag,
    Look,
    Model,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.iso15962 import Memory, Stop, parse
from kiosk.wire.iso28560_2_sets import bare_id, listed, present, strict
from kiosk.wire.iso28560_2_values import exact, known, name, read
from kiosk.wire.iso28560_2_write import encode

__all__ = ["DSFID", "Elements", "decode", "elements", "encode", "lockable"]

DSFID = 0x06  # access method "no directory", data format 6
_APART = (  # said elsewhere than in fields
    Element.PRIMARY_ID,
    Element.CONTENT_PARAMETER,
    Element.OWNER,
    Element.SET_INFORMATION,
    Element.TYPE_OF_USAGE,
)


@dataclass(frozen=True, slots=True)
class Elements:
    """What the data sets say. ``id`` "": none is there, as in the user memory of a UHF tag (ISO 28560-4)."""

    id: str = field(default="", repr=False)
    owner: Owner = NOBODY
    usage: Usage = Usage.UNSAID
    sub: int = 0
    parts: int = 1
    part: int = 1
    fields: Fields = field(default=(), repr=False)
    warnings: tuple[Warn, ...] = ()


def decode(data: bytes, *, certain: bool = False) -> Content | None:
    """User memory from block 0, as many bytes as were read -> Content; None: not this model. Never raises.

    ``certain``: the DSFID is 06. A tag without element 5 has the usage UNSAID, without element 4 it is part 1 of 1.
    """
    said = elements(data, certain=certain)
    if not isinstance(said, Elements):
        return said
    if not said.id:
        return Foreign(Look.NO_ID)
    model, warnings = Model.ISO28560_2, said.warnings
    if said.usage is Usage.PATRON_CARD:
        return CardTag(said.id, said.owner, warnings=warnings, model=model, fields=said.fields)
    return ItemTag(
        said.id,
        said.usage,
        said.parts,
        said.part,
        said.owner,
        warnings=warnings,
        model=model,
        sub=said.sub,
        fields=said.fields,
    )


def elements(data: bytes, *, certain: bool = False) -> Elements | Damaged | None:
    """Data sets from the first precursor -> what they say; ``certain`` as for ``decode``. Never raises.

    User memory of a UHF tag: give what follows its DSFID, and be ``certain``.
    """
    memory = parse(data)
    if not certain and not strict(data, memory):
        return None
    if memory.stop is Stop.CUT:
        return Damaged(Damage.MISSING, memory.missing, Model.ISO28560_2)
    if not memory.sets:
        return None
    names = listed(memory.sets)
    unseen = 0 if names is None else len(names - present(memory))
    if memory.stop is Stop.EDGE and unseen:  # an element takes two bytes at least
        return Damaged(Damage.MISSING, 2 * unseen, Model.ISO28560_2)
    said = _say(memory)
    if memory.rest is not None:  # a long one: neither its end nor its text is known
        raw = data[memory.at :].rstrip(b"\x00").hex()
        said = replace(said, fields=(*said.fields, (f"oid-{memory.rest.oid}", raw)))
    return said


def lockable(data: bytes, *, block: int = 4) -> tuple[int, int] | None:
    """First block and count of the blocks that hold the id and nothing else; None if there are none such."""
    first = next(iter(parse(data).sets), None)
    if first is None or first.oid != Element.PRIMARY_ID or first.end % block:
        return None
    return 0, first.end // block


def _say(memory: Memory) -> Elements:
    values: dict[int, str | None] = {}
    fields: list[tuple[str, str]] = []
    warnings = _shape(memory)
    for one in memory.sets:
        if one.oid in values:
            warnings.append(Warn.REPEATED)
            continue
        text = values[one.oid] = read(one)
        if any(one.pads or b"") or (text is not None and not exact(one, text)):
            warnings.append(Warn.PADDING)
        if one.oid == Element.CONTENT_PARAMETER:
            continue
        if text is None:
            fields.append((f"oid-{one.oid}", one.data.hex()))
            if known(one.oid):
                warnings.append(Warn.UNREADABLE)
        elif one.oid not in _APART:
            fields.append((name(one.oid), text))
    owner = values.get(Element.OWNER)
    if not owner and (owner := values.get(Element.ALTERNATIVE_OWNER)):
        fields.remove((Element.ALTERNATIVE_OWNER.label, owner))
    usage = int(values.get(Element.TYPE_OF_USAGE) or Usage.UNSAID << 4)
    parts, part = 1, 1
    if Element.SET_INFORMATION in values:
        parts, part = _parts(values[Element.SET_INFORMATION] or "", warnings)
    return Elements(
        bare_id(values.get(Element.PRIMARY_ID)),
        Owner.of(owner) if owner else NOBODY,
        Usage(usage >> 4),
        usage & 0x0F,
        parts,
        part,
        tuple(fields),
        tuple(dict.fromkeys(warnings)),
    )


def _shape(memory: Memory) -> list[Warn]:
    """What is odd about the sets as such."""
    warnings: list[Warn] = []
    oids = [one.oid for one in memory.sets]
    led = [oid for oid in (Element.PRIMARY_ID, Element.CONTENT_PARAMETER) if oid in oids]
    if oids[: len(led)] != led:
        warnings.append(Warn.ORDER)
    names, here = listed(memory.sets), present(memory)
    if names is not None and (here - names or (memory.rest is None and names - here)):
        warnings.append(Warn.INDEX)
    match memory.stop:
        case Stop.LONG:
            warnings.append(Warn.LONG_ELEMENT)
        case Stop.NONSENSE:
            warnings.append(Warn.UNREADABLE)
        case Stop.TERMINATOR | Stop.EDGE | Stop.CUT:
            pass
        case _:
            assert_never(memory.stop)
    return warnings


def _parts(digits: str, warnings: list[Warn]) -> tuple[int, int]:
    """Element 4: parts, then part, both of one width up to three digits; 0 parts if it is otherwise."""
    half, odd = divmod(len(digits), 2)
    if odd or not 1 <= half <= 3 or not digits.isdecimal():
        warnings.append(Warn.PARTS_UNKNOWN)
        return 0, 1
    parts, part = int(digits[:half]), int(digits[half:])
    if 0 in (parts, part):
        warnings.append(Warn.PARTS_UNKNOWN)
    elif parts < part:
        warnings.append(Warn.PARTS_SWAPPED)
        parts, part = part, parts
    return parts, part
