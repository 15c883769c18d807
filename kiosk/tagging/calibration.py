"""``mocban tag calibrate``: which security values make the gate cry; the lines for the configuration.

Which of 3M's two values means what differs from site to site, and so do the values themselves: only the gate knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kiosk.tagging import sentences
from kiosk.tagging.book import Entry, Mark
from kiosk.tagging.desk import Desk
from kiosk.tagging.memory import Memory, look, take
from kiosk.tagging.refusals import half, refused
from kiosk.tagging.writing import CALIBRATE, cure
from mocban.cli import emit
from mocban.errors import ConfigError

VALUES = (0x07, 0xC2, 0xD7, 0xDA, 0x21)
PAIRS = ((0x07, 0xC2), (0x07, 0x21), (0xD7, 0xDA), (0xDA, 0xD7), (0xC2, 0x07))
"""In stock, on loan: as sites have it; the first pair of which one value rings and the other does not is taken."""
_WAIT = 200  # rounds in which the tag may come back


@dataclass(slots=True)
class Heard:
    """What the gate did: AFI value to whether it cried; ``eas`` None: not tried."""

    afis: dict[int, bool] = field(default_factory=dict)
    eas: bool | None = None


async def calibrate(desk: Desk, values: tuple[int, ...]) -> None:
    """Try each value on the one tag that lies there; put it back as it was whatever happens."""
    found = await desk.one(eas=True)
    if found.held.afi is None:
        raise refused("no-afi", uid=found.uid)
    desk.confirm(sentences.CALIBRATE)
    file = desk.book()
    entry = file.begin(CALIBRATE, found.uid, found.block, found.held, found.held)
    try:
        heard = await _hear(desk, found, values)
    finally:
        await _restore(desk, entry, found)
    lines = settings(heard)
    for afi, rang in heard.afis.items():
        desk.say(sentences.RANG if rang else sentences.QUIET, value=f"AFI {afi:02X}")
    if heard.eas is not None:
        desk.say(sentences.RANG if heard.eas else sentences.QUIET, value="EAS")
    if lines:
        if heard.eas and any(heard.afis.values()):
            desk.say(sentences.CONTRADICTS)
        desk.say(sentences.SETTINGS)
        for table in ("kiosk", "gate"):
            desk.show("\n".join((f"[{table}.security]", *lines, "")))
    if desk.asked.as_json:
        emit(
            {
                "ok": bool(lines), "afi": {f"{afi:02X}": rang for afi, rang in heard.afis.items()},
                "eas": heard.eas, "settings": lines, "errors": [] if lines else [refused("gate-undecided").as_json()],
            }
        )  # fmt: skip
    if not lines:
        raise refused("gate-undecided")


def settings(heard: Heard) -> list[str]:
    """Lines of a table ``security``; none if the gate told no value from another."""
    pairs = (*PAIRS, *((a, b) for a in heard.afis for b in heard.afis))
    pair = next(
        ((a, b) for a, b in pairs if heard.afis.get(a) and heard.afis.get(b) is False), None
    )
    if pair is None:
        return ['by = "eas"'] if heard.eas and not any(heard.afis.values()) else []
    lines = ['by = "afi+eas"' if heard.eas else 'by = "afi"']
    return [*lines, f"in_stock = 0x{pair[0]:02X}", f"on_loan = 0x{pair[1]:02X}"]


async def _hear(desk: Desk, found: Memory, values: tuple[int, ...]) -> Heard:
    heard = Heard()
    known = found.held.eas is not None
    total = len(values) + known
    if known and not await desk.bench.write_eas(found.uid, armed=False):
        raise refused("not-written", uid=found.uid)
    for number, afi in enumerate(values, 1):
        await _back(desk, found.uid)
        if not await desk.bench.write_afi(found.uid, afi):
            raise refused("not-written", uid=found.uid)
        heard.afis[afi] = desk.ask(sentences.WALK, n=number, all=total, value=f"AFI {afi:02X}")
    if known:
        await _back(desk, found.uid)
        quiet = next((afi for afi, rang in heard.afis.items() if not rang), 0xC2)
        # EAS alone, on a tag whose AFI keeps quiet.
        wrote = await desk.bench.write_afi(found.uid, quiet)
        if not wrote or not await desk.bench.write_eas(found.uid, armed=True):
            raise refused("not-written", uid=found.uid)
        heard.eas = desk.ask(sentences.WALK, n=total, all=total, value="EAS")
    return heard


async def _back(desk: Desk, uid: str) -> None:
    """The tag was carried away: wait until it lies there again, and alone."""
    for number in range(_WAIT):
        tags = await look(desk.bench)
        if [tag.uid for tag in tags] == [uid]:
            return
        if number == 0:
            desk.say(sentences.LAY_BACK)
    raise refused("tag-gone", uid=uid)


async def _restore(desk: Desk, entry: Entry, found: Memory) -> None:
    await _back(desk, found.uid)
    (tag,) = await look(desk.bench)
    fresh = await take(desk.bench, tag, eas=found.held.eas is not None)
    try:
        await cure(desk.bench, desk.book(), entry, fresh, Mark.UNDONE)
    except ConfigError:
        raise half(found.uid, desk.book().path) from None
    desk.say(sentences.RESTORED_TEST)
