"""restic's recorded words are read right, and what it ends with becomes one sentence."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backup import restic
from mocban.errors import Exit

DATA = Path(__file__).parents[1] / "data" / "restic"
REPOSITORY = Path("/srv/demo/repo")


def case(name: str) -> tuple[int, bytes, str]:
    """Exit status, stdout and stderr of a recorded call."""
    status = int((DATA / f"{name}.rc").read_text().removeprefix("rc="))
    return (
        status,
        (DATA / f"{name}.stdout").read_bytes(),
        (DATA / f"{name}.stderr").read_text(encoding="utf-8"),
    )


def test_a_backup_is_progress_and_one_summary() -> None:
    _, out, _ = case("backup")
    read = [restic.read_backup(line) for line in out.splitlines()]
    progress = [one for one in read if isinstance(one, restic.Progress)]
    assert len(progress) == len(read) - 1 > 5
    assert [one.bytes for one in progress] == sorted(one.bytes for one in progress)
    summary = read[-1]
    assert isinstance(summary, restic.Summary)
    assert summary.files == 403
    assert len(summary.snapshot) == 8


@pytest.mark.parametrize(
    "line",
    [
        b"", b"reading repository password from stdin", b"[1, 2]", b'{"message_type":"later"}',
        b'{"message_type":"summary"}', b'{"message_type":"summary","snapshot_id":"--to"}',
        b'{"message_type":"status","bytes_done":"many"}', b'{"message_type":"summary","snapshot_id":"abcd1234"}',
        b'{"message_type":"sta', b"\xff\xfe",
    ],
)  # fmt: skip
def test_what_is_no_message_of_a_backup_is_passed_over(line: bytes) -> None:
    assert restic.read_backup(line) is None


def test_snapshots_come_oldest_first_with_their_moment() -> None:
    _, out, _ = case("snapshots")
    found = restic.read_snapshots(out)
    assert found is not None
    assert len(found) == 5
    assert found[0].short == "06a80032"
    assert found[0].taken == datetime(2026, 11, 21, 23, 22, 0, 867877, UTC)
    assert (found[0].host, found[0].tags) == ("kiosk-01", ("drill",))
    assert [one.taken for one in found] == sorted(one.taken for one in found)
    assert restic.read_snapshots(b"null\n") == []
    assert restic.read_snapshots(b"[]") == []
    for wrong in (b"", b"Fatal: x", b'{"id": 1}', b'[{"id": "ab"}]', b"[1]"):
        assert restic.read_snapshots(wrong) is None


def test_the_files_of_a_snapshot_have_paths_kinds_and_sizes() -> None:
    _, out, _ = case("ls")
    found = restic.read_ls(out)
    assert found is not None
    assert restic.Node("/srv/demo/un/b/Sổ mượn.txt", "file", 19) in found
    assert found[0] == restic.Node("/srv", "dir", 0)
    assert restic.read_ls(b"what?\n") is None


@pytest.mark.parametrize(
    ("name", "code", "exit_"),
    [
        ("no-repository", "no-repository", Exit.USAGE),
        ("wrong-password", "wrong-password", Exit.USAGE),
        ("unknown-flag", "restic-unsuitable", Exit.USAGE),
        ("locked", "repository-locked", Exit.NO),
        ("config-damaged", "repository-damaged", Exit.OURS),
        ("index-damaged", "repository-damaged", Exit.OURS),
        ("pack-damaged", "repository-damaged", Exit.OURS),
        ("pack-missing", "repository-damaged", Exit.OURS),
        ("unreadable", "restic-failed", Exit.OURS),
        ("all-paths-missing", "restic-failed", Exit.OURS),
        ("no-password", "restic-failed", Exit.OURS),
    ],
)
def test_how_a_call_ended_is_one_sentence_that_says_what_to_do(
    name: str, code: str, exit_: Exit
) -> None:
    status, _, words = case(name)
    error = restic.fault(status, words, REPOSITORY)
    assert (error.code, error.exit) == (code, exit_)
    assert error.do
    assert "\n" not in error.say + error.do
    assert len(error.say) < 260
    assert "github.com" not in error.say, "a trace is no sentence"


def test_the_last_word_of_later_releases_is_read_out_of_its_object() -> None:
    words = '{"message_type":"exit_error","code":1,"message":"Fatal: the disk sings"}\n'
    assert "(the disk sings)" in restic.fault(1, words, REPOSITORY).say


def test_who_holds_the_lock_is_told() -> None:
    status, _, words = case("locked")
    assert "by process 5331 on vm" in restic.fault(status, words, REPOSITORY).say


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (10, "", "no-repository"),
        (11, "", "repository-locked"),
        (12, "", "wrong-password"),
        (1, "Fatal: open /r/data/x: permission denied", "repository-refused"),
        (1, "Save(<lock/1>) … open /r/locks/1: read-only file system", "repository-refused"),
        (1, "Fatal: write /r/data/tmp: no space left on device", "repository-full"),
        (1, "read /r/index/1: input/output error", "repository-damaged"),
        (1, "config file has zero size, invalid repository?\nmain.open\n\tgithub.com/x", "repository-damaged"),
        (130, "", "restic-failed"),
        (77, "something new", "restic-failed"),
        (0, "", "restic-failed"),
    ],
)  # fmt: skip
def test_newer_statuses_and_other_words_have_their_meaning_too(
    status: int, words: str, code: str
) -> None:
    assert restic.fault(status, words, REPOSITORY).code == code


def test_a_snapshot_that_cannot_be_read_is_counted_although_the_list_ends_well() -> None:
    status, out, words = case("snapshot-damaged")
    assert status == 0
    assert restic.broken_snapshots(words) == 1
    assert restic.broken_snapshots(case("snapshots")[2]) == 0
    assert len(restic.read_snapshots(out) or []) == 2


def test_waiting_for_a_pack_that_is_gone_is_hopeless() -> None:
    assert restic.hopeless(case("pack-missing")[2])
    for why in (
        "EOF",
        "unexpected EOF",
        "invalid data returned",
        "read /r/data/1: input/output error",
    ):
        assert restic.hopeless(f"Load(<data/1>, 5, 0) returned error, retrying after 1s: {why}")
    assert not restic.hopeless("Load(<data/1>, 5, 0) returned error, retrying after 1s: timeout")
    assert not restic.hopeless(case("no-repository")[2])


def test_the_release_is_read() -> None:
    assert restic.read_version(case("version")[1].decode()) == (0, 14, 0)
    assert restic.read_version("restic 0.18.1-dev compiled") == (0, 18, 1)
    assert restic.read_version("busybox 1.2.3") is None


def test_no_word_of_a_person_becomes_a_flag() -> None:
    for wrong in ("--target", "latest", "", "ABCD", "abc", "ab cd", "../etc", "f" * 65):
        with pytest.raises(ValueError):
            restic.dump(wrong)
        with pytest.raises(ValueError):
            restic.ls(wrong)
    argv = restic.backup("backup", "12ab", ["-rf.db"])
    assert argv[argv.index("--") + 1 :] == ["-rf.db"]
    assert "--force" in argv, "a damaged older snapshot must not keep a new one from being taken"


def test_reading_takes_no_lock() -> None:
    for argv in (restic.opened(), restic.snapshots(), restic.ls("abcd"), restic.dump("abcd")):
        assert "--no-lock" in argv
    assert "--no-lock" not in restic.backup("backup", "12ab", ["a.db"])


def test_the_repository_s_id_is_read() -> None:
    assert restic.read_config(json.dumps({"version": 2, "id": "90c6"}).encode()) == "90c6"
    assert not restic.read_config(b"[]")
