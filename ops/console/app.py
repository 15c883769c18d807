"""The console as a Textual app: pages, keys, language, who one is. It draws twice a second at most."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import typer
from textual.app import App
from textual.binding import BindingType
from textual.message import Message
from textual.screen import Screen

from mocban.asking import Service, Told
from mocban.clock import Clock, SystemClock
from mocban.errors import MocbanError, PeerUnreachable
from mocban.i18n import LANGS, catalog
from ops.console import moves, view
from ops.console.actions import BY_ID
from ops.console.feed import Body, Feed, Picture
from ops.console.helping import OPEN, command
from ops.console.pages.devices import Devices
from ops.console.pages.incidents import Incidents
from ops.console.pages.overview import Overview
from ops.console.pages.page import Page
from ops.console.pages.runbooks import Runbooks
from ops.console.view import Eye
from ops.console.words import REFUSALS
from ops.incidents import words as incident_words
from ops.runbooks import saying

T = TypeVar("T")
BETWEEN = 0.5
"""Seconds between two repaints that nobody asked for by a key."""


class Fresh(Message):
    """The feed has looked again."""


class Console(App[None]):
    """``key``: SSH key file to approve with; empty, it is asked for once, as is ``me``."""

    CSS_PATH = Path(__file__).with_name("console.tcss")
    ENABLE_COMMAND_PALETTE = False
    TITLE = "mocban ops console"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "overview": Overview, "devices": Devices, "incidents": Incidents, "runbooks": Runbooks,
    }  # fmt: skip
    DEFAULT_MODE = "overview"
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(
        self, ops: Service, gateway: Service, lang: str, me: str = "", key: str = "", clock: Clock | None = None
    ) -> None:  # fmt: skip
        # Said at once: Textual chooses here how NO_COLOR is honoured, before any theme is set.
        super().__init__(ansi_color=True)
        self.animation_level = "none"
        self.theme = "ansi-dark"
        self.clock = clock or SystemClock()
        self.lang = lang if lang in LANGS else LANGS[0]
        self.me, self.key, self.key_given = me, key, bool(key)
        self.told, self.command = "", ""
        self.resolved = False
        self.fault: Exception | None = None
        """An error of ours that something could not be shown or done for."""
        self._ops = ops
        self.feed = Feed(ops, gateway, self.clock, self._tell_fresh)
        self._painted = 0.0
        self._later = False
        self._sending = False
        self._rung: set[str] | None = None

    @property
    def eye(self) -> Eye:
        """Who looks, now."""
        return Eye(self.lang, self.clock.now(), self.me)

    @property
    def page(self) -> Page:
        """The page that stands there, below whatever is asked on top of it."""
        page = self.screen_stack[0]
        assert isinstance(page, Page)
        return page

    # Drawing

    def _tell_fresh(self) -> None:
        self.post_message(Fresh())  # this is another thread

    def on_mount(self) -> None:
        """Begin to look."""
        self.feed.start()

    def on_unmount(self) -> None:
        """Look no more."""
        self.feed.stop()

    def on_fresh(self) -> None:
        """Draw what is new, soon enough and not too often."""
        if self._later:
            return
        wait = self._painted + BETWEEN - self.clock.mono()
        if wait <= 0:
            self._paint()
        else:
            self._later = True
            self.set_timer(wait, self._paint)

    def _paint(self) -> None:
        self._later, self._painted = False, self.clock.mono()
        self._ring(self.feed.picture)
        self.draw()

    def draw(self) -> None:
        """The page anew; before the first and after the last there is none."""
        if self.screen_stack and isinstance(self.screen_stack[0], Page):
            self.page.paint()

    def _ring(self, picture: Picture) -> None:
        """The bell, once for each thing that is new and waits for a person or is critical."""
        if picture.ops.at is None:
            return
        rows = view.todo(picture, self.eye)
        loud = {row.key for row in rows if row.key.startswith("execution:")}
        loud |= {
            f"incident:{one['no']}"
            for one in picture.incidents
            if one.get("severity") == "critical"
        }
        if self._rung is not None and loud - self._rung:
            self.bell()
        self._rung = loud

    def tell(self, text: str, command: str = "") -> None:
        """What just happened, and the same as a command."""
        self.told, self.command = text, command
        self.draw()

    # Doing

    def action_act(self, name: str) -> None:
        """A key of the list of actions."""
        self.do(name)

    def do(self, name: str) -> None:
        """Do that action, from its key or from the palette."""
        self.run_worker(self._do(name), name=name, group="act", exit_on_error=True)

    async def _do(self, name: str) -> None:
        action = BY_ID[name]
        if name not in {"back", "again"}:
            self.told, self.command = "", self.line(name)
        if action.about and not self.page.settled():
            self.tell(self.eye.say("slipped"))
            return
        try:
            await action.run(self)
        except Exception as error:  # noqa: BLE001  the console stays; the command of the shell is there too
            self.fault = error
        self.draw()

    def action_help_quit(self) -> None:
        """Ctrl-C asks Textual for help; people are told how to leave."""
        quit_ = BY_ID["quit"]
        self.tell(f"{quit_.shown_key}: {quit_.sentence(self.lang)}")

    def go(self, page: str, key: str = "") -> None:
        """Go to that page, and to that thing on it."""
        self.switch_mode(page)
        if key:
            self.call_after_refresh(self._choose, self.page, key)

    def _choose(self, page: Page, key: str) -> None:
        page.choose(key)

    def line(self, name: str, *, page: str = "", chosen: str = "", **values: str) -> str:
        """The action as a command of the shell, with what is known; about the thing chosen on ``page``, or here."""
        chosen = chosen or self.page.chosen
        page = page or self.page.CALLED
        known = {"lang": self.lang, "other": "vi" if self.lang == "en" else "en", **values}
        known |= {"me": self.me} if self.me else {}
        known |= {"key": self.key} if self.key else {}
        if chosen and page in {"incidents", "runbooks"}:
            known.setdefault("no" if page == "incidents" else "execution", chosen[:8])
        return command(OPEN[page] if name == "open" else BY_ID[name].cli, known)

    async def known(self) -> bool:
        """Know who this is: asked for once; False, after a sentence, if they do not say."""
        if self.me or await moves.ask_name(self):
            return True
        self.tell(self.eye.say("read-only"))
        return False

    async def send(self, path: str, body: Body, told: str) -> Body | None:
        """Ask operations to do something; None, after a sentence, if it is not done."""
        say = self.eye.say
        if self._sending:
            return None
        self._sending = True
        self.tell(say("sending"), self.command)
        try:
            answer = await asyncio.to_thread(self._ops.post, path, body)
        except PeerUnreachable:
            self.tell(say("failed", say=say("no-answer")), self.command)
            return None
        except MocbanError as error:
            self.tell(say("failed", say=self.refusal(error)), self.command)
            return None
        finally:
            self._sending = False
        self.feed.poke()
        self.tell(told, self.command)
        return answer

    async def look(self, path: str) -> Body | None:
        """Ask operations a question; None, after a sentence, if there is no answer."""
        try:
            return await asyncio.to_thread(lambda: self._ops.get(path, authorized=True))
        except MocbanError as error:
            self.tell(self.eye.say("failed", say=self.refusal(error)), self.command)
            return None

    def refusal(self, error: MocbanError) -> str:
        """Why not, in the person's language as far as there are words."""
        column = LANGS.index(self.lang)
        text = catalog("ops", self.lang).gettext
        for known in (incident_words.ERRORS, saying.ERRORS):
            if error.code in known:
                return ": ".join(text(part) for part in known[error.code] if part)
        if error.code in REFUSALS:
            return REFUSALS[error.code][column].format_map({"say": error.say})
        if isinstance(error, PeerUnreachable):
            return self.eye.say("away-ops")
        return f"{error.say}: {error.do}" if error.do and isinstance(error, Told) else error.say

    def aside(self, told: str, work: Callable[[], T]) -> T:
        """``work`` has the terminal to itself meanwhile: ssh-keygen may ask for a passphrase."""
        driver = self._driver
        if driver is None or not driver.can_suspend:
            return work()
        failure: Exception | None = None
        done: list[T] = []
        with self.suspend():
            typer.echo(told)
            try:
                done.append(work())
            except Exception as error:  # noqa: BLE001  Textual takes the terminal back only if nothing is raised in here
                failure = error
        if failure is not None:
            raise failure
        return done[0]


def run(ops: Service, gateway: Service, lang: str, me: str = "", key: str = "") -> None:
    """The console on this terminal, until the person leaves. Without the mouse: the terminal's own marking works."""
    console = Console(ops, gateway, lang, me, key)
    console.run(mouse=False)
    if console.fault is not None:
        traceback.print_exception(console.fault)
    if console.return_code or console.fault is not None:
        raise MocbanError(
            "the console broke off", "send the lines above to those who maintain it", code="bug"
        )
