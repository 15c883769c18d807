"""``mocban tag decode``: bytes in hex -> what the tag says, as one JSON object or as a table for people.

The rule of ids: an id is told only if every byte of it was read, and never without a warning where the tag gives reason
to doubt it. So a tag that was read too short shows its id beside ``bytes-missing``; a tag whose check value is wrong
shows none, only ``checksum``: any of its bytes may be the wrong one.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import assert_never

import typer

from kiosk.settings import KioskSettings
from kiosk.tagging import words
from kiosk.tagging.told import Told
from kiosk.wire import epc as bank
from kiosk.wire import iso15962, iso28560_2, iso28560_3, iso28560_4, tag
from kiosk.wire.content import (
    Blank,
    CardTag,
    Content,
    Damage,
    Damaged,
    Foreign,
    ItemTag,
    Look,
    Model,
    Owner,
    Usage,
    Warn,
)
from mocban.cli import emit
from mocban.config import load
from mocban.errors import ConfigError
from mocban.i18n import catalog, language

LARGEST = 8192
"""Bytes of the largest memory taken; the largest tags of today hold 8 KiB."""
SMALLEST = 4
"""Bytes of one block: fewer are no tag at all."""
_ID_READ = 19  # bytes of ISO 28560-3 up to the end of the id
_COUNTRY_READ = 23
_DOUBTS = frozenset((Warn.VERSION, Warn.COUNTRY, Warn.ID_NOT_UTF8))
_HEX = re.compile(r"[0-9A-Fa-f]*")
_FILLING = re.compile(r"0x|[\s:;,._-]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command was given, as bytes."""

    data: bytes = field(repr=False)
    afi: int | None = None
    dsfid: int | None = None
    epc: bytes = field(default=b"", repr=False)
    swapped: bool = False


def ask(memory: list[str] | None, *, afi: str, dsfid: str, epc: str, swapped: bool) -> Asked:
    """The command's words as bytes; ConfigError where they are none. ``-`` alone reads stdin.

    ``epc`` may be bank 01 whole: its StoredCRC, if it is right, is taken off.
    """
    if memory is None and not epc:
        raise ConfigError(
            "there is no HEX", "give the tag's bytes, or - to read them from stdin", code="usage"
        )
    text = sys.stdin.read(4 * LARGEST + 1) if memory == ["-"] else "".join(memory or ())
    told = _bytes(epc, "--epc")
    whole = bank.recognise(told)
    if whole is not None and whole.checked:
        told = whole.epc
    return Asked(_bytes(text, "HEX"), byte(afi, "--afi"), byte(dsfid, "--dsfid"), told, swapped)


def run(asked: Asked, config: Path | None, *, as_json: bool) -> bool:
    """Print what the tag says; False if there is no tag at all."""
    found = tell(asked)
    if found is None:
        error = {
            "code": "no-tag", "say": "these bytes are no tag at all",
            "do": f"read the tag from block 0, {SMALLEST} bytes at least",
        }  # fmt: skip
        if as_json:
            emit({"ok": False, **Told(Model.FOREIGN, "foreign").as_json(), "errors": [error]})
        else:
            typer.echo(catalog("kiosk.tagging", language()).gettext(words.NO_TAG), err=True)
        return False
    if as_json:
        emit({"ok": True, **found.as_json(), "errors": []})
        return True
    texts = catalog("kiosk.tagging", language())
    for line in words.table(found, texts, _security(asked, config, texts)):
        typer.echo(line)
    return True


def tell(asked: Asked) -> Told | None:
    """What is to be told of the bytes; None if they are no tag at all. Total: never raises."""
    if len(asked.data) < SMALLEST and len(asked.epc) < 2:
        return None
    content = tag.decode(
        asked.data, afi=asked.afi, dsfid=asked.dsfid, epc=asked.epc, swapped=asked.swapped
    )
    return _told(content, asked)


def _told(content: Content, asked: Asked) -> Told:
    match content:
        case ItemTag():
            return Told(
                content.model, "item", content.id, _isil(content.owner), content.part, content.parts,
                _usage(content), _fields(content), tuple(w.value for w in content.warnings),
            )  # fmt: skip
        case CardTag():
            return Told(
                content.model, "patron", content.id, _isil(content.owner), None, None,
                int(Usage.PATRON_CARD), dict(content.fields), tuple(w.value for w in content.warnings),
            )  # fmt: skip
        case Blank():
            return Told(Model.BLANK, "blank")
        case Foreign(Look.USER_BANK):
            return _user_bank(asked.data)
        case Foreign():
            return Told(Model.FOREIGN, "foreign")
        case Damaged():
            return _damaged(content, asked)
        case _:
            assert_never(content)


