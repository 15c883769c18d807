"""The undo file: what stands in it before a tag is written, and what becomes of it when the computer stops."""

from __future__ import annotations

import json
import resource
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.tagging import book
from kiosk.tagging.book import Book, Entry, Mark
from kiosk.tagging.memory import Held
from mocban.clock import SetClock
from mocban.errors import ConfigError, StorageError

UID = "E0040100000000AA"
OLD, NEW = Held(bytes(range(16)), 0xD7, 0), Held(bytes(16), 0x07, 6, eas=True)


def begin(path: Path, uid: str = UID, *marks: Mark) -> Entry:
    with Book(path, SetClock(), "lan") as file:
        entry = file.begin("convert", uid, 4, OLD, NEW, ((0xD7, 0x07),))
        for mark in marks:
            file.end(entry, mark)
    return entry


def test_what_was_put_down_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "undo.jsonl"
    first = begin(path)
    second = begin(path, "E0040100000000BB", Mark.DONE)
    (one, two), damaged = book.read(path)
    assert (one.entry, one.mark) == (first, Mark.BEGUN)
    assert (two.entry, two.mark) == (second, Mark.DONE)
    assert not damaged
    assert (first.before, first.after, first.meaning, first.by) == (
        OLD,
        NEW,
        ((0xD7, 0x07),),
        "lan",
    )
    body = json.loads(path.read_bytes().splitlines()[0])
    assert body["before"]["data"] == OLD.data.hex().upper()
    assert (body["before"]["afi"], body["before"]["dsfid"], body["at"][:10]) == (
        0xD7,
        0,
        "2026-11-22",
    )


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "undo.jsonl"
    begin(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_line_that_was_torn_by_a_power_cut_is_no_damage_and_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "undo.jsonl"
    begin(path, UID, Mark.DONE)
    whole = path.read_bytes()
    for cut in range(1, 60):
        path.write_bytes(whole + whole.splitlines()[0][:cut])
        entries, damaged = book.read(path)
        assert ([one.mark for one in entries], damaged) == ([Mark.DONE], [])
    begin(path, "E0040100000000BB")
    entries, damaged = book.read(path)
    assert ([one.entry.uid for one in entries], damaged) == ([UID, "E0040100000000BB"], [])


def test_a_line_that_was_edited_is_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "undo.jsonl"
    begin(path)
    begin(path, "E0040100000000BB")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(b'"0001', b'"FF01')
    path.write_bytes(b"".join(lines))
    entries, damaged = book.read(path)
    assert ([one.entry.uid for one in entries], damaged) == (["E0040100000000BB"], [1])


@given(st.binary(max_size=300))
def test_any_file_ends_in_entries_or_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("book") / "any"
    path.write_bytes(data)
    try:
        entries, _ = book.read(path)
    except ConfigError as error:
        assert error.do
    else:
        assert not entries


@pytest.mark.parametrize(
    "change",
    [
        {"block": 0}, {"uid": "E004"}, {"before": {"data": "00", "afi": 1, "dsfid": 0, "eas": None}},
        {"before": {"data": "0G"}}, {"meaning": [[1]]}, {"meaning": [[1, 999]]}, {"begun": 5}, {"more": 1},
        {"before": {"data": "00" * 16, "afi": 256, "dsfid": 0, "eas": None}},
    ],
)  # fmt: skip
def test_a_line_that_means_nothing_is_never_written_to_a_tag(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "undo.jsonl"
    begin(path)
    body = json.loads(path.read_bytes().splitlines()[0]) | change
    body["sum"] = book._sum(body)
    path.write_text(json.dumps(body) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no undo file"):
        book.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        book.read(tmp_path / "none")


def test_two_programs_do_not_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "undo.jsonl"
    with Book(path, SetClock(), "lan") as file:
        file.begin("convert", UID, 4, OLD, NEW)
        with (
            Book(path, SetClock(), "mai") as other,
            pytest.raises(ConfigError, match="another program"),
        ):
            other.begin("convert", UID, 4, OLD, NEW)


def test_a_full_disk_is_said_before_a_tag_is_written_and_leaves_no_half_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "undo.jsonl"
    begin(path, UID, Mark.DONE)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Book(path, SetClock(), "lan") as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, hard))
        try:
            with pytest.raises(StorageError) as error:
                file.begin("convert", UID, 4, OLD, NEW)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "no tag was written" in error.value.do
        assert path.read_bytes() == before


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full", "/dev"])
def test_what_is_no_file_is_no_undo_file(path: str) -> None:
    with pytest.raises(ConfigError, match="undo file"):
        book.read(Path(path))
    with Book(Path(path), SetClock(), "lan") as file, pytest.raises(ConfigError, match="undo file"):
        file.begin("convert", UID, 4, OLD, NEW)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Book(tmp_path / "file" / "undo", SetClock(), "lan") as file, pytest.raises(StorageError):
        file.begin("convert", UID, 4, OLD, NEW)


def test_what_never_ended_is_found_again(tmp_path: Path) -> None:
    begin(tmp_path / "a.jsonl", UID, Mark.DONE)
    begin(tmp_path / "b.jsonl", "E0040100000000BB")
    begin(tmp_path / "c.jsonl", "E0040100000000CC", Mark.DONE, Mark.UNDOING)
    begin(tmp_path / "d.jsonl", "E0040100000000DD", Mark.DONE, Mark.UNDOING, Mark.UNDONE)
    (tmp_path / "e.jsonl").write_bytes(b"\x00\xff no undo file\n")
    found = book.unfinished(tmp_path.glob("*.jsonl"))
    assert {uid: one.mark for uid, one in found.items()} == {
        "E0040100000000BB": Mark.BEGUN,
        "E0040100000000CC": Mark.UNDOING,
    }


def test_a_file_elsewhere_is_found_from_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "usb" / "mine.jsonl"
    begin(path)
    folder = tmp_path / "state"
    book.remember(folder, path)
    book.remember(folder, path)
    assert list(book.unfinished(folder.glob("*.jsonl"))) == [UID]
    path.unlink()
    assert book.unfinished(folder.glob("*.jsonl")) == {}
