"""The MQTT topic grammar.

``mocban/v1/{tenant}/{device}/(evt/{kind} | state | tel | ack | cmd/{name} | rsp/{name} | feed/{name})``
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from mocban.errors import RemoteProtocolError

Channel = Literal["evt", "state", "tel", "ack", "cmd", "rsp", "feed"]
NAMED: frozenset[str] = frozenset({"evt", "cmd", "rsp", "feed"})
"""Channels that carry a name behind them."""

_WORD = r"[a-z0-9-]{1,40}"
_TOPIC = re.compile(
    rf"mocban/v1/(?P<tenant>{_WORD})/(?P<device>[a-z0-9-]{{3,32}})/(?P<channel>[a-z]{{2,5}})(/(?P<name>{_WORD}))?"
)


@dataclass(frozen=True, slots=True)
class Topic:
    """One parsed topic; ``name`` is empty on channels without one."""

    tenant: str
    device: str
    channel: Channel
    name: str = ""

    def __str__(self) -> str:
        tail = f"/{self.name}" if self.channel in NAMED else ""
        return f"mocban/v1/{self.tenant}/{self.device}/{self.channel}{tail}"


def parse(text: str) -> Topic:
    """The topic in ``text``; RemoteProtocolError (code ``foreign-topic``) if it is not of our grammar."""
    match = _TOPIC.fullmatch(text)
    if match is None or match["channel"] not in get_args(Channel):
        raise RemoteProtocolError("a topic outside the grammar", code="foreign-topic")
    if (match["channel"] in NAMED) != (match["name"] is not None):
        raise RemoteProtocolError("a topic with a name too many or too few", code="foreign-topic")
    return Topic(
        match["tenant"], match["device"], cast(Channel, match["channel"]), match["name"] or ""
    )


def every(tenant: str, channel: Channel) -> str:
    """The filter for ``channel`` of every device of ``tenant`` (``+`` for all tenants)."""
    return f"mocban/v1/{tenant}/+/{channel}" + ("/#" if channel in NAMED else "")
