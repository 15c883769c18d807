"""``mocban runbook lint | list | sign`` as people type them, and the library that finds what they signed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mocban.access import Refusal
from ops.runbooks import cacao
from ops.runbooks.library import FILES_MAX, Library
from ops.runbooks.model import Playbook
from tests.support.papers import (
    DATA,
    LOOK,
    OPEN,
    SHIPPED,
    Body,
    key,
    right,
    spoilt,
    written,
)

SHIPPED_NAMES = ["gate-storm", "reader-lost"]


class Desk:
    """A machine with a configuration, and somebody who types."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.config = folder / "mocban.toml"
        self.pin()

    @property
    def playbooks(self) -> Path:
        return self.data / "ops" / "playbooks"

    def pin(self, *keys: str) -> None:
        self.config.write_text(
            f'data_dir = "{self.data}"\n[ops]\nplaybook_keys = {json.dumps(keys)}\n'
        )

    def typed(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mocban", "runbook", *words, "--config", str(self.config)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def __call__(self, *words: str) -> tuple[int, Body]:
        """Exit code, and the object on the last line."""
        done = self.typed(*words, "--json")
        assert done.stdout, done.stderr
        body = json.loads(done.stdout.splitlines()[-1])
        assert set(body) >= {"ok", "errors"} and body["ok"] is (done.returncode == 0)
        return done.returncode, body


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def read(name: str) -> Playbook:
    return cacao.parse((SHIPPED / f"{name}.json").read_bytes())


def codes(body: Body) -> list[str]:
    return [one["code"] for one in body["errors"]]


# lint


def test_lint_looks_at_all_there_is_and_at_what_is_named(desk: Desk, tmp_path: Path) -> None:
    code, body = desk("lint")
    assert code == 0 and [one["name"] for one in body["playbooks"]] == SHIPPED_NAMES
    assert [one["problems"] for one in body["playbooks"]] == [[], []]
    file = tmp_path / "mine.json"
    file.write_bytes(written(spoilt(lambda b: b["workflow"][LOOK].update(on_success=LOOK))))
    code, body = desk("lint", "gate-storm", str(file))
    assert code == 1 and codes(body) == ["loop"]
    assert body["errors"][0]["do"]
    assert [one["step"] for one in body["playbooks"][1]["problems"]] == [LOOK]


def test_lint_says_it_in_the_language_asked_for(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(written(spoilt(lambda b: b["workflow"][LOOK].update(on_success=LOOK))))
    said = desk.typed("lint", str(file), "--lang", "vi")
    assert said.returncode == 1 and "Bước “Look” quay lại chính nó" in said.stdout
    said = desk.typed("lint", "gate-storm", "--lang", "vi")
    assert said.returncode == 0 and "không có gì sai" in said.stdout


def test_lint_of_others_playbooks_warns_and_goes_on(desk: Desk) -> None:
    names = sorted(str(path) for path in DATA.glob("*.json"))
    code, body = desk("lint", *names)
    assert code == 1
    levels = {one["name"]: {p["level"] for p in one["problems"]} for one in body["playbooks"]}
    assert [name for name, found in levels.items() if "error" in found] == ["fin-playbook"]
    assert not any(one["runnable"] for one in body["playbooks"])


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "bad-json"), (b"\xff\xfe", "bad-json"), (b"{}", "form"), (b" " * (2**20 + 1), "too-long")],
)  # fmt: skip
def test_lint_of_what_is_no_playbook(desk: Desk, tmp_path: Path, data: bytes, code: str) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(data)
    assert desk("lint", str(file))[0] == 1
    assert code in codes(desk("lint", str(file))[1])


@pytest.mark.parametrize(
    ("lang", "head", "step", "end"),
    [
        ("vi", "Cổng an ninh kêu liên tục: bài tập", "✓ Bật tiếng cổng lại", "✓ Kết thúc: xong"),
        ("en", "The gate cries without end: its drill", "✓ Let the gate cry again", "✓ It ends: done"),
    ],
)  # fmt: skip
def test_a_drill_is_played_without_a_service(
    desk: Desk, lang: str, head: str, step: str, end: str
) -> None:
    done = desk.typed("run", "gate-storm", "--drill", "--lang", lang)
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[0].startswith(head), lines[-1]) == (0, True, end), done
    assert lines[-2].strip() == step
    code, body = desk("run", "gate-storm", "--drill")
    assert (code, body["ends"], body["errors"]) == (0, "done", [])
    assert [row["id"] for row in body["steps"]] == read("gate-storm").drill["path"]


