"""The console by its keys: every page in both languages on 80 columns, and a night's work at real services."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, OptionList

from mocban import access
from ops.console import feed as feeding
from ops.console.actions import ACTIONS, PAGES, on_page
from ops.console.app import Console
from ops.console.pages.page import keys
from ops.console.view import Eye
from tests.support.console_stand import (
    EXECUTION,
    LOOK,
    SILENCE,
    Recorded,
    asking,
    at_desk,
    by_hand,
    device,
    execution,
    incident,
    lines,
    shows,
    until,
)
from tests.support.engine_stand import Obeying, Ops
from tests.support.gateway_stand import CLOCK, running_broker
from tests.support.gateway_stand import until as wait
from tests.support.orders_stand import Centre
from tests.support.person import Person

NUMBER = {page: str(n) for n, page in enumerate(PAGES, 1)}
SIZES = [(80, 24), (160, 50)]
COLUMNS = {
    "overview": ("mark", "what", "state", "since"),
    "devices": ("state", "device", "app", "seen", "version", "last"),
    "incidents": ("no", "mark", "what", "state", "since"),
    "runbooks": ("state", "playbook", "by", "incident", "since"),
}


@pytest.fixture
def stand() -> Iterator[Recorded]:
    with Recorded() as started:
        yield started


def visit(
    scene: Callable[[Console, Pilot[None]], Awaitable[None]], stand: Recorded, **how: Any
) -> None:
    """Play ``scene`` at a console before ``stand``."""

    async def play() -> None:
        async with at_desk(stand.service, stand.service, **how) as (console, pilot):
            await scene(console, pilot)

    asyncio.run(play())


def joined(pilot: Pilot[None]) -> str:
    return " ".join(" ".join(lines(pilot.app)).split())


# What stands there


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

    visit(scene, stand)


def test_when_operations_go_away_the_last_state_stays_and_says_its_age(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await shows(pilot, "báo động liên tục")
        stand.stop()
        await shows(pilot, "Đây là số liệu cuối cùng; đang thử lại.")
        assert "báo động liên tục" in joined(pilot)
        await until(
            pilot, lambda: bool(re.search(r"dữ liệu \d+ giây trước", joined(pilot))), "its age", 12
        )
        await pilot.press("3", "a")
        await shows(pilot, "Không được: không ai trả lời; chưa chắc đã làm hay chưa")
        stand.incidents.append(incident(9, "clone", "critical", device="may-9"))
        stand.start()
        await shows(pilot, "may-9")
        await until(pilot, lambda: "đang thử lại" not in joined(pilot), "it is well again")

    visit(scene, stand, me="lan")


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
            assert rung == []  # it was there before us
            stand.incidents.append(incident(9, "clone", "critical"))
            await until(pilot, lambda: bool(rung), "it rings")
            await until(pilot, lambda: len(console.feed.picture.incidents) == 3, "looked")
            console.feed.poke()
            await pilot.pause(0.8)
            assert len(rung) == 1

    asyncio.run(play())


# Keys


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
        await pilot.press(*"su co")
        await until(
            pilot,
            lambda: console.screen.query_one(OptionList).get_option_at_index(0).id == "incidents",
            "it found it",
        )
        await pilot.press("enter")
        await until(pilot, lambda: console.page.CALLED == "incidents", "it is there")
        await pilot.press("ctrl+p", *"chay thu", "enter")
        await shows(pilot, "Kịch bản nào?")
        await pilot.press("escape", "ctrl+p", *"zzzz")
        await shows(pilot, "Không có gì khớp")
        await pilot.press("enter", "escape")
        assert console.page.CALLED == "runbooks"

    visit(scene, stand)


def test_help_names_every_key_and_the_same_by_command(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        for key in ("question_mark", "f1"):
            await pilot.press(key)
            await shows(pilot, "Trợ giúp: phím và lệnh tương đương")
            seen: set[str] = set()
            for _ in range(12):
                seen.update(" ".join(line.split()) for line in lines(console))
                await pilot.press("pagedown")
            text = "\n".join(seen)
            assert "mocban ops incidents ack NO --by ME" in text
            for one in ACTIONS:
                assert one.sentence("vi") in text
            await pilot.press("escape")

    visit(scene, stand)


def test_devices_are_found_by_letters_and_shown_in_full(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        await until(pilot, lambda: console.page.query_one(DataTable).row_count == 3, "all of them")
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
        await pilot.press("slash", *"2999")
        await until(pilot, lambda: grid.row_count == 1, "filtered")

    visit(scene, stand)


def test_from_the_overview_enter_goes_to_the_thing_itself(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: console.page.chosen == "2", "incident 2")
        await shows(pilot, "$ mocban ops incidents show 2")
        await pilot.press("1", "up", "up", "up", "enter")
        await until(pilot, lambda: console.page.chosen == EXECUTION, "the execution")
        await pilot.press("3", "home", "up", "p")
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


# Approving, by hand, and what is refused


@pytest.fixture
def minh(tmp_path: Path) -> Person:
    return Person(tmp_path, "minh")


def test_what_is_shown_is_what_is_signed(stand: Recorded, minh: Person) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, lambda: bool(console.page.chosen), "it is there")
        await pilot.press("y")
        await shows(pilot, "Duyệt: bạn sẽ ký đúng những điều sau")
        assert "Lệnh: demo-gate-1/gate: set-mode mode=silent seconds=900" in joined(pilot)
        # Meanwhile the service asks for something else: not what was shown.
        later = asking()
        later["asks"][0]["documents"][1]["body"]["args"]["seconds"] = 86_400
        stand.details[EXECUTION] = later
        console.feed.poke()
        await until(pilot, lambda: console.feed.picture.detail(EXECUTION) == later, "it was read")
        await pilot.press("y", "y")  # a key held down does not confirm
        assert stand.posts == []
        await pilot.press("enter")
        await until(pilot, lambda: bool(stand.posts), "it is sent")

    visit(scene, stand, me="minh", key=str(minh.key))
    path, body = stand.posts[0]
    assert path == f"/api/v1/executions/{EXECUTION}/approve"
    assert (body["step"], body["by"], len(body["signatures"])) == (SILENCE, "minh", 3)
    from mocban import identity, sshsig

    for document, signature in zip(
        asking()["asks"][0]["documents"], body["signatures"], strict=True
    ):
        sshsig.verify(
            signature, identity.canonical(document["body"]), document["namespace"], minh.line
        )


def test_a_question_that_wants_something_else_signed_is_not_signed(
    stand: Recorded, minh: Person
) -> None:
    stand.details[EXECUTION]["asks"][0]["documents"][0]["body"]["step"] = LOOK

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, lambda: bool(console.page.chosen), "it is there")
        await pilot.press("y")
        await shows(pilot, "đừng ký, hãy kiểm tra dịch vụ")
        assert stand.posts == []

    visit(scene, stand, me="minh", key=str(minh.key))


def test_who_began_it_does_not_approve_it(stand: Recorded, minh: Person) -> None:
    stand.details[EXECUTION] = asking("person:minh")

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, lambda: bool(console.page.chosen), "it is there")
        await pilot.press("y")
        await until(
            pilot, lambda: console.told.startswith("Bạn đã bắt đầu kịch bản này"), "it says so"
        )
        assert stand.posts == []

    visit(scene, stand, me="minh", key=str(minh.key))


def test_a_key_that_does_not_sign_is_said_in_one_sentence(stand: Recorded, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("no key")

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, lambda: bool(console.page.chosen), "it is there")
        await pilot.press("y")
        await shows(pilot, "Tệp khóa SSH của bạn")
        console.screen.query_one(Input).value = str(tmp_path / "none")
        await pilot.press("enter")
        await shows(pilot, "Không có tệp")
        console.screen.query_one(Input).value = str(bad)
        await pilot.press("enter")
        await shows(pilot, "Duyệt: bạn sẽ ký")
        await pilot.press("enter")
        await until(pilot, lambda: console.told.startswith("Chưa ký: khóa"), "it says why")
        assert stand.posts == []
        await pilot.press("y")
        await shows(pilot, "Tệp khóa SSH của bạn")  # another one may be named

    visit(scene, stand, me="minh")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("own-approval", "Không được: "), ("expired", "Không được: "), ("already-decided", "Không được: "),
        ("too-many", "Không được: đang chạy quá nhiều kịch bản"),
        ("not-asked", "Không được: bước này không cần ai duyệt"),
        ("brand-new", "Không được: something else"),
    ],
)  # fmt: skip
def test_a_refusal_is_said_and_nothing_breaks(code: str, words: str, stand: Recorded) -> None:
    stand.no = (409, code, "something else")

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, lambda: bool(console.page.chosen), "it is there")
        await pilot.press("x", *"khong", "enter")
        await until(pilot, lambda: console.told.startswith(words), "it says why")
        assert stand.posts[0][1] == {"step": SILENCE, "by": "minh", "reason": "khong"}

    visit(scene, stand, me="minh")


def test_of_several_steps_one_is_chosen(stand: Recorded) -> None:
    found = by_hand()
    found["steps"][1].update(state="unknown", waits="word")
    stand.details[EXECUTION] = found

    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, lambda: bool(console.page.chosen), "it is there")
        await pilot.press("y")
        await until(
            pilot, lambda: console.told == "Ở đây không có gì chờ duyệt.", "nothing to approve"
        )
        await pilot.press("m")
        await shows(pilot, "Bước nào?")
        await pilot.press("enter")
        await shows(pilot, "Thử lại lần nữa")  # its outcome is not known
        await pilot.press("down", "down", "enter", *"xem", "enter")
        await until(pilot, lambda: bool(stand.posts), "it is sent")
        assert stand.posts[0][1] == {
            "step": "action--1",
            "by": "minh",
            "outcome": "retry",
            "reason": "xem",
        }

    visit(scene, stand, me="minh")


def test_a_dry_run_is_read_and_nothing_happens(stand: Recorded) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4", "d")
        await shows(pilot, "Kịch bản nào?")
        await pilot.press("enter", "enter")
        await shows(pilot, "Hãy viết vài chữ.")
        await pilot.press(*"gate-1", "enter")
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
        await pilot.press("S", *"thu", "enter")
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


# A night's work at real services


def test_a_gate_storm_from_the_report_to_the_undone_silence_by_keys_only(tmp_path: Path) -> None:
    staff = [Person(tmp_path, name) for name in ("boss", "minh")]
    with (
        running_broker("iotcore", tmp_path) as broker,
        Centre(tmp_path, broker.url, *staff) as gateway,
        Obeying(broker.url, gateway.public) as gate,
    ):
        wait(lambda: gateway.knows("gate-1"), "the gate is known")
        with Ops(tmp_path, gateway.url, broker.url, *staff) as ops:
            ops.put("gate-storm")
            report = {
                "by": "person:boss",
                "say": "cổng kêu mãi",
                "device": "gate-1",
                "kind": "gate-storm",
            }
            ops.api.post("/api/v1/reports", report)
            asyncio.run(_night(ops, gateway, gate, staff))


async def _night(ops: Ops, gateway: Centre, gate: Obeying, staff: list[Person]) -> None:
    from mocban.asking import Service

    reading = Service("gateway", gateway.url, lambda: "")
    boss, minh = staff
    async with at_desk(ops.api, reading, "vi", boss.name) as (console, pilot):
        await pilot.press("2")
        await shows(pilot, "gate-1")
        await pilot.press("3")
        await until(pilot, lambda: console.page.chosen == "1", "the incident")
        await pilot.press("a")
        await shows(pilot, "Bạn nhận xử lý sự cố 1.")
        await pilot.press("b")
        await shows(pilot, "Cổng an ninh kêu liên tục đã ký: boss")
        await pilot.press("enter")
        await until(pilot, lambda: bool(console.screen.query(Input)), "it asks for values")
        await until(
            pilot, lambda: console.screen.query_one(Input).value == "gate-1", "and knows the gate"
        )
        await pilot.press("enter")
        await shows(pilot, "Bạn đã bắt đầu kịch bản này: người khác phải duyệt.")
        assert gate.modes() == []
    async with at_desk(ops.api, reading, "vi", minh.name, str(minh.key)) as (console, pilot):
        await shows(pilot, "chờ bạn duyệt")
        await pilot.press("enter")
        await shows(pilot, "Lệnh: gate-1/gate: set-mode mode=silent seconds=900")
        await pilot.press("y")
        await shows(pilot, "enter ký và duyệt")
        await pilot.press("enter")
        await until(pilot, lambda: gate.modes() == ["silent"], "the gate is silent")
        await shows(pilot, "CHỜ NGƯỜI LÀM: Ra cổng xem vật gây nhiễu")
        await pilot.press("m", "enter", *"xe day sach", "enter")
        await until(pilot, lambda: gate.modes() == ["silent", "open"], "it guards again")
        await shows(pilot, "✓ Tắt tiếng cổng 15 phút: xong, đã hoàn tác")
        await pilot.press("3", "R", *"xe day sach", "enter")
        await shows(pilot, "Sự cố 1 đã xong.")
        await pilot.press("1")
        await shows(pilot, "Không có việc gì cần làm.")


# The command, and a real terminal


def config(folder: Path, stand: Recorded) -> Path:
    access.token(folder, "ops")
    file = folder / "mocban.toml"
    file.write_text(
        f'data_dir = "{folder}"\n[ops]\nport = {stand.port}\ngateway_url = "{stand.url}"\n', encoding="utf-8"
    )  # fmt: skip
    return file


def command(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mocban", "ops", "console", *words], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, check=False, env={**os.environ, "MOCBAN_LANG": "vi", **env},
    )  # fmt: skip


def test_without_a_terminal_it_says_what_to_do(tmp_path: Path, stand: Recorded) -> None:
    done = command("--config", str(config(tmp_path, stand)))
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "mocban: the console needs a terminal: run it in one, or print a page with --once.\n"
    )


def test_a_page_as_plain_text_for_pipes_and_ears(tmp_path: Path, stand: Recorded) -> None:
    file = str(config(tmp_path, stand))
    done = command("--config", file, "--once", "--as", "minh")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Sự cố mở: 2   ! nặng 1   - nhẹ 1" in done.stdout
    assert "Cổng demo-gate-1 báo động liên tục: nhiều khả năng cổng bị lỗi" in done.stdout
    assert "chờ bạn duyệt" in done.stdout
    assert "\x1b" not in done.stdout
    for page, words in (
        ("devices", "kho-2"),
        ("incidents", "máy in kẹt giấy"),
        ("runbooks", "Cổng an ninh"),
    ):
        assert words in command("--config", file, "--once", "--page", page).stdout
    as_json = json.loads(command("--config", file, "--json").stdout.splitlines()[-1])
    assert (as_json["ok"], len(as_json["incidents"]), as_json["errors"]) == (True, 2, [])
    stand.stop()
    gone = command("--config", file, "--once")
    assert gone.returncode == 4
    assert gone.stdout == ""
    assert gone.stderr.startswith("mocban: Dịch vụ vận hành không trả lời.")
    assert json.loads(command("--config", file, "--json").stdout.splitlines()[-1])["ok"] is False


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--lang", "fr"], "there is no language fr"), (["--page", "x"], "there is no page x"),
        (["--as", "Lê Lan"], "Lê Lan is no name"), (["--key", "/nowhere/key"], "there is no key /nowhere/key"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_said(
    words: list[str], what: str, tmp_path: Path, stand: Recorded
) -> None:
    done = command("--config", str(config(tmp_path, stand)), *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"mocban: {what}")
    assert done.stderr.count("\n") == 1


def test_every_action_is_listed_with_its_command() -> None:
    said = command("--help-actions").stdout
    told = json.loads(command("--help-actions", "--json").stdout.splitlines()[-1])["actions"]
    assert [one["id"] for one in told] == [one.id for one in ACTIONS]
    for one in told:
        assert one["vi"] in said
        assert all(each in said for each in one["commands"])


class Terminal:
    """A console in a process of its own on a pseudo-terminal. ``writes``: how often it drew."""

    def __init__(self, argv: list[str], **env: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            surround = {"TERM": "xterm", "MOCBAN_LANG": "vi", "LANG": "C.UTF-8", **env}
            os.execve(sys.executable, [sys.executable, *argv], {**os.environ, **surround})
        ioctl(self.fd, termios.TIOCSWINSZ, pack("HHHH", 24, 80, 0, 0))
        self.said = b""
        self.writes = 0

    def read(self, seconds: float) -> None:
        end = CLOCK.mono() + seconds
        while (left := end - CLOCK.mono()) > 0:
            if select.select([self.fd], [], [], min(left, 0.05))[0]:
                try:
                    self.said += os.read(self.fd, 65_536)
                except OSError:
                    return
                self.writes += 1

    def until(self, text: str, deadline: float = 30.0) -> None:
        end = CLOCK.mono() + deadline
        while text.encode() not in self.said:
            assert CLOCK.mono() < end, (
                f"{text} was never drawn:\n{self.said.decode(errors='replace')[-3000:]}"
            )
            self.read(0.05)

    def press(self, keys: bytes) -> None:
        self.said = b""
        os.write(self.fd, keys)

    def end(self) -> int:
        end = CLOCK.mono() + 15
        while CLOCK.mono() < end:
            self.read(0.05)
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("it does not end")


@contextmanager
def terminal(*words: str, **env: str) -> Iterator[Terminal]:
    started = Terminal(["-m", "mocban", "ops", "console", *words], **env)
    try:
        yield started
    finally:
        os.close(started.fd)


@pytest.mark.parametrize(
    "env", [{}, {"NO_COLOR": "1"}, {"TERM": "linux"}], ids=["colour", "mono", "linux"]
)
def test_on_a_slow_line_it_rests_and_needs_sixteen_colours_at_most(
    env: dict[str, str], tmp_path: Path, stand: Recorded
) -> None:
    with terminal("--config", str(config(tmp_path, stand)), **env) as line:
        line.until("Việc cần làm")
        line.read(1.5)
        line.writes, line.said = 0, b""
        line.read(2 * feeding.EVERY + 0.5)
        assert line.writes <= 2, line.said  # nothing new, nothing drawn
        line.press(b"3")
        line.until("Trạng thái")
        line.read(0.5)
        colours = {
            part
            for code in re.findall(rb"\x1b\[([0-9;]*)m", line.said)
            for part in code.split(b";")
        }
        assert b"38" not in colours
        assert b"48" not in colours
        if "NO_COLOR" in env:
            assert colours <= {b"", b"0", b"1", b"2", b"4", b"7", b"39", b"49"}
        line.press(b"q")
        assert line.end() == 0


def test_ssh_keygen_gets_the_terminal_for_its_passphrase(
    tmp_path: Path, stand: Recorded, minh: Person
) -> None:
    locked = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(minh.key)]
    subprocess.run(locked, check=True, stdout=subprocess.DEVNULL)
    words = ["--config", str(config(tmp_path, stand)), "--as", "minh", "--key", str(minh.key)]
    with terminal(*words, SSH_AUTH_SOCK="", SSH_ASKPASS_REQUIRE="never") as line:
        line.until("Việc cần làm")
        line.press(b"4")
        line.until("CHỜ DUYỆT")
        line.press(b"y")
        line.until("enter ký và duyệt")
        line.press(b"\r")
        line.until("passphrase")
        line.press(b"\x03")  # Ctrl-C: it is ssh-keygen that ends, and nothing was signed
        line.until("Chưa ký: bạn đã dừng lại")
        assert stand.posts == []
        line.press(b"y")
        line.until("enter ký và duyệt")
        line.press(b"\r")
        for _ in range(3):
            line.until("passphrase")
            line.press(b"secret\r")
        line.until("Đã duyệt: Tắt tiếng cổng 15 phút.")
        assert len(stand.posts) == 1
        line.press(b"q")
        assert line.end() == 0
