"""What an MQTT 5 broker remembers: sessions, retained messages, filters. No I/O; times are the loop's seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import mqtt5

FOR_EVER = 0xFFFFFFFF


def matches(pattern: str, topic: str) -> bool:
    """MQTT 5.0, 4.7."""
    want, have = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and want[0] in {"+", "#"}:
        return False
    for i, level in enumerate(want):
        if level == "#":
            return True
        if i >= len(have) or level not in {"+", have[i]}:
            return False
    return len(want) == len(have)


def valid(pattern: str) -> bool:
    """MQTT 5.0, 4.7.1: ``#`` stands last and alone in its level, ``+`` alone in its level."""
    levels = pattern.split("/")
    last = len(levels) - 1
    return bool(pattern) and all(
        not ({"#", "+"} & set(level)) or level == "+" or (level == "#" and i == last)
        for i, level in enumerate(levels)
    )


@dataclass(slots=True)
class Letter:
    """A message on its way to a client."""

    packet: mqtt5.PublishPacket
    came: float
    retain: bool = False

    def write(self, now: float, packet_id: int | None, *, again: bool) -> bytes | None:
        """The PUBLISH, or None if it expired meanwhile (MQTT 5.0, 3.3.2.3.3)."""
        left = self.packet.message_expiry_interval
        if left is not None:
            left -= int(now - self.came)
            if left <= 0:
                return None
        return mqtt5.PublishPacket(
            self.packet.topic, bytes(self.packet.payload),
            qos=mqtt5.QoS.AT_MOST_ONCE if packet_id is None else mqtt5.QoS.AT_LEAST_ONCE,
            retain=self.retain, packet_id=packet_id, duplicate=again, message_expiry_interval=left,
            content_type=self.packet.content_type, user_properties=list(self.packet.user_properties),
        ).write()  # fmt: skip


@dataclass(slots=True)
class Session:
    """One client's."""

    client_id: str
    expiry: int = 0
    ended: float | None = None
    """When its connection ended; None while there is one."""
    filters: dict[str, mqtt5.TopicFilter] = field(default_factory=dict)
    queue: deque[Letter] = field(default_factory=deque)
    flying: dict[int, Letter] = field(default_factory=dict)
    last_id: int = 0

    def over(self, now: float) -> bool:
        """Nobody may resume it any more."""
        return (
            self.ended is not None and self.expiry != FOR_EVER and now >= self.ended + self.expiry
        )

    def take(self, letter: Letter, publisher: str) -> None:
        """Queue it once, if a filter wants it."""
        for one in self.filters.values():
            if matches(one.pattern, letter.packet.topic) and not (
                one.no_local and publisher == self.client_id
            ):
                kept = letter.packet.retain and one.retain_as_published
                self.queue.append(Letter(letter.packet, letter.came, kept))
                return

    def again(self, now: float) -> bytes:
        """What was sent and never acknowledged, with DUP, in order (MQTT 5.0, 4.4)."""
        data = [
            letter.write(now, packet_id, again=True) for packet_id, letter in self.flying.items()
        ]
        self.flying = {i: x for (i, x), one in zip(self.flying.items(), data, strict=True) if one}
        return b"".join(one for one in data if one)

    def due(self, now: float, receive_max: int, longest: int | None) -> bytes:
        """What may be sent now: within the client's Receive Maximum and Maximum Packet Size."""
        data = b""
        while self.queue and len(self.flying) < receive_max:
            letter = self.queue.popleft()
            self.last_id = self.last_id % 65_535 + 1
            while self.last_id in self.flying:
                self.last_id = self.last_id % 65_535 + 1
            one = letter.write(now, self.last_id, again=False)
            if one is not None and (longest is None or len(one) <= longest):
                self.flying[self.last_id] = letter
                data += one
        return data


class Memory:
    """All sessions and retained messages."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.retained: dict[str, Letter] = {}

    def resume(self, packet: mqtt5.ConnectPacket, now: float) -> tuple[Session, bool]:
        """The session for this CONNECT and whether it was there (MQTT 5.0, 3.1.2.4)."""
        old = self.sessions.get(packet.client_id)
        present = old is not None and not packet.clean_start and not old.over(now)
        session = old if present and old is not None else Session(packet.client_id)
        session.expiry, session.ended = packet.session_expiry_interval, None
        self.sessions[packet.client_id] = session
        return session, present

    def spread(self, packet: mqtt5.PublishPacket, publisher: str, now: float) -> None:
        """Keep it if it is to be retained, and hand it to every session that wants it."""
        letter = Letter(packet, now)
        if packet.retain:
            self.retained.pop(packet.topic, None)
            if packet.payload:
                self.retained[packet.topic] = Letter(packet, now, retain=True)
        for session in self.sessions.values():
            if not session.over(now):
                session.take(letter, publisher)

    def subscribe(self, session: Session, one: mqtt5.TopicFilter) -> None:
        """Add a filter and queue what is retained for it (MQTT 5.0, 3.8.3.1)."""
        new = one.pattern not in session.filters
        session.filters[one.pattern] = one
        handling = one.retain_handling
        if handling == mqtt5.RetainHandling.SEND_NEVER or (
            handling == mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS and not new
        ):
            return
        session.queue.extend(x for t, x in self.retained.items() if matches(one.pattern, t))
