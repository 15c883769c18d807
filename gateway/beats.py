"""The last heartbeat of each app of each device: in memory alone, since the next one says all anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from gateway.letters import Message
from gateway.store.port import DeviceRow
from mocban import log, topics
from mocban.clock import Clock, parse_rfc3339
from mocban.errors import RemoteProtocolError
from mocban.messages import HEARTBEAT_MAX, Heartbeat

MOST = 10_000
"""Heartbeats remembered; of more the ones heard longest ago go."""
APPS = 8
"""Apps of one device; more are not believed, lest one device push out the others."""
STALE = 5
"""Intervals after which what a heartbeat said is not believed any more."""

Key = tuple[str, str]
"""Device and app."""

_log = log.get("gateway.beats")


@dataclass(frozen=True, slots=True)
class Heard:
    """A heartbeat that arrived at ``rx``, ``mono`` seconds after the gateway's boot."""

    rx: datetime
    mono: float
    beat: Heartbeat


class Beats:
    """Thread-safe."""

    def __init__(self, tenant: str, clock: Clock) -> None:
        self._tenant = tenant
        self._clock = clock
        self._lock = Lock()
        self._last: dict[Key, Heard] = {}
        self._apps: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()

    def take(self, message: Message, rx: datetime) -> None:
        """Remember it. A bad one is counted by its reason and changes nothing."""
        try:
            topic = topics.parse(message.topic)
            if topic.tenant != self._tenant or topic.channel != "tel":
                raise RemoteProtocolError("another tenant's device", code="foreign-topic")
            if len(message.payload) > HEARTBEAT_MAX:
                raise RemoteProtocolError("a long heartbeat", code="too-long")
            beat = Heartbeat.parse(message.payload)
            if (topic.device, beat.app) not in self._last and self._apps[topic.device] >= APPS:
                raise RemoteProtocolError("too many apps on one device", code="too-many-apps")
            if beat.clock.tzinfo is None or (beat.oldest and beat.oldest.tzinfo is None):
                raise RemoteProtocolError("a time without a zone", code="bad-message")
        except RemoteProtocolError as error:
            with self._lock:
                self._bad[error.code] += 1
            _log.warning("beat.bad", reason=error.code)
            return
        key = (topic.device, beat.app)
        with self._lock:
            if self._last.pop(key, None) is None:
                self._apps[topic.device] += 1
            self._last[key] = Heard(rx, self._clock.mono(), beat)  # the newest stands last
            while len(self._last) > MOST:
                device, _ = oldest = next(iter(self._last))
                del self._last[oldest]
                self._apps[device] -= 1
                if not self._apps[device]:
                    del self._apps[device]

    def fresh(self) -> dict[Key, Heard]:
        """What is still to be believed: a heartbeat not older than ``STALE`` of its own intervals."""
        now = self._clock.mono()
        with self._lock:
            return {
                key: heard
                for key, heard in sorted(self._last.items())
                if now - heard.mono <= STALE * heard.beat.every
            }

    def bad(self) -> dict[str, int]:
        """How many were of no use, by reason."""
        with self._lock:
            return dict(self._bad)

    def seen(self, rows: Iterable[DeviceRow]) -> dict[Key, datetime]:
        """When each app of each device was last heard of: its heartbeat, or what the store knows if that is later.

        A fact names no app: it speaks for one only if the device has no other. A will is the broker's word, not the
        device's; it stands in for the moment only where nothing else is known.
        """
        known = list(rows)
        apps = Counter(row.device for row in known)
        with self._lock:
            found = {key: heard.rx for key, heard in self._last.items()}
        for row in known:
            said = [found[row.device, row.app]] if (row.device, row.app) in found else []
            if row.last_rx and apps[row.device] == 1:
                said.append(parse_rfc3339(row.last_rx))
            if row.since and (row.online or not said):
                said.append(parse_rfc3339(row.since))
            if said:
                found[row.device, row.app] = max(said)
        return dict(sorted(found.items()))
