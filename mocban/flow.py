"""What one connection may send next: the window, what is unconfirmed, when to pause, when to begin again. Pure.

Times are seconds of whatever clock the caller reads. Within one connection a fact that is still unconfirmed is never
sent twice (MQTT 5.0, 4.4); one that was confirmed is, if the watermark stands still: a broker may drop what it took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar


class Numbered(Protocol):
    """A row of an outbox."""

    @property
    def seq(self) -> int:
        """Its position."""


R = TypeVar("R", bound=Numbered)


def publish_size(topic: str, payload: bytes, user: Sequence[tuple[str, str]]) -> int:
    """Bytes of a QoS 1 PUBLISH with these user properties (MQTT 5.0, 2.1.4 and 3.3)."""
    properties = sum(5 + len(name.encode()) + len(value.encode()) for name, value in user)
    rest = 2 + len(topic.encode()) + 2 + _varint(properties) + properties + len(payload)
    return 1 + _varint(rest) + rest


class Flow:
    """The flow of one connection; ``floor`` is the oldest waiting seq, None if there is none."""

    def __init__(
        self, window: int, resend: tuple[float, float], now: float, floor: int | None
    ) -> None:
        self._window = window
        self._flying: dict[int, int] = {}  # packet id -> seq, 0 for what is no fact
        self._looked = 0  # facts up to this seq have had their turn
        self._first, self._longest = resend
        self._wait = self._slow = self._first
        self._mark, self._due, self._hold = floor, now + self._first, now

    def narrow(self, receive_max: int) -> None:
        """The broker takes no more than this unconfirmed."""
        self._window = min(self._window, receive_max)

    @property
    def room(self) -> int:
        """How many may be sent now."""
        return self._window - len(self._flying)

    def held(self, now: float) -> bool:
        """Nothing may be sent now."""
        return now < self._hold

    def until(self, now: float) -> float:
        """When to look again if nothing happens."""
        return min(self._due, self._hold) if self.held(now) else self._due

    def turns(self, rows: Callable[[int, int], Sequence[R]]) -> Iterator[R]:
        """Facts to send now, in order, while there is room; ``rows(after, limit)`` reads the outbox.

        Whoever takes one and sends it says so with ``sent``; one not sent has had its turn all the same.
        """
        while self.room > 0:
            flying = set(self._flying.values())
            found = rows(self._looked, self.room + len(flying))
            if not found:
                return
            for row in found:
                if row.seq not in flying:
                    if self.room <= 0:
                        return
                    yield row
                self._looked = row.seq

    def sent(self, packet_id: int, seq: int = 0) -> None:
        """It is under way; ``seq`` 0: no fact."""
        self._flying[packet_id] = seq

    def confirmed(self, packet_id: int) -> int:
        """It has been answered; its seq, 0 for what is no fact."""
        return self._flying.pop(packet_id, 0)

    def eased(self) -> None:
        """The broker takes facts again."""
        self._slow = self._first

    def hold(self, now: float, seq: int) -> None:
        """Too much for the broker: pause, longer each time, and begin again with ``seq``."""
        self._hold = now + self._slow
        self._slow = min(self._slow * 2, self._longest)
        if seq:
            self._looked = min(self._looked, seq - 1)

    def due(self, now: float) -> bool:
        """It is time to look at the watermark."""
        return now >= self._due

    def tick(self, now: float, floor: int | None) -> bool:
        """Call when ``due``; False if the broker is mute and only a new connection helps."""
        if floor is None or floor != self._mark:
            self._wait = self._first
        elif floor in self._flying.values():
            if self._wait >= self._longest:
                return False
            self._wait = min(self._wait * 2, self._longest)
        else:
            # Answered by the broker, yet the gateway never said so: it was dropped.
            self._looked, self._wait = 0, min(self._wait * 2, self._longest)
        self._mark, self._due = floor, now + self._wait
        return True


def _varint(value: int) -> int:
    """Bytes of a variable byte integer (MQTT 5.0, 1.5.5)."""
    return 1 if value < 128 else 2 if value < 16_384 else 3 if value < 2_097_152 else 4
