"""Approving at the console, work done by hand, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from ops.console.app import Console
from ops.console.modals import Read
from tests.support.console_desk import agree, joined, shows, until, visit, write
from tests.support.console_stand import (
    EXECUTION,
    LOOK,
    SILENCE,
    Recorded,
    asking,
    by_hand,
)
from tests.support.person import Person


@pytest.fixture
def stand() -> Iterator[Recorded]:
    with Recorded() as started:
        yield started


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
        await agree(pilot)
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


def test_an_enter_typed_before_the_text_stands_there_signs_nothing(
    stand: Recorded, minh: Person
) -> None:
    async def scene(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        await until(pilot, lambda: bool(console.page.chosen), "it is there")
        console.do("approve")
        await until(pilot, lambda: isinstance(console.screen, Read), "the text comes")
        paper = console.screen
        assert isinstance(paper, Read)
        paper.action_agree()  # an enter that was on its way
        assert console.screen is paper
        await agree(pilot)
        await until(pilot, lambda: bool(stand.posts), "it is meant")

    visit(scene, stand, me="minh", key=str(minh.key))


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
        await agree(pilot)
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
        await pilot.press("x")
        await write(pilot, "khong")
        await pilot.press("enter")
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
        await pilot.press("down", "down", "enter")
        await shows(pilot, "Nói thêm (có thể để trống)")
        await write(pilot, "xem")
        await pilot.press("enter")
        await until(pilot, lambda: bool(stand.posts), "it is sent")
        assert stand.posts[0][1] == {
            "step": "action--1",
            "by": "minh",
            "outcome": "retry",
            "reason": "xem",
        }

    visit(scene, stand, me="minh")
