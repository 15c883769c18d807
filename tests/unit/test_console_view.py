"""What the console makes of what the services tell: worst first, in words, read from what is signed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mocban import identity
from ops.console import fleet, sheet, signing, view
from ops.console.feed import Picture
from ops.console.grid import printable
from ops.console.view import Eye
from tests.support.console_stand import (
    EXECUTION,
    SILENCE,
    asking,
    by_hand,
    counts,
    device,
    execution,
    incident,
)

NOW = datetime(2026, 11, 25, 8, 5, tzinfo=UTC)
VI, EN = Eye("vi", NOW, "minh"), Eye("en", NOW, "minh")


def picture(detail: dict[str, Any] | None = None, **more: Any) -> Picture:
    known: dict[str, Any] = {
        "incidents": (incident(3, severity="minor"), incident(2, "clone", "critical"), incident(1)),
        "executions": (execution(),),
        "waiting": {EXECUTION: detail or asking()},
        "devices": (
            device("kiosk-1"),
            device("gate-1", "gate", online=False),
            device("kiosk-2", online=None),
        ),
        "counts": counts(),
    }
    return Picture(**{**known, **more})


def test_what_needs_a_person_stands_first_then_the_worst() -> None:
    rows = view.todo(picture(), VI)
    assert [row.key.split("#")[0] for row in rows] == [
        f"execution:{EXECUTION}", "incident:2", "incident:1", "incident:3", "device:gate-1/gate"
    ]  # fmt: skip
    assert rows[0].cells[2] == "chờ bạn duyệt"
    assert rows[1].cells[0] == "!! nguy cấp"
    assert rows[4].cells[2] == "mất kết nối"


def test_two_steps_of_one_execution_are_two_things_to_do() -> None:
    detail = by_hand()
    detail["steps"][1].update(state="waiting", waits="word")
    rows = view.todo(picture(detail), EN)
    assert len({row.key for row in rows}) == len(rows)
    assert [row.cells[2] for row in rows[:2]] == ["say the outcome", "by hand"]


@pytest.mark.parametrize(
    ("me", "by", "have", "word"),
    [
        ("", "app:ops", (), "chờ duyệt"),
        ("minh", "person:minh", (), "người khác duyệt"),
        ("minh", "person:lan", ("minh",), "người khác duyệt"),
        ("minh", "person:lan", ("an",), "chờ bạn duyệt"),
    ],
)
def test_whose_approval_is_awaited(me: str, by: str, have: tuple[str, ...], word: str) -> None:
    assert view.todo(picture(asking(by, have)), replace(VI, me=me))[0].cells[2] == word


def test_resolved_incidents_come_last_and_only_if_wanted() -> None:
    known = picture(
        incidents=(incident(5, "clone", "critical", "resolved"), incident(4, severity="info"))
    )
    assert [row.key for row in view.incidents(known, VI)] == ["4"]
    assert [row.key for row in view.incidents(known, VI, resolved=True)] == ["4", "5"]
    assert [row.key for row in view.todo(known, VI) if row.key.startswith("incident")] == [
        "incident:4"
    ]


def test_counts_in_words() -> None:
    assert view.severities(picture(), VI) == "3   !! nguy cấp 1   ! nặng 1   - nhẹ 1"
    assert view.waits(picture(), EN) == "to approve 1 · by hand 0 · under way 0"
    assert (
        fleet.presence(picture(), VI)
        == "trực tuyến 1 · mất kết nối 1 · chưa rõ 1 · lâu nhất 5 phút"
    )
    assert view.today(counts(), EN) == "loans 12 · returns 9 · refused 1 · alarms 4 · people in 80"
    assert view.today(None, EN) == "no data yet"


def test_the_fact_that_waits_longest_is_told_with_its_device() -> None:
    def told(*found: dict[str, Any]) -> str:
        return fleet.outboxes(picture(devices=found), VI)

    silent = device("a") | {"waiting": None}
    assert told() == told(silent) == "chưa có dữ liệu"
    assert told(silent, device("b")) == "không có tin nào"
    late = device("b") | {"waiting": 3, "oldest": "2026-11-25T07:55:00.000Z"}
    later = device("c") | {"waiting": 2, "oldest": "2026-11-25T05:05:00.000Z"}
    assert told(late, later) == "5 tin trên 2 thiết bị · cũ nhất 3 giờ (c)"
    assert told(device("b") | {"waiting": 1, "oldest": "?"}) == "1 tin trên 1 thiết bị"
    lines = [line for line, _ in fleet.sheet(late | {"mode": "open"}, picture(), VI)]
    assert "Chờ gửi: 3 · cũ nhất 10 phút" in lines
    assert "Chế độ: open" in lines


def test_devices_of_an_older_gateway_say_nothing_of_what_waits() -> None:
    old = {
        name: told
        for name, told in device("a").items()
        if name not in {"waiting", "oldest", "mode"}
    }
    assert fleet.rows(picture(devices=(old,)), VI)[0].cells[4] == ""
    assert fleet.rows(picture(devices=(device("a"),)), VI)[0].cells[4] == "0"
    assert not any("Chờ gửi" in line for line, _ in fleet.sheet(old, picture(), VI))


def test_bars_show_a_day_of_nothing_as_nothing() -> None:
    assert view.spark([0, 1, 4, 8]) == "·▁▄█"
    assert view.spark([0, 0]) == "··"
    assert view.spark([]) == ""
    assert view.bars(counts(), "loans", VI) == "Mượn 3 ngày ▅▇█ nhiều nhất 5"
    assert view.bars({"days": counts()["days"][:1]}, "loans", VI) == ""


def test_devices_gone_first_and_found_by_letters() -> None:
    rows = fleet.rows(picture(), VI)
    assert [row.key for row in rows] == ["gate-1/gate", "kiosk-2/kiosk", "kiosk-1/kiosk"]
    assert [row.key for row in fleet.rows(picture(), VI, "mat ket noi")] == ["gate-1/gate"]
    assert fleet.rows(picture(), VI, "xyz") == []


def test_the_question_is_put_in_words_made_of_what_is_signed() -> None:
    detail = asking()
    detail["asks"][0]["documents"][1]["body"]["args"]["seconds"] = 90_000
    text = "\n".join(line for line, _ in sheet.execution(detail, VI))
    assert "Lệnh: demo-gate-1/gate: set-mode mode=silent seconds=90000" in text
    assert "Hoàn tác: demo-gate-1/gate: set-mode mode=open" in text
    assert "Chưa ai duyệt. Cần 1 người." in text
    assert "Bấm y để duyệt" in text


def test_each_text_is_shown_to_the_letter_before_it_is_signed() -> None:
    detail = asking()
    text = "\n".join(
        line
        for line, _ in sheet.papers(detail, detail["steps"][2], detail["asks"][0], VI, "~/.ssh/id")
    )
    for one in detail["asks"][0]["documents"]:
        assert identity.canonical(one["body"]).decode() in text


def test_who_began_it_is_told_that_another_person_must_approve() -> None:
    text = "\n".join(line for line, _ in sheet.execution(asking("person:minh"), EN))
    assert "You began this playbook" in text
    assert "y approves" not in text


def test_steps_are_a_tree_with_a_mark_and_a_word_each() -> None:
    detail = by_hand()
    detail["steps"][3]["parent"] = "action--1"
    detail["steps"][2].update(state="failed", outcome="timeout", undone=True)
    text = [line for line, _ in sheet.steps(detail, EN)]
    assert text == [
        "✓ Let the gate test itself: done",
        "✗ Silence the gate for 15 minutes: failed, not in time, undone",
        "  ? Look for what disturbs the gate: a person is to do it",
    ]  # fmt: skip


def test_a_ring_of_parents_ends() -> None:
    detail = by_hand()
    detail["steps"][1]["parent"], detail["steps"][3]["parent"] = (
        detail["steps"][3]["id"],
        detail["steps"][1]["id"],
    )
    assert len(list(sheet.steps(detail, EN))) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda ask: ask["documents"][0].update(namespace="mocban-order"),
        lambda ask: ask["documents"][0]["body"].update(execution="another"),
        lambda ask: ask["documents"][0]["body"].update(step="another"),
        lambda ask: ask["documents"][0]["body"].update(playbook="0" * 64),
        lambda ask: ask["documents"][0]["body"].update(by="person:eve"),
        lambda ask: ask["documents"][0]["body"].update(v=2),
        lambda ask: ask["documents"][2].update(namespace="ssh"),
        lambda ask: ask["documents"][1]["body"]["args"].update(mode="closed"),
        lambda ask: ask["commands"].pop(),
        lambda ask: ask["commands"].append(
            {"type": "http-api", "command": "POST http://a/ HTTP/1.1"}
        ),
        lambda ask: ask.update(documents=[]),
        lambda ask: ask.pop("documents"),
    ],
)
def test_nothing_is_signed_but_this_step_and_orders(change: Any) -> None:
    detail = asking()
    ask = detail["asks"][0]
    assert ask["step"] == SILENCE
    assert signing.right(detail, ask)
    change(ask)
    assert not signing.right(detail, ask)


def test_a_newer_release_s_words_are_shown_by_their_names() -> None:
    odd = incident(9, "flood", "apocalyptic", "sleeping", title_key="flood")
    rows = view.incidents(Picture(incidents=(odd,)), VI)
    assert "flood" in rows[0].cells[2]
    assert "apocalyptic" in rows[0].cells[1]
    detail = {
        "incident": odd,
        "timeline": [
            {"no": 1, "at": "x", "actor": "app:ops", "what": "swum", "args": {"by": "fish"}}
        ],
    }
    assert "swum by=fish" in sheet.incident(detail, VI)[-1][0]
    assert (
        view.executions(Picture(executions=(execution("dreaming"),)), VI)[0]
        .cells[0]
        .endswith("dreaming")
    )


def test_nothing_on_the_screen_steers_the_terminal() -> None:
    assert printable("a\x1b[31mb\x9bc\x07d\u202ee") == "a [31mb c d e"
    assert printable("e\u0302\u0301") == "ế"
