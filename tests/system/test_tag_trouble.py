"""``mocban tag`` when the disk is full, when two computers write one tag, and where AFI values changed places."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.support.tag_desk import V3, Shell, shell, tag

Open = Callable[..., AbstractContextManager[Shell]]
OLD = ("--from-in-stock", "D7", "--from-on-loan", "DA")


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Open:
    return partial(shell, tmp_path, monkeypatch, capsys)


def number(index: int) -> str:
    """A 3M tag of its own number."""
    return V3[:8] + f"2009010101{index:02}".encode().hex() + V3[32:]


def test_a_disk_that_fills_up_ends_it_and_what_was_written_is_told(at: Open) -> None:
    """Full when the first tag is written, but before that could be put down; then full before the second tag."""
    with at(tag("a", V3, afi=0xD7), tag("b", number(1), afi=0xD7)) as sh:
        sh.told("convert", *OLD, "--yes")
        (file,) = sh.books()
        begun, done, *_ = file.read_bytes().splitlines(keepends=True)
        for room, code, outcomes, half in (
            (len(begun) + len(done) // 2, "not-noted", ["not-noted"], True),
            (len(begun) + len(done) + 20, "storage", ["converted", "storage"], False),
        ):
            sh.world.reset()
            for one in sh.books():
                one.unlink()
            process = sh.start("convert", *OLD, "--yes", "--json", room=room)
            out, err = process.communicate(timeout=30)
            assert process.returncode == 70, out + err
            body = json.loads(out.splitlines()[-1])
            assert (body["ok"], body["undo"]) == (False, str(sh.books()[0]))
            assert [one["outcome"] for one in body["tags"]] == outcomes
            assert [one["code"] for one in body["errors"]] == [code]
            assert sh.data("a").hex().startswith("110101")
            assert sh.data("b")[:32].hex().upper() == number(1)
            told = {one["uid"]: one["half_written"] for one in sh.told("read")["tags"]}
            assert (bool(told[sh.uid("a")]), told[sh.uid("b")]) == (half, None)
            if half:
                sh.told("convert", "--resume", "--yes")
            sh.told("undo", body["undo"], "--yes")
            assert sh.data("a")[:32].hex().upper() == V3


def test_a_half_written_tag_that_was_written_elsewhere_can_stay_as_it_is(at: Open) -> None:
    with at(tag("a", V3, afi=0xD7)) as sh:
        sh.world.set_fault("tag-leaves", "after")
        assert sh.refused("convert", *OLD, "--yes", code=3) == "half-written"
        sh.world.lay("a")
        (file,) = sh.books()
        hidden = file.rename(file.with_suffix(".elsewhere"))  # another computer's undo files
        sh.told("program", "BG0002", "--over", "--yes")
        hidden.rename(file)
        whole = sh.data("a")
        assert sh.refused("convert", "--resume", "--yes") == "written-over"
        assert sh.data("a") == whole
        assert sh.refused("convert", "--leave", "--yes", code=2) == "usage"
        (one,) = sh.told("convert", "--resume", "--leave", "--yes")["tags"]
        assert one["outcome"] == "left"
        (one,) = sh.told("read")["tags"]
        assert (one["item"], one["half_written"]) == ("BG0002", None)
        assert sh.refused("undo", str(file), "--yes") == "nothing-to-undo"
        assert sh.data("a") == whole


def test_undo_follows_it_where_the_old_values_are_the_new_ones_the_other_way_round(
    at: Open,
) -> None:
    """What was returned meanwhile must not be left open on its shelf, nor what was lent be left closed."""
    other = ("--from-in-stock", "C2", "--from-on-loan", "07")
    with at(*(tag(f"t{n}", number(n), afi=0x07 if n % 2 else 0xC2) for n in range(4))) as sh:
        body = sh.told("convert", *other, "--yes")
        assert [sh.world.tag(f"t{n}").afi for n in range(4)] == [0x07, 0xC2, 0x07, 0xC2]
        sh.world.write_afi(sh.uid("t0"), 0xC2)  # lent
        sh.world.write_afi(sh.uid("t1"), 0x07)  # returned
        sh.told("undo", body["undo"], "--yes")
        assert [sh.world.tag(f"t{n}").afi for n in range(4)] == [0x07, 0xC2, 0xC2, 0x07]