def test_a_drill_that_goes_or_ends_otherwise_than_it_says_is_a_no(
    desk: Desk, tmp_path: Path
) -> None:
    def drill(**more: object) -> str:
        body = json.loads((SHIPPED / "gate-storm.json").read_bytes())
        (own,) = body["playbook_extensions"].values()
        own["drill"] = {**own["drill"], **more} if more else None
        file = tmp_path / "gate-storm.json"
        file.write_text(json.dumps(body))
        return str(file)

    answers = read("gate-storm").drill["answers"]
    first = next(iter(answers))
    failed = {**answers, first: [{"outcome": "failed"}]}
    for more in ({"ends": "failed"}, {"ends": "failed", "path": []}, {"path": [first]}):
        code, body = desk("run", drill(**more), "--drill")
        assert (code, codes(body)) == (1, ["drill-path"]), more
    done = desk.typed("run", drill(answers=failed, path=[]), "--drill", "--lang", "en")
    assert "✗ Let the gate test itself  (it failed)" in done.stdout
    code, body = desk("run", drill(), "--drill")
    assert (code, codes(body)) == (2, ["no-drill"])
    for word in (("--dry-run",), ("--var", "device=gate-1")):
        assert desk("run", "gate-storm", "--drill", *word)[0] == 2
    assert not (desk.data / "ops" / "ops.db").exists()


@pytest.mark.parametrize("name", ["nowhere.json", "./no/where", "no-such-name"])
def test_what_is_not_there_is_a_usage_error(desk: Desk, name: str) -> None:
    for verb in ("lint", "sign"):
        code, body = desk(verb, name)
        assert code == 2 and body["errors"][0]["do"]


# sign and list


def test_a_shipped_playbook_is_signed_pinned_and_runs(desk: Desk) -> None:
    code, body = desk("list")
    assert code == 0
    assert [(one["shipped"], one["runnable"]) for one in body["playbooks"]] == [(True, False)] * 2
    code, signed = desk("sign", "gate-storm", "--as", "Thư viện Hoa Lư")
    assert (code, signed["pinned"]) == (0, False)
    assert Path(signed["file"]) == desk.playbooks / "gate-storm.json"
    secret = desk.data / "ops" / "keys" / "playbook.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    found = {one["name"]: one for one in desk("list")[1]["playbooks"]}
    assert not found["gate-storm"]["runnable"] and not found["gate-storm"]["shipped"]
    desk.pin(signed["public"])
    found = {one["name"]: one for one in desk("list")[1]["playbooks"]}
    assert found["gate-storm"]["runnable"]
    assert found["gate-storm"]["signed_by"] == "Thư viện Hoa Lư"
    assert found["gate-storm"]["sha256"] == signed["sha256"]
    assert found["reader-lost"]["shipped"] and not found["reader-lost"]["runnable"]
    assert desk("sign", "gate-storm")[1]["pinned"] is True  # again, with the same key
    told = desk.typed("list", "--lang", "vi")
    assert "Cổng an ninh kêu liên tục  (chạy được, " in told.stdout
    assert "__device__" in told.stdout


def test_signing_says_which_key_to_pin(desk: Desk) -> None:
    said = desk.typed("sign", "reader-lost")
    public = desk("sign", "reader-lost")[1]["public"]
    assert said.returncode == 0 and f'playbook_keys = ["{public}"]' in said.stdout


def test_a_changed_playbook_does_not_run(desk: Desk) -> None:
    public = desk("sign", "gate-storm")[1]["public"]
    desk.pin(public)
    file = desk.playbooks / "gate-storm.json"
    file.write_text(file.read_text().replace("seconds=900", "seconds=86400"))
    code, body = desk("lint", "gate-storm")
    assert code == 1 and codes(body) == ["bad-signature"]
    assert not body["playbooks"][0]["runnable"]
    for name in ("gate-storm", str(file)):  # whoever signs it as it is should know
        code, body = desk("sign", name)
        assert code == 1 and codes(body) == ["bad-signature"]
        assert "--replace" in body["errors"][0]["do"]
    assert desk("sign", "gate-storm", "--replace")[0] == 0
    (found,) = desk("lint", "gate-storm")[1]["playbooks"]
    assert found["runnable"] and "seconds=86400" in file.read_text()


