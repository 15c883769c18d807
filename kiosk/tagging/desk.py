"""Where staff work with tags: the reader, the site's settings, the undo file, and the words said on the way."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import typer

from kiosk.devices import open_pad
from kiosk.devices.base import Bench, Tag
from kiosk.settings import KioskSettings
from kiosk.tagging import book, memory
from kiosk.tagging.book import Book, Written
from kiosk.tagging.memory import Memory
from kiosk.tagging.refusals import plain, refused
from kiosk.tagging.sentences import NO, QUESTION, STOPPED, YES
from mocban import log
from mocban.cli import emit, user
from mocban.clock import Clock, SystemClock
from mocban.config import Config, load
from mocban.errors import ConfigError, DeviceLost, Exit, MocbanError, PeerUnreachable
from mocban.i18n import catalog, language

T = TypeVar("T")
_HELD = (errno.EAGAIN, errno.EBUSY)
_LONGEST = 4096  # characters of an answer


@dataclass(frozen=True, slots=True)
class Asked:
    """What every command is given. ``undo``: the undo file, "" for a new one in the usual folder."""

    pad: str = ""
    driver: str = ""
    config: Path | None = None
    undo: Path | None = None
    uid: str = ""
    yes: bool = False
    as_json: bool = False
    even_so: bool = False


class Desk:
    """A reader that is open, and everything around it. Made by ``open_desk``."""

    def __init__(self, asked: Asked, config: Config[KioskSettings], clock: Clock) -> None:
        self.asked = asked
        self.site = config.app
        self.clock = clock
        self.texts = catalog("kiosk.tagging", language())
        self.bench: Bench = cast(Bench, open_pad(*_reader(asked, config.app)))
        self.folder = _folder(config.data_dir)
        self._book: Book | None = None
        self._open: dict[str, Written] | None = None

    # -- words --

    def say(self, sentence: str, **values: object) -> None:
        """One line about how it goes; with ``--json`` on stderr, so that stdout holds the object alone."""
        typer.echo(self.word(sentence, **values), err=self.asked.as_json)

    def show(self, line: str) -> None:
        """A line as it is, for people; not said with ``--json``."""
        if not self.asked.as_json:
            typer.echo(line)

    def word(self, sentence: str, **values: object) -> str:
        """The sentence in the shell's language."""
        shown = {name: plain(value) for name, value in values.items()}
        return self.texts.gettext(sentence).format(**shown)

    def confirm(self, sentence: str, **values: object) -> None:
        """Go on only if a person says so, or ``--yes`` did; Exit 1 if not, ConfigError if nobody is there."""
        if self.asked.yes:
            return
        if self.asked.as_json:
            raise ConfigError(
                "nobody is asked with --json", "say --yes if it is meant", code="usage"
            )
        if not self.ask(sentence, **values):
            raise typer.Exit(Exit.NO)

    def ask(self, sentence: str, **values: object) -> bool:
        """Yes or no, from a person; ConfigError if nobody is there."""
        while True:
            answer = self.line(self.word(sentence, **values) + " " + self.word(QUESTION))
            if answer is None:
                raise ConfigError(
                    "nobody is there to confirm it", "say --yes if it is meant", code="usage"
                )
            if answer.casefold() in YES:
                return True
            if answer.casefold() in (*NO, ""):
                return False

    def line(self, prompt: str) -> str | None:
        """One line that a person types or a scanner sends; None at the end of it. Ctrl-C ends at once."""
        typer.echo(f"{prompt} ", nl=False, err=self.asked.as_json)
        (sys.stderr if self.asked.as_json else sys.stdout).flush()
        handler: Any = None
        with suppress(ValueError):  # not the main thread
            handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            text = sys.stdin.readline(_LONGEST)
        except UnicodeDecodeError:
            return ""
        finally:
            if handler is not None:
                signal.signal(signal.SIGINT, handler)
        return text.strip() if text else None

    # -- tags --

    async def tags(self) -> list[Tag]:
        """What lies there, of ``--uid`` alone if it is given; Refused if nothing does."""
        tags = await memory.look(self.bench)
        if not tags:
            raise refused("no-tag")
        if wanted := self.asked.uid:
            tags = [tag for tag in tags if tag.uid == wanted]
            if not tags:
                raise refused("no-such-tag", uid=wanted)
        return tags

    async def one(self, *, eas: bool = False) -> Memory:
        """The one tag that lies there, all of it; Refused if there is none, or more, or not the one of ``--uid``."""
        tag = await self.alone()
        return await self.take(tag, eas=eas)

    async def alone(self) -> Tag:
        """The one tag that lies there, as the inventory knows it."""
        tags = await memory.look(self.bench)
        if not tags:
            raise refused("no-tag")
        if len(tags) > 1:
            raise refused("two-tags", n=len(tags), uids=", ".join(tag.uid for tag in tags))
        wanted = self.asked.uid
        if wanted and tags[0].uid != wanted:
            raise refused("other-tag", uid=tags[0].uid, wanted=wanted)
        return tags[0]

    async def take(self, tag: Tag, *, eas: bool = False) -> Memory:
        """All of a tag, if it is not one that an earlier write left half done: Refused then."""
        if (left := self.unfinished().get(tag.uid)) is not None:
            raise refused(
                "half-written-before", uid=tag.uid, at=self.when(left.entry.at), path=left.path
            )
        if self._book is not None and (mine := self._book.torn.get(tag.uid)) is not None:
            raise refused(
                "half-written-before", uid=tag.uid, at=self.when(mine.at), path=self._book.path
            )
        return await memory.take(self.bench, tag, eas=eas)

    # -- the undo file --

    def book(self) -> Book:
        """The undo file of this command; made when the first tag is put down in it."""
        if self._book is None:
            path = self.asked.undo
            if path is None:
                at = self.clock.now().strftime("%Y%m%d-%H%M%S")
                path = self.folder / f"undo-{at}-{os.getpid()}.jsonl"
            else:
                book.remember(self.folder, path)
            self._book = Book(path, self.clock, user())
        return self._book

    def unfinished(self) -> dict[str, Written]:
        """Tags that an earlier write left half done, by UID."""
        if self._open is None:
            paths = set(self.folder.glob("*.jsonl")) if self.folder.is_dir() else set()
            if self.asked.undo is not None and self.asked.undo.is_file():
                paths.add(self.asked.undo)
            self._open = book.unfinished(sorted(paths))
        return self._open

    def cured(self, uid: str) -> None:
        """A tag of ``unfinished`` is whole again."""
        self.unfinished().pop(uid, None)

    def when(self, at: str) -> str:
        """A time of an undo file, here."""
        try:
            return datetime.fromisoformat(at).astimezone().strftime("%d/%m/%Y %H:%M")
        except ValueError:
            return at

    def close(self) -> None:
        """Release the undo file."""
        if self._book is not None:
            self._book.__exit__()

    def stopped(self) -> None:
        """A person broke off: say where what was written so far can be put back from."""
        if self._book is not None and self._book.latest is not None:
            typer.echo(self.word(STOPPED, path=self._book.path), err=True)


