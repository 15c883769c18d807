"""How one line of a visit looks. Green means: lent or taken back in the library system, and its tag read back right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from kiosk.session.state import Line, Phase, Way
from kiosk.ui.words import Texts, standing, why
from mocban.i18n import day

COVERS = 6
"""How many cover drawings the style sheet has."""


class Look(StrEnum):
    """The four looks of a row; each differs in text, icon and place, never by colour alone."""

    TROUBLE = "trouble"
    ASKING = "asking"
    BUSY = "busy"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Row:
    """One book. ``label``, ``value``: due day, or where to put it; ``why``: what to do; ``reason``: code if refused."""

    key: str
    look: Look
    way: Way
    title: str
    cover: int
    part: str = ""
    badge: str = ""
    why: str = ""
    label: str = ""
    value: str = ""
    books: int = 1
    reason: str = ""


def row(line: Line, texts: Texts, lang: str) -> Row:
    """The row of ``line``."""
    _ = texts.gettext
    look, badge, said = _state(line, texts)
    label, value = _aside(line, texts, lang) if look is Look.DONE else ("", "")
    item = line.item
    part = (
        _("Part {part} of {parts}").format(part=item.part, parts=item.parts)
        if item.parts > 1
        else ""
    )
    return Row(
        f"line-{line.no}", look, line.way, line.title or _untitled(line, texts), line.no % COVERS,
        part, badge, said, label, value, reason=_reason(line),
    )  # fmt: skip


def reading(lines: Sequence[Line], texts: Texts) -> Row:
    """One row for all books that are still being read."""
    n = len(lines)
    title = texts.ngettext("Reading {n} more book…", "Reading {n} more books…", n).format(n=n)
    return Row("reading", Look.ASKING, lines[0].way, title, 0, books=n)


def tally(rows: tuple[Row, ...], borrowing: bool, texts: Texts) -> str:
    """``4 borrowed · 1 needs you · 1 being read``; empty while the tray is."""
    n_ = texts.ngettext
    done, trouble = (sum(one.look is look for one in rows) for look in (Look.DONE, Look.TROUBLE))
    busy = sum(one.books for one in rows) - done - trouble
    words = []
    if done:
        lent, back = (
            n_("{n} borrowed", "{n} borrowed", done),
            n_("{n} returned", "{n} returned", done),
        )
        words.append((lent if borrowing else back).format(n=done))
    if trouble:
        words.append(n_("{n} needs you", "{n} need you", trouble).format(n=trouble))
    if busy:
        words.append(n_("{n} in progress", "{n} in progress", busy).format(n=busy))
    return " · ".join(words)


def _state(line: Line, texts: Texts) -> tuple[Look, str, str]:
    """Look, badge and sentence of a line."""
    _ = texts.gettext
    match line.phase:
        case Phase.ASKED:
            return Look.ASKING, "", ""
        case Phase.UNKNOWN:
            return (
                Look.ASKING,
                "",
                _("The library system is being asked again. Please keep the book on the tray."),
            )
        case Phase.LENT | Phase.TAKEN if not line.here:
            return Look.TROUBLE, _("Not finished"), standing("lifted", line.way, texts)
        case Phase.LENT | Phase.TAKEN:
            return Look.BUSY, "", _("Keep the book still on the tray")
        case Phase.RESECURING | Phase.GIVING_BACK:
            return Look.BUSY, "", _("This loan is being undone. Keep the book on the tray.")
        case Phase.PENDING:
            return Look.TROUBLE, _("See the librarian"), standing("pending", line.way, texts)
        case Phase.OPENED | Phase.CLOSED | Phase.TOLD:
            return _stands(line, texts)
        case Phase.REFUSED | Phase.SAID | Phase.UNDONE:
            badge = _("Not borrowed") if line.way is Way.BORROW else _("Not returned")
            return Look.TROUBLE, badge, why(_reason(line), line.way, texts)
        case _:
            assert_never(line.phase)


def _reason(line: Line) -> str:
    """The refusal code of a refused line; empty for any other."""
    if line.phase is Phase.UNDONE:
        return line.reason or "tag-failed"
    return (line.reason or "denied") if line.phase in {Phase.REFUSED, Phase.SAID} else ""


def _stands(line: Line, texts: Texts) -> tuple[Look, str, str]:
    """The library system has it; green only if the tag is as it should be, too."""
    _ = texts.gettext
    if line.security in {"pending", "manual"}:
        return Look.TROUBLE, _("See the librarian"), standing("pending", line.way, texts)
    if line.security == "none" and line.way is Way.BORROW:
        return Look.TROUBLE, _("Read it here"), standing("kept-closed", line.way, texts)
    return Look.DONE, "", ""


def _aside(line: Line, texts: Texts, lang: str) -> tuple[str, str]:
    """Due day of a loan, place of a returned book."""
    _ = texts.gettext
    if line.way is Way.BORROW:
        return (_("Due"), day(line.due, lang)) if line.due is not None else ("", "")
    if not line.bin:
        return _("Put it in"), _("the return box")
    return _("Put it in"), _("Bin {bin}").format(bin=line.bin) if len(line.bin) <= 4 else line.bin


def _untitled(line: Line, texts: Texts) -> str:
    _ = texts.gettext
    return _("Book no. {id}").format(id=line.item.id) if line.item.id else _("A book on the tray")
