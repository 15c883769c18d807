"""Page 1: how many, how bad, what a person is needed for."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from ops.console import fleet, view
from ops.console.actions import bindings
from ops.console.feed import Picture
from ops.console.grid import Grid, printable
from ops.console.pages.page import Page
from ops.console.view import Eye


class Overview(Page):
    """Counts on top, then the things to do, worst first; enter goes where one does them."""

    CALLED = "overview"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("overview")]

    def body(self) -> ComposeResult:
        yield Static(id="counts", markup=False)
        yield Static(id="none", markup=False)
        yield Grid((12, 0, 17, 8), id="todo")

    def home(self) -> Widget:
        return self.query_one(Grid)

    @property
    def chosen(self) -> str:
        """Kind and key of the thing under the cursor."""
        found = self.query(Grid)
        return found.first().chosen if found else ""

    def show(self, picture: Picture, eye: Eye) -> None:
        say = eye.say
        none, known, there = (
            say("age-none"),
            picture.ops.at is not None,
            picture.gateway.at is not None,
        )
        facts = [
            (say("open-incidents"), view.severities(picture, eye) if known else none),
            (say("waits"), view.waits(picture, eye) if known else none),
            (say("devices"), fleet.presence(picture, eye) if there else none),
            (say("col-waiting"), fleet.outboxes(picture, eye) if there else none),
            (say("today"), view.today(picture.counts, eye)),
        ]
        wide = max(len(name) for name, _ in facts)
        text = Text()
        for name, told in facts:
            text.append(f"{name.ljust(wide)}  ", "bold")
            text.append(f"{printable(told)}\n")
        drawn = [view.bars(picture.counts, measure, eye) for measure in ("loans", "alarms")]
        text.append("".join(f"{line}\n" for line in drawn if line))
        text.rstrip()
        self.put("counts", text)
        asked = known or bool(picture.ops.trouble)
        rows = view.todo(picture, eye) if asked else []  # or devices would stand first for a moment
        self.put(
            "none",
            Text(say("todo") if rows else say("todo-none" if known else "age-none"), style="bold"),
        )
        columns = [say(f"col-{name}") for name in ("mark", "what", "state", "since")]
        self.query_one(Grid).show(columns, rows)

    async def open(self) -> None:
        """Go to the chosen thing."""
        kind, _, key = self.chosen.partition(":")
        key = key.partition("#")[0]  # of a step that waits: its execution
        pages = {"incident": "incidents", "execution": "runbooks", "device": "devices"}
        if kind in pages:
            self.desk.command = self.desk.line("open", page=pages[kind], chosen=key)
            self.desk.go(pages[kind], key)
