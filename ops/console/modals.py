"""What the console asks a person for: a choice, a few words, a yes to what stands there to the letter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from ops.console.grid import printable
from ops.console.search import score
from ops.console.sheet import Lines
from ops.console.words import Say

TEXT_MAX = 2000
"""Longest text typed, in characters."""
UNSEEN = 0.5
"""Seconds in which nobody can have read what is to be agreed to."""


def rich(lines: Lines) -> Text:
    """Lines as the screen shows them."""
    text = Text()
    for number, (line, style) in enumerate(lines):
        text.append("\n" * bool(number) + printable(line), style=style)
    return text


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to choose: what it is, a word more, and what it can also be found by."""

    key: str
    name: str
    more: str = ""
    also: str = ""


class Pick(ModalScreen[str]):
    """A list to choose from; some letters of a name find it, with or without diacritics. "" for none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "leave"), ("down", "move(1)", "down"), ("up", "move(-1)", "up"),
        ("pagedown", "move(8)", "page down"), ("pageup", "move(-8)", "page up"),
    ]  # fmt: skip

    def __init__(self, heading: str, choices: Sequence[Choice], say: Say) -> None:
        super().__init__()
        self._heading, self._choices, self._say = heading, list(choices), say

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Label(self._heading, classes="heading", markup=False)
            yield _field(Input(id="wanted", placeholder=self._say("pick-hint"), max_length=60))
            yield _List(id="found", markup=False)
            yield Label(self._say("pick-keys"), classes="keys", markup=False)

    def on_mount(self) -> None:
        self._fill("")

    @on(Input.Changed, "#wanted")
    def _typed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    @on(Input.Submitted, "#wanted")
    def _taken(self) -> None:
        found = self.query_one(_List)
        if found.highlighted is not None:
            self.dismiss(found.get_option_at_index(found.highlighted).id)

    def action_move(self, by: int) -> None:
        found = self.query_one(_List)
        if found.option_count and found.highlighted is not None:
            found.highlighted = max(0, min(found.option_count - 1, found.highlighted + by))

    def action_leave(self) -> None:
        self.dismiss("")

    def _fill(self, wanted: str) -> None:
        found = self.query_one(_List)
        ranked = [
            (-max(score(wanted, one.name), score(wanted, one.also) // 2), n) for n, one in enumerate(self._choices)
        ]  # fmt: skip
        found.clear_options()
        for points, number in sorted(ranked):
            if points < 0:
                one = self._choices[number]
                text = Text(printable(one.name))
                if one.more:
                    text.append(f"  {printable(one.more)}", "dim")
                found.add_option(Option(text, id=one.key))
        if found.option_count:
            found.highlighted = 0
        else:
            found.add_option(Option(self._say("nothing-found"), disabled=True))


class _List(OptionList, can_focus=False):
    """Moved by the keys of the field above it."""


@dataclass(frozen=True, slots=True)
class Field:
    """One thing to type. ``wrong`` says what is wrong with a text, or ""."""

    name: str
    label: str
    value: str = ""
    wrong: Callable[[str], str] = lambda _: ""


class Form(ModalScreen[dict[str, str] | None]):
    """Texts to type; enter sends them, None if the person leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave", "leave")]

    def __init__(
        self, heading: str, fields: Sequence[Field], keys: str, above: Lines | None = None
    ) -> None:
        super().__init__()
        self._heading, self._fields, self._keys, self._above = heading, list(fields), keys, above

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Label(self._heading, classes="heading", markup=False)
            if self._above:
                with VerticalScroll(classes="above", can_focus=False):
                    yield Static(rich(self._above), markup=False)
            for number, one in enumerate(self._fields):
                if one.label:
                    yield Label(one.label, markup=False)
                yield _field(Input(one.value, id=f"field-{number}", max_length=TEXT_MAX))
            yield Label("", id="wrong", markup=False)
            yield Label(self._keys, classes="keys", markup=False)

    @on(Input.Submitted)
    def _send(self) -> None:
        given = {}
        for number, one in enumerate(self._fields):
            field = self.query_one(f"#field-{number}", Input)
            given[one.name] = field.value.strip()
            if wrong := one.wrong(given[one.name]):
                self.query_one("#wrong", Label).update(wrong)
                field.focus()
                return
        self.dismiss(given)

    def action_leave(self) -> None:
        self.dismiss(None)


class Read(ModalScreen[bool]):
    """A text to read; with ``yes``, enter agrees to it and nothing else does.

    ``ready``: it has stood there for a moment, so that an enter typed before it came agrees to nothing.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "leave"), ("q", "leave", "leave"), ("enter", "agree", "agree"),
    ]  # fmt: skip

    def __init__(self, heading: str, lines: Lines, keys: str, *, yes: bool = False) -> None:
        super().__init__()
        self._heading, self._lines, self._keys, self._yes = heading, lines, keys, yes
        self.ready = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="box tall"):
            yield Label(self._heading, classes="heading", markup=False)
            with VerticalScroll(id="paper"):
                yield Static(rich(self._lines), markup=False)
            yield Label(self._keys, classes="keys", markup=False)

    def on_mount(self) -> None:
        self.query_one("#paper").focus()
        self.set_timer(UNSEEN, self._stands)

    def _stands(self) -> None:
        self.ready = True

    def action_agree(self) -> None:
        if self.ready or not self._yes:
            self.dismiss(self._yes)

    def action_leave(self) -> None:
        self.dismiss(False)


def _field(field: Input) -> Input:
    field.cursor_blink = False  # nothing moves on a slow line
    return field
