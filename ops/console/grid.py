"""A table that changes cell by cell, for thousands of rows over a slow line."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from rich.text import Text
from textual.events import Key
from textual.widgets import DataTable

from ops.console.view import Row

SETTLE = 1.0
"""Seconds in which a person sees that another row stands under the cursor, and their key was meant for it."""
_MOVES = frozenset({"up", "down", "pageup", "pagedown", "home", "end", "ctrl+home", "ctrl+end"})
CHUNK = 200
"""Rows added at once; the rest follows, so that keys are heard in between."""
GONE_MAX = 20
"""Rows taken out one by one; of more all are put in anew, since each removal walks through the whole table."""


def printable(text: str) -> str:
    """``text`` without what could steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", text))


class Lead(Text):
    """The first cell of a row; ``rank`` is where the row belongs."""

    rank: int = 0


class Grid(DataTable[Text]):
    """``widths``: columns of each, one gap included; 0 shares what is left."""

    def __init__(self, widths: Sequence[int], id: str) -> None:  # noqa: A002
        super().__init__(id=id, cursor_type="row", cell_padding=0, zebra_stripes=False)
        self._given = tuple(widths)
        self._headings: tuple[str, ...] = ()
        self._wide: tuple[int, ...] = ()
        self._wanted: list[Row] = []
        self._shown: dict[str, tuple[Row, int]] = {}
        self._kept = ""
        self._touched = False
        self._sought = ""
        self._slips = 0

    def on_key(self, event: Key) -> None:
        """Somebody works in it: from now on the cursor stays with its row; before, it stays on top."""
        self._touched = True
        if event.key in _MOVES:
            self._kept = ""

    @property
    def chosen(self) -> str:
        """Key of the row under the cursor; empty if there is none."""
        if not self.row_count:
            return ""
        return str(self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value)

    @property
    def settled(self) -> bool:
        """What stands under the cursor has stood there long enough for a key to be meant for it."""
        return not self._slips and not self._kept

    def settle(self) -> None:
        """The person was told to look again: what stands there now is what they will mean."""
        self._kept = ""

    def holds(self, key: str) -> bool:
        """Whether there is a row of that key."""
        return key in self._shown

    def choose(self, key: str) -> bool:
        """Move the cursor to the row of that key; False if there is none."""
        if key not in self._shown:
            return False
        self._touched = True
        self.move_cursor(row=self.get_row_index(key), animate=False)
        return True

    def seek(self, key: str) -> None:
        """Move the cursor to the row of that key as soon as there is one."""
        if not self.choose(key):
            self._kept = key

    def show(self, headings: Sequence[str], rows: Sequence[Row], *, own: bool = False) -> None:
        """What the table says from now on. ``own``: the person's own keys made it so."""
        before = self.chosen
        self._show(headings, rows)
        if not own:
            self._slip(before)

    def _show(self, headings: Sequence[str], rows: Sequence[Row]) -> None:
        wide = self._widths()
        if (tuple(headings), wide) != (self._headings, self._wide):
            self._rebuild(tuple(headings), wide)
        self._wanted = list(rows)
        self._update()

    def on_resize(self) -> None:
        """Columns follow the width."""
        if self._headings and self._widths() != self._wide:
            self.show(self._headings, self._wanted)

    def _widths(self) -> tuple[int, ...]:
        shares = self._given.count(0) or 1
        left = max(self.size.width - sum(self._given) - 1, 12 * shares)
        return tuple(width or left // shares for width in self._given)

    def _rebuild(self, headings: tuple[str, ...], wide: tuple[int, ...]) -> None:
        chosen = self.chosen if self._touched else ""
        self.clear(columns=True)
        self._shown = {}
        self._headings, self._wide = headings, wide
        for number, (heading, width) in enumerate(zip(headings, wide, strict=True)):
            self.add_column(Text(heading), width=width, key=str(number))
        self._kept = self._kept or chosen

    def _further(self) -> None:
        before = self.chosen
        self._update()
        self._slip(before)

    def _slip(self, before: str) -> None:
        """Another row has come under a cursor that nobody moved: a key on its way was not meant for it."""
        if before and self.chosen not in {before, "", self._sought}:
            self._slips += 1
            self.set_timer(SETTLE, self._slipped)

    def _slipped(self) -> None:
        self._slips -= 1

    def _update(self) -> None:
        """Add, change and remove what differs; no more than ``CHUNK`` new rows at once."""
        chosen = self._kept or (self.chosen if self._touched else "")
        wanted = {row.key: (row, rank) for rank, row in enumerate(self._wanted)}
        gone = [key for key in self._shown if key not in wanted]
        if len(gone) > GONE_MAX or len(gone) * 2 > len(self._shown):
            self.clear()
            self._shown = {}
            gone = []
        moved, new = False, 0
        for key in gone:
            self.remove_row(key)
            del self._shown[key]
        for key, (row, rank) in wanted.items():
            before = self._shown.get(key)
            if before is None:
                if new == CHUNK:
                    self.set_timer(0.05, self._further)
                    break
                new += 1
                self.add_row(*self._cells(row, rank), key=key)
                moved = moved or rank != len(self._shown)
            elif before != (row, rank):
                moved = moved or before[1] != rank
                cells = self._cells(row, rank)
                for number, cell in enumerate(cells):
                    if number == 0 or before[0].cells[number] != row.cells[number]:
                        self.update_cell(key, str(number), cell)
            self._shown[key] = (row, rank)
        if moved or gone:
            self.sort("0", key=lambda lead: lead.rank)
        self._sought = chosen
        if chosen in self._shown:
            self._kept = ""
            if self.chosen != chosen:
                self.choose(chosen)
        elif chosen in wanted:  # it comes with a later part
            self._kept = chosen
        elif not self._touched and self.cursor_row:
            self.move_cursor(row=0, animate=False)

    def _cells(self, row: Row, rank: int) -> list[Text]:
        cells: list[Text] = []
        for number, text in enumerate(row.cells):
            width = self._wide[number] - (1 if number < len(row.cells) - 1 else 0)
            clean = printable(text)
            clean = clean if len(clean) <= width else clean[: width - 1] + "…"
            if number == 0:
                lead = Lead(clean, style=row.colour, no_wrap=True)
                lead.rank = rank
                cells.append(lead)
            else:
                cells.append(Text(clean, no_wrap=True))
        return cells
