"""``mocban tag convert`` and ``undo``, and what is left when a tag, a reader or the computer goes away meanwhile."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from kiosk.emulators import m3_pad, rr9_pad
from kiosk.tagging import book
from kiosk.tagging.book import Mark
from kiosk.wire.content import ItemTag, Model
from kiosk.wire.tag import decode
from tests.support.emulated import Emulator
from tests.support.second_tier import ALL
from tests.support.tag_desk import V2, V3, Shell, shell, tag, wait

Open = Callable[..., AbstractContextManager[Shell]]
OLD = ("--from-in-stock", "D7", "--from-on-loan", "DA")
AFTER = "1101013230303930313031303132330000000098FD564E42473031"
"""V3 as ISO 28560-3 for VN-BG01; the check value was computed with a table of its own."""


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Open:
    return partial(shell, tmp_path, monkeypatch, capsys)


def number(index: int) -> str:
    """A 3M tag of its own number."""
    return V3[:8] + f"2009010101{index:02}".encode().hex() + V3[32:]


def test_a_pile_of_3m_tags_becomes_iso_and_keeps_what_its_afi_meant(at: Open) -> None:
    tags = [tag(f"t{n}", number(n), afi=0xDA if n == 3 else 0xD7) for n in range(10)]
    with at(*tags) as sh:
        before = {f"t{n}": sh.data(f"t{n}") for n in range(10)}
        version = sh.world.version()
        body = sh.told("convert", *OLD, "--owner", "VN-BG01", "--yes")
        assert [one["outcome"] for one in body["tags"]] == ["converted"] * 10
        changed = 0
        for index, name in enumerate(before):
            one = sh.world.tag(name)
            content = decode(one.data)
            assert isinstance(content, ItemTag)
            assert (content.model, content.id) == (Model.ISO28560_3, f"2009010101{index:02}")
            assert one.afi == (0xC2 if index == 3 else 0x07)
            changed += sum(
                one.data[at : at + 4] != before[name][at : at + 4] for at in range(0, 112, 4)
            )
        assert sh.world.version() - version == changed + 10, (
            "a block and an AFI that differ, no others"
        )
        assert sum(one["blocks"] for one in body["tags"]) == changed
        assert {one["outcome"] for one in sh.told("convert", "--yes")["tags"]} == {"right"}
        sh.told("undo", body["undo"], "--yes")
        assert {name: sh.data(name) for name in before} == before
        assert [sh.world.tag(f"t{n}").afi for n in range(10)] == [0xD7] * 3 + [0xDA] + [0xD7] * 6


def test_the_file_is_on_disk_before_the_first_block(at: Open) -> None:
    with at(tag("a", V3, afi=0xD7)) as sh:
        sh.world.set_fault("write-fails", "on")
        assert sh.refused("convert", *OLD, "--yes") == "not-written"
        (file,) = sh.books()
        begun = json.loads(file.read_bytes().splitlines()[0])
        assert begun["before"]["data"] == V3 + "00" * 80
        assert (begun["before"]["afi"], begun["before"]["dsfid"], begun["verb"]) == (
            0xD7,
            0,
            "convert",
        )
        assert begun["at"]
        assert begun["by"]
        assert sh.data("a")[:32].hex().upper() == V3


def test_an_undo_file_that_cannot_be_written_stops_everything(at: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with at(tag("a", V3, afi=0xD7)) as sh:
        body = sh.told("convert", *OLD, "--yes", "--undo", str(tmp_path / "file" / "x"), code=70)
        assert body["errors"][0]["code"] == "storage"
        assert sh.data("a")[:32].hex().upper() == V3


def test_a_number_is_an_item_in_the_object_and_a_card_none(at: Open) -> None:
    card = "180101545632343030303031000000000000008808564E424730310000000000"
    with at(tag("a", V3, afi=0xD7), tag("c", card)) as sh:
        body = sh.told("convert", *OLD, "--model", "iso28560-2", "--yes")
        named = {one["uid"]: one["item"] for one in body["tags"]}
        assert named == {sh.uid("a"): "200901010123", sh.uid("c"): None}


def test_an_afi_is_never_guessed(at: Open) -> None:
    with at(tag("a", V3, afi=0xD7), tag("b", number(1), afi=0x07)) as sh:
        body = sh.told("convert", "--yes", code=3)
        assert [one["code"] for one in body["errors"]] == ["afi-unknown"]
        assert sh.data("a")[:32].hex().upper() == V3
        assert sh.world.tag("b").afi == 0x07
        assert sh.refused("convert", "--uid", sh.uid("a"), "--yes") == "afi-unknown"
        sh.told("convert", "--uid", sh.uid("a"), "--keep-afi", "--yes")
        assert sh.world.tag("a").afi == 0xD7


def test_what_was_typed_wrong(at: Open) -> None:
    with at(tag("a", V3, afi=0xD7)) as sh:
        assert sh.refused("convert", "--from-in-stock", "D", "--yes", code=2) == "usage"
        assert sh.refused("convert", "--from-in-stock", "D7D7", "--yes", code=2) == "usage"
        same = ("--from-in-stock", "D7", "--from-on-loan", "D7")
        assert sh.refused("convert", *same, "--yes", code=2) == "usage"
        assert sh.refused("convert", "--model", "x", "--yes", code=2) == "usage"
        assert sh.refused("convert", *OLD, code=2) == "usage"  # nobody is asked with --json
        assert sh("convert", *OLD, hands=("n",))[0] == 1
        assert sh.refused("undo", "/nonexistent", "--yes", code=2) == "config"
        assert sh.refused("convert", "--resume", "--yes") == "nothing-to-resume"
        assert sh.data("a")[:32].hex().upper() == V3


def test_blank_foreign_and_damaged_tags_are_left_and_named(at: Open) -> None:
    broken = V2[:8] + "39" + V2[10:]
    with at(tag("a"), tag("b", "DEADBEEF"), tag("c", broken), tag("d", V3, afi=7)) as sh:
        body = sh.told("convert", "--yes", code=3)
        outcomes = {one["uid"]: one["outcome"] for one in body["tags"]}
        assert [outcomes[sh.uid(name)] for name in "abcd"] == [
            "blank",
            "foreign",
            "damaged",
            "converted",
        ]
        assert sh.data("b")[:4].hex() == "deadbeef"


def test_undo_follows_what_was_lent_meanwhile(at: Open, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    with at(
        tag("a", V3, afi=0xD7), tag("b", number(1), afi=0xD7), tag("c", number(2), afi=0xD7)
    ) as sh:
        sh.told("convert", *OLD, "--yes", "--undo", str(file))
        sh.world.write_afi(sh.uid("a"), 0xC2)  # lent
        sh.world.write_afi(sh.uid("b"), 0x21)  # nobody knows
        body = sh.told("undo", str(file), "--yes")
        assert [one["outcome"] for one in body["tags"]] == ["undone"] * 3
        assert [sh.world.tag(name).afi for name in "abc"] == [0xDA, 0x21, 0xD7]
        assert sh.refused("undo", str(file), "--yes") == "nothing-to-undo"


def test_undo_goes_back_step_by_step_and_of_one_tag(at: Open, tmp_path: Path) -> None:
    file = str(tmp_path / "mine.jsonl")
    with at(tag("a", V3, afi=7), tag("b", number(1), afi=7)) as sh:
        sh.told("convert", "--yes", "--undo", file)
        iso = sh.data("a")
        sh.told("convert", "--model", "iso28560-2", "--yes", "--undo", file)
        sh.told("undo", file, "--uid", sh.uid("a"), "--yes")
        assert sh.data("a") == iso
        assert sh.world.tag("b").dsfid == 6
        sh.told("undo", file, "--uid", sh.uid("a"), "--yes")
        assert sh.data("a")[:32].hex().upper() == V3


def test_a_tag_that_was_written_anew_is_not_undone_unless_one_insists(
    at: Open, tmp_path: Path
) -> None:
    file = str(tmp_path / "mine.jsonl")
    with at(tag("a", V3, afi=7)) as sh:
        sh.told("convert", "--yes", "--undo", file)
        sh.told("program", "BG0000000000099", "--over", "--model", "ascii", "--yes")
        assert sh.refused("undo", file, "--yes") == "written-since"
        sh.told("undo", file, "--yes", "--even-so")
        assert sh.data("a")[:32].hex().upper() == V3


def test_one_block_that_is_neither_old_nor_new_is_forgiven_to_a_broken_write_alone(
    at: Open, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jsonl"
    with at(tag("a", V3, afi=7)) as sh:
        sh.told("convert", "--yes", "--undo", str(file))
        sh.world.write_block(sh.uid("a"), 2, b"\xde\xad\xbe\xef")
        assert sh.refused("undo", str(file), "--yes") == "written-since"
        begun = file.read_bytes().splitlines(keepends=True)[0]
        file.write_bytes(begun)  # as if it had never ended
        sh.told("convert", "--resume", "--yes")
        assert sh.told("read")["tags"][0]["item"] == "200901010123"


def test_a_locked_dsfid_is_said_and_can_be_left(at: Open) -> None:
    with at(tag("a", V3, afi=7, locks=["dsfid"])) as sh:
        assert sh.refused("convert", "--model", "iso28560-2", "--yes") == "not-written"
        assert sh.data("a")[:32].hex().upper() == V3
        sh.told("convert", "--model", "iso28560-2", "--keep-dsfid", "--yes")
        (one,) = sh.told("read")["tags"]
        assert (one["model"], one["item"], one["dsfid"]) == ("iso28560-2", "200901010123", "00")


def test_a_damaged_line_is_named_and_the_rest_is_undone(at: Open, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    with at(tag("a", V3, afi=7), tag("b", number(1), afi=7)) as sh:
        sh.told("convert", "--yes", "--undo", str(file))
        lines = file.read_bytes().splitlines(keepends=True)
        lines[0] = lines[0].replace(b'"block":4', b'"block":8')
        file.write_bytes(b"".join(lines))
        body = sh.told("undo", str(file), "--yes", code=3)
        assert body["damaged"] == [1]
        assert sh.data("b")[:32].hex().upper() == number(1)
        assert sh.data("a")[:27].hex() != V3[:54].lower()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("cure", ["resume", "undo"])
def test_a_tag_that_leaves_is_known_to_the_next_command_and_cured(
    at: Open, when: str, cure: str
) -> None:
    with at(tag("a", V3, afi=0xD7)) as sh:
        sh.world.set_fault("tag-leaves", when)
        assert sh.refused("convert", *OLD, "--owner", "VN-BG01", "--yes", code=3) == "half-written"
        (file,) = sh.books()
        sh.world.lay("a")
        (one,) = sh.told("read")["tags"]
        assert one["half_written"]["undo"] == str(file)
        assert "Half written since" in sh("read")[1]
        assert sh.told("inventory", "--seconds", "1", code=1)["half_written"] == [sh.uid("a")]
        for argv in (("convert", *OLD), ("program", "BG1234", "--over"), ("reset",)):
            assert sh.refused(*argv, "--yes") == "half-written-before"
        if cure == "resume":
            sh.told("convert", "--resume", "--yes")
            assert sh.data("a").hex().upper().startswith(AFTER)
            assert sh.world.tag("a").afi == 0x07
        else:
            sh.told("undo", str(file), "--yes")
            assert sh.data("a")[:32].hex().upper() == V3
            assert sh.world.tag("a").afi == 0xD7
        assert sh.told("read")["tags"][0]["half_written"] is None
        assert sh.refused("convert", "--resume", "--yes") == "nothing-to-resume"


def test_a_reader_that_is_unplugged_in_the_middle_says_what_to_do(at: Open) -> None:
    with at(tag("a", V3, afi=0xD7)) as sh:
        process = sh.start("convert", *OLD, "--yes")
        _until_changes(sh, 2)
        sh.world.set_fault("pad-unplugged", "on")
        out, err = process.communicate(timeout=30)
        assert process.returncode == 4, out + err
        assert "convert --resume" in err
        sh.world.set_fault("pad-unplugged", "")
        sh.back()
        sh.told("convert", "--resume", "--yes")
        assert sh.told("read")["tags"][0]["item"] == "200901010123"


def test_killed_between_any_two_writes_it_can_be_finished_or_restored(at: Open) -> None:
    """kill -9 after the first, the second … change of the tag: seven blocks, then the AFI; then once more, restored."""
    with at(tag("a", V3, afi=0xD7)) as sh:
        argv = ("convert", *OLD, "--owner", "VN-BG01", "--yes")
        states = set()
        for change in range(9):
            sh.world.reset()
            process = sh.start(*argv)
            _until_changes(sh, change) if change else _until_begun(sh)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=10)
            states.add((sh.data("a"), sh.world.tag("a").afi))
            (one,) = sh.told("read")["tags"]
            left = book.unfinished(sh.books())
            if not left:  # it was quicker than we were
                assert sh.data("a").hex().upper().startswith(AFTER)
                continue
            assert one["half_written"], "told by the next command"
            assert [each.mark for each in left.values()] == [Mark.BEGUN]
            if change % 2:
                sh.told("convert", "--resume", "--yes")
                assert sh.data("a").hex().upper().startswith(AFTER)
                assert sh.world.tag("a").afi == 0x07
            else:
                sh.told("undo", str(next(iter(left.values())).path), "--yes")
                assert sh.data("a")[:32].hex().upper() == V3
                assert sh.world.tag("a").afi == 0xD7
        assert len(states) >= 6, "it was killed at different moments"


def test_ctrl_c_waits_for_the_tag_that_is_being_written(at: Open) -> None:
    with at(*(tag(f"t{n}", number(n), afi=0xD7) for n in range(3))) as sh:
        process = sh.start("convert", *OLD, "--yes")
        _until_changes(sh, 3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 1
        (file,) = sh.books()
        assert str(file) in err
        assert [one.mark for one in book.read(file)[0]] == [Mark.DONE]
        body = sh.told("read")
        assert sorted(one["model"] for one in body["tags"]) == ["3m", "3m", "iso28560-3"]
        assert not any(one["half_written"] for one in body["tags"])


def test_killed_while_it_is_undone_it_can_be_resumed(at: Open, tmp_path: Path) -> None:
    file = str(tmp_path / "mine.jsonl")
    with at(tag("a", V3, afi=0xD7)) as sh:
        sh.told("convert", *OLD, "--yes", "--undo", file)
        process = sh.start("undo", file, "--yes")
        _until_changes(sh, 3)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=10)
        assert sh.told("read")["tags"][0]["half_written"]["undo"].endswith(".jsonl")
        sh.told("convert", "--resume", "--yes")  # on the way it was on: back
        assert sh.data("a")[:32].hex().upper() == V3
        assert sh.world.tag("a").afi == 0xD7


def _until_changes(sh: Shell, count: int) -> None:
    wait(lambda: sh.world.version() - sh.since >= count, 30)


def _until_begun(sh: Shell) -> None:
    """It has put the tag down in its file."""
    known = set(sh.books())
    wait(lambda: any(file.stat().st_size for file in set(sh.books()) - known), 30)


READERS = [("3m", m3_pad.main), ("3m", m3_pad.old), ("rr9", rr9_pad.main)]


@pytest.mark.parametrize(("driver", "reader"), READERS if ALL else READERS[:1])
def test_every_hf_reader_can_do_it(
    driver: str, reader: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    tags = tag("a", V3, afi=0xD7), tag("b", number(1), afi=0xDA, blocks=8)
    with shell(tmp_path, monkeypatch, capsys, *tags, reader=reader) as sh:
        sh.driver, sh.query = driver, "baud=19200"
        body = sh.told("convert", *OLD, "--owner", "VN-BG01", "--yes")
        assert sh.data("a").hex().upper().startswith(AFTER)
        assert [sh.world.tag(name).afi for name in "ab"] == [0x07, 0xC2]
        sh.told("undo", body["undo"], "--yes")
        assert (sh.data("a")[:32].hex().upper(), sh.data("b").hex().upper()) == (V3, number(1))
        sh.world.lift("b")
        sh.world.set_fault("tag-leaves", "after")
        assert sh.refused("convert", *OLD, "--owner", "VN-BG01", "--yes", code=3) == "half-written"
        sh.world.lay("a")
        sh.told("convert", "--resume", "--yes")
        assert sh.data("a").hex().upper().startswith(AFTER)
        sh.told("program", "BG00077777", "--model", "iso28560-2", "--over", "--yes")
        assert (sh.world.tag("a").dsfid, sh.told("read")["tags"][0]["item"]) == (6, "BG00077777")
