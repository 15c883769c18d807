"""Page 4: executions of playbooks; what the chosen one waits for, its steps, its log."""

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


class Runbooks(Split):
    """What waits for a person stands first."""

    CALLED = "runbooks"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runbooks")]

    def columns(self) -> tuple[int, ...]:
        return (18, 0, 14, 8, 8)

    def table(self, picture: Picture, eye: Eye) -> tuple[Sequence[str], list[Row]]:
        headings = [
            eye.say(f"col-{name}") for name in ("state", "playbook", "by", "incident", "since")
        ]
        return headings, view.executions(picture, eye)

    def sheet(self, picture: Picture, eye: Eye, key: str) -> Lines:
        if not key:
            return [
                (eye.say("runbooks-none" if picture.ops.at is not None else "age-none"), "bold")
            ]
        detail = picture.detail(key)
        if detail is not None:
            return sheet.execution(detail, eye)
        listed = next((one for one in picture.executions if str(one["id"]) == key), None)
        return sheet.execution({"execution": listed}, eye) if listed else []

    def look_at(self, key: str) -> None:
        self.desk.feed.watch_execution(key or None)
