"""What the gateway's one connection is to publish, in order of urgency. Nothing here is durable.

A watermark lost on the way is told again with the device's next state or fact, an order until its receipt came, feeds
whenever the connection became ready: so whoever fills this must be able to fill it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from mocban.identity import Identity
from mocban.messages import Ack
from mocban.topics import Topic

ORDERS_MAX = 1000
"""Orders waiting at once; more are not taken, and will be offered again."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message with QoS 1. ``expiry``: seconds the broker may keep it, None for ever."""

    topic: str
    payload: bytes
    retain: bool = False
    expiry: int | None = None


class Post:
    """Thread-safe. ``on_put`` is called after every change, from the putting thread."""

    def __init__(self, identity: Identity) -> None:
        self._tenant = identity.tenant
        self._lock = Lock()
        self._acks: dict[tuple[str, str], Ack] = {}
        self._orders: deque[Outgoing] = deque()
        self._feeds: dict[str, Outgoing] = {}
        self.on_put: Callable[[], None] = lambda: None

    def ack(self, device: str, ack: Ack) -> None:
        """Tell ``device`` how far it is stored; a newer watermark of the same epoch replaces a waiting one."""
        with self._lock:
            self._acks[device, ack.epoch] = ack
        self.on_put()

    def order(self, device: str, name: str, payload: bytes, expiry: int) -> bool:
        """Publish an order; False if too many wait."""
        with self._lock:
            if len(self._orders) >= ORDERS_MAX:
                return False
            topic = str(Topic(self._tenant, device, "cmd", name))
            self._orders.append(Outgoing(topic, payload, expiry=expiry))
        self.on_put()
        return True

    def feed(self, device: str, name: str, payload: bytes) -> None:
        """Publish a retained feed; a newer one replaces a waiting one."""
        topic = str(Topic(self._tenant, device, "feed", name))
        with self._lock:
            self._feeds[topic] = Outgoing(topic, payload, retain=True)
        self.on_put()

    def take(self) -> Outgoing | None:
        """The most urgent message, or None: watermarks, then orders, then feeds."""
        with self._lock:
            if self._acks:
                (device, epoch), ack = next(iter(self._acks.items()))
                del self._acks[device, epoch]
                return Outgoing(str(Topic(self._tenant, device, "ack")), ack.encode())
            if self._orders:
                return self._orders.popleft()
            if self._feeds:
                return self._feeds.pop(next(iter(self._feeds)))
        return None

    def clear(self) -> None:
        """The connection is gone: forget everything; those who care will put it again."""
        with self._lock:
            self._acks.clear()
            self._orders.clear()
            self._feeds.clear()