def _usage(content: ItemTag) -> int | None:
    """The class; None where the tag does not say. In ISO 28560-3 there is always one, if only 6: no information."""
    unsaid = content.usage is Usage.UNSAID and content.model is not Model.ISO28560_3
    return None if unsaid else int(content.usage)


def _fields(content: ItemTag) -> dict[str, str]:
    """The other elements, and the sub-class of usage if there is one (ISO 28560-1 element 5; 3: no issue off line)."""
    return dict(content.fields) | ({"sub-usage": str(content.sub)} if content.sub else {})


def _user_bank(data: bytes) -> Told:
    """All that a UHF tag's user memory says by itself: everything but the number."""
    said = iso28560_4.elements(data)
    if said is None:
        return Told(Model.FOREIGN, "foreign")
    patron = said.usage is Usage.PATRON_CARD
    return Told(
        Model.ISO28560_4, "patron" if patron else "item", None, _isil(said.owner),
        None if patron else said.part, None if patron else said.parts,
        None if said.usage is Usage.UNSAID else int(said.usage), dict(said.fields),
        (*(w.value for w in said.warnings), words.OTHER_BANK),
    )  # fmt: skip


def _damaged(content: Damaged, asked: Asked) -> Told:
    """See the rule of ids above."""
    if content.why is Damage.CHECKSUM:
        return Told(content.model, "foreign", warnings=(words.CHECKSUM,))
    readable = _begun(content.model, asked)
    if readable is None:
        return Told(content.model, "foreign", warnings=(words.MISSING,), missing=content.missing)
    told = _told(readable, asked)
    return replace(told, warnings=(*told.warnings, words.MISSING), missing=content.missing)


def _begun(model: Model, asked: Asked) -> ItemTag | CardTag | None:
    """What the bytes that were read say, if the whole id is among them."""
    found: list[Content | None] = []
    match model:
        case Model.ISO28560_2:
            sets = asked.data[: iso15962.parse(asked.data).at]
            found = [iso28560_2.decode(sets + b"\x00", certain=True)]
        case Model.ISO28560_3:
            found = [
                iso28560_3.decode(_sealed(data), swapped=asked.swapped)
                for data in (asked.data, iso28560_3.turn_blocks(asked.data))
                if len(data) >= _ID_READ
            ]
        case _:
            pass
    # What was not read yet is no oddity.
    unread = {Warn.COUNTRY} if len(asked.data) < _COUNTRY_READ else set()
    sure = [
        replace(one, warnings=tuple(w for w in one.warnings if w not in unread))
        for one in found
        if isinstance(one, ItemTag | CardTag) and not (_DOUBTS - unread) & set(one.warnings)
    ]
    return sure[0] if len(sure) == 1 else None


def _sealed(data: bytes) -> bytes:
    """As if what is missing were 00 and the check value right."""
    block = data[: iso28560_3.BASIC_BLOCK].ljust(iso28560_3.BASIC_BLOCK, b"\x00")
    return block[:19] + iso28560_3.checksum(block).to_bytes(2, "little") + block[21:]


def _isil(owner: Owner) -> str | None:
    return owner.isil or None


def _security(asked: Asked, config: Path | None, texts: words.Texts) -> str:
    """What the AFI means here: by the settings of the site, which are ISO's where there is no configuration."""
    pc = bank.split(asked.epc)
    afi = asked.afi if asked.afi is not None or pc is None else pc.pc.afi
    if afi is None:
        return ""
    site = load("kiosk", KioskSettings, config).app.security
    return words.security(afi, site.in_stock, site.on_loan, texts)


def _bytes(text: str, name: str) -> bytes:
    digits = _FILLING.sub("", text)
    if len(digits) > 2 * LARGEST:
        raise ConfigError(
            f"{name} is longer than any tag", f"give {LARGEST} bytes at most", code="usage"
        )
    if len(digits) % 2 or not _HEX.fullmatch(digits):
        raise ConfigError(
            f"{name} is no hex", "write two digits 0-9 A-F for each byte", code="usage"
        )
    return bytes.fromhex(digits)


def byte(text: str, name: str) -> int | None:
    """One byte of hex, None for ""; ConfigError, with the option's ``name``, if it is none."""
    if not text:
        return None
    read = _bytes(text, name)
    if len(read) != 1:
        raise ConfigError(f"{name} is one byte", "write two digits 0-9 A-F", code="usage")
    return read[0]
