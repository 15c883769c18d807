"""The console's pages: every word of them whole in both languages on 80 columns, and what they show of a silence."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable

from mocban.clock import SystemClock
from ops.console.actions import ACTIONS, PAGES, on_page
from ops.console.app import Console
from ops.console.pages.page import keys
from ops.console.view import Eye
from tests.support.console_desk import joined, lines, shows, until, visit
from tests.support.console_stand import (
    Recorded,
    by_hand,
    device,
    execution,
    incident,
)
from tests.support.gateway_stand import CLOCK

NUMBER = {page: str(n) for n, page in enumerate(PAGES, 1)}
SIZES = [(80, 24), (160, 50)]
COLUMNS = {
    "overview": ("mark", "what", "state", "since"),
    "devices": ("state", "device", "app", "seen", "waiting", "version", "last"),
    "incidents": ("no", "mark", "what", "state", "since"),
    "runbooks": ("state", "playbook", "by", "incident", "since"),
}


@pytest.fixture
def stand() -> Iterator[Recorded]:
    with Recorded() as started:
        yield started


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("lang", ["vi", "en"])
@pytest.mark.parametrize("page", PAGES)
def test_every_word_of_a_page_is_whole(
    page: str, lang: str, size: tuple[int, int], stand: Recorded
) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        say = Eye(lang, CLOCK.now()).say
        await pilot.press(NUMBER[page])
        await until(
            pilot, lambda: bool(console.page.query_one(DataTable).row_count), "the table is filled"
        )
        await pilot.pause()
        seen = lines(console)
        assert len(seen) == size[1]
        assert all(len(line) <= size[0] for line in seen)
        for action in ACTIONS[:4]:
            assert f" {action.key} {action.name(lang)}" in seen[0]
        assert seen[0].endswith(f"minh · {say('age-fresh')}")
        headings = next(line for line in seen if line.startswith(say(f"col-{COLUMNS[page][0]}")))
        assert headings.split("  ")[0].strip()
        for name in COLUMNS[page]:
            assert re.search(rf"(^| ){re.escape(say(f'col-{name}'))}( |$)", headings), headings
        assert seen[-1] == keys(page, lang, size[0]).plain
        for action in on_page(page):
            if action.foot and len(action.pages) < len(PAGES):
                assert f"{action.shown_key} {action.name(lang)}" in seen[-1]
        # Only what the world names may be cut, in the one column that takes what is left.
        for line in seen:
            assert line.count("…") <= 1, line

    visit(scene, stand, lang=lang, me="minh", size=size)


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_state_words_of_every_kind_fit_their_columns(lang: str, stand: Recorded) -> None:
    from ops.console.words import WORDS

    stand.incidents = [
        incident(n, kind, severity, state, device="g")
        for n, (kind, severity, state) in enumerate(
            [("clone", "critical", "open"), ("gate-alarm", "major", "acked"), ("reader-lost", "minor", "resolved"),
             ("outbox-old", "info", "open")], 1000,
        )
    ]  # fmt: skip
    states = ["running", "waiting", "done", "failed", "stopped"]
    stand.executions = [
        {**execution(state), "id": f"e-{state}", "playbook": {"name": "P"}} for state in states
    ]
    needs = ["approval", "person", "word"]
    stand.executions += [
        {**execution(), "id": f"w-{need}", "playbook": {"name": "P"}} for need in needs
    ]
    stand.details = {
        f"w-{need}": {**by_hand(), "execution": {**execution(), "playbook": {"name": "P"}},
                      "steps": [{"id": "s", "name": "S", "state": "waiting", "waits": need, "began": "", "jobs": []}]}
        for need in needs
    }  # fmt: skip
    for state in states:
        stand.details[f"e-{state}"] = {
            "execution": execution(state),
            "steps": [],
            "asks": [],
            "log": [],
        }
    stand.devices = [device("a", online=None), device("b", online=False), device("c")]

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("3", "t")
        await until(
            pilot, lambda: console.page.query_one(DataTable).row_count == 4, "resolved ones too"
        )
        for page in PAGES:
            await pilot.press(NUMBER[page])
            await until(pilot, lambda: bool(console.page.query_one(DataTable).row_count), "filled")
            grid = console.page.query_one(DataTable)
            flexible = {"overview": 1, "devices": 1, "incidents": 2, "runbooks": 1}[page]
            for row in range(grid.row_count):
                for number, cell in enumerate(grid.get_row_at(row)):
                    assert number == flexible or "…" not in str(cell), (page, str(cell))

    visit(scene, stand, lang=lang, me="minh")
    assert WORDS


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_the_whole_console_changes_its_language(lang: str, stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        other = "en" if lang == "vi" else "vi"
        for page in ("incidents", "overview"):
            await pilot.press(NUMBER[page])
        await pilot.press("L")
        await shows(pilot, Eye(other, CLOCK.now()).say("overview"))
        await pilot.press("3")
        await shows(pilot, Eye(other, CLOCK.now()).say("col-what"))
        assert Eye(lang, CLOCK.now()).say("col-what") not in joined(pilot)

    visit(scene, stand, lang=lang)


def test_a_smaller_terminal_is_told_so_and_still_shows_the_worst(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await shows(pilot, "Cần ít nhất 80 cột và 24 dòng.")
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: "Cần ít nhất" not in joined(pilot), "it is gone")

    visit(scene, stand, size=(60, 20))


def test_nothing_known_is_not_shown_as_nothing_wrong() -> None:
    stand = Recorded()  # nobody listens

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await shows(pilot, "Dịch vụ vận hành không trả lời")
        assert "Sự cố mở chưa có dữ liệu" in joined(pilot)
        assert "Không có việc gì" not in joined(pilot)

    visit(scene, stand, heard=False)


class Later(SystemClock):
    """Some seconds after now."""

    ahead = 0.0

    def mono(self) -> float:
        return super().mono() + self.ahead


def test_when_operations_go_away_the_last_state_stays_and_says_its_age(stand: Recorded) -> None:
    clock = Later()

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await shows(pilot, "báo động liên tục")
        stand.stop()
        await shows(pilot, "Đây là số liệu cuối cùng; đang thử lại.")
        assert "báo động liên tục" in joined(pilot)
        clock.ahead = 60.0
        console.draw()
        await until(
            pilot, lambda: bool(re.search(r"dữ liệu 6\d giây trước", joined(pilot))), "its age"
        )
        await pilot.press("3", "a")
        await shows(pilot, "Không được: không ai trả lời; chưa chắc đã làm hay chưa")
        stand.incidents.append(incident(9, "clone", "critical", device="may-9"))
        stand.start()
        await shows(pilot, "may-9")
        await until(pilot, lambda: "đang thử lại" not in joined(pilot), "it is well again")

    visit(scene, stand, me="lan", clock=clock)


def test_the_bell_rings_once_for_what_is_new_and_waits(stand: Recorded) -> None:
    rung: list[float] = []

    class Ringing(Console):
        def bell(self) -> None:
            rung.append(CLOCK.mono())

    async def play() -> None:
        console = Ringing(stand.service, stand.service, "vi")
        async with console.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: bool(console.feed.picture.waiting), "it has looked")
            console.on_fresh()
            await pilot.pause()
            await until(pilot, lambda: console._rung is not None, "it knows what is not new")
            assert rung == []  # it was there before us
            stand.incidents.append(incident(9, "clone", "critical"))
            console.feed.poke()
            await until(pilot, lambda: bool(rung), "it rings")
            await until(pilot, lambda: len(console.feed.picture.incidents) == 3, "looked")
            console.feed.poke()
            await pilot.pause(0.8)
            assert len(rung) == 1

    asyncio.run(play())
