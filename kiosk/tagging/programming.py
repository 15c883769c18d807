"""``mocban tag program`` and ``reset``: one tag gets a label, or loses everything."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kiosk.tagging import models, sentences, writing
from kiosk.tagging.desk import Desk, Tally
from kiosk.tagging.memory import Held, Memory
from kiosk.tagging.refusals import refused
from kiosk.wire.content import (
    NOBODY,
    Blank,
    CardTag,
    Damaged,
    Element,
    Foreign,
    ItemTag,
    Label,
    Model,
    Owner,
    Usage,
)
from mocban.cli import emit
from mocban.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to stand on a tag. ``over``: whatever it holds now.

    ``unsaid``: what of the label nobody gave; a tag that holds this item already keeps its own.
    """

    label: Label
    model: Model
    over: bool = False
    lockable: bool = False
    keep_dsfid: bool = False
    swapped: bool = False
    unsaid: frozenset[str] = frozenset()


async def program(desk: Desk, wish: Wish) -> None:
    """Write the one tag that lies there, secure it, and say so."""
    memory = await desk.one(eas=desk.site.security.eas)
    _checked(memory, wish)
    after = _after(desk, memory, wish)
    item = _named(desk, wish.label)
    if after != memory.held:
        holds = not isinstance(memory.content, Blank)
        question = sentences.WRITE_OVER if holds and wish.over else sentences.WRITE
        desk.confirm(question, uid=memory.uid, now=now(desk, memory), item=item)
        await _still_alone(desk, memory)
    wrote = await put(desk, memory, wish)
    desk.say(sentences.WRITTEN if wrote else sentences.STANDS, uid=memory.uid, item=item)
    if secures(desk, wish.label):
        desk.say(sentences.SECURED)
    if wrote:
        desk.say(sentences.UNDO_WITH, path=desk.book().path)
    if desk.asked.as_json:
        emit(
            {
                "ok": True, "uid": memory.uid, "item": wish.label.id, "model": wish.model.value, "written": wrote,
                "secured": secures(desk, wish.label), "undo": str(desk.book().path) if wrote else None, "errors": [],
            }
        )  # fmt: skip


async def put(desk: Desk, memory: Memory, wish: Wish) -> bool:
    """Write, verify, secure; False if the tag held all of it already."""
    return await writing.write(
        desk.bench, desk.book(), "program", memory, _after(desk, memory, wish)
    )


def secures(desk: Desk, label: Label) -> bool:
    """Whether such a tag is marked as in stock: every item where the mark is on the tag; a card never is."""
    return label.usage is not Usage.PATRON_CARD and (
        desk.site.security.afi or desk.site.security.eas
    )


def now(desk: Desk, memory: Memory) -> str:
    """What the tag holds now, in words."""
    match memory.content:
        case ItemTag(id=item):
            return desk.word(sentences.ITEM, item=item)
        case CardTag():
            return desk.word(sentences.CARD)
        case Blank():
            return desk.word(sentences.BLANK)
        case _:
            return desk.word(sentences.OTHER)


def wish(
    desk: Desk, item: str, model: str, *, parts: int | None = None, part: int | None = None, title: str = "",
    owner: str = "", usage: str = "", over: bool = False, lockable: bool = False, keep_dsfid: bool = False,
    swapped: bool = False,
) -> Wish:  # fmt: skip
    """What was typed, as this site writes it: its model and its owner where none is given."""
    kind = models.model_of(model or desk.site.tagging.model)
    if lockable and kind is not Model.ISO28560_2:
        raise ConfigError(
            "only ISO 28560-2 keeps the number in blocks of its own", "say --model iso28560-2",
            code="usage",
        )  # fmt: skip
    isil = owner or ("" if kind in models.OWNERLESS else desk.site.tagging.owner)
    label = Label(
        item.strip(), Owner.of(isil) if isil else NOBODY, models.usage_of(usage or "circulating"),
        parts=parts or 1, part=part or 1, fields=((Element.TITLE.label, title),) if title else (),
    )  # fmt: skip
    given = {"owner": owner, "usage": usage, "parts": parts or part}
    unsaid = frozenset(name for name, value in given.items() if not value)
    return Wish(label, kind, over, lockable, keep_dsfid, swapped, unsaid)