def test_a_wrong_playbook_is_not_signed(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    for body in (
        spoilt(lambda b: b["workflow"][OPEN].update(on_completion=LOOK)),
        spoilt(lambda b: b["workflow"][LOOK].update(commands=[{"type": "bash", "command": "x"}])),
    ):
        file.write_bytes(written(body))
        code, told = desk("sign", str(file))
        assert code == 1 and told["errors"]
        said = desk.typed("sign", str(file))
        assert said.returncode == 1 and "not signed" in said.stderr
    assert not desk.playbooks.exists()


def test_the_owners_work_is_not_written_over(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(written(right()))
    assert desk("sign", str(file))[0] == 0
    kept = (desk.playbooks / "mine.json").read_bytes()
    file.write_bytes(written({**right(), "name": "Other"}))
    code, body = desk("sign", str(file))
    assert code == 2 and codes(body) == ["exists"]
    assert (desk.playbooks / "mine.json").read_bytes() == kept
    assert desk("sign", str(file), "--replace")[0] == 0
    assert b"Other" in (desk.playbooks / "mine.json").read_bytes()
    # What lies there is signed where it lies, its own changes with it.
    mine = desk.playbooks / "mine.json"
    changed = json.loads(mine.read_text())
    changed.pop("signatures")
    mine.write_bytes(written({**changed, "name": "Mine"}))
    assert desk("sign", "mine")[0] == 0 and desk("sign", str(mine))[0] == 0
    assert json.loads(mine.read_text())["name"] == "Mine"
    assert sorted(path.name for path in desk.playbooks.iterdir()) == ["mine.json"]


def test_keys_that_are_none(desk: Desk, tmp_path: Path) -> None:
    wrong, open_to_all = tmp_path / "wrong.key", tmp_path / "open.key"
    wrong.write_text("bm8=")
    wrong.chmod(0o600)
    open_to_all.write_text("AAAA")
    open_to_all.chmod(0o644)
    for name in (wrong, open_to_all, tmp_path / "none.key"):
        code, body = desk("sign", "gate-storm", "--key", str(name))
        assert code == 2 and body["errors"][0]["do"], name
    assert not desk.playbooks.exists() and not (tmp_path / "none.key").exists()


def test_a_folder_that_cannot_be_written(desk: Desk) -> None:
    desk.data.mkdir()
    (desk.data / "ops").mkdir()
    desk.playbooks.write_text("in the way")
    code, body = desk("sign", "gate-storm")
    assert code == 2 and "cannot be" in body["errors"][0]["say"]
    code, body = desk("lint")
    assert code == 1 and codes(body) == ["unreadable"]
    assert [one["name"] for one in body["playbooks"][1:]] == SHIPPED_NAMES


# The library


def write(file: Path, body: Any) -> None:
    file.write_bytes(body if isinstance(body, bytes) else written(body))


def test_the_library_reads_anew_what_changed(tmp_path: Path) -> None:
    library = Library(tmp_path / "own", ())
    assert [one.stem for one in library.all()] == SHIPPED_NAMES
    (tmp_path / "own").mkdir()
    file = tmp_path / "own" / "mine.json"
    write(file, right())
    first = library.find("mine")
    assert first.playbook and library.find("mine") is first
    write(file, {**right(), "name": "Other"})
    second = library.find("Other")
    assert second.playbook and second.playbook.name == "Other"
    write(file, b"{")
    damaged = library.find("mine")
    assert damaged.playbook is None and [one.code for one in damaged.problems] == ["bad-json"]
    file.unlink()
    with pytest.raises(Refusal) as caught:
        library.find("mine")
    assert (caught.value.status, caught.value.code) == (404, "no-playbook")


def test_the_owners_playbook_stands_before_the_shipped_one(tmp_path: Path) -> None:
    shipped = (SHIPPED / "gate-storm.json").read_bytes()
    ident = json.loads(shipped)["id"]
    library = Library(tmp_path, ())
    assert library.find(ident).shipped
    write(tmp_path / "night.json", shipped)
    assert [one.stem for one in library.all()] == ["night", "reader-lost"]
    assert not library.find(ident).shipped
    write(
        tmp_path / "gate-storm.json", b""
    )  # a damaged one does not let the shipped one run in its place
    assert library.find("gate-storm").playbook is None


def test_of_two_versions_the_newest_is_meant(tmp_path: Path) -> None:
    write(tmp_path / "a.json", {**right(), "modified": "2026-11-26T08:00:00.000Z"})
    write(tmp_path / "b.json", right())
    write(tmp_path / "c.json", {**right(), "id": key("playbook", "c"), "name": "Third"})
    library = Library(tmp_path, ())
    assert library.find(right()["id"]).stem == "a"
    assert library.find("b").stem == "b"
    assert library.find("Third").stem == "c"


def test_whatever_lies_in_the_folder_is_told_and_nothing_hangs(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "folder.json").mkdir()
    (own / "loop.json").symlink_to(own / "loop.json")
    (own / "gone.json").symlink_to(own / "nothing")
    os.mkfifo(own / "pipe.json")
    write(own / "long.json", b" " * (cacao.BYTES_MAX + 1))
    write(own / "mine.json", right())
    write(own / "notes.txt", b"not looked at")
    found: list[Any] = []
    looking = threading.Thread(target=lambda: found.extend(Library(own, ()).all()), daemon=True)
    looking.start()
    looking.join(20)
    assert not looking.is_alive()
    wrong = {one.stem: [problem.code for problem in one.problems] for one in found if not one.playbook}  # fmt: skip
    assert wrong == {
        "folder": ["unreadable"], "gone": ["unreadable"], "loop": ["unreadable"], "pipe": ["unreadable"],
        "long": ["too-long"],
    }  # fmt: skip
    assert [one.stem for one in found if one.playbook] == ["mine", *SHIPPED_NAMES]
    for one in found:
        json.dumps(one.as_json())


def test_a_folder_of_too_many_says_so(tmp_path: Path) -> None:
    for number in range(FILES_MAX + 1):
        (tmp_path / f"{number:03}.json").touch()
    found = Library(tmp_path, ()).all()
    assert [one.problems[0].code for one in found if one.file == str(tmp_path)] == ["too-many"]


def test_looking_twice_opens_no_more_files(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    library = Library(tmp_path, ())
    library.all()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        library.all()
    assert len(os.listdir("/proc/self/fd")) == before
