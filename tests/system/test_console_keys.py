"""The console by its keys: asked once who one is, the palette, help, the filter, what one does to incidents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, OptionList

from ops.console.actions import ACTIONS
from ops.console.app import Console
from tests.support.console_desk import joined, lines, shows, until, visit, write
from tests.support.console_stand import (
    EXECUTION,
    Recorded,
    device,
)
from tests.support.gateway_stand import CLOCK


@pytest.fixture
def stand() -> Iterator[Recorded]:
    with Recorded() as started:
        yield started


def test_who_one_is_is_asked_once_and_nothing_is_done_without(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await until(pilot, lambda: bool(console.page.chosen), "an incident is chosen")
        await pilot.press("a")
        await shows(pilot, "Tên của bạn trong danh sách nhân viên")
        await pilot.press("escape")
        await shows(pilot, "Chỉ xem: chưa biết bạn là ai.")
        assert stand.posts == []
        await pilot.press("a", *"Lan Anh", "enter")
        await shows(pilot, "Tên chỉ có chữ thường")
        console.screen.query_one(Input).value = "lan"
        await pilot.press("enter")
        await shows(pilot, "Bạn nhận xử lý sự cố 1.")
        assert stand.posts == [("/api/v1/incidents/1/ack", {"by": "person:lan"})]
        assert "$ mocban ops incidents ack 1 --by lan" in joined(pilot)
        await pilot.press("down", "a")
        await until(pilot, lambda: len(stand.posts) == 2, "the second is not asked")
        assert stand.posts[1][0] == "/api/v1/incidents/2/ack"

    visit(scene, stand)


def test_a_note_is_sent_as_typed_and_never_read_as_markup(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await until(pilot, lambda: bool(console.page.chosen), "an incident is chosen")
        await pilot.press("n", "enter")
        await shows(pilot, "Hãy viết vài chữ.")
        console.screen.query_one(Input).value = "đã xem [red]cổng[/red] 'A'"
        await pilot.press("enter")
        await shows(pilot, "Đã ghi vào sự cố 1.")
        path, body = stand.posts[0]
        assert (path, body["by"], body["text"]) == (
            "/api/v1/incidents/1/note",
            "person:lan",
            "đã xem [red]cổng[/red] 'A'",
        )
        assert "[red]cổng[/red]" in joined(pilot)
        await pilot.press("R", "enter")
        await until(pilot, lambda: len(stand.posts) == 2, "resolved without a word")
        assert stand.posts[1] == ("/api/v1/incidents/1/resolve", {"by": "person:lan", "text": ""})

    visit(scene, stand, me="lan")


def test_the_palette_finds_without_diacritics_and_goes_there(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(console.focused, Input), "it is open")
        assert console.screen.query_one(OptionList).option_count == len(ACTIONS) - 1
        await write(pilot, "su co")
        await until(
            pilot,
            lambda: console.screen.query_one(OptionList).get_option_at_index(0).id == "incidents",
            "it found it",
        )
        await pilot.press("enter")
        await until(pilot, lambda: console.page.CALLED == "incidents", "it is there")
        await pilot.press("ctrl+p")
        await write(pilot, "chay thu")
        await pilot.press("enter")
        await shows(pilot, "Kịch bản nào?")
        await pilot.press("escape", "ctrl+p")
        await write(pilot, "zzzz")
        await shows(pilot, "Không có gì khớp")
        await pilot.press("enter", "escape")
        assert console.page.CALLED == "runbooks"

    visit(scene, stand)


async def read_through(console: Console, pilot: Pilot[None]) -> str:
    """Every line of the paper that lies open, page by page; each page is waited for."""
    paper = console.screen.query_one("#paper")
    await until(pilot, lambda: paper.max_scroll_y > 0, "there is more than one page")
    seen: set[str] = set()
    while True:
        page, at = lines(console), paper.scroll_y
        seen.update(" ".join(line.split()) for line in page)
        if at >= paper.max_scroll_y:
            return "\n".join(seen)
        await pilot.press("pagedown")

        def turned(page: list[str] = page, at: float = at) -> bool:
            return paper.scroll_y > at and lines(console) != page

        await until(pilot, turned, "the next page stands")


def test_help_names_every_key_and_the_same_by_command(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        for key in ("question_mark", "f1"):
            await pilot.press(key)
            await shows(pilot, "Trợ giúp: phím và lệnh tương đương")
            text = await read_through(console, pilot)
            assert "mocban ops incidents ack NO --by ME" in text
            for one in ACTIONS:
                assert one.sentence("vi") in text
            await pilot.press("escape")

    visit(scene, stand)


def test_devices_are_found_by_letters_and_shown_in_full(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, lambda: console.page.query_one(DataTable).row_count == 3, "all of them")
        assert "trực tuyến 2 · mất kết nối 1" in joined(pilot)  # nothing is asked for yet
        await pilot.press("slash", *"kho mat ket", "enter")
        await until(pilot, lambda: console.page.query_one(DataTable).row_count == 1, "one of them")
        await shows(pilot, "Lọc “kho mat ket”: 1 trong 3")
        await pilot.press("enter")
        await shows(pilot, "kho-2 (kiosk)")
        await shows(pilot, "Tin cuối: device-changed")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: console.page.query_one(DataTable).row_count == 3, "all again")

    visit(scene, stand)


def test_three_thousand_devices_come_in_parts_and_keys_are_heard(stand: Recorded) -> None:
    stand.devices = [device(f"kiosk-{n:04}", online=n % 97 != 0) for n in range(3000)]

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        grid = console.page.query_one(DataTable)
        await until(pilot, lambda: grid.row_count >= 200, "the first part")
        began = CLOCK.mono()
        await pilot.press("down", "down")
        assert grid.cursor_row == 2
        assert CLOCK.mono() - began < 3.0
        await until(pilot, lambda: grid.row_count == 3000, "all of them", 30)
        assert str(grid.get_row_at(0)[1]) == "kiosk-0000"
        assert str(grid.get_row_at(31)[1]) == "kiosk-0001"
        stand.devices[5] = device("kiosk-0005", online=False)
        console.feed.poke()
        await until(
            pilot, lambda: str(grid.get_row_at(1)[1]) == "kiosk-0005", "what is gone moves up"
        )
        assert grid.cursor_row == 3  # the cursor stays on its device
        await pilot.press("slash")
        await write(pilot, "2999")
        await until(pilot, lambda: grid.row_count == 1, "filtered")

    visit(scene, stand)


def test_opened_it_has_the_page_to_itself(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, lambda: bool(console.page.chosen), "it is there")
        await pilot.press("enter")
        await until(pilot, lambda: not console.page.query_one(DataTable).display, "alone")
        await shows(pilot, "Nhật ký")
        await pilot.press("escape")
        await until(pilot, lambda: console.page.query_one(DataTable).display, "the table is back")

    visit(scene, stand)


def test_a_dry_run_is_read_and_nothing_happens(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4", "d")
        await shows(pilot, "Kịch bản nào?")
        await pilot.press("enter", "enter")
        await shows(pilot, "Hãy viết vài chữ.")
        await write(pilot, "gate-1")
        await pilot.press("enter")
        await shows(pilot, "Chạy thử Cổng an ninh kêu liên tục: không gửi lệnh nào")
        assert "Lệnh: gate-1: gate set-mode mode=silent" in joined(pilot)
        assert "(cần 1 người duyệt)" in joined(pilot)
        await pilot.press("escape")
        assert stand.posts[0][1]["dry"] is True
        assert "$ mocban runbook run gate-storm --var __device__=gate-1 --dry-run" in joined(pilot)

    visit(scene, stand)


def test_an_execution_is_stopped_with_a_reason(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, lambda: bool(console.page.chosen), "it is there")
        await pilot.press("S", "escape")
        await shows(pilot, "Thôi, chưa làm gì.")
        await pilot.press("S")
        await write(pilot, "thu")
        await pilot.press("enter")
        await until(pilot, lambda: bool(stand.posts), "it is sent")
        assert stand.posts == [
            (f"/api/v1/executions/{EXECUTION}/stop", {"by": "minh", "reason": "thu"})
        ]
        await shows(pilot, "$ mocban runbook stop d4eaba85 --by minh --reason thu")

    visit(scene, stand, me="minh")


def test_a_second_playbook_for_one_incident_is_warned_of(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await until(pilot, lambda: bool(console.page.chosen), "an incident is chosen")
        await pilot.press("b", "enter")
        await shows(pilot, "Chú ý: sự cố này đang có một kịch bản chạy (phím p).")
        await pilot.press("enter")
        await until(pilot, lambda: bool(stand.posts), "it is meant")
        body = stand.posts[0][1]
        assert (body["playbook"], body["by"], body["incident"]) == ("gate-storm", "person:minh", 1)
        assert body["variables"] == {"__device__": "demo-gate-1"}
        assert len(body["id"]) == 36

    visit(scene, stand, me="minh")


def test_ctrl_c_says_how_to_leave(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+c")
        await shows(pilot, "q: Đóng màn hình này; mọi thứ vẫn chạy")

    visit(scene, stand)