async def reset(desk: Desk, *, every: bool, afi: bool, keep_dsfid: bool) -> None:
    """Write 00 into every block of the tag, or of each of them; ``afi``: into the AFI as well."""
    if desk.asked.uid and every:
        raise ConfigError("--all and --uid contradict each other", "say one of them", code="usage")
    tags = await desk.tags() if every else [await desk.alone()]
    tally = Tally(desk)
    for tag in tags:
        try:
            memory = await desk.take(tag)
            held = memory.held
            after = Held(
                bytes(len(held.data)), 0 if afi else held.afi, held.dsfid if keep_dsfid else _none(held.dsfid)
            )  # fmt: skip
            if after == held:
                tally.put(tag.uid, "blank", sentences.BLANK_ALREADY)
                continue
            desk.confirm(sentences.WIPE, uid=tag.uid, now=now(desk, memory))
            await writing.write(desk.bench, desk.book(), "reset", memory, after)
        except models.TAG_ERRORS as error:
            tally.refuse(tag.uid, error)
        except models.BREAKS as error:
            tally.broke(tag.uid, error)
            break
        else:
            tally.put(tag.uid, "wiped", sentences.WIPED)
    path = desk.book().path
    wiped = any(tag["outcome"] == "wiped" for tag in tally.tags)
    if wiped:
        desk.say(sentences.UNDO_WITH, path=path)
    tally.end(undo=str(path) if wiped else None)


def _none(dsfid: int | None) -> int | None:
    return None if dsfid is None else 0


def _checked(memory: Memory, wish: Wish) -> None:
    """Refused if the tag holds anything, but for what is to stand on it, and ``--over`` was not said."""
    content = memory.content
    if wish.over or isinstance(content, Blank):
        return
    match content:
        case ItemTag(id=item):
            if not same(memory, wish):
                raise refused("holds-item", uid=memory.uid, item=item)
        case CardTag():
            raise refused("holds-card", uid=memory.uid)
        case Foreign() | Damaged():
            raise refused("holds-other", uid=memory.uid)


def same(memory: Memory, wish: Wish) -> bool:
    """Whether it is the tag of this very item: a number is unique within its owner's library only."""
    content = memory.content
    owners = (NOBODY, wish.label.owner)
    return (
        isinstance(content, ItemTag)
        and content.id == wish.label.id
        and (content.owner in owners or wish.label.owner == NOBODY)
    )


def _kept(memory: Memory, wish: Wish) -> Wish:
    """The wish with what nobody said taken from the tag, if it is the tag of this item in this model."""
    content, label, unsaid = memory.content, wish.label, wish.unsaid
    if not isinstance(content, ItemTag) or content.model is not wish.model:
        return wish
    if not same(memory, wish):
        return wish
    if "owner" in unsaid and label.owner == NOBODY:
        label = replace(label, owner=content.owner)
    if "usage" in unsaid:
        label = replace(label, usage=content.usage, sub=content.sub)
    if "parts" in unsaid and 1 <= content.part <= content.parts:
        label = replace(label, parts=content.parts, part=content.part)
    fields = dict(content.fields) | dict(label.fields)
    return replace(wish, label=replace(label, fields=tuple(fields.items())))


def _after(desk: Desk, memory: Memory, wish: Wish) -> Held:
    site = desk.site.security
    wish = _kept(memory, wish)
    changed = models.write(
        wish.label, wish.model, memory, lockable=wish.lockable, swapped=wish.swapped
    )
    after = Held(changed.data, memory.held.afi, changed.dsfid, memory.held.eas)
    if wish.keep_dsfid:
        after = replace(after, dsfid=memory.held.dsfid)
    if wish.label.usage is Usage.PATRON_CARD:
        return after
    if site.afi:
        if memory.held.afi is None:
            raise refused("no-afi", uid=memory.uid)
        after = replace(after, afi=site.in_stock)
    if site.eas:
        if memory.held.eas is None:
            raise refused("no-eas", uid=memory.uid)
        after = replace(after, eas=True)
    return after


async def _still_alone(desk: Desk, memory: Memory) -> None:
    """A question takes time: only if the same tag lies there, and alone, it is written."""
    tag = await desk.alone()
    if tag.uid != memory.uid:
        raise refused("other-tag", uid=tag.uid, wanted=memory.uid)


def _named(desk: Desk, wanted: Label) -> str:
    if wanted.usage is Usage.PATRON_CARD:
        return desk.word(sentences.CARD)
    return desk.word(sentences.ITEM, item=wanted.id)


def check_parts(parts: int, part: int) -> None:
    """ConfigError if this is no part of so many."""
    if not 1 <= part <= parts:
        raise ConfigError(
            f"part {part} of {parts} is none", "say --parts N and --part 1 to N", code="usage"
        )
