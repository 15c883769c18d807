"""ISO 28560-2: a label -> the user memory of a tag, around what already stands there."""

from __future__ import annotations

from dataclasses import replace

from kiosk.wire import isil
from kiosk.wire.compaction import Code
from kiosk.wire.content import NOBODY, Element, Label, Usage
from kiosk.wire.iso15962 import DataSet, Memory, Stop, arrange, parse
from kiosk.wire.iso28560_2_sets import bare_id, bitmap, listed, present, sound_id, strict
from kiosk.wire.iso28560_2_values import exact, known, read, write
from mocban.errors import LocalProtocolError

_MOST_PARTS = 999
_NOTHING = Memory((), Stop.EDGE, 0)
_ID, _LIST = Element.PRIMARY_ID, Element.CONTENT_PARAMETER
_FIELDS = {element.label: element for element in Element if element > Element.TYPE_OF_USAGE}


def encode(
    label: Label,
    size: int,
    *,
    block: int = 4,
    over: bytes = b"",
    lock_id: bool = False,
    certain: bool = False,
    id_apart: bool = False,
) -> bytes:
    """The whole user memory of ``size`` bytes; LocalProtocolError, with the reason, if the label does not go there.

    ``over``: what is there now; ``certain`` if its DSFID is 06. Its elements that nobody knows survive, what stays as
    it is keeps its form, and padded sets keep their place, for they may be locked. What stands behind the terminator
    stays as far as the new sets leave it. ``lock_id``: the id fills whole blocks, see ``lockable``. ``id_apart``: no
    id, and ``over`` certain, for what follows the DSFID in the user memory of a UHF tag.
    """
    now = _now(over, size, certain=certain or id_apart, id_apart=id_apart)
    sets = _sets(label, now)
    if id_apart:
        sets = [one for one in sets if one.oid != _ID]
    if names := _names(sets, now):
        sets.append(DataSet(_LIST, Code.APPLICATION, bitmap(names)))
    sets.sort(key=lambda one: one.oid)
    fixed = _fixed(sets, now, block)
    if lock_id and sets and sets[0].oid == _ID:
        sets[0] = sets[0].whole(block)
    out = arrange(sets, fixed)
    if now.rest is not None:
        out += over[now.at :].rstrip(b"\x00")
    if len(out) > size:
        raise LocalProtocolError(
            f"This takes {len(out)} bytes; the tag has {size}.",
            "Leave elements out, the title first, or take a larger tag.",
            code="tag-too-small",
        )
    out += b"\x00"  # the terminator; the last byte of a full tag needs none
    if now.stop is Stop.TERMINATOR:
        out = out.ljust(now.at + 1, b"\x00")
        out += over[len(out) :]
    return out.ljust(size, b"\x00")[:size]


def _now(over: bytes, size: int, *, certain: bool, id_apart: bool) -> Memory:
    """The sets of ``over``; none if it is of another model."""
    memory = parse(over)
    first = memory.sets[0] if memory.sets else None
    ours = strict(over, memory) or (
        certain and (id_apart or (first is not None and first.oid == _ID))
    )
    if ours and over and len(over) < size and memory.stop in (Stop.CUT, Stop.EDGE):
        raise LocalProtocolError(
            "Only a part of this tag was read.", "Read all of it first.", code="tag-cut"
        )
    if ours and memory.stop is Stop.CUT:  # half written: what is whole counts
        return Memory(memory.sets, Stop.EDGE, memory.at)
    if ours:
        return memory
    # One that nobody called ours and that is odd somewhere: better keep too much of it.
    whole = memory.stop in (Stop.TERMINATOR, Stop.EDGE)
    return (
        memory if whole and first is not None and first.oid == _ID and sound_id(first) else _NOTHING
    )


