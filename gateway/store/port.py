"""The store's port: what goes in (letters), what comes out (an outcome, and answers to readers).

One writer appends batches; ``append`` is one transaction, so facts, counters, dead letters and watermarks
are never seen apart. Readers may call from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, get_args

from mocban.errors import Permanent, RemoteFault
from mocban.events import AnyFact

DEAD_BYTES = 8192
"""How much of a dead letter's payload is kept."""

Measure = Literal["loans", "returns", "refused", "alarms", "people_in", "people_out"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


class Hour(NamedTuple):
    """One hour of a unit's local day: ISO date and 0..23."""

    day: str
    hour: int


class Key(NamedTuple):
    """What one counter counts."""

    day: str
    hour: int
    device: str
    measure: Measure


Counts = Mapping[Key, int]
Project = Callable[[Counts, AnyFact, str, Hour], Counts]
"""(counts so far, fact, device, local hour) -> counts; given to the store, which runs it inside ``append``."""


@dataclass(frozen=True, slots=True)
class Told:
    """A valid fact. ``device`` is its topic's; ``digest`` covers device, kind, kv and data, not the telling."""

    device: str
    epoch: str
    seq: int
    id: str
    kind: str
    kv: int
    ts: datetime
    rx: datetime
    digest: bytes
    payload: bytes
    fact: AnyFact
    hour: Hour


@dataclass(frozen=True, slots=True)
class Dead:
    """What cannot be a fact. With ``seq`` (and ``epoch``) it still moves the watermark; ``device`` may be empty."""

    device: str
    epoch: str
    seq: int | None
    topic: str
    reason: str
    rx: datetime
    payload: bytes


@dataclass(frozen=True, slots=True)
class Birth:
    """A device said that it is there, or its will said that it is gone."""

    device: str
    app: str
    online: bool
    epoch: str
    version: str
    rx: datetime


@dataclass(frozen=True, slots=True)
class Received:
    """A device's receipt of an order: it is journaled there and will be acted on."""

    device: str
    app: str
    order: str
    rx: datetime


Letter = Told | Dead | Birth | Received


@dataclass(frozen=True, slots=True)
class Watermark:
    """Everything of (device, epoch) from seq 1 to ``upto`` is stored; 0: nothing contiguous yet.

    ``chain``: the chain value after ``upto`` (``mocban.events.chain``) in hex, empty if it is not known.
    """

    device: str
    epoch: str
    upto: int
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one batch did. ``watermarks``: one for each (device, epoch) the batch touched, moved or not."""

    watermarks: tuple[Watermark, ...] = ()
    new: int = 0
    duplicate: int = 0
    dead: Mapping[str, int] = field(default_factory=dict)
    changed: bool = False
    """Something a reader can see is different now."""
    births: tuple[Birth, ...] = ()
    """States that came, changed or not; each also has a watermark among the above."""
    orders: tuple[str, ...] = ()
    """Ids of orders that were received or answered."""


@dataclass(frozen=True, slots=True)
class Revived:
    """What one page of dead letters became; ``last``: the number of the last one looked at, 0 if there was none."""

    tried: int = 0
    new: int = 0
    duplicate: int = 0
    still_dead: int = 0
    last: int = 0
    orders: tuple[str, ...] = ()


class CursorGone(RemoteFault, Permanent):
    """A reader's cursor means nothing here: it has to begin at 0 and drop by fact id what it has already."""

    code = "cursor-gone"


@dataclass(frozen=True, slots=True)
class StoredFact:
    """A committed fact; ``cursor`` grows in the order of commit."""

    cursor: int
    device: str
    epoch: str
    seq: int
    id: str
    kind: str
    kv: int
    ts: str
    rx: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class StoredDead:
    """A dead letter; ``size`` is the payload's true length, ``times`` how often it came."""

    no: int
    device: str
    epoch: str
    seq: int | None
    topic: str
    reason: str
    rx: str
    size: int
    times: int


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One app on one device: what it last said of itself, and the last fact of the device."""

    device: str
    app: str
    online: bool | None
    version: str
    since: str
    facts: int
    last_kind: str
    last_ts: str
    last_rx: str


class Readings(Protocol):
    """Questions to what is committed. Every method raises StorageError if the disk refuses."""

    def facts(self, after: int, limit: int) -> list[StoredFact]:
        """Up to ``limit`` facts with a cursor greater than ``after``, in order."""
        ...

    def place(self, cursor: str) -> int:
        """The number that ``cursor`` (``gen.n``, or ``n`` of the present generation) continues from, or CursorGone."""
        ...

    def cursor(self, n: int | None = None) -> str:
        """``gen.n`` of the present generation; without ``n``, of the last committed fact."""
        ...

    def newest(self, limit: int) -> list[StoredFact]:
        """The last ``limit`` facts, newest first."""
        ...

    def days(self, first: str, last: str) -> dict[str, dict[Measure, int]]:
        """Counters by local day (ISO) within [first, last]; days without facts are missing."""
        ...

    def hours(self, first: Hour, last: Hour) -> dict[Hour, dict[Measure, int]]:
        """Counters by local hour within [first, last]; hours without facts are missing."""
        ...

    def totals(self) -> dict[Measure, int]:
        """Counters over all days, every measure present."""
        ...

    def by_device(self, measure: Measure) -> dict[str, int]:
        """The counter ``measure`` over all days of each device that has one."""
        ...

    def devices(self) -> list[DeviceRow]:
        """Every app of every device that ever spoke, by name."""
        ...

    def dead(self, limit: int) -> list[StoredDead]:
        """The last ``limit`` dead letters, newest first."""
        ...

    def clones(self) -> dict[tuple[str, str], int]:
        """Other facts told at a place already taken, by (device, epoch)."""
        ...

    def tally(self) -> dict[str, int]:
        """How often it happened, ever: ``new``, ``duplicate``, ``dead:<reason>``, ``revived:<reason>``."""
        ...

    def lag(self) -> int:
        """How many sequence numbers are missing below the highest seen, over all epochs."""
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


Reread = Callable[[Dead], Letter | None]
"""A dead letter judged anew, by this release."""


class Store(Protocol):
    """The one writer. May be called from any thread; each call waits for its turn."""

    def append(self, batch: Sequence[Letter]) -> Outcome:
        """Store ``batch`` durably in one transaction, or raise StorageError and store nothing of it."""
        ...

    def revive(self, reread: Reread, limit: int, after: int = 0) -> Revived:
        """Judge up to ``limit`` dead letters with a number greater than ``after`` anew, in one transaction.

        What is a fact now leaves the dead and is stored at its place, with its arrival of then.
        """
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


def dead_by_reason(tally: Mapping[str, int]) -> dict[str, int]:
    """Of a tally, how many dead letters there ever were, by reason."""
    return _under("dead:", tally)


def revived_by_reason(tally: Mapping[str, int]) -> dict[str, int]:
    """Of a tally, how many of them became facts after all, by the reason they had died of."""
    return _under("revived:", tally)


def _under(prefix: str, tally: Mapping[str, int]) -> dict[str, int]:
    found = sorted((name, amount) for name, amount in tally.items() if name.startswith(prefix))
    return {name.removeprefix(prefix): amount for name, amount in found}
