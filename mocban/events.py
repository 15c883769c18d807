"""The contract between edge and centre: the envelope (version 1, frozen) and the closed union of facts.

A fact's class is CamelCase, its ``kind`` the same in kebab-case. Within one ``kv`` only optional fields may be added.
Facts carry no reference to a patron. What an outbox may shed when it is full stands in each class's ``shed``.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from enum import IntEnum
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mocban.clock import rfc3339
from mocban.errors import RemoteProtocolError
from mocban.ids import DeviceId, fact_id

ENVELOPE_MAX = 4096
"""Longest envelope on the wire, in bytes."""

Text = Annotated[str, Field(max_length=255)]
Key = Annotated[str, Field(min_length=1, max_length=64)]


Uid = Annotated[str, Field(pattern=r"^([0-9A-F]{2}){0,16}$")]
Ref = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
"""The first 16 digits of a fact's id: enough to name it among those about one tag."""


class Shed(IntEnum):
    """Which facts an outbox gives up first when it is full; a shed fact leaves a ``FactShed`` at its seq."""

    FIRST = 0  # counts and gauges
    LATER = 1  # reports on devices, refusals
    NEVER = 2  # loans, returns, alarms, audit, answers to orders


class Fact(BaseModel):
    """Something that happened. ``key()`` is its natural key: two tellings of one happening have the same."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    kind: ClassVar[str]
    kv: ClassVar[int] = 1
    shed: ClassVar[Shed] = Shed.NEVER
    natural: ClassVar[tuple[str, ...]]
    """Names of the fields that make the natural key."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def key(self) -> tuple[str, ...]:
        """The natural key within the telling device: the fields named in ``natural``, as text."""
        return tuple(_text(getattr(self, name)) for name in self.natural)

    def id_at(self, device: str) -> UUID:
        """The derived fact id when ``device`` tells it."""
        return fact_id(device, self.kind, *self.key())


class LineFact(Fact):
    """A fact about one line of one visit: session and line are its natural key."""

    natural: ClassVar[tuple[str, ...]] = ("session", "line")
    session: Key
    line: int = Field(ge=0, lt=10_000)
    item: Key
    uid: Uid = ""


class LoanMade(LineFact):
    """An item is on loan in the library system. ``security``: what was done to its tag; ``none``: it was left as it is.

    ``stays``: lent for use in the house, so a gate cries for it all the same.
    """

    due: datetime | None = None
    security: Literal["off", "pending", "none", "manual"] = "off"
    stays: bool = False


class ReturnMade(LineFact):
    """An item is back in the library system. ``security``: what was done to its tag."""

    bin: Text = ""
    security: Literal["on", "pending", "none", "manual"] = "on"


class ItemRefused(LineFact):
    """The patron was told no; ``reason`` is one of the kiosk's refusal codes."""

    shed: ClassVar[Shed] = Shed.LATER
    action: Literal["borrow", "return"]
    reason: Key


class SecurityMended(Fact):
    """A tag that a loan or return had left in the wrong state is as it should be: ``security`` was written and proven.

    ``mended``: the fact that had left it pending, the first 16 digits of its id. Whichever device sees the tag tells.
    """

    natural: ClassVar[tuple[str, ...]] = ("uid", "mended")
    uid: Annotated[str, Field(pattern=r"^([0-9A-F]{2}){1,16}$")]
    mended: Ref
    item: Annotated[str, Field(max_length=64)] = ""
    security: Literal["on", "off"]


class PassageFact(Fact):
    """A fact about one passage through a gate, numbered by the gate itself."""

    natural: ClassVar[tuple[str, ...]] = ("passage",)
    passage: int = Field(ge=0)


class GateAlarmed(PassageFact):
    """A gate cried. ``item`` is empty when the tag could not be decoded.

    ``by``: what gave it away, its own mark or that no feed knows of a loan.
    """

    item: Annotated[str, Field(max_length=64)] = ""
    uid: Uid = ""
    reason: Literal["armed", "eas"] = "armed"
    direction: Literal["in", "out", "unknown"] = "unknown"
    by: Literal["tag", "database"] = "tag"


class StillArmed(PassageFact):
    """A lent item, by the feed ``feed``, left with its tag armed: no siren, but work for the staff."""

    shed: ClassVar[Shed] = Shed.LATER
    item: Annotated[str, Field(max_length=64)] = ""
    uid: Uid = ""
    feed: Annotated[str, Field(max_length=64)] = ""
    direction: Literal["in", "out", "unknown"] = "unknown"


class EventsLost(PassageFact):
    """A gate's buffer ran over: who passed meanwhile is not known."""

    shed: ClassVar[Shed] = Shed.LATER


class PeopleCounted(PassageFact):
    """People who walked in and out of a gate since it was last told."""

    shed: ClassVar[Shed] = Shed.FIRST
    entered: int = Field(ge=0, le=100_000)
    left: int = Field(ge=0, le=100_000)


class DeviceChanged(Fact):
    """A device of the box changed its condition (``reader`` lost, ``ils`` back)."""

    natural: ClassVar[tuple[str, ...]] = ("part", "state", "at")
    shed: ClassVar[Shed] = Shed.LATER
    part: Key
    state: Literal["ok", "degraded", "lost"]
    code: Text = ""
    at: datetime