def _sets(label: Label, now: Memory) -> list[DataSet]:
    """Everything but the list of elements, without pads, in no order."""
    had: dict[int, DataSet] = {}
    for one in now.sets:
        had.setdefault(one.oid, one)
    texts = _texts(label, now)
    sets: list[DataSet] = []
    for oid, text in texts.items():
        old = had.get(oid)
        same = old is not None and read(old) == text and exact(old, text)
        sets.append(old.bare() if old is not None and same else write(oid, text))
    for one in now.sets:
        said = one.oid in texts or one.oid == _LIST
        if not said and (not known(one.oid) or read(one) is None):
            sets.append(one.bare())
    return sets


def _names(sets: list[DataSet], now: Memory) -> set[int]:
    """What the list of elements has to name."""
    names = {one.oid for one in sets} - {_ID}
    if now.rest is not None:  # what stands behind it cannot be seen, but is listed
        names |= {now.rest.oid} | ((listed(now.sets) or set()) - present(now))
    return names - {_ID, _LIST}


def _fixed(sets: list[DataSet], now: Memory, block: int) -> list[DataSet]:
    """Takes from ``sets`` those that fill whole blocks by their pads now, and gives them with their place."""
    fixed: list[DataSet] = []
    for old in now.sets:
        if old.pads is None or old.at % block or old.end % block:
            continue
        new = next((one for one in sets if one.oid == old.oid), None)
        if new is not None:
            sets.remove(new)
            same = (new.code, new.data) == (old.code, old.data)
            fixed.append(old if same else replace(new.whole(block), at=old.at))
    return fixed


def _texts(label: Label, now: Memory) -> dict[int, str]:
    """What the label says, element by element."""
    if not label.id or label.id != bare_id(label.id):
        raise _unfit("An id has no control characters and no spaces around it.", "Write it anew.")
    texts: dict[int, str] = {_ID: label.id} | _owner(label, now)
    if label.parts < 1:
        raise _unfit("It is not known how many parts this item has.", "Count them and say so.")
    if not 1 <= label.part <= label.parts <= _MOST_PARTS:
        raise _unfit(
            f"Part {label.part} of {label.parts} cannot be written.",
            f"Parts count from 1, and there are {_MOST_PARTS} at most.",
        )
    if label.parts > 1:
        width = len(str(label.parts))
        texts[Element.SET_INFORMATION] = f"{label.parts}{label.part:0{width}}"
    if not 0 <= label.sub <= 15:
        raise _unfit("A sub-class of a usage is a number from 0 to 15.", "Say one of these.")
    if (label.usage, label.sub) != (Usage.UNSAID, 0):
        texts[Element.TYPE_OF_USAGE] = str(label.usage << 4 | label.sub)
    for name, text in label.fields:
        element = _FIELDS.get(name)
        if element is None:
            _kept(name, text, now)
        elif element in texts:
            raise _unfit(f"The element {name} is there twice.", "Leave one out.")
        elif text:
            texts[element] = text
    return texts


def _owner(label: Label, now: Memory) -> dict[int, str]:
    """As an ISIL if it looks like one, else as an alternative code; a tag that has it there already keeps it there."""
    if label.owner == NOBODY:
        return {}
    text = label.owner.isil
    if not text:
        raise _unfit("The owner is a country without a library.", "Say the library's code.")
    held = {one.oid: read(one) for one in now.sets}
    apart = Element.OWNER not in held and held.get(Element.ALTERNATIVE_OWNER) == text
    return {Element.OWNER if isil.fits(text) and not apart else Element.ALTERNATIVE_OWNER: text}


def _kept(name: str, text: str, now: Memory) -> None:
    """An element without a name can only stay where it is: its form would have to be guessed."""
    there = {(f"oid-{one.oid}", one.data.hex()) for one in now.sets}
    long = now.rest is not None and name == f"oid-{now.rest.oid}"
    if not long and (name, text) not in there:
        raise _unfit(f"A tag of ISO 28560-2 has no field {name}.", "Leave it out, or use another.")


def _unfit(say: str, do: str) -> LocalProtocolError:
    return LocalProtocolError(say, do, code="label-unfit")
