"""Feeds: what the gateway lets devices know, retained on ``feed/{name}``, versioned and signed.

A device without a feed, or with one past ``expires``, decides by the tag alone. Versions only grow; an older one is
refused, so a replayed feed cannot bring yesterday back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from mocban import identity
from mocban.clock import rfc3339
from mocban.errors import RemoteProtocolError
from mocban.events import Ref, Uid
from mocban.ids import DeviceId
from mocban.messages import Seq

FEED_MAX = 61_440
"""Longest feed on the wire, in bytes: below the smallest limit of the brokers we know."""
ENTRIES_MAX = 400
"""Most entries of one feed; the newest are kept."""

Name = Literal["pending-security", "recent-loans", "allow-list"]
"""Tags in the wrong state; lent lately; never cried for. All by the tag's UID."""
Want = Literal["on", "off"]
"""The state a tag should be in: closed, or open."""
NAMES: tuple[Name, ...] = get_args(Name)


class Entry(BaseModel):
    """One tag a gate does not cry for. ``uid``: upper-case hex, MSB first; ``until``: no longer than this.

    In ``pending-security``, ``want``: the state its tag should be in, and any station that sees it sees to that; a gate
    lets it go only if that is ``off``. ``since``: when it was lent or returned; ``ref``: by which fact.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    uid: Uid
    item: Annotated[str, Field(max_length=64)] = ""
    until: AwareDatetime | None = None
    want: Want | None = None
    since: AwareDatetime | None = None
    ref: Ref | None = None

    @property
    def excuses(self) -> bool:
        """Whether a gate lets this tag go."""
        return self.want != "on"


class Feed(BaseModel):
    """One feed for one device."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    v: Literal[1] = 1
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    device: DeviceId
    name: Name
    version: Seq
    issued: AwareDatetime
    expires: AwareDatetime
    entries: Annotated[tuple[Entry, ...], Field(max_length=ENTRIES_MAX)] = ()
    kid: str = ""
    sig: str = ""


def sign(
    key: identity.SigningKey, tenant: str, device: str, name: Name,
    *, version: int, issued: datetime, expires: datetime, entries: Iterable[Entry],
) -> bytes:  # fmt: skip
    """The feed as it goes on the wire."""
    body: dict[str, Any] = {
        "v": 1,
        "tenant": tenant,
        "device": device,
        "name": name,
        "version": version,
        "issued": rfc3339(issued),
        "expires": rfc3339(expires),
        "entries": [_entry(one) for one in list(entries)[:ENTRIES_MAX]],
    }
    return json.dumps(key.sign(body), ensure_ascii=False, separators=(",", ":")).encode()


def _entry(one: Entry) -> dict[str, Any]:
    """As it goes on the wire: what says nothing takes no room."""
    return {
        "uid": one.uid,
        "item": one.item,
        "until": rfc3339(one.until) if one.until else None,
        **({"want": one.want} if one.want else {}),
        **({"since": rfc3339(one.since)} if one.since else {}),
        **({"ref": one.ref} if one.ref else {}),
    }


def parse(payload: bytes, pinned: Iterable[str]) -> Feed:
    """The feed in ``payload``; RemoteProtocolError ``too-long``, ``bad-feed`` or a signature's code."""
    document = identity.signed(payload, FEED_MAX, pinned, "feed")
    try:
        return Feed.model_validate(document)
    except ValidationError as error:
        raise RemoteProtocolError("it is no feed", code="bad-feed") from error
