"""The console as a command, and on a real terminal."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from ops.console import feed as feeding
from ops.console.actions import ACTIONS
from ops.console.modals import UNSEEN
from tests.support.console_stand import (
    Recorded,
)
from tests.support.console_terminal import command, config, read, terminal
from tests.support.person import Person

Drawn = dict[str, tuple[int, bytes, bytes, int]]


@pytest.fixture
def stand() -> Iterator[Recorded]:
    with Recorded() as started:
        yield started


@pytest.fixture
def minh(tmp_path: Path) -> Person:
    return Person(tmp_path, "minh")


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
    pages = {"devices": "kho-2", "incidents": "máy in kẹt giấy", "runbooks": "Cổng an ninh"}
    with ThreadPoolExecutor() as several:
        asked = several.map(lambda page: command("--config", file, "--once", "--page", page), pages)
        for words, page in zip(pages.values(), asked, strict=True):
            assert words in page.stdout
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


LINES = {"colour": {}, "mono": {"NO_COLOR": "1"}, "linux": {"TERM": "linux"}}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """How often each line was drawn on in two rounds without news, and what a key then brought; all at once."""
    with Recorded() as stand, ExitStack() as stack:
        file = str(config(tmp_path_factory.mktemp("lines"), stand))
        found = {
            name: stack.enter_context(terminal("--config", file, **env))
            for name, env in LINES.items()
        }
        for line in found.values():
            line.until("Việc cần làm")
        read(found.values(), 1.5)
        for line in found.values():
            line.writes, line.said = 0, b""
        read(found.values(), 2 * feeding.EVERY + 0.5)
        rested = {name: (line.writes, line.said) for name, line in found.items()}
        for line in found.values():
            line.press(b"3")
        for line in found.values():
            line.until("Trạng thái")
        read(found.values(), 0.5)
        said = {name: line.said for name, line in found.items()}
        for line in found.values():
            line.press(b"q")
        return {name: (*rested[name], said[name], line.end()) for name, line in found.items()}


@pytest.mark.parametrize("name", LINES)
def test_on_a_slow_line_it_rests_and_needs_sixteen_colours_at_most(name: str, drawn: Drawn) -> None:
    writes, meanwhile, said, code = drawn[name]
    assert writes <= 2, meanwhile  # nothing new, nothing drawn
    colours = {
        part for found in re.findall(rb"\x1b\[([0-9;]*)m", said) for part in found.split(b";")
    }
    assert b"38" not in colours
    assert b"48" not in colours
    if name == "mono":
        assert colours <= {b"", b"0", b"1", b"2", b"4", b"7", b"39", b"49"}
    assert code == 0


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
        line.read(UNSEEN + 0.2)
        line.press(b"\r")
        line.until("passphrase")
        line.press(b"\x03")  # Ctrl-C: it is ssh-keygen that ends, and nothing was signed
        line.until("Chưa ký: bạn đã dừng lại")
        assert stand.posts == []
        line.press(b"y")
        line.until("enter ký và duyệt")
        line.read(UNSEEN + 0.2)
        line.press(b"\r")
        for _ in range(3):
            line.until("passphrase")
            line.press(b"secret\r")
        line.until("Đã duyệt: Tắt tiếng cổng 15 phút.")
        assert len(stand.posts) == 1
        line.press(b"q")
        assert line.end() == 0