class Audited(Fact):
    """Who did what to what, and what came of it. ``ref`` names the act (an order's id, a process start's id).

    ``actor``: ``person:NAME`` of a staff key, ``device:ID``, ``app:NAME``; never a patron.
    """

    natural: ClassVar[tuple[str, ...]] = ("ref", "action")
    ref: Key
    actor: Key
    action: Key
    object: Text = ""
    outcome: Literal["done", "refused", "failed"] = "done"
    reason: Text = ""


class CommandAnswered(Fact):
    """What became of an order, told once. ``reason`` is a code if it was not done; ``result`` is the answer itself."""

    natural: ClassVar[tuple[str, ...]] = ("order",)
    order: UUID
    name: Key
    app: Key
    outcome: Literal["done", "refused", "failed"]
    reason: Text = ""
    result: dict[str, Any] = Field(default_factory=dict)


class FactShed(Fact):
    """The tombstone of a fact: it keeps the seq of what was given up (``full``) or delivered once and gone since.

    ``delivered``: the gateway had confirmed this seq, came back older, and the device keeps it no more.
    """

    natural: ClassVar[tuple[str, ...]] = ("epoch", "seq")
    epoch: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    seq: int = Field(ge=1)
    what: Key
    why: Literal["full", "delivered"] = "full"


AnyFact = (
    LoanMade | ReturnMade | ItemRefused | SecurityMended | GateAlarmed | StillArmed | EventsLost | PeopleCounted
    | DeviceChanged | Audited | CommandAnswered | FactShed
)  # fmt: skip
FACTS: dict[tuple[str, int], type[Fact]] = {(cls.kind, cls.kv): cls for cls in get_args(AnyFact)}


class Envelope(BaseModel):
    """What travels: version 1, frozen. ``data`` is the fact's own content, not yet judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    v: Literal[1] = 1
    id: UUID
    epoch: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    seq: int = Field(ge=1)
    ts: datetime
    mono: float = Field(ge=0)
    boot: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    kind: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)*$", max_length=40)]
    kv: int = Field(ge=1)
    data: dict[str, Any]

    def encode(self) -> bytes:
        """UTF-8 JSON of at most ``ENVELOPE_MAX`` bytes."""
        body = self.model_dump(mode="json")
        body["ts"] = rfc3339(self.ts)
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()

    def fact(self) -> Fact:
        """The typed fact inside; RemoteProtocolError (code ``unknown-kind`` or ``bad-data``) if there is none."""
        cls = FACTS.get((self.kind, self.kv))
        if cls is None:
            raise RemoteProtocolError(
                f"unknown fact {self.kind} version {self.kv}", code="unknown-kind"
            )
        try:
            return cls.model_validate(self.data)
        except ValidationError as error:
            raise RemoteProtocolError(_first(error), code="bad-data") from error


def parse(payload: bytes) -> Envelope:
    """The envelope in ``payload``; RemoteProtocolError (code ``too-long`` or ``bad-envelope``) if there is none."""
    if len(payload) > ENVELOPE_MAX:
        raise RemoteProtocolError(f"an envelope of {len(payload)} bytes", code="too-long")
    try:
        return Envelope.model_validate_json(payload)
    except ValidationError as error:
        raise RemoteProtocolError(_first(error), code="bad-envelope") from error


@cache
def kinds() -> tuple[str, ...]:
    """All kinds of facts, sorted."""
    return tuple(sorted({kind for kind, _ in FACTS}))


CHAIN_0 = bytes(16)
"""The chain value before the first fact of an epoch."""


def chain(before: bytes, payload: bytes) -> bytes:
    """The chain value after ``payload``: SHA-256(before ‖ SHA-256(payload)[:16])[:16].

    A watermark carries it, so that a device forgets a fact only if the gateway holds the very bytes, and a copied
    memory card is noticed.
    """
    return chain_hash(before, hashlib.sha256(payload).digest()[:16])


def chain_hash(before: bytes, digest: bytes) -> bytes:
    """The same where only SHA-256(payload)[:16] is still known."""
    return hashlib.sha256(before + digest).digest()[:16]


def ref(ident: UUID | str) -> Ref:
    """How the fact with this id is named by another."""
    return str(ident).replace("-", "")[:16]


def _text(value: Any) -> str:
    """One part of a natural key: times in the form of our wires, everything else as it is written."""
    return rfc3339(value) if isinstance(value, datetime) else str(value)


def _first(error: ValidationError) -> str:
    """The first complaint, without the offending value: values may be anything, also secret."""
    top = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, top['loc'])) or 'payload'}: {top['msg']}"[:200]


__all__ = [
    "CHAIN_0", "ENVELOPE_MAX", "FACTS", "AnyFact", "Audited", "CommandAnswered", "DeviceChanged", "DeviceId",
    "Envelope", "EventsLost", "Fact", "FactShed", "GateAlarmed", "ItemRefused", "LineFact", "LoanMade", "PassageFact",
    "PeopleCounted", "Ref", "ReturnMade", "SecurityMended", "Shed", "StillArmed", "chain", "chain_hash", "kinds",
    "parse", "ref",
]  # fmt: skip
