"""The data sets of a tag of ISO 28560-2 as a whole: whether they are of this model, and what their list names."""

from __future__ import annotations

from collections.abc import Iterable

from kiosk.wire.compaction import Code
from kiosk.wire.content import Element
from kiosk.wire.iso15962 import DataSet, Memory, Stop
from kiosk.wire.iso28560_2_values import LONGEST_ID, exact, known, read

_WORDY = (Element.LOCAL_A, Element.LOCAL_B, Element.TITLE, Element.LOCAL_C)
_BLOCK = 4  # bytes; larger ones are multiples of it
_MOST_PADS = 31
_LAST_OID = 31  # of ISO 28560-1, the reserved ones included


def strict(data: bytes, memory: Memory) -> bool:
    """Whether ``data``, parsed as ``memory``, is of this model by all signs, though nobody said so."""
    every = memory.sets if memory.rest is None else (*memory.sets, memory.rest)
    oids = [one.oid for one in every]
    if oids[:1] != [Element.PRIMARY_ID]:
        return False
    if memory.stop is Stop.NONSENSE or len(set(oids)) < len(oids) or max(oids) > _LAST_OID:
        return False
    names = listed(memory.sets) or set()
    if memory.stop is Stop.LONG and memory.rest is not None:
        if memory.rest.oid not in names:
            return False
    elif memory.rest is not None and not _plausible(memory.rest, memory.length, names):
        return False
    if not all(_plausible(one, len(one.data), names) for one in memory.sets):
        return False
    # What stands behind the terminator may be the rest of an older label, or this another model.
    used = memory.stop is Stop.TERMINATOR and len(set(data[memory.at :].strip(b"\x00"))) > 1
    if listed(memory.sets) != present(memory) and (used or any(map(_odd, memory.sets))):
        return False
    if memory.sets:
        return sound_id(memory.sets[0])
    return memory.rest is not None and _sound_start(memory, memory.rest)


def _plausible(one: DataSet, length: int, names: set[int]) -> bool:
    """Text read as sets announces lengths from 20 hex: only what the list ``names``, or words, may be so long."""
    if one.oid == Element.CONTENT_PARAMETER:
        return one.code == Code.APPLICATION and 0 < length <= LONGEST_ID
    return length <= LONGEST_ID or one.oid in _WORDY or one.oid in names


def _odd(one: DataSet) -> bool:
    """Whether the value or the pads are such as the standard does not have them."""
    if any(one.pads or b""):
        return True
    if not known(one.oid) or one.oid == Element.CONTENT_PARAMETER:
        return False
    text = read(one)
    return text is None or not exact(one, text)


def sound_id(one: DataSet) -> bool:
    """Whether the set is an id exactly as the standard writes it, pads and all."""
    text = read(one)
    whole = one.pads is None or (not any(one.pads) and len(one.pads) <= _MOST_PADS)
    fits = one.pads is None or one.end % _BLOCK == 0
    return text is not None and bare_id(text) != "" and exact(one, text) and whole and fits


def _sound_start(memory: Memory, one: DataSet) -> bool:
    """The same for an id that was cut."""
    if one.code == Code.APPLICATION or not 0 < memory.length <= LONGEST_ID:
        return False
    if one.code == Code.INTEGER and memory.length > 8:
        return False
    if one.code >= Code.SEVEN_BIT and 0 in one.data:  # no printable text packs to a 00
        return False
    end = one.size - len(one.data) - len(one.pads or b"") + memory.length + memory.pads
    return one.pads is None or (memory.pads <= _MOST_PADS and end % _BLOCK == 0)


def bare_id(text: str | None) -> str:
    """An id without the spaces around it; "" if it cannot travel by SIP2."""
    text = (text or "").strip(" ")
    return text if text.isprintable() else ""


def present(memory: Memory) -> set[int]:
    """What the list of elements has to name."""
    oids = {one.oid for one in memory.sets} | ({memory.rest.oid} if memory.rest else set())
    return oids - {Element.PRIMARY_ID, Element.CONTENT_PARAMETER}


def listed(sets: Iterable[DataSet]) -> set[int] | None:
    """The elements that the content parameter names: its bits from the left are OIDs from 3."""
    for one in sets:
        if one.oid == Element.CONTENT_PARAMETER:
            bits = "".join(f"{byte:08b}" for byte in one.data)
            return {at + Element.OWNER for at, bit in enumerate(bits) if bit == "1"}
    return None


def bitmap(oids: set[int]) -> bytes:
    """The content parameter that names ``oids``, all from 3."""
    out = bytearray((max(oids) - Element.OWNER) // 8 + 1)
    for oid in oids:
        at = oid - Element.OWNER
        out[at // 8] |= 0x80 >> at % 8
    return bytes(out)
