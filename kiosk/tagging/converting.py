"""``mocban tag convert``, its ``--resume``, and ``mocban tag undo``: many tags, each put down before it is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from kiosk.devices.base import Tag
from kiosk.tagging import book, memory, models, sentences, words, writing
from kiosk.tagging.book import Book, Mark, Written
from kiosk.tagging.desk import Desk, Tally
from kiosk.tagging.memory import Held, Memory, runs
from kiosk.tagging.refusals import Refused, refused
from kiosk.wire.content import CardTag, ItemTag, Model, Owner
from mocban.cli import user
from mocban.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Plan:
    """How tags are to be converted. ``in_stock``, ``on_loan``: the AFI values that mean it on the tags as they are."""

    model: Model
    owner: Owner
    in_stock: int | None = None
    on_loan: int | None = None
    keep_afi: bool = False
    keep_dsfid: bool = False
    single: bool = False
    swapped: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    memory: Memory
    after: Held
    left: tuple[str, ...]

    @property
    def blocks(self) -> int:
        size = self.memory.block
        found = runs(self.memory.held.data, self.after.data, size)
        return sum(len(data) // size for _, data in found)


async def convert(desk: Desk, plan: Plan) -> None:
    """Convert every tag that lies there, or that of ``--uid``."""
    meaning = _meaning(desk, plan)
    tally = Tally(desk)
    jobs: list[_Job] = []
    tags = await desk.tags()
    for tag in tags:
        try:
            found = await desk.take(tag)
            job = _job(desk, plan, found, meaning)
        except models.TAG_ERRORS as error:
            tally.refuse(tag.uid, error)
            continue
        if job.after == found.held:
            tally.put(tag.uid, "right", sentences.RIGHT)
        else:
            jobs.append(job)
    if jobs:
        for job in jobs:
            _announce(desk, job)
        model = desk.word(words.MODELS[plan.model])
        desk.confirm(sentences.CONVERT, n=len(jobs), all=len(tags), model=model)
    for job in jobs:
        uid = job.memory.uid
        try:
            await writing.write(desk.bench, desk.book(), "convert", job.memory, job.after, meaning)
        except models.TAG_ERRORS as error:
            tally.refuse(uid, error)
        except models.BREAKS as error:
            tally.broke(uid, error)
            break
        else:
            content = job.memory.content
            tally.put(
                uid, "converted", sentences.CONVERTED, _named(desk, job.memory),
                item=content.id if isinstance(content, ItemTag) else None, blocks=job.blocks, left=job.left,
            )  # fmt: skip
    wrote = any(tag["outcome"] == "converted" for tag in tally.tags)
    path = desk.book().path if jobs else None
    if wrote:
        desk.say(sentences.UNDO_WITH, path=path)
    tally.end(undo=str(path) if path else None)


async def resume(desk: Desk, *, leave: bool = False) -> None:
    """Bring every half-written tag that lies there to the end it was on the way to.

    ``leave``: one that somebody else wrote since then stays so, and is not called half written any more.
    """
    left = desk.unfinished()
    found = [(tag, left[tag.uid]) for tag in await desk.tags() if tag.uid in left]
    if not found:
        raise refused("nothing-to-resume")
    desk.confirm(sentences.FINISH, n=len(found))
    tally = Tally(desk)
    for tag, one in found:
        mark = Mark.UNDONE if one.mark is Mark.UNDOING else Mark.DONE
        if not await _cure(desk, tally, tag, one, mark, sentences.RESUMED, leave=leave):
            break
    tally.end()


async def undo(desk: Desk, path: Path) -> None:
    """Put the tags that lie there back as the file says they were, each by its latest write that was not undone."""
    written, damaged = book.read(path)
    for number in damaged:
        desk.say(sentences.DAMAGED_LINES, n=number)
    latest = {one.entry.uid: one for one in written if one.mark not in (Mark.UNDONE, Mark.LEFT)}
    tags = [tag for tag in await desk.tags() if tag.uid in latest]
    if not tags:
        raise refused("nothing-to-undo")
    desk.confirm(sentences.RESTORE, n=len(tags))
    tally = Tally(desk)
    for tag in tags:
        if not await _cure(desk, tally, tag, latest[tag.uid], Mark.UNDONE, sentences.RESTORED):
            break
    tally.errors += [
        {
            "code": "damaged-line", "say": desk.word(sentences.DAMAGED_LINES, n=number),
            "do": desk.word(sentences.COPY),
        }
        for number in damaged
    ]  # fmt: skip
    tally.end(damaged=damaged)


async def _cure(
    desk: Desk, tally: Tally, tag: Tag, one: Written, mark: Mark, sentence: str, *, leave: bool = False
) -> bool:  # fmt: skip
    """False: it broke off, and no further tag is to be tried."""
    entry = one.entry
    try:
        eas = entry.before.eas is not None or entry.after.eas is not None
        found = await memory.take(desk.bench, tag, eas=eas)
        with Book(one.path.resolve(), desk.clock, user()) as file:
            try:
                whole = await writing.cure(
                    desk.bench, file, entry, found, mark, torn=one.mark.open, anyway=desk.asked.even_so
                )  # fmt: skip
            except Refused as error:
                if not leave or error.code != "written-over":
                    raise
                mark, sentence, whole = Mark.LEFT, sentences.LEFT, True
                file.end(entry, mark)
    except models.TAG_ERRORS as error:
        tally.refuse(tag.uid, error)
        return True
    except models.BREAKS as error:
        tally.broke(tag.uid, error)
        return False
    desk.cured(tag.uid)
    tally.put(tag.uid, mark.value, sentence)
    if not whole:
        afi = "--" if found.held.afi is None else f"{found.held.afi:02X}"
        desk.say(sentences.AFI_LEFT, afi=afi)
    return True


def _meaning(desk: Desk, plan: Plan) -> writing.Meaning:
    """Old and new AFI that mean the same; none where security does not stand in the AFI."""
    site = desk.site.security
    if plan.keep_afi or not site.afi:
        return ()
    if plan.in_stock is not None and plan.in_stock == plan.on_loan:
        raise ConfigError(
            "--from-in-stock and --from-on-loan are the same value", "one of them is wrong",
            code="usage",
        )  # fmt: skip
    told = ((plan.in_stock, site.in_stock), (plan.on_loan, site.on_loan))
    return tuple((old, new) for old, new in told if old is not None)


def _job(desk: Desk, plan: Plan, found: Memory, meaning: writing.Meaning) -> _Job:
    changed = models.convert(
        found, plan.model, plan.owner, single=plan.single, swapped=plan.swapped
    )
    held = found.held
    after = Held(changed.data, _afi(desk, plan, found, meaning), changed.dsfid, held.eas)
    if plan.keep_dsfid:
        after = replace(after, dsfid=held.dsfid)
    return _Job(found, after, changed.left)


def _afi(desk: Desk, plan: Plan, found: Memory, meaning: writing.Meaning) -> int | None:
    """The AFI that means here what the old one meant. Nothing is guessed: Refused ``afi-unknown``."""
    site, afi = desk.site.security, found.held.afi
    if plan.keep_afi or not site.afi or isinstance(found.content, CardTag) or afi is None:
        return afi
    known = dict(meaning)
    if afi in known:
        return known[afi]
    if afi in (site.in_stock, site.on_loan):
        return afi
    raise refused("afi-unknown", uid=found.uid, afi=f"{afi:02X}")


def _announce(desk: Desk, job: _Job) -> None:
    content = job.memory.content
    old = words.MODELS[content.model] if isinstance(content, ItemTag | CardTag) else ""
    left = ", ".join(words.label(name, desk.texts) for name in job.left) or desk.word(
        sentences.NOTHING_LEFT
    )
    desk.say(
        sentences.WILL, uid=job.memory.uid, item=_named(desk, job.memory), old=desk.word(old), left=left
    )  # fmt: skip


def _named(desk: Desk, found: Memory) -> str:
    match found.content:
        case ItemTag(id=item):
            return desk.word(sentences.ITEM, item=item)
        case _:
            return desk.word(sentences.CARD)
