"""``mocban tag lock``: for ever. Refused unless it was asked for twice, and again where it would break lending."""

from __future__ import annotations

from kiosk.devices.base import Lock
from kiosk.tagging import sentences
from kiosk.tagging.desk import Desk
from kiosk.tagging.memory import Memory
from kiosk.tagging.refusals import refused
from kiosk.wire import iso28560_2
from kiosk.wire.content import ItemTag, Model
from mocban.cli import emit
from mocban.errors import ConfigError

WHATS = {"id": Lock.BLOCKS, "afi": Lock.AFI, "dsfid": Lock.DSFID, "eas": Lock.EAS}


def checked(what: str, *, irreversible: bool, again: str) -> str:
    """What is to be locked; ConfigError unless it was asked for twice."""
    if what not in WHATS:
        raise ConfigError(
            f"there is no lock for {what[:20]}", f"choose one of: {', '.join(WHATS)}", code="usage"
        )
    if not irreversible or not again:
        raise ConfigError(
            "a lock can never be undone",
            "if it is meant, say --irreversible and type the tag's UID again with --again",
            code="asked-once",
        )
    return what


async def lock(desk: Desk, what: str, again: str) -> None:
    """Lock it on the one tag that lies there."""
    found = await desk.one(eas=what == "eas")
    wanted = again.replace(":", "").replace(" ", "").upper()
    if wanted != found.uid:
        raise refused("other-tag", uid=found.uid, wanted=wanted)
    name = desk.word(sentences.WHATS[what])
    _allowed(desk, what, name)
    first, count = _blocks(found) if what == "id" else (0, 0)
    desk.confirm(sentences.LOCK, what=name, uid=found.uid)
    if not await desk.bench.lock(found.uid, WHATS[what], first=first, count=count):
        raise refused("not-locked", uid=found.uid)
    desk.say(sentences.LOCKED, what=name, uid=found.uid)
    if desk.asked.as_json:
        emit({"ok": True, "uid": found.uid, "locked": what, "errors": []})


def _allowed(desk: Desk, what: str, name: str) -> None:
    """ISO 28560-1, 5.2.2: what item security goes by is not to be locked."""
    site = desk.site.security
    needed = (what == "afi" and site.afi) or (what == "eas" and site.eas)
    if needed and not desk.asked.even_so:
        raise refused("lock-security", what=name)


def _blocks(found: Memory) -> tuple[int, int]:
    """The blocks that hold the number and nothing else. Only ISO 28560-2 can have such."""
    content = found.content
    if isinstance(content, ItemTag) and content.model is Model.ISO28560_2:
        blocks = iso28560_2.lockable(found.held.data, block=found.block)
        if blocks is not None:
            return blocks
    raise refused("not-lockable", uid=found.uid)
