"""Bytes of a line -> frames: the one shape of every incremental framer.

A scanner looks at the start of the buffer and says Take (a whole frame), Wait (it may become one) or
Drop (it cannot be one). Dropping one byte and looking again is the resync rule; dropped bytes are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Take:
    """The first ``size`` bytes are a frame."""

    size: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Too early to tell."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The first byte begins no frame."""


Scan = Callable[[bytes], Take | Wait | Drop]


class Framer:
    """Collects bytes and gives frames. ``noise``: bytes dropped so far. Never holds more than ``cap`` bytes."""

    def __init__(self, scan: Scan, cap: int) -> None:
        self.noise = 0
        self._scan = scan
        self._cap = cap
        self._buffer = b""

    @property
    def partial(self) -> bool:
        """Whether bytes wait for more; the caller then owes an ``idle()`` after the inter-byte time."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Frames that are whole now. How ``data`` was split over calls makes no difference."""
        frames: list[bytes] = []
        while data or self._buffer:
            room = self._cap - len(self._buffer)
            self._buffer, data = self._buffer + data[:room], data[room:]
            frames += self._drain()
            if not data:
                break
            if len(self._buffer) >= self._cap:
                self._drop_one()
        return frames

    def idle(self) -> list[bytes]:
        """The line fell silent: what waited is no frame. A frame hidden behind a false start is still found."""
        frames: list[bytes] = []
        while self._buffer:
            self._drop_one()
            frames += self._drain()
        return frames

    def _drain(self) -> list[bytes]:
        frames: list[bytes] = []
        while self._buffer:
            verdict = self._scan(self._buffer)
            match verdict:
                case Take(size):
                    frames.append(self._buffer[:size])
                    self._buffer = self._buffer[size:]
                case Drop():
                    self._drop_one()
                case Wait():
                    break
        return frames

    def _drop_one(self) -> None:
        self._buffer = self._buffer[1:]
        self.noise += 1
