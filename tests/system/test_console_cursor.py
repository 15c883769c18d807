"""The console's cursor: it stays with its thing, and a key is never taken for another one that came under it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable

from ops.console.app import Console
from tests.support.console_desk import shows, until, visit
from tests.support.console_stand import (
    EXECUTION,
    SILENCE,
    Recorded,
    device,
    incident,
)


@pytest.fixture
def stand() -> Iterator[Recorded]:
    with Recorded() as started:
        yield started


def test_from_the_overview_enter_goes_to_the_thing_itself(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await until(
            pilot,
            lambda: console.page.chosen == f"execution:{EXECUTION}#{SILENCE}",
            "it stands on top",
        )
        await pilot.press("down", "down")
        assert console.page.chosen == "incident:2"
        await pilot.press("enter")
        await until(pilot, lambda: console.page.chosen == "2", "incident 2")
        await shows(pilot, "$ mocban ops incidents show 2")
        await pilot.press("1", "up", "up", "up", "enter")
        await until(pilot, lambda: console.page.chosen == EXECUTION, "the execution")
        await pilot.press("3", "up")
        await until(pilot, lambda: console.page.chosen == "1", "incident 1")
        await pilot.press("p")
        await until(
            pilot,
            lambda: console.page.CALLED == "runbooks" and console.page.chosen == EXECUTION,
            "by p too",
        )
        await shows(pilot, "$ mocban runbook show d4eaba85")

    visit(scene, stand)


def test_the_cursor_stays_on_the_worst_until_somebody_moves_it_then_on_its_row(
    stand: Recorded,
) -> None:
    stand.incidents = [incident(1, severity="info")]
    stand.details, stand.executions, stand.devices = {}, [], []

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await until(pilot, lambda: console.page.chosen == "1", "the only one")
        stand.incidents.append(incident(2, "clone", "critical"))
        console.feed.poke()
        await until(pilot, lambda: console.page.chosen == "2", "the worst")
        await until(
            pilot,
            lambda: (console.feed.picture.incident or {}).get("incident", {}).get("no") == 2,
            "read in full",
        )
        await pilot.press("down")
        assert console.page.chosen == "1"
        stand.incidents.append(incident(3, "clone", "critical"))
        console.feed.poke()
        await until(pilot, lambda: console.page.query_one(DataTable).row_count == 3, "a third")
        assert console.page.chosen == "1"
        stand.incidents = stand.incidents[1:]
        console.feed.poke()
        await until(pilot, lambda: console.page.query_one(DataTable).row_count == 2, "it is gone")
        assert console.page.chosen in {"2", "3"}

    visit(scene, stand)


def test_a_key_meant_for_a_thing_that_has_just_gone_does_nothing_to_its_neighbour(
    stand: Recorded,
) -> None:
    stand.incidents = [incident(no, severity="minor") for no in (1, 2, 3)]
    gone: list[str] = []

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("3", "down")
        await until(pilot, lambda: console.page.chosen == "2", "the middle one")
        stand.incidents = [one for one in stand.incidents if one["no"] != 2]
        console.feed.poke()
        await until(pilot, lambda: console.page.chosen not in {"", "2"}, "another one is there")
        gone.append(console.page.chosen)
        console.do("ack")  # the key was on its way
        await shows(pilot, "xem lại dòng đang chọn rồi bấm lại")
        assert stand.posts == []
        await until(pilot, console.page.settled, "a person has had time to look")
        await pilot.press("a")
        await until(pilot, lambda: bool(stand.posts), "now it is meant")

    visit(scene, stand, me="lan")
    assert stand.posts == [(f"/api/v1/incidents/{gone[0]}/ack", {"by": "person:lan"})]


def test_a_key_meant_for_the_worst_is_not_taken_for_a_worse_one_that_has_just_come(
    stand: Recorded,
) -> None:
    stand.details, stand.executions, stand.devices = {}, [], []

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: console.page.chosen == "incident:1", "the worst")
        stand.incidents.append(incident(9, "clone", "critical"))
        console.feed.poke()
        await until(pilot, lambda: console.page.chosen == "incident:9", "a worse one")
        console.do("open")
        await shows(pilot, "xem lại dòng đang chọn rồi bấm lại")
        assert console.page.CALLED == "overview"
        await until(pilot, console.page.settled, "a person has had time to look")
        await pilot.press("enter")
        await until(pilot, lambda: console.page.CALLED == "incidents", "it goes")
        await until(pilot, lambda: console.page.chosen == "9", "to the one shown")

    visit(scene, stand)


def test_what_is_read_in_full_is_not_changed_for_another_one(stand: Recorded) -> None:
    stand.incidents = [incident(no, severity="minor") for no in (1, 2)]

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("3", "down", "enter")
        await until(pilot, lambda: not console.page.query_one(DataTable).display, "alone")
        assert console.page.chosen == "2"
        stand.incidents = [one for one in stand.incidents if one["no"] != 2]
        console.feed.poke()
        await shows(pilot, "Mục đang xem không còn trong danh sách.")
        assert console.page.query_one(DataTable).display

    visit(scene, stand)


def test_what_was_chosen_among_thousands_stays_chosen_when_many_go(stand: Recorded) -> None:
    stand.devices = [device(f"kiosk-{no:04}") for no in range(600)]

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        grid = console.page.query_one(DataTable)
        await until(pilot, lambda: grid.row_count == 600, "all of them")
        await pilot.press("ctrl+end")
        await until(pilot, lambda: console.page.chosen == "kiosk-0599/kiosk", "the last")
        stand.devices = stand.devices[100:]
        console.feed.poke()
        await until(pilot, lambda: grid.row_count == 500, "fewer")
        assert console.page.chosen == "kiosk-0599/kiosk"

    visit(scene, stand)
