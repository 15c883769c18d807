"""Every pad driver opposite its emulator: the table of both, and the fixture ``run`` of the suites of all pads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import pytest

from kiosk.devices import PADS, open_pad
from kiosk.devices.base import Bench, Pad, Tag
from kiosk.emulators import feig_pad as feig_emulator
from kiosk.emulators import m3_pad as m3_emulator
from kiosk.emulators import rr9_pad as rr9_emulator
from kiosk.emulators import uhf18_pad as uhf18_emulator
from kiosk.emulators.uhf_field import tid_of
from kiosk.emulators.world import World
from kiosk.wire.content import CardTag, ItemTag
from kiosk.wire.tag import decode
from tests.support.emulated import Emulator, demo, emulated
from tests.support.second_tier import ALL


@dataclass(frozen=True)
class Reader:
    """A driver's emulator, the query of its URL, one with the wrong speed, and what it has not.

    ``lacks``: eas, locks, eas-lock (the driver says that they are unsupported), hf (its tags are no ISO 15693 tags).
    ``name``: the UID of a tag of the world as this driver reports it.
    """

    main: Emulator
    right: str
    wrong: str
    lacks: frozenset[str] = frozenset()
    name: Callable[[str], str] = str


UHF = frozenset({"eas", "hf", "locks", "wide"})


def uhf_name(uid: str) -> str:
    """The TID of the tag with this UID."""
    return tid_of(uid).hex().upper()


EMULATORS = {
    "3m": Reader(m3_emulator.main, "baud=19200", "baud=9600", frozenset({"eas-lock"})),
    "feig": Reader(feig_emulator.main, "baud=38400&parity=E", "baud=9600&parity=E"),
    "rr9": Reader(rr9_emulator.main, "baud=19200", "baud=9600", frozenset({"eas"})),
    "uhf18": Reader(uhf18_emulator.main, "baud=57600", "baud=9600", UHF, uhf_name),
}
VARIANTS = {
    "3m, old firmware": (
        "3m",
        Reader(m3_emulator.old, "baud=19200", "baud=9600", frozenset({"eas-lock"})),
    ),
    "feig, advanced frames": (
        "feig",
        Reader(feig_emulator.main, "baud=38400&parity=E&frames=advanced", "baud=9600"),
    ),
    "feig, custom commands passed through": (
        "feig",
        Reader(feig_emulator.cpr, "baud=38400&parity=E", "baud=9600"),
    ),
    "uhf18, 288 series": (
        "uhf18",
        Reader(uhf18_emulator.main288, "baud=57600", "baud=9600", UHF, uhf_name),
    ),
}
"""Other readers of a driver."""
APART = {"auto", "none", "pcsc"}
"""auto and none have no reader of their own; the peer of pcsc needs Debian packages: the second tier runs these
scenarios over it (``tests/pcsc``)."""
DRIVERS = sorted(PADS.keys() - APART)
READERS = [*DRIVERS, *VARIANTS] if ALL else ["feig"]
"""Half a minute each, and most of it honest waiting: the fast tier runs one, the second tier all."""
ITEMS = {
    "lich-su": "11223344",
    "de-men": "BG00012345",
    "thoi-gian": "2935000003649",
    "dat-rung": "BG00054321",
    "sach-duc": "201123463",
}


@dataclass
class Branch:
    """A world, the emulated pad in it, and the driver under test."""

    world: World
    pad: Pad
    link: Path
    driver: str
    lacks: frozenset[str] = frozenset()
    name: Callable[[str], str] = str

    def url(self, query: str) -> str:
        return f"serial://{self.link}?{query}"

    def uid(self, name: str) -> str:
        """A tag's UID as the driver reports it."""
        return self.name(self.world.tag(name).uid)

    @property
    def bench(self) -> Bench:
        """The pad as the staff's tools use it."""
        return cast(Bench, self.pad)


Scenario = Callable[[Branch], Awaitable[None]]


class Run(Protocol):
    """Runs a scenario at a branch of ``seed``; skipped where the driver's tags are not of the kind it ``needs``."""

    def __call__(
        self, scenario: Scenario, seed: dict[str, Any] | None = None, needs: str = ""
    ) -> None: ...


@pytest.fixture(params=READERS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """A driver without emulator fails here, it is not skipped."""
    driver, reader = VARIANTS.get(request.param) or (request.param, EMULATORS[request.param])

    def start(scenario: Scenario, seed: dict[str, Any] | None = None, needs: str = "") -> None:
        if needs in reader.lacks:
            pytest.skip(f"the tags of {driver} are not {needs}")
        asyncio.run(_visit(driver, reader, tmp_path, scenario, seed))

    return start


async def _visit(
    driver: str, reader: Reader, folder: Path, scenario: Scenario, seed: dict[str, Any] | None
) -> None:
    link = folder / "usb-Some_Maker_Reader_0001-if00-port0"
    device = open_pad(driver, f"serial://{link}?{reader.right}")
    async with emulated(reader.main, link, device, seed or demo()) as (world, pad):
        await scenario(Branch(world, pad, link, driver, reader.lacks, reader.name))


def read_ids(tags: list[Tag]) -> dict[str, str]:
    """uid -> id of what lies there, card numbers too."""
    contents = {tag.uid: decode(tag.data, epc=tag.epc) for tag in tags}
    return {u: c.id for u, c in contents.items() if isinstance(c, ItemTag | CardTag)}
