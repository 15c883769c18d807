"""A table above, what is chosen in it below; opened, it has the page to itself."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import DataTable, Static

from ops.console.feed import Picture
from ops.console.grid import Grid
from ops.console.modals import rich
from ops.console.pages.page import Page
from ops.console.sheet import Lines
from ops.console.view import Eye, Row


class Split(Page):
    """Subclasses say what the table holds and how a thing reads in full."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = ""

    def columns(self) -> tuple[int, ...]:
        """Widths of the table."""
        raise NotImplementedError

    def table(self, picture: Picture, eye: Eye) -> tuple[Sequence[str], list[Row]]:
        """Headings and rows."""
        raise NotImplementedError

    def sheet(self, picture: Picture, eye: Eye, key: str) -> Lines:
        """The thing of that key in full, as far as it is known."""
        raise NotImplementedError

    def look_at(self, key: str) -> None:
        """The thing is looked at: its details are wanted."""
        raise NotImplementedError

    def body(self) -> ComposeResult:
        yield Grid(self.columns(), id="table")
        with VerticalScroll(id="sheet"):
            yield Static(id="text", markup=False)

    def home(self) -> Widget:
        return self.query_one(Grid)

    @property
    def chosen(self) -> str:
        found = self.query(Grid)
        return found.first().chosen if found else ""

    def choose(self, key: str) -> None:
        self.query_one(Grid).seek(key)

    def show(self, picture: Picture, eye: Eye) -> None:
        grid = self.query_one(Grid)
        grid.show(*self.table(picture, eye))
        if self.chosen != self._seen:  # rows may move below a cursor that stays
            if self._seen and not grid.display and not grid.holds(self._seen):
                self.back()  # nobody shall read on in another one
                self.desk.call_later(self.desk.tell, eye.say("left-list"))
            self._seen = self.chosen
            self.look_at(self._seen)
        self.put("text", rich(self.sheet(picture, eye, self.chosen)))

    @on(DataTable.RowHighlighted)
    def _moved(self) -> None:
        self.query_one("#sheet", VerticalScroll).scroll_home(animate=False)
        self.paint()

    async def open(self) -> None:
        """The chosen one alone on the page, or the table again."""
        if not self.back() and self.chosen:
            self.query_one(Grid).display = False
            self.query_one("#sheet").focus()

    def back(self) -> bool:
        grid = self.query_one(Grid)
        was = not grid.display
        grid.display = True
        grid.focus()
        return was
