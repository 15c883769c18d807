"""What the demo branch is made of: values, the faults to switch on, and the seed file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

Kind = Literal["item", "card"]
Place = Literal["shelf", "pad", "hand", "gate"]
Direction = Literal["in", "out"]

DEMO = Path(__file__).with_name("worlds") / "demo.toml"
"""The demo branch's seed."""

IN_STOCK = 0x07
"""AFI of an item that must not leave (ISO 28560-1 with ISO/IEC 15961)."""
ON_LOAN = 0xC2
"""AFI of an item that may leave."""

FAULTS = (
    "ils-down",
    "ils-silent",
    "network-down",
    "pad-unplugged",
    "pad-noise",
    "tag-leaves",
    "tag-mutters",
    "twins",
    "write-fails",
    "slow-ils",
)
"""Their values: "on", and of slow-ils the seconds an answer takes, of write-fails how many writes fail ("on": all),
of tag-leaves "before" (so "on") or "after" the next write, whereupon it is off again."""
PADS = {
    "feig": "kiosk.emulators.feig_pad",
    "3m": "kiosk.emulators.m3_pad",
    "rr9": "kiosk.emulators.rr9_pad",
    "uhf18": "kiosk.emulators.uhf18_pad",
    "pcsc": "kiosk.emulators.pcsc_pad",
}
"""The emulated pads, by the name of their driver: the room whose ``main`` is one."""
READERS = (*PADS, "none")
"""What the pad can be; none: there is no reader."""
COUNTERS = (
    "loans_in_ils",
    "returns_in_ils",
    "undone_in_ils",
    "tags_disarmed",
    "tags_armed",
    "siren_frames",
)
PLACES: tuple[Place, ...] = ("shelf", "pad", "hand", "gate")


@dataclass(frozen=True, slots=True)
class WorldTag:
    """One tag. ``uid``: 16 upper-case hex digits, MSB first; ``label``: words by language;
    ``data``: all its blocks. ``locks``: what is locked for ever, afi, dsfid, eas or a block's number.
    """

    uid: str
    name: str
    label: dict[str, str]
    kind: Kind
    afi: int
    dsfid: int
    data: bytes = field(repr=False)  # a card's data names its patron
    block_size: int
    place: Place
    eas: bool = False
    locks: frozenset[str] = frozenset()

    @property
    def blocks(self) -> int:
        """How many blocks it has."""
        return len(self.data) // self.block_size


@dataclass(frozen=True, slots=True)
class WorldPassage:
    """A person who walked through the gate, with ``tags`` as they were at that moment.
    ``cried``: the siren sounded before the next passage.
    """

    no: int
    direction: Direction
    tags: tuple[WorldTag, ...]
    cried: bool = False


@dataclass(frozen=True, slots=True)
class WorldPatron:
    """A reader as the library system knows them. Never logged, never shown: repr is empty."""

    card: str = field(repr=False)
    name: str = field(repr=False)
    blocked: bool
    limit: int


@dataclass(frozen=True, slots=True)
class WorldRecord:
    """An item as the library system knows it. ``on_hold_for``: a card, or "" when nobody waits."""

    item: str
    title: str
    author: str
    on_hold_for: str = field(repr=False)
    reference: bool


@dataclass(frozen=True, slots=True)
class WorldLoan:
    """An item on loan until ``due`` (RFC 3339)."""

    item: str
    card: str = field(repr=False)
    due: str


@dataclass(frozen=True, slots=True)
class Seed:
    """A whole branch at opening time."""

    tags: tuple[WorldTag, ...]
    records: tuple[WorldRecord, ...]
    patrons: tuple[WorldPatron, ...]
    loans: tuple[WorldLoan, ...]

    def rows(self) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
        """Table by table, the rows of ``worlds/schema.sql``."""
        yield (
            "tag",
            [(ord_, *map(_cell, row)) for ord_, row in enumerate(map(astuple, self.tags))],
        )
        yield "record", [astuple(record) for record in self.records]
        yield "patron", [astuple(patron) for patron in self.patrons]
        yield "loan", [astuple(loan) for loan in self.loans]


def read_seed(path: Path = DEMO) -> dict[str, Any]:
    """The parsed TOML of a seed file, the demo branch by default."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def check_seed(raw: dict[str, Any]) -> Seed:
    """``raw`` as values; ValueError or KeyError names what is wrong with it."""
    return Seed(
        tags=tuple(_tag(one) for one in raw.get("tag", [])),
        records=tuple(
            WorldRecord(
                one["item"],
                one["title"],
                one.get("author", ""),
                one.get("on_hold_for", ""),
                bool(one.get("reference", False)),
            )
            for one in raw.get("record", [])
        ),
        patrons=tuple(
            WorldPatron(
                one["card"], one["name"], bool(one.get("blocked", False)), int(one["limit"])
            )
            for one in raw.get("patron", [])
        ),
        loans=tuple(WorldLoan(one["item"], one["card"], one["due"]) for one in raw.get("loan", [])),
    )


def check_fault(name: str, value: str) -> str:
    """``value`` if fault ``name`` can have it ("" is off); ValueError says why not."""
    if name not in FAULTS:
        raise ValueError(f"no fault is called that; faults are {', '.join(FAULTS)}")
    if len(value) > 32:
        raise ValueError("a fault's value is at most 32 characters")
    if name == "tag-leaves" and value not in ("", "on", "before", "after"):
        raise ValueError("a tag leaves before or after a write")
    if name == "write-fails" and value not in ("", "on") and not _times(value):
        raise ValueError("write-fails is on, or takes a number from 1 to 999")
    if name == "slow-ils" and value:
        try:
            seconds = float(value)
        except ValueError:
            raise ValueError("slow-ils needs seconds per answer") from None
        if not 0 <= seconds <= 60:
            raise ValueError("slow-ils takes 0 to 60 seconds")
    return value


def _times(value: str) -> bool:
    return value.isascii() and value.isdigit() and 1 <= int(value) <= 999


def _cell(value: object) -> object:
    match value:
        case dict():
            return json.dumps(value)
        case frozenset():
            return " ".join(sorted(value))
        case _:
            return value


def _tag(raw: dict[str, Any]) -> WorldTag:
    name, size = str(raw["name"]), int(raw.get("block_size", 4))
    uid, kind, place = str(raw["uid"]).upper(), raw["kind"], raw.get("place", "shelf")
    if len(bytes.fromhex(uid)) != 8:
        raise ValueError(f"{name}: a UID is 8 bytes")
    if kind not in ("item", "card") or place not in PLACES:
        raise ValueError(f"{name}: kind or place unknown")
    room, data = int(raw["blocks"]) * size, bytes.fromhex(raw["data"])
    if len(data) > room or not 0 <= int(raw["afi"]) <= 255:
        raise ValueError(f"{name}: data does not fit its blocks, or AFI is not a byte")
    return WorldTag(
        uid=uid,
        name=name,
        label={str(lang): str(text) for lang, text in raw["label"].items()},
        kind=cast(Kind, kind),
        afi=int(raw["afi"]),
        dsfid=int(raw.get("dsfid", 0)),
        data=data.ljust(room, b"\0"),
        block_size=size,
        place=cast(Place, place),
        eas=bool(raw.get("eas", False)),
        locks=frozenset(str(what) for what in raw.get("locks", [])),
    )
