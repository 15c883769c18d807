"""What one does at the console besides incidents and playbooks: go about, find, ask, leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ops.console.modals import Choice, Field, Form, Pick, Read
from ops.console.words import NAME

if TYPE_CHECKING:
    from ops.console.app import Console
    from ops.console.words import Say


def go(page: str) -> Callable[[Console], Awaitable[None]]:
    """Go to that page."""

    async def run(desk: Console) -> None:
        desk.go(page)

    return run


async def open_chosen(desk: Console) -> None:
    """The chosen line in full."""
    await desk.page.open()


async def back(desk: Console) -> None:
    """Out of what is open; then the message goes."""
    if not desk.page.back():
        desk.tell("")


async def filter_devices(desk: Console) -> None:
    """Type what devices hold."""
    desk.page.filter()


async def again(desk: Console) -> None:
    """Ask for data at once."""
    desk.feed.poke()


async def palette(desk: Console) -> None:
    """Find something to do by its name, and do it."""
    from ops.console.actions import ACTIONS, BY_ID

    lang = desk.lang
    choices = [
        Choice(one.id, one.sentence(lang), one.shown_key, f"{one.name('vi')} {one.name('en')} {one.sentence(lang)}")
        for one in ACTIONS
        if one.id != "palette"
    ]  # fmt: skip
    page, thing = desk.page, desk.page.chosen
    chosen = await desk.push_screen_wait(Pick(desk.eye.say("palette"), choices, desk.eye.say))
    if chosen:
        action = BY_ID[chosen]
        if action.about and desk.page.chosen != thing and desk.page is page:
            desk.tell(desk.eye.say("slipped"))
            return
        if desk.page.CALLED not in action.pages:
            desk.go(min(action.pages))
        desk.do(chosen)


async def help_page(desk: Console) -> None:
    """Every key and the same by command."""
    from ops.console.helping import lines

    say = desk.eye.say
    await desk.push_screen_wait(Read(say("help"), lines(desk.lang), say("close")))


async def language(desk: Console) -> None:
    """The other language."""
    desk.lang = "vi" if desk.lang == "en" else "en"
    desk.tell("")


async def who(desk: Console) -> None:
    """Say who one is."""
    if await ask_name(desk):
        desk.tell(desk.eye.say("you-are", me=desk.me), desk.line("who"))


async def ask_name(desk: Console) -> bool:
    """Ask who this is; False if they do not say."""
    say = desk.eye.say
    field = Field(
        "name", say("who-ask"), desk.me, lambda text: "" if NAME.fullmatch(text) else say("who-bad")
    )
    given = await desk.push_screen_wait(Form("", [field], say("send-keys")))
    if given is None:
        return False
    desk.me = given["name"]
    return True


async def leave(desk: Console) -> None:
    """Leave the console."""
    desk.exit()


def needed(say: Say) -> Callable[[str], str]:
    """Something must be written."""
    return lambda text: "" if text else say("empty")
