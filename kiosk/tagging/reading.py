"""``mocban tag read``: every tag that lies there, all that it says, and whether an earlier write broke off."""

from __future__ import annotations

from typing import Any

import typer

from kiosk.devices.base import Tag
from kiosk.tagging import decode, memory, sentences, words
from kiosk.tagging.book import Written
from kiosk.tagging.decode import Asked as Bytes
from kiosk.tagging.desk import Desk
from kiosk.tagging.memory import Held, Memory
from kiosk.tagging.refusals import Refused, refused
from kiosk.tagging.told import Told
from kiosk.wire.content import Model
from kiosk.wire.iso15693 import Uid
from mocban.cli import emit
from mocban.errors import ConfigError, Exit


async def read(desk: Desk, *, raw: bool) -> None:
    """Tell of every tag; Exit 1 if none lies there, 3 if one of them could not be read."""
    told: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    for number, tag in enumerate(await desk.tags()):
        try:
            found = await _whole(desk, tag)
        except Refused as error:
            errors.append(error.as_json())
            desk.show(f"{error.say}: {error.do}.")
            continue
        left = desk.unfinished().get(tag.uid)
        said = decode.tell(Bytes(found.held.data, found.held.afi, found.held.dsfid, found.epc))
        said = said or Told(Model.FOREIGN, "foreign")
        told.append(_object(found, said, left, raw=raw))
        if number:
            desk.show("")
        for line in _lines(desk, found, said, left):
            desk.show(line)
        if raw:
            desk.show(found.held.data.hex(" ", found.block).upper())
    if desk.asked.as_json:
        emit({"ok": not errors, "tags": told, "errors": errors})
    if errors:
        raise typer.Exit(Exit.PARTLY)


async def _whole(desk: Desk, tag: Tag) -> Memory:
    """All of a tag; of a UHF tag what the inventory said, for it tells no size."""
    if not tag.data and not tag.epc:
        raise refused("not-read", uid=tag.uid)
    if not tag.epc:
        try:
            return await memory.take(desk.bench, tag, eas=True)
        except ConfigError as error:
            if error.code != "unsupported":
                raise
    afi = tag.afi if tag.afi is not None else await memory.family(desk.bench, tag.uid)
    armed = await memory.alarm(desk.bench, tag.uid)
    return Memory(tag.uid, 2 if tag.epc else 4, Held(tag.data, afi, tag.dsfid, armed), epc=tag.epc)


def _chip(found: Memory) -> str:
    return Uid.parse(found.uid).manufacturer if len(found.uid) == 16 else ""


def _object(found: Memory, said: Told, left: Written | None, *, raw: bool) -> dict[str, Any]:
    held = found.held
    body = {
        "uid": found.uid, "chip": _chip(found), "blocks": found.blocks, "block_size": found.block,
        "afi": None if held.afi is None else f"{held.afi:02X}",
        "dsfid": None if held.dsfid is None else f"{held.dsfid:02X}", "eas": held.eas, **said.as_json(),
        "half_written": None if left is None else {"since": left.entry.at, "undo": str(left.path)},
    }  # fmt: skip
    return {**body, "data": held.data.hex().upper()} if raw else body


def _lines(desk: Desk, found: Memory, said: Told, left: Written | None) -> list[str]:
    held = found.held
    rows = [("UID", found.uid), (desk.word(sentences.CHIP), _chip(found))]
    size = desk.word(sentences.BLOCKS, blocks=found.blocks, size=found.block)
    rows.append((desk.word(sentences.MEMORY), size))
    marks = "  ".join("--" if one is None else f"{one:02X}" for one in (held.afi, held.dsfid))
    rows.append((desk.word(sentences.MARKS), marks))
    if held.eas is not None:
        armed = sentences.ARMED if held.eas else sentences.DISARMED
        rows.append((desk.word(sentences.ALARM), desk.word(armed)))
    site = desk.site.security
    mark = ""
    if held.afi is not None and site.afi:
        mark = words.security(held.afi, site.in_stock, site.on_loan, desk.texts)
    lines = list(words.table(said, desk.texts, mark, rows))
    if left is not None:
        lines.append(desk.word(sentences.HALF, at=desk.when(left.entry.at), path=left.path))
    return lines
