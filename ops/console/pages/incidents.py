"""Page 3: incidents, worst first, and the timeline of the chosen one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from ops.console import sheet, view
from ops.console.actions import bindings
from ops.console.feed import Picture
from ops.console.pages.split import Split
from ops.console.sheet import Lines
from ops.console.view import Eye, Row


class Incidents(Split):
    """What it is, whose it is, what happened."""

    CALLED = "incidents"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("incidents")]

    def columns(self) -> tuple[int, ...]:
        return (6, 12, 0, 12, 8)

    def table(self, picture: Picture, eye: Eye) -> tuple[Sequence[str], list[Row]]:
        headings = [eye.say(f"col-{name}") for name in ("no", "mark", "what", "state", "since")]
        return headings, view.incidents(picture, eye, resolved=self.desk.resolved)

    def sheet(self, picture: Picture, eye: Eye, key: str) -> Lines:
        if not key:
            return [
                (eye.say("incidents-none" if picture.ops.at is not None else "age-none"), "bold")
            ]
        runs = view.runs_of(picture, key)
        if picture.incident and str(picture.incident["incident"]["no"]) == key:
            return sheet.incident(picture.incident, eye, runs)
        listed = next((one for one in picture.incidents if str(one["no"]) == key), None)
        return sheet.incident({"incident": listed}, eye, runs) if listed else []

    def look_at(self, key: str) -> None:
        self.desk.feed.watch_incident(int(key) if key else None)
