"""Everything one can do at the console, once: keys, palette, help and the commands of the shell come from here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding

from ops.console import incident_acts, moves, runbook_acts

if TYPE_CHECKING:
    from ops.console.app import Console

PAGES = ("overview", "devices", "incidents", "runbooks")
_EVERYWHERE = frozenset(PAGES)
_SHOWN = {"question_mark": "?", "slash": "/", "escape": "esc"}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do. ``key``: as Textual names it; ``more``: further keys.

    ``words``: Vietnamese, English; ``tells``: the same as a sentence. ``cli``: the same in the shell, with what it is
    about in braces. ``foot``: it stands in the line of keys.
    """

    id: str
    key: str
    words: tuple[str, str]
    tells: tuple[str, str]
    cli: str
    run: Callable[[Console], Awaitable[None]]
    pages: frozenset[str] = _EVERYWHERE
    more: tuple[str, ...] = ()
    foot: bool = True

    def name(self, lang: str) -> str:
        """Its name in a word or two."""
        return self.words[lang == "en"]

    def sentence(self, lang: str) -> str:
        """What it does."""
        return self.tells[lang == "en"]

    @property
    def shown_key(self) -> str:
        """The key as people read it."""
        return _SHOWN.get(self.key, self.key)

    @property
    def about(self) -> bool:
        """It is about the chosen thing."""
        return any(name in self.cli for name in ("{open}", "{no}", "{execution}"))

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key it has."""
        return (self.key, *self.more)


def _on(*pages: str) -> frozenset[str]:
    return frozenset(pages)


ACTIONS: tuple[Action, ...] = (
    Action(
        "overview", "1", ("Tổng quan", "Overview"),
        ("Việc cần làm và tình hình hôm nay", "What is to be done, and today"),
        "mocban ops console --once", moves.go("overview"), foot=False,
    ),
    Action(
        "devices", "2", ("Thiết bị", "Devices"),
        ("Mọi thiết bị, mất kết nối trước", "Every device, gone ones first"),
        "mocban ops console --once --page devices", moves.go("devices"), foot=False,
    ),
    Action(
        "incidents", "3", ("Sự cố", "Incidents"),
        ("Sự cố, nặng nhất trước", "Incidents, worst first"),
        "mocban ops incidents list", moves.go("incidents"), foot=False,
    ),
    Action(
        "runbooks", "4", ("Kịch bản", "Playbooks"),
        ("Các lần chạy kịch bản và điều chúng chờ", "Executions and what they wait for"),
        "mocban runbook runs", moves.go("runbooks"), foot=False,
    ),
    Action(
        "open", "enter", ("Xem", "Open"),
        ("Xem trọn dòng đang chọn; esc để thu lại", "The chosen line in full; esc goes back"),
        "{open}", moves.open_chosen,
    ),
    Action(
        "ack", "a", ("Nhận", "Take"),
        ("Nhận xử lý sự cố", "Say that you see to the incident"),
        "mocban ops incidents ack {no} --by {me}", incident_acts.ack, _on("incidents"),
    ),
    Action(
        "note", "n", ("Ghi", "Note"),
        ("Ghi chú vào sự cố", "Add a line to the incident"),
        "mocban ops incidents note {no} {text} --by {me}", incident_acts.note, _on("incidents"),
    ),
    Action(
        "resolve", "R", ("Đóng", "Resolve"),
        ("Sự cố đã xong", "Say that the incident is dealt with"),
        "mocban ops incidents resolve {no} {text} --by {me}", incident_acts.resolve, _on("incidents"),
    ),
    Action(
        "begin", "b", ("Bắt đầu", "Begin"),
        ("Bắt đầu một kịch bản cho sự cố", "Begin a playbook for the incident"),
        "mocban runbook run {playbook} {variables} --incident {no} --by person:{me}",
        runbook_acts.begin, _on("incidents"),
    ),
    Action(
        "follow", "p", ("Kịch bản", "Playbook"),
        ("Tới kịch bản đang chạy cho sự cố", "Go to the playbook that works on the incident"),
        "mocban runbook show {execution}", incident_acts.follow, _on("incidents"),
    ),
    Action(
        "resolved", "t", ("Đã xong", "Resolved"),
        ("Hiện hoặc ẩn sự cố đã xong", "Show or hide resolved incidents"),
        "mocban ops incidents list --state all", incident_acts.toggle_resolved, _on("incidents"),
    ),
    Action(
        "approve", "y", ("Duyệt", "Approve"),
        ("Duyệt bước đang chờ bằng khóa SSH của bạn", "Approve the waiting step with your SSH key"),
        "mocban runbook approve {execution} {step} --as {me} --key {key}", runbook_acts.approve, _on("runbooks"),
    ),
    Action(
        "deny", "x", ("Từ chối", "Deny"),
        ("Từ chối bước đang chờ, có lý do", "Deny the waiting step, with a reason"),
        "mocban runbook deny {execution} {step} --as {me} --reason {text}", runbook_acts.deny, _on("runbooks"),
    ),
    Action(
        "manual", "m", ("Làm tay", "By hand"),
        ("Báo bước làm tay: xong hay không được", "Say what became of a step done by hand"),
        "mocban runbook resume {execution} {step} {outcome} --by {me}", runbook_acts.manual, _on("runbooks"),
    ),
    Action(
        "dry", "d", ("Chạy thử", "Dry run"),
        ("Xem một kịch bản sẽ làm gì, không gửi lệnh nào", "See what a playbook would do; nothing is sent"),
        "mocban runbook run {playbook} {variables} --dry-run", runbook_acts.dry, _on("runbooks"),
    ),
    Action(
        "stop", "S", ("Dừng", "Stop"),
        ("Dừng lần chạy và hoàn tác việc đã làm", "Stop the execution; what was done is undone"),
        "mocban runbook stop {execution} --by {me} --reason {text}", runbook_acts.stop, _on("runbooks"),
    ),
    Action(
        "filter", "slash", ("Lọc", "Filter"),
        ("Chỉ hiện thiết bị có những chữ này", "Show only devices with these letters"),
        "mocban ops console --once --page devices", moves.filter_devices, _on("devices"),
    ),
    Action(
        "help", "question_mark", ("Trợ giúp", "Help"),
        ("Mọi phím và lệnh tương đương", "Every key and the same by command"),
        "mocban ops console --help-actions", moves.help_page, more=("f1",),
    ),
    Action(
        "quit", "q", ("Thoát", "Quit"),
        ("Đóng màn hình này; mọi thứ vẫn chạy", "Leave; everything goes on"),
        "", moves.leave, more=("ctrl+q",),
    ),
    Action(
        "language", "L", ("English", "Tiếng Việt"),
        ("Đổi sang tiếng Anh", "Change to Vietnamese"),
        "mocban ops console --lang {other}", moves.language,
    ),
    Action(
        "palette", "ctrl+p", ("Tìm việc", "Find"),
        ("Tìm việc theo tên, không cần dấu", "Find something to do by its name"),
        "mocban ops console --help-actions", moves.palette,
    ),
    Action(
        "back", "escape", ("Quay lại", "Back"),
        ("Thu gọn, bỏ lọc, xóa dòng thông báo", "Close, clear the filter and the message"),
        "", moves.back, foot=False,
    ),
    Action(
        "again", "r", ("Hỏi lại", "Look again"),
        ("Hỏi lại dữ liệu ngay", "Ask for data at once"),
        "mocban ops console --once", moves.again, foot=False,
    ),
    Action(
        "who", "W", ("Tôi là", "Who am I"),
        ("Nói bạn là ai, để nhận và duyệt", "Say who you are, to take and approve"),
        "mocban ops console --as {me}", moves.who, foot=False,
    ),
)  # fmt: skip
"""In the order of the line of keys."""

BY_ID = {one.id: one for one in ACTIONS}
PAGE_ACTIONS = tuple(BY_ID[name] for name in PAGES)


def on_page(page: str) -> list[Action]:
    """What can be done on that page."""
    return [one for one in ACTIONS if page in one.pages]


def bindings(page: str) -> list[Binding]:
    """The keys of a page."""
    return [
        Binding(",".join(one.keys), f"app.act('{one.id}')", one.name("en"), show=False)
        for one in on_page(page)
    ]
