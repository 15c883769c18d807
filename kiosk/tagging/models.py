"""Labels onto tags: what is to stand on a tag, in the model that the site writes, and what that model cannot hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kiosk.tagging.memory import Memory
from kiosk.tagging.refusals import Half, Refused, refused
from kiosk.wire import iso28560_2, iso28560_3_write, ndef, plain, rfid501
from kiosk.wire.content import (
    NOBODY,
    Blank,
    CardTag,
    Damaged,
    Element,
    Fields,
    Foreign,
    ItemTag,
    Label,
    Model,
    Owner,
    Usage,
)
from mocban.errors import ConfigError, DeviceLost, LocalProtocolError, StorageError

WRITABLE = {
    one.value: one
    for one in (Model.ISO28560_3, Model.ISO28560_2, Model.RFID501, Model.ASCII, Model.NDEF)
}
"""What ``--model`` takes."""
USAGES = {usage.name.lower().replace("_", "-"): usage for usage in Usage}
"""What ``--usage`` takes."""
OWNERLESS = (Model.RFID501, Model.ASCII, Model.NDEF)
"""Models that know neither owner nor usage."""


TAG_ERRORS = (Refused, Half)
"""What goes wrong with one tag; the next one is dealt with all the same."""
BREAKS = (StorageError, DeviceLost)
"""What goes wrong with reader or disk: no further tag is dealt with."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A tag's new memory. ``left``: names of what the old one said and the new one cannot."""

    data: bytes = field(repr=False)
    dsfid: int | None
    left: tuple[str, ...] = ()


def model_of(name: str) -> Model:
    """A model to write; ConfigError if there is none of that name."""
    if name not in WRITABLE:
        raise ConfigError(
            f"there is no model {name[:20]} to write", f"choose one of: {', '.join(WRITABLE)}",
            code="usage",
        )  # fmt: skip
    return WRITABLE[name]


def usage_of(name: str) -> Usage:
    """A usage by name or number; ConfigError if it is none."""
    if name in USAGES:
        return USAGES[name]
    if name.isascii() and name.isdigit() and int(name) < len(Usage):
        return Usage(int(name))
    raise ConfigError(
        f"there is no usage {name[:20]}",
        "choose circulating, reference, patron-card, or another name or number of ISO 28560-1",
        code="usage",
    )


def write(
    label: Label, model: Model, memory: Memory, *, lockable: bool = False, swapped: bool = False
) -> Changed:
    """The label on this tag, around what others wrote there. Refused ``does-not-fit`` with the reason."""
    old = memory.held
    try:
        data = _encode(label, model, memory, lockable=lockable, swapped=swapped)
    except LocalProtocolError as error:
        raise refused(
            "does-not-fit", uid=memory.uid, why=_plain(error.say), do=_plain(error.do)
        ) from error
    return Changed(data, _dsfid(model, old.dsfid))


def convert(
    memory: Memory, model: Model, owner: Owner, *, single: bool = False, swapped: bool = False
) -> Changed:
    """The same label in another model, or as it is if it is of that model. ``single``: an unknown number of parts is 1.

    Refused if the tag says nothing that can be trusted, or the label does not fit.
    """
    content = memory.content
    match content:
        case Blank():
            raise refused("blank", uid=memory.uid)
        case Damaged():
            raise refused("damaged", uid=memory.uid)
        case Foreign():
            raise refused("foreign", uid=memory.uid)
        case ItemTag() | CardTag() if content.model is model:
            return Changed(memory.held.data, memory.held.dsfid)
        case ItemTag():
            label = _label_of(content, memory.uid, single=single)
        case CardTag():
            label = Label(content.id, content.owner, Usage.PATRON_CARD, fields=content.fields)
    label, left = _fitting(label, model, owner)
    fields: Fields = ()
    wanted = label.fields
    for one in wanted:  # one by one: what a model refuses is its own to know
        try:
            _encode(replace(label, fields=(*fields, one)), model, memory, swapped=swapped)
        except LocalProtocolError:
            left.append(one[0])
        else:
            fields = (*fields, one)
    changed = write(replace(label, fields=fields), model, memory, swapped=swapped)
    return replace(changed, left=tuple(left))


def _label_of(content: ItemTag, uid: str, *, single: bool) -> Label:
    parts, part = content.parts, content.part
    if not 1 <= part <= parts:
        if not single:
            raise refused("parts-unknown", uid=uid)
        parts, part = 1, 1
    return Label(content.id, content.owner, content.usage, content.sub, parts, part, content.fields)


def _fitting(label: Label, model: Model, owner: Owner) -> tuple[Label, list[str]]:
    """The label without what the model has no place for, and the names of that."""
    left: list[str] = []
    if model in OWNERLESS:
        if label.owner != NOBODY:
            left.append(Element.OWNER.label)
            label = replace(label, owner=NOBODY)
        if label.usage is Usage.UNSAID:
            label = replace(label, usage=Usage.CIRCULATING)
    elif label.owner == NOBODY:
        label = replace(label, owner=owner)
    if model is not Model.ISO28560_2 and label.sub:
        left.append("sub-usage")
        label = replace(label, sub=0)
    if model in (Model.ISO28560_2, Model.ISO28560_3) and label.usage is Usage.UNSAID:
        label = replace(
            label, usage=Usage.CIRCULATING
        )  # models without usage are those of items for loan
    return label, left


def _encode(
    label: Label, model: Model, memory: Memory, *, lockable: bool = False, swapped: bool = False
) -> bytes:
    old, block = memory.held, memory.block
    size = len(old.data)
    match model:
        case Model.ISO28560_2:
            return iso28560_2.encode(
                label, size, block=block, over=old.data, lock_id=lockable,
                certain=old.dsfid == iso28560_2.DSFID,
            )  # fmt: skip
        case Model.ISO28560_3:
            return iso28560_3_write.encode(label, size, block=block, over=old.data, swapped=swapped)
        case Model.RFID501:
            return rfid501.encode(label, size, block=block, over=old.data)
        case Model.ASCII:
            return plain.encode_ascii(label, size, block=block, over=old.data)
        case Model.NDEF:
            return ndef.encode(label, size, block=block, over=old.data)
        case _:
            raise LocalProtocolError(f"{model} is no model to write")


def _dsfid(model: Model, now: int | None) -> int | None:
    """06 says ISO 28560-2, so that it must and nothing else may have it. No other value is proven for any model."""
    if now is None:
        return None
    if model is Model.ISO28560_2:
        return iso28560_2.DSFID
    return 0 if now == iso28560_2.DSFID else now


def _plain(sentence: str) -> str:
    return sentence.rstrip(".")
