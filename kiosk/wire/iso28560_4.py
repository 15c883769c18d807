"""ISO/TS 28560-4, UHF tags: the id in the UII of bank 01, further elements in user memory (bank 11).

The UII is ``PII``, ``OI.PII`` or ``OI.PII.SET`` in URN Code 40 (owner institution, primary id, set information); the
PC's toggle is set and its AFI tells security. User memory is DSFID 06 and then the data sets of ISO 28560-2, among
which the id is missing. Usage, title and the like stand in user memory only: without it usage is *unsaid*.
"""

from __future__ import annotations

import re
from dataclasses import replace

from kiosk.wire import epc as bank
from kiosk.wire import iso28560_2, iso28560_2_write, urn40
from kiosk.wire.content import (
    NOBODY,
    CardTag,
    Content,
    Damage,
    Damaged,
    Element,
    ItemTag,
    Label,
    Model,
    Owner,
    Usage,
    Warn,
)
from kiosk.wire.iso15962 import Stop, parse
from kiosk.wire.iso28560_2 import Elements
from mocban.errors import LocalProtocolError

_ISIL = re.compile(r"[A-Za-z]{1,4}-[A-Za-z0-9:/-]{1,11}")
_SET = re.compile(r"[0-9]{2}|[0-9]{4}|[0-9]{6}")


def decode(epc: bytes, user: bytes = b"") -> Content | None:
    """PC and UII, and user memory if it was read -> Content; None if this is not the model. Never raises.

    Where both banks tell the same thing and differ, the UII is right: it is what every reader reads.
    """
    found = bank.split(epc)
    if found is None or not found.pc.iso:
        return None
    library = found.pc.afi in (bank.IN_STOCK, bank.ON_LOAN)
    if found.missing:
        return Damaged(Damage.MISSING, found.missing, Model.ISO28560_4) if library else None
    item = _uii(found)
    if item is None:
        return None
    if not library:
        if not _ISIL.fullmatch(item.owner.isil):
            return None  # text alone is too little: other trades use other alphabets
        item = replace(item, warnings=(*item.warnings, Warn.AFI))
    return _joined(item, user) if user.strip(b"\x00") and user.strip(b"\xff") else item


def elements(user: bytes) -> Elements | None:
    """What user memory says: DSFID 06, then data sets; None if it is not that, or was not read to the end."""
    if user[:1] != bytes((iso28560_2.DSFID,)):
        return None
    said = iso28560_2.elements(user[1:], certain=True)
    return said if isinstance(said, Elements) else None


def is_user_bank(data: bytes) -> bool:
    """Whether memory of an unknown tag is the user bank of a UHF tag: every set an element of ISO 28560-1, none twice.

    Without the id, as the standard has it: with one it might as well be an HF tag's.
    """
    memory = parse(data[1:])
    oids = [one.oid for one in memory.sets]
    return (
        data[:1] == bytes((iso28560_2.DSFID,))
        and memory.stop in (Stop.TERMINATOR, Stop.EDGE)
        and len(oids) > 1
        and len(set(oids)) == len(oids)
        and Element.PRIMARY_ID not in oids
        and max(oids) <= max(Element)
    )


def encode(label: Label, *, afi: int, umi: bool = False) -> bytes:
    """PC and UII. ``umi``: user memory is in use, and tells what the UII cannot: the part of an item without owner.

    LocalProtocolError if the label cannot stand in a UII so that it is read back as it was.
    """
    apart = umi and label.owner == NOBODY
    of = (1, 1) if apart else (label.parts, label.part)
    pieces = [label.owner.isil, label.id] if label.owner != NOBODY else [label.id]
    if of[0] > 1:
        pieces.append(f"{of[0]}{of[1]:0{len(str(of[0]))}}")
    epc = bank.join(urn40.encode(".".join(pieces)), afi=afi, umi=umi)
    back = _uii_of(epc)
    if back is None or (back.id, back.owner.isil, back.parts, back.part) != (
        label.id,
        label.owner.isil,
        *of,
    ):
        raise LocalProtocolError(
            "A UHF tag would not be read back as it is written.",
            "Check the id for full stops and the owner, which the part of a set needs.",
        )
    return epc


def encode_user(label: Label, size: int, *, over: bytes = b"") -> bytes:
    """User memory of ``size`` bytes beside a UII of the same label, around what stands in ``over``.

    It does not repeat what the UII says. LocalProtocolError, with the reason, if it does not go there.
    """
    rest = label if label.owner == NOBODY else replace(label, owner=NOBODY, parts=1, part=1)
    head = bytes((iso28560_2.DSFID,))
    kept = over[1:] if over[:1] == head else b""
    return head + iso28560_2_write.encode(rest, size - 1, block=2, over=kept, id_apart=True)


def _joined(item: ItemTag, user: bytes) -> Content:
    """The item of the UII with what user memory adds."""
    said = elements(user)
    if said is None:
        return replace(item, warnings=(*item.warnings, Warn.UNREADABLE_USER_BANK))
    several = (said.parts, said.part) != (1, 1)
    differ = (
        said.id not in ("", item.id)
        or (NOBODY not in (said.owner, item.owner) and said.owner.isil != item.owner.isil)
        or (several and item.parts > 1 and (said.parts, said.part) != (item.parts, item.part))
    )
    owner = said.owner if item.owner == NOBODY else item.owner
    warnings = (*item.warnings, *said.warnings, *((Warn.BANKS_DIFFER,) if differ else ()))
    if said.usage is Usage.PATRON_CARD:
        return CardTag(item.id, owner, 1, warnings, item.model, said.fields)
    if several and item.parts == 1:
        item = replace(item, parts=said.parts, part=said.part)
    return replace(
        item, owner=owner, usage=said.usage, sub=said.sub, fields=said.fields, warnings=warnings
    )


def _uii_of(epc: bytes) -> ItemTag | None:
    found = bank.split(epc)
    return _uii(found) if found is not None else None


def _uii(found: bank.Epc) -> ItemTag | None:
    """On air a further control word may stand before the UII; then only one reading makes sense."""
    readings = [found.uii, found.uii[2:]] if found.pc.xpc else [found.uii]
    items = [item for uii in readings if (item := _item(urn40.decode(uii))) is not None]
    return items[0] if len(items) == 1 else None


def _item(text: str | None) -> ItemTag | None:
    if text is None:
        return None
    pieces = text.split(".")
    parts, part, owner = 1, 1, NOBODY
    if len(pieces) > 1:
        first = pieces.pop(0)
        owner = Owner.of(first)
        if len(pieces) > 1 and (found := _set(pieces[-1])) is not None:
            parts, part = found
            pieces.pop()
        if not first:
            return None
    said = ".".join(pieces)
    if not said.strip(" .") or said != said.strip():
        return None
    return ItemTag(said, Usage.UNSAID, parts, part, owner, model=Model.ISO28560_4)


def _set(text: str) -> tuple[int, int] | None:
    if not _SET.fullmatch(text):
        return None
    half = len(text) // 2
    parts, part = int(text[:half]), int(text[half:])
    return (parts, part) if 1 <= part <= parts else None
