"""Page 2: every device, gone ones first; some letters choose among them."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from ops.console import fleet
from ops.console.actions import bindings
from ops.console.feed import Picture
from ops.console.grid import Grid
from ops.console.modals import Read
from ops.console.pages.page import Page
from ops.console.view import Eye, Row


class Devices(Page):
    """A table and a field to choose in it."""

    CALLED = "devices"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("devices")]

    def __init__(self) -> None:
        super().__init__()
        self._given: object = None
        self._filter = ""
        self._rows: list[Row] = []

    def body(self) -> ComposeResult:
        yield Static(id="filtered", markup=False)
        field = Input(id="filter", max_length=60)
        field.cursor_blink = False
        field.display = False
        yield field
        yield Grid((14, 0, 8, 10, 8, 8, 16), id="devices-table")

    def home(self) -> Widget:
        return self.query_one(Grid)

    @property
    def chosen(self) -> str:
        """Device and app under the cursor."""
        found = self.query(Grid)
        return found.first().chosen if found else ""

    def choose(self, key: str) -> None:
        self.query_one("#filter", Input).value = ""
        self.query_one(Grid).seek(key)

    def show(self, picture: Picture, eye: Eye) -> None:
        say = eye.say
        field = self.query_one("#filter", Input)
        # Thousands of rows are not made anew every two seconds to say the same.
        given = (picture.devices, eye.lang, field.value, int(eye.now.timestamp() // 60))
        if given != self._given:
            own = self._given is not None and field.value != self._filter
            self._given, self._filter = given, field.value
            self._rows = fleet.rows(picture, eye, field.value)
            columns = [say(f"col-{one}") for one in fleet.COLUMNS]
            self.query_one(Grid).show(columns, self._rows, own=own)
        if field.value:
            told = say("filtered", text=field.value, n=len(self._rows), all=len(picture.devices))
        elif field.has_focus:
            told = say("filter")
        elif picture.devices:
            told = fleet.presence(picture, eye)
        else:
            told = say("age-none" if picture.gateway.at is None else "devices-none")
        self.put("filtered", Text(told, style="bold"))

    async def open(self) -> None:
        """All that is known of the chosen one."""
        eye, picture = self.desk.eye, self.desk.feed.picture
        device, _, app = self.chosen.partition("/")
        found = next(
            (one for one in picture.devices if (one["device"], one["app"]) == (device, app)), None
        )
        if found is not None:
            lines = fleet.sheet(found, picture, eye)
            await self.desk.push_screen_wait(Read(f"{device} ({app})", lines, eye.say("close")))

    def back(self) -> bool:
        field = self.query_one("#filter", Input)
        was = field.display
        field.value = ""
        self._leave(field, keep=False)
        return bool(was)

    def filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()
        self.paint()

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        self.paint()

    @on(Input.Submitted, "#filter")
    def _kept(self, event: Input.Submitted) -> None:
        self._leave(event.input, keep=bool(event.value))

    def _leave(self, field: Input, *, keep: bool) -> None:
        field.display = keep
        self.query_one(Grid).focus()
        self.paint()
