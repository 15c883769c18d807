"""Who is in a gate's field, as far as the world tells: people pass for a moment, mounted and forgotten tags stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from kiosk.emulators.field import Field, of_family
from kiosk.emulators.things import WorldPassage, WorldTag
from kiosk.emulators.uhf_field import UhfField, UhfTag
from kiosk.emulators.world import World

DWELL = 0.6
"""Seconds that somebody who walks is in the field: 0.9 m at 1.5 m/s."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A passage and when it was noticed, in the loop's time."""

    walk: WorldPassage
    at: float


class Passing:
    """Passages as they begin, and who is in the field now. ``look`` must be called to notice any."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._after = max((walk.no for walk in world.passages(0)), default=0)
        self._here: list[Pass] = []
        self.on_pass: Callable[[Pass], None] = lambda _: None
        """Hears of each at once."""

    def look(self) -> list[Pass]:
        """Who came in since the last look."""
        now = asyncio.get_running_loop().time()
        came = [Pass(walk, now) for walk in self._world.passages(self._after)]
        if came:
            self._after = came[-1].walk.no
        for one in came:
            self.on_pass(one)
        self._here = [one for one in self._here if now - one.at < DWELL] + came
        return came

    def crossing(self) -> Pass | None:
        """Who came in last, while they are there."""
        now = asyncio.get_running_loop().time()
        return next((one for one in reversed(self._here) if now - one.at < DWELL), None)

    def tags(self) -> list[WorldTag]:
        """Every tag in the field, as it was carried in, or as it is."""
        now = asyncio.get_running_loop().time()
        found = {tag.uid: tag for tag in self._world.tags("gate")}
        for one in self._here:
            if now - one.at < DWELL:
                found |= {tag.uid: tag for tag in one.walk.tags}
        return list(found.values())


class GateField(Field):
    """An HF gate's antenna."""

    def __init__(self, world: World, passing: Passing) -> None:
        super().__init__(world, "gate")
        self._passing = passing

    def present(self, afi: int | None = None) -> list[WorldTag]:
        return [tag for tag in self._passing.tags() if of_family(tag.afi, afi)]


class UhfGateField(UhfField):
    """A UHF gate's antenna."""

    def __init__(
        self, world: World, passing: Passing, *, epcs: dict[str, bytes] | None = None
    ) -> None:
        super().__init__(world, "gate", epcs=epcs)
        self._passing = passing

    def present(self) -> list[UhfTag]:
        return [self._of(tag) for tag in self._passing.tags()]
