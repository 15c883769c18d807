"""A message from the broker, read into a letter for the store. Pure: the same message gives the same letter.

Nothing here raises for bad input: what cannot be a fact becomes a dead letter with its reason.
The device is always the topic's, never the payload's.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import cast

from gateway.projections import local_hour
from gateway.store.port import Birth, Dead, Letter, Received, Told
from mocban import topics
from mocban.errors import RemoteProtocolError
from mocban.events import AnyFact, Envelope, parse
from mocban.messages import Receipt, State

SEQ_MAX = 2**63 - 1
"""Highest sequence number a database column holds."""
_READ = frozenset({"evt", "state", "rsp"})
_EPOCH = re.compile(r"[0-9a-f]{16}")
_SEQ = re.compile(r"[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Message:
    """One PUBLISH as it came; ``epoch`` and ``seq`` are its user properties, empty if absent."""

    topic: str
    payload: bytes
    epoch: str = ""
    seq: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """Who reads: the tenant served, and the calendar facts are counted by."""

    tenant: str
    zone: tzinfo
    late_days: int = 30

    def read(self, message: Message, rx: datetime) -> Letter | None:
        """The letter in ``message`` arrived at ``rx``; None for an emptied state, which says nothing."""
        try:
            topic = topics.parse(message.topic)
        except RemoteProtocolError:
            topic = None
        if topic is None or topic.tenant != self.tenant or topic.channel not in _READ:
            # Another tenant's device is never acknowledged: its own gateway has to store it.
            return Dead("", "", None, message.topic[:255], "foreign-topic", rx, message.payload)
        if topic.channel == "state":
            return _birth(topic.device, message, rx)
        if topic.channel == "rsp":
            return _received(topic.device, message, rx)
        return self._fact(topic, message, rx)

    def reread(self, dead: Dead) -> Letter | None:
        """What this release makes of a dead letter."""
        seq = "" if dead.seq is None else str(dead.seq)
        return self.read(Message(dead.topic, dead.payload, dead.epoch, seq), dead.rx)

    def _fact(self, topic: topics.Topic, message: Message, rx: datetime) -> Told | Dead:
        epoch, seq = _position(message)
        try:
            envelope = parse(message.payload)
            if envelope.seq > SEQ_MAX:
                raise RemoteProtocolError("seq: out of range", code="bad-envelope")
            epoch, seq = envelope.epoch, envelope.seq
            if envelope.kind != topic.name:
                raise RemoteProtocolError("kind: not the topic's", code="bad-envelope")
            fact = cast(AnyFact, envelope.fact())
            digest = _digest(topic.device, envelope)
        except RemoteProtocolError as error:
            return Dead(topic.device, epoch, seq, message.topic, error.code, rx, message.payload)
        ts = _utc(envelope.ts, rx)
        return Told(
            topic.device, epoch, envelope.seq, str(envelope.id), envelope.kind, envelope.kv, ts, rx,
            digest, message.payload, fact, local_hour(ts, rx, self.zone, self.late_days),
        )  # fmt: skip


def _birth(device: str, message: Message, rx: datetime) -> Birth | Dead | None:
    if not message.payload:
        return None
    try:
        state = State.parse(message.payload)
    except RemoteProtocolError:
        return Dead(device, "", None, message.topic, "bad-state", rx, message.payload)
    return Birth(device, state.app, state.online, state.epoch, state.version, rx)


def _received(device: str, message: Message, rx: datetime) -> Received | Dead:
    try:
        receipt = Receipt.parse(message.payload)
    except RemoteProtocolError:
        return Dead(device, "", None, message.topic, "bad-receipt", rx, message.payload)
    return Received(device, receipt.app, str(receipt.order), rx)


def _position(message: Message) -> tuple[str, int | None]:
    """(epoch, seq) of the user properties, ("", None) unless both are well formed."""
    if (
        _EPOCH.fullmatch(message.epoch)
        and _SEQ.fullmatch(message.seq)
        and int(message.seq) <= SEQ_MAX
    ):
        return message.epoch, int(message.seq)
    return "", None


def _digest(device: str, envelope: Envelope) -> bytes:
    """16 bytes over what happened; NaN and its like are no JSON and make the data bad."""
    try:
        content = json.dumps(
            [device, envelope.kind, envelope.kv, envelope.data], sort_keys=True, allow_nan=False
        )
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError("data: not JSON", code="bad-data") from error
    return hashlib.blake2b(content.encode(), digest_size=16).digest()


def _utc(ts: datetime, rx: datetime) -> datetime:
    """``ts`` in UTC; a time beyond the calendar becomes ``rx`` (the payload keeps what was said)."""
    try:
        return ts.astimezone(UTC) if ts.tzinfo is not None else ts.replace(tzinfo=UTC)
    except OverflowError:
        return rx
