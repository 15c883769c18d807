"""What travels besides facts, orders and feeds: watermarks, the retained state, heartbeats, receipts.

JSON, at most 4 KiB.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer

from mocban.clock import rfc3339
from mocban.errors import RemoteProtocolError

MESSAGE_MAX = 4096
"""Longest message of this page on the wire, in bytes."""
HEARTBEAT_MAX = 1024
"""Longest heartbeat, in bytes."""
PARTS_MAX = 16
"""Most parts one heartbeat tells of."""

Epoch = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Seq = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Part = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,24}$")]
Seconds = Annotated[int, Field(ge=1, le=600)]
"""From one heartbeat to the next."""


class Message(BaseModel):
    """Base: unknown fields are ignored, so that either side may be newer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def encode(self) -> bytes:
        """UTF-8 JSON; what was not set is left out."""
        body = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """The message in ``payload``; RemoteProtocolError (code ``bad-message``) if there is none."""
        try:
            if len(payload) > MESSAGE_MAX:
                raise ValueError
            return cls.model_validate_json(payload)
        except (ValidationError, ValueError):
            raise RemoteProtocolError(f"no {cls.__name__.lower()}", code="bad-message") from None


class Ack(Message):
    """The watermark, gateway to device on ``ack``: everything of ``epoch`` from seq 1 to ``upto`` is committed.

    ``chain``: the chain value after ``upto`` (see ``events.chain``); a device that computes its own and finds another
    one, or is told of more than it ever sent, is a copy or a restored image: it begins a new epoch and tells anew what
    it still holds. A watermark lower than an earlier one means that the gateway came back older: tell again from there.
    """

    epoch: Epoch
    upto: Seq
    chain: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None


class State(Message):
    """A device's app about itself, retained on ``state``; its will is the same with ``online`` false.

    ``epoch`` of its outbox: a late will cannot speak for a new one, and orders are addressed to it.
    """

    v: Literal[1] = 1
    online: bool
    app: Annotated[str, Field(pattern=r"^[a-z]{2,16}$")]
    epoch: Epoch
    version: Annotated[str, Field(max_length=40)] = ""
    mode: Annotated[str, Field(max_length=20)] = ""
    upto: Seq = 0
    told: Seq = 0
    feeds: dict[str, int] = Field(default_factory=dict)
    """Version of each feed in force, by name."""


class Heartbeat(Message):
    """How a device's app is, on ``tel`` every ``every`` seconds with QoS 0, first when it has connected. At most 1 KiB.

    It never waits: one that does not get through is lost, and the next one says all anew.
    """

    v: Literal[1] = 1
    app: Annotated[str, Field(pattern=r"^[a-z]{2,16}$")]
    epoch: Epoch
    every: Seconds = 30
    clock: datetime
    """The device's clock, right or wrong; the gateway compares."""
    uptime: Annotated[float, Field(ge=0, lt=1e10, allow_inf_nan=False)]
    """Seconds since the process began."""
    mode: Annotated[str, Field(max_length=20)] = ""
    version: Annotated[str, Field(max_length=40)] = ""
    parts: Annotated[dict[Part, Literal["ok", "degraded", "lost"]], Field(max_length=PARTS_MAX)] = (
        Field(default_factory=dict)
    )
    """Condition of each part: ``reader``, ``gate``, ``ils``, ``outbox``…"""
    waiting: Count = 0
    """Facts in the outbox that the gateway has not confirmed."""
    oldest: datetime | None = None
    """``ts`` of the oldest of them, by the same clock."""
    disk_free: Count | None = None
    """Bytes free where the outbox lies."""

    @field_serializer("clock", "oldest")
    def _written(self, at: datetime | None) -> str | None:
        return rfc3339(at) if at is not None else None


class Receipt(Message):
    """The device has journaled an order and will act; on ``rsp/{name}``. The outcome comes as a fact."""

    v: Literal[1] = 1
    order: UUID
    app: Annotated[str, Field(pattern=r"^[a-z]{2,16}$")]
    epoch: Epoch
    seq: Seq


def schema(kind: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema of a message, a fact, an order or a feed."""
    return kind.model_json_schema()
