"""What a reader is to the kiosk: Protocols and the values they report. Drivers stay thin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag in the field. ``uid``: upper-case hex, MSB first. ``data``: user memory as read, from block 0.

    ``data`` is empty while the tag has been inventoried but not yet read.
    """

    uid: str
    afi: int | None = None
    dsfid: int | None = None
    data: bytes = field(default=b"", repr=False)  # of a patron's card, it names the patron


@dataclass(frozen=True, slots=True)
class Passage:
    """One tag seen by a gate. ``direction``: in, out or unknown."""

    uid: str
    afi: int | None
    data: bytes = field(repr=False)
    antenna: int = 1
    direction: str = "unknown"


@dataclass(frozen=True, slots=True)
class People:
    """A gate's people counters, monotonic until the gate is reset."""

    entered: int
    left: int


class Pad(Protocol):
    """A reader pad. Methods raise DeviceLost when it is gone; one caller at a time."""

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        ...

    async def open(self) -> str:
        """Open and identify; returns the reader's version text."""
        ...

    async def tags(self) -> list[Tag]:
        """One inventory round: every tag in the field, those not read before read and kept in a cache by uid."""
        ...

    async def write_afi(self, uid: str, afi: int) -> bool:
        """Write the AFI of the addressed tag and read it back; False if the tag did not answer or does not hold it."""
        ...

    async def read_afi(self, uid: str) -> int | None:
        """The tag's AFI now; None if it does not answer."""
        ...

    async def close(self) -> None:
        """Release the line; safe to call twice."""
        ...


class Gate(Protocol):
    """A security gate with buffered reads."""

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        ...

    async def open(self) -> str:
        """Open and identify; returns the reader's version text."""
        ...

    async def passages(self) -> tuple[list[Passage], bool]:
        """Read and clear the buffer; the flag says that the gate lost passages (buffer overflow)."""
        ...

    async def people(self) -> People | None:
        """The people counters, or None if the gate has none."""
        ...

    async def cry(self, seconds: float) -> None:
        """Siren and lamp for ``seconds`` by timed output: it ends by itself even if we die."""
        ...

    async def close(self) -> None:
        """Release the line; safe to call twice."""
        ...
