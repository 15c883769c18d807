"""What a reader is to the kiosk: Protocols and the values they report. Drivers stay thin."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from kiosk.wire.iso15693 import SystemInfo


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag in the field. ``uid``: upper-case hex, MSB first (of a UHF tag its TID); ``data``: user memory as read.

    ``afi`` and ``dsfid`` are None where the tag was not asked. ``epc``: of a UHF tag, protocol control word and UII.
    A tag that was inventoried but not read yet has neither ``data`` nor ``epc``.
    """

    uid: str
    afi: int | None = None
    dsfid: int | None = None
    data: bytes = field(default=b"", repr=False)  # of a patron's card, it names the patron
    epc: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Passage:
    """One sighting of one tag by a gate. ``direction``: in, out or unknown.

    ``uid`` is empty where the gate only felt an armed EAS bit (``eas``); ``afi`` is None where the gate asks for none.
    ``epc`` as in ``Tag``.
    """

    uid: str
    afi: int | None
    data: bytes = field(repr=False)
    antenna: int = 1
    direction: str = "unknown"
    epc: bytes = field(default=b"", repr=False)
    eas: bool = False


@dataclass(frozen=True, slots=True)
class People:
    """A gate's people counters as they stand in the gate; ``bits``: after so many they begin at 0 again."""

    entered: int
    left: int
    bits: int = 32


class Lock(StrEnum):
    """What can be locked on a tag, for ever."""

    AFI = "afi"
    DSFID = "dsfid"
    BLOCKS = "blocks"
    EAS = "eas"  # NXP: the EAS bit can then be changed only with its password


class Pad(Protocol):
    """A reader pad as a kiosk needs it. Methods raise DeviceLost when it is gone; one caller at a time.

    Every write is addressed by UID, tried by the ladder of ``kiosk.devices.ladder`` and read back from the same tag.
    """

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

    async def write_eas(self, uid: str, *, armed: bool) -> bool:
        """Switch the EAS bit of the addressed tag and prove it; False if that failed.

        ConfigError ``unsupported``: this reader or this kind of tag knows no EAS.
        """
        ...

    async def read_eas(self, uid: str) -> bool | None:
        """Whether the EAS bit is set; None if the tag does not answer. ConfigError as ``write_eas``."""
        ...

    async def close(self) -> None:
        """Release the line; safe to call twice."""
        ...


class Bench(Pad, Protocol):
    """A pad as the staff's tools need it: whole memories, read and written. ConfigError ``unsupported`` as above."""

    async def info(self, uid: str) -> SystemInfo | None:
        """What the tag says about itself (blocks, block size, AFI, DSFID); None if it does not answer."""
        ...

    async def read(self, uid: str, first: int, count: int) -> bytes | None:
        """``count`` blocks from block ``first``; b"" if the tag has not so many; None if it does not answer."""
        ...

    async def write(self, uid: str, first: int, data: bytes) -> bool:
        """Whole blocks from block ``first``, read back; False if any of them does not hold what was written."""
        ...

    async def write_dsfid(self, uid: str, dsfid: int) -> bool:
        """Write the DSFID and read it back."""
        ...

    async def lock(self, uid: str, what: Lock, *, first: int = 0, count: int = 0) -> bool:
        """Lock for ever; nothing undoes it. ``first`` and ``count`` are blocks, for ``Lock.BLOCKS``.

        Only ``kiosk.tagging`` calls it, after it was asked twice. True if the tag says that it is done.
        """
        ...


class Gate(Protocol):
    """A security gate. Methods raise DeviceLost when it is gone; one caller at a time."""

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        ...

    @property
    def reads(self) -> int:
        """Sightings that make sure of a tag: 1 where the gate itself tells each tag once a passage."""
        ...

    async def open(self) -> str:
        """Open and identify; returns the reader's version text."""
        ...

    async def passages(self) -> tuple[list[Passage], bool]:
        """What was seen since the last call; the flag says that the gate lost passages (buffer overflow)."""
        ...

    async def done(self) -> None:
        """What ``passages`` gave is safe with us: a gate with a buffer of its own keeps it until it hears of that."""
        ...

    async def near(self) -> list[Passage]:
        """Every tag in the field now, by its name; ``eas`` where the tag itself is armed so.

        For a gate that only felt an armed tag, or must look for one that says nothing by itself.
        """
        ...

    async def rest(self, seconds: float) -> None:
        """Wait so long before the next ``passages``, or until something came by itself."""
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
