"""What every page has: which page, whose data and how old, what just happened, the same by command, the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import DataTable, Static

from ops.console import actions
from ops.console.feed import Line, Picture
from ops.console.grid import Grid, printable
from ops.console.view import Eye
from ops.console.words import age, trouble

if TYPE_CHECKING:
    from ops.console.app import Console

WIDTH, HEIGHT = 80, 24
"""The smallest terminal everything fits on."""


class Page(Screen[None]):
    """A page of the console. Subclasses fill ``body`` and ``show``."""

    AUTO_FOCUS: ClassVar[str | None] = "Grid"  # not the first field, which may not be shown
    CALLED: ClassVar[str] = ""
    """Its name in ``actions.PAGES``."""

    def __init__(self) -> None:
        super().__init__(id=self.CALLED)
        self._said: dict[str, Any] = {}
        self._stands = False

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield Static(id="trouble", markup=False)
        with Vertical(id="body"):
            yield from self.body()
        yield Static(id="told", markup=False)
        yield Static(id="command", markup=False)
        yield Static(id="keys", markup=False)

    def body(self) -> ComposeResult:
        """What stands between head and foot."""
        yield from ()

    def show(self, picture: Picture, eye: Eye) -> None:
        """Put ``picture`` on the page, in ``eye``'s language. Only what differs is drawn."""

    def home(self) -> Widget | None:
        """What the keys move in; None: what has the focus keeps it."""
        return None

    def choose(self, key: str) -> None:
        """Show that thing, as soon as it is known."""

    @property
    def chosen(self) -> str:
        """Key of the thing under the cursor; empty if there is none."""
        return ""

    def settled(self) -> bool:
        """Whether a key can be meant for what is chosen; if not, the next one can, once the person has looked."""
        found = self.query(Grid)
        if not found or found.first().settled:
            return True
        found.first().settle()
        return False

    async def open(self) -> None:
        """The chosen thing in full."""

    def back(self) -> bool:
        """Close what is open; False if nothing was."""
        return False

    def filter(self) -> None:
        """Choose among the things by letters."""

    @on(DataTable.RowSelected)
    def _enter(self) -> None:
        # The table hears enter before the page does.
        self.desk.do("open")

    @property
    def desk(self) -> Console:
        """The console this page belongs to."""
        from ops.console.app import Console

        assert isinstance(self.app, Console)
        return self.app

    def on_mount(self) -> None:
        """The first picture, at once."""
        self._stands = True
        self.paint()
        if (widget := self.home()) is not None:
            widget.focus()

    def on_screen_resume(self) -> None:
        """What changed while another page stood there."""
        self.paint()

    def on_resize(self) -> None:
        """Another width, other lines."""
        self.paint()

    def paint(self) -> None:
        """Everything anew; what is as it was costs nothing. Before the page stands: nothing."""
        if not self._stands:
            return
        desk = self.desk
        picture, eye = desk.feed.picture, desk.eye
        self.put("head", _head(self.CALLED, picture, desk))
        self.put("trouble", Text("\n".join(_troubles(picture, desk)), style="bold yellow"))
        self.put("told", Text(printable(desk.told)))
        self.put(
            "command", Text(f"$ {printable(desk.command)}" if desk.command else "", style="dim")
        )
        self.put("keys", keys(self.CALLED, desk.lang, desk.size.width))
        try:
            self.show(picture, eye)
        except Exception as error:  # noqa: BLE001  half a page in the night is better than none
            desk.fault = error

    def put(self, name: str, what: Any) -> None:
        """The text of one widget, if it is another one."""
        if self._said.get(name) != what:
            self._said[name] = what
            widget = self.query_one(f"#{name}", Static)
            widget.update(what)
            if name in {"trouble", "told", "command"}:
                widget.display = bool(str(what))


def _head(page: str, picture: Picture, desk: Console) -> Text:
    text = Text(no_wrap=True)
    for action in actions.PAGE_ACTIONS:
        text.append(
            f" {action.key} {action.name(desk.lang)} ", "reverse" if action.id == page else ""
        )
    line = picture.gateway if page == "devices" else picture.ops
    right = f"{desk.me or desk.eye.say('anonymous')} · {_age(line, desk)}"
    text.append(
        right.rjust(max(desk.size.width - len(text), len(right) + 1)),
        "bold" if line.trouble else "",
    )
    return text


def _age(line: Line, desk: Console) -> str:
    return age(None if line.at is None else desk.clock.mono() - line.at, desk.eye.say)


def _troubles(picture: Picture, desk: Console) -> list[str]:
    say = desk.eye.say
    found = []
    for name, line in (("ops", picture.ops), ("gateway", picture.gateway)):
        if line.trouble:
            found.append(trouble(name, line.trouble, say))
    if desk.fault is not None:
        found.append(say("fault", what=type(desk.fault).__name__))
    if desk.size.width < WIDTH or desk.size.height < HEIGHT:
        found.append(say("small"))
    return found


def keys(page: str, lang: str, width: int) -> Text:
    """The keys of a page: its own and help always, the others as far as they fit."""
    own = [one for one in actions.on_page(page) if one.foot]
    own.sort(key=lambda one: len(one.pages) == len(actions.PAGES) and one.id != "open")
    text = Text(no_wrap=True)
    for one in own:
        gap = "  " if len(text) else ""
        if len(text) + len(gap) + len(one.shown_key) + 1 + len(one.name(lang)) > width:
            continue
        text.append(gap + one.shown_key, "bold")
        text.append(f" {one.name(lang)}")
    return text
