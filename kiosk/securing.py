"""How a tag is closed, opened and looked at, by the site's setting: in its AFI, its EAS bit, both, or not at all.

Every write is addressed by UID and read back by the pad. A tag that takes no write but holds the value already is as it
should be. Which of the two marks comes first matters: one that fails half-way leaves the tag closed in one of them.
"""

from __future__ import annotations

from enum import Enum, auto

from kiosk.devices.base import Pad
from kiosk.settings import Security
from mocban import log
from mocban.errors import ConfigError, RemoteFault

_log = log.get("kiosk.securing")


class Wrote(Enum):
    """What became of a tag write."""

    YES = auto()
    NO = auto()
    GONE = auto()  # the tag did not answer, or the pad is lost


async def secure(pad: Pad, uid: str, site: Security) -> Wrote:
    """The tag must not leave: written, and proven. Where no tag is written, all is well."""
    wrote = await _afi(pad, uid, site.in_stock) if site.afi else Wrote.YES
    if site.eas and wrote is Wrote.YES:
        wrote = await _eas(pad, uid, armed=True)
    return wrote


async def unsecure(pad: Pad, uid: str, site: Security) -> Wrote:
    """The tag may leave: written, and proven. Where no tag is written, all is well."""
    wrote = await _eas(pad, uid, armed=False) if site.eas else Wrote.YES
    if site.afi and wrote is Wrote.YES:
        wrote = await _afi(pad, uid, site.on_loan)
    return wrote


async def look(pad: Pad, uid: str, site: Security, *, closed: bool) -> bool | None:
    """Whether the tag is wholly ``closed``, or wholly open; None if it does not answer."""
    try:
        if site.afi:
            afi = await pad.read_afi(uid)
            if afi != (site.in_stock if closed else site.on_loan):
                return None if afi is None else False
        if site.eas:
            armed = await pad.read_eas(uid)
            return None if armed is None else armed == closed
    except RemoteFault:
        return None
    except ConfigError as error:
        _no_eas(error)
        return False
    return True


async def _afi(pad: Pad, uid: str, afi: int) -> Wrote:
    try:
        if await pad.write_afi(uid, afi):
            return Wrote.YES
        now = await pad.read_afi(uid)
    except RemoteFault:
        return Wrote.GONE
    if now is None:
        return Wrote.GONE
    return Wrote.YES if now == afi else Wrote.NO


async def _eas(pad: Pad, uid: str, *, armed: bool) -> Wrote:
    try:
        if await pad.write_eas(uid, armed=armed):
            return Wrote.YES
        now = await pad.read_eas(uid)
    except RemoteFault:
        return Wrote.GONE
    except ConfigError as error:  # whether it is armed cannot even be asked
        _no_eas(error)
        return Wrote.NO
    if now is None:
        return Wrote.GONE
    return Wrote.YES if now == armed else Wrote.NO


def _no_eas(error: ConfigError) -> None:
    _log.error(
        "eas.unsupported", say=error.say, do="set kiosk.security.by to afi, or use another reader"
    )
