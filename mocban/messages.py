"""What travels besides facts, orders and feeds: watermarks, the retained state, receipts. JSON, at most 4 KiB."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mocban.errors import RemoteProtocolError

MESSAGE_MAX = 4096
"""Longest message of this page on the wire, in bytes."""

Epoch = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Seq = Annotated[int, Field(ge=0, lt=2**63)]


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