@asynccontextmanager
async def open_desk(asked: Asked) -> AsyncIterator[Desk]:
    """The reader, open and alone ours. DeviceLost says so if another program has it."""
    log.setup("error")
    desk = Desk(_checked(asked), load("kiosk", KioskSettings, asked.config), SystemClock())
    try:
        try:
            await desk.bench.open()
        except DeviceLost as error:
            raise _held(error) from error
        yield desk
    except (asyncio.CancelledError, KeyboardInterrupt):
        desk.stopped()
        raise
    finally:
        with suppress(PeerUnreachable):
            await desk.bench.close()
        desk.close()


def run(asked: Asked, work: Callable[[Desk], Awaitable[T]]) -> T:
    """A command's work at a desk, from its first line to its last."""

    async def body() -> T:
        async with open_desk(asked) as desk:
            return await work(desk)

    return asyncio.run(body())


class Tally:
    """What became of each tag: lines for people, one object for ``--json``, one exit code."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.tags: list[dict[str, Any]] = []
        self.errors: list[dict[str, str]] = []
        self._refused = 0
        self._half = False
        self._broke: MocbanError | None = None

    def put(self, uid: str, outcome: str, sentence: str, named: str = "", **more: Any) -> None:
        """One tag and what became of it, told at once. ``named``: its item in words, for the sentence alone."""
        self.tags.append({"uid": uid, "outcome": outcome, **more})
        self._desk.say(sentence, uid=uid, **more | ({"item": named} if named else {}))

    def refuse(self, uid: str, error: MocbanError) -> None:
        """One tag that was not dealt with."""
        self.tags.append({"uid": uid, "outcome": error.code})
        self.errors.append(error.as_json())
        self._refused += 1
        self._half |= error.exit is not Exit.NO
        say = f"{error.say[:1].upper()}{error.say[1:]}: {error.do}."
        typer.echo(say, err=self._desk.asked.as_json)

    def broke(self, uid: str, error: MocbanError) -> None:
        """Reader or disk failed at this tag, and no further one is tried; what was done before is told all the same."""
        self.tags.append({"uid": uid, "outcome": error.code})
        self.errors.append(error.as_json())
        self._broke = error

    def end(self, **more: Any) -> None:
        """Print the object and end: 0 all done, 1 nothing, 3 some; as the error says that broke it off."""
        if self._desk.asked.as_json:
            emit({"ok": not self.errors, "tags": self.tags, **more, "errors": self.errors})
        if self._broke is not None:
            if self._desk.asked.as_json:
                raise typer.Exit(self._broke.exit)
            raise self._broke
        if self.errors:
            some = self._half or self._refused < len(self.tags)
            raise typer.Exit(Exit.PARTLY if some else Exit.NO)


def _reader(asked: Asked, site: KioskSettings) -> tuple[str, str]:
    return asked.driver or site.pad_driver, asked.pad or site.pad


def _checked(asked: Asked) -> Asked:
    text = asked.uid.replace(":", "").replace(" ", "").upper()
    if text and not all(letter in "0123456789ABCDEF" for letter in text):
        raise ConfigError(
            "--uid is no UID", "write its hex digits as mocban tag read shows them", code="usage"
        )
    return replace(asked, uid=text)


def _folder(data: Path) -> Path:
    """Where undo files lie: with the box's data if we may write there, else with the user's own."""
    tag = data / "tag"
    place = tag if tag.is_dir() else data
    if place.is_dir() and os.access(place, os.W_OK):
        return tag
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "mocban" / "tag"


def _held(error: DeviceLost) -> DeviceLost:
    """The same, and in plain words if another program has the reader."""
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in _HELD:
        return DeviceLost(
            "the reader is in use by another program, perhaps by the kiosk",
            "stop that first (systemctl stop mocban-kiosk), start it again afterwards",
        )
    return DeviceLost(error.say.rstrip("."), error.do.rstrip("."))
