"""``mocban tag read``, ``program``, ``reset`` and ``lock`` at an emulated reader on a real tty."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kiosk.emulators import uhf18_pad
from kiosk.wire.content import ItemTag, Model
from kiosk.wire.tag import decode
from tests.support.tag_desk import V2, V3, Shell, shell, tag

CARD = "180101545632343030303031000000000000008808564E42473031 0000000000"
Open = Callable[..., AbstractContextManager[Shell]]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Open:
    return partial(shell, tmp_path, monkeypatch, capsys)


def item(sh: Shell, name: str) -> ItemTag:
    """What the tag says, by the one door."""
    one = sh.world.tag(name)
    content = decode(one.data, dsfid=one.dsfid)
    assert isinstance(content, ItemTag)
    return content


def test_everything_that_lies_there_is_told(at: Open) -> None:
    with at(
        tag("a", V2, blocks=8, afi=7, eas=True), tag("b", V3, afi=0xD7), tag("leer"),
        tag("karte", CARD), tag("ti", uid="E007000000000001"),
    ) as sh:  # fmt: skip
        body = sh.told("read")
        found = {one["uid"]: one for one in body["tags"]}
        first = found[sh.uid("a")]
        assert (first["chip"], first["blocks"], first["block_size"], first["afi"], first["eas"]) == (
            "NXP", 8, 4, "07", True,
        )  # fmt: skip
        assert (first["item"], first["model"], first["half_written"]) == (
            "11223344",
            "iso28560-3",
            None,
        )
        assert "data" not in first
        assert found[sh.uid("b")]["model"] == "3m"
        assert found[sh.uid("leer")]["kind"] == "blank"
        assert (found[sh.uid("karte")]["kind"], found[sh.uid("ti")]["eas"]) == ("patron", None)
        code, out, _ = sh("read", "--uid", sh.uid("a"), "--raw")
        assert code == 0
        assert "in stock: a gate cries" in out
        assert "11010131 31323233" in out
        assert sh.uid("b") not in out


def test_an_empty_reader_and_a_wrong_uid(at: Open) -> None:
    with at(tag("a", V2, blocks=8, place="hand")) as sh:
        assert sh.refused("read") == "no-tag"
        sh.world.lay("a")
        assert sh.refused("read", "--uid", "E004010000000009") == "no-such-tag"
        assert sh.refused("read", "--uid", "xyz", code=2) == "usage"


def test_words_are_vietnamese_first(at: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with at(tag("a", place="hand")) as sh:
        monkeypatch.setenv("MOCBAN_LANG", "vi")
        code, _, err = sh("read")
        assert (code, "không có thẻ nào trên đầu đọc" in err) == (1, True)


def test_a_uhf_reader_can_be_read_but_not_programmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with shell(
        tmp_path, monkeypatch, capsys, tag("a", V2, blocks=8, afi=7), reader=uhf18_pad.main
    ) as sh:
        sh.query, sh.driver = "baud=57600", "uhf18"
        (one,) = sh.told("read")["tags"]
        assert (one["item"], one["model"]) == ("11223344", "iso28560-4")
        body = sh.told("inventory", "--seconds", "1.5")
        assert (body["found"], body["open"]) == (["11223344"], [])
        assert sh.refused("calibrate", "--yes", code=2) == "unsupported"
        assert sh.refused("program", "11223345", "--over", "--yes", code=2) == "unsupported"


def test_a_blank_tag_gets_its_number_is_proven_and_secured(at: Open) -> None:
    with at(tag("a")) as sh:
        body = sh.told(
            "program", "BG00077777", "--title", "Số đỏ", "--owner", "VN-BG01", "--parts", "3", "--part", "2", "--yes"
        )  # fmt: skip
        assert (body["item"], body["model"], body["written"], body["secured"]) == (
            "BG00077777", "iso28560-3", True, True,
        )  # fmt: skip
        found = item(sh, "a")
        assert (found.id, found.part, found.parts, found.owner.isil) == (
            "BG00077777",
            2,
            3,
            "VN-BG01",
        )
        assert dict(found.fields) == {"title": "Số đỏ"}
        assert sh.world.tag("a").afi == 0x07
        version = sh.world.version()
        again = sh.told(
            "program", "BG00077777", "--title", "Số đỏ", "--owner", "VN-BG01", "--parts", "3", "--part", "2"
        )  # fmt: skip
        assert (again["written"], again["undo"]) == (False, None)
        assert sh.world.version() == version
        assert sh.told("undo", body["undo"], "--yes")["tags"][0]["outcome"] == "undone"
        assert (sh.data("a"), sh.world.tag("a").afi) == (bytes(112), 0)


@pytest.mark.parametrize("model", ["iso28560-2", "3m", "ascii", "ndef"])
def test_every_model_can_be_written(at: Open, model: str) -> None:
    with at(tag("a")) as sh:
        sh.told("program", "0001234567", "--model", model, "--yes")
        assert (item(sh, "a").id, item(sh, "a").model) == ("0001234567", Model(model))
        assert sh.world.tag("a").dsfid == (6 if model == "iso28560-2" else 0)


def test_the_sites_model_and_owner_and_security_count(at: Open, tmp_path: Path) -> None:
    config = tmp_path / "mocban.toml"
    config.write_text(
        '[kiosk.tagging]\nmodel = "iso28560-2"\nowner = "VN-BG01"\n[kiosk.security]\nby = "eas"\n'
    )
    with at(tag("a", afi=0x33)) as sh:
        sh.told("program", "BG00077777", "--yes", "--config", str(config))
        found, one = item(sh, "a"), sh.world.tag("a")
        assert (found.model, found.owner.isil) == (Model.ISO28560_2, "VN-BG01")
        assert (one.eas, one.afi) == (True, 0x33)


def test_a_tag_that_cannot_be_secured_as_the_site_does_is_not_written(
    at: Open, tmp_path: Path
) -> None:
    config = tmp_path / "mocban.toml"
    config.write_text('[kiosk.security]\nby = "eas"\n')
    with at(tag("a", uid="E007000000000001")) as sh:
        assert sh.refused("program", "BG1234", "--yes", "--config", str(config)) == "no-eas"
        assert sh.data("a") == bytes(112)


def test_the_same_item_keeps_what_nobody_said(at: Open) -> None:
    titled = ("BG00077777", "--title", "Số đỏ", "--owner", "VN-BG01", "--parts", "3", "--part", "2")
    with at(tag("a")) as sh:
        sh.told("program", *titled, "--yes")
        assert not sh.told("program", "BG00077777")["written"]
        assert sh.told("program", "BG00077777", "--title", "Số đỏ, tập hai", "--yes")["written"]
        found = item(sh, "a")
        assert (found.part, found.parts, found.owner.isil) == (2, 3, "VN-BG01")
        assert dict(found.fields) == {"title": "Số đỏ, tập hai"}
        assert sh.refused("program", "BG00077777", "--owner", "VN-HN02", "--yes") == "holds-item"


def test_a_card_is_never_marked_as_in_stock(at: Open) -> None:
    with at(tag("a", afi=0x12)) as sh:
        body = sh.told("program", "TV2400009", "--usage", "patron-card", "--yes")
        assert (body["secured"], sh.world.tag("a").afi) == (False, 0x12)


def test_a_wrong_tag_is_never_written(at: Open) -> None:
    with at(tag("a", V2, blocks=8), tag("b", place="hand"), tag("card", CARD, place="hand")) as sh:
        before = {name: sh.data(name) for name in ("a", "b", "card")}
        version = sh.world.version()
        assert sh.refused("program", "BG00077777", "--yes") == "holds-item"
        assert sh.refused("program", "BG00077777", "--yes", "--uid", sh.uid("b")) == "other-tag"
        sh.world.lay("b")
        assert sh.refused("program", "BG00077777", "--yes") == "two-tags"
        assert sh.refused("program", "BG00077777", "--yes", "--uid", sh.uid("b")) == "two-tags"
        sh.world.lift("a")
        sh.world.lift("b")
        assert sh.refused("program", "BG00077777", "--yes") == "no-tag"
        sh.world.lay("card")
        assert sh.refused("program", "BG00077777", "--yes") == "holds-card"
        assert {name: sh.data(name) for name in before} == before
        assert sh.world.version() == version + 4  # the hands alone
        assert not sh.books()


def test_over_writes_over(at: Open) -> None:
    with at(tag("a", V2, blocks=8)) as sh:
        assert sh.told("program", "BG00077777", "--over", "--yes")["written"]
        assert item(sh, "a").id == "BG00077777"


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("BG1", "--parts", "2", "--part", "3"), "usage"), (("BG1", "--model", "marc"), "usage"),
        (("BG1", "--usage", "loan"), "usage"), (("BG1", "--lockable"), "usage"), (("BG1",), "usage"),
        (("BG1", "--driver", "nobody"), "config"),
    ],
)  # fmt: skip
def test_what_was_typed_wrong_is_said_before_anything_is_written(
    at: Open, argv: tuple[str, ...], why: str
) -> None:
    with at(tag("a")) as sh:
        assert sh.refused("program", *argv, code=2) == why
        assert sh.data("a") == bytes(112)


@pytest.mark.parametrize("number", ["", " ", "a\tb", "x" * 300])
def test_a_number_that_cannot_stand_on_a_tag(at: Open, number: str) -> None:
    with at(tag("a")) as sh:
        assert sh.refused("program", number, "--yes") == "does-not-fit"
        assert sh.data("a") == bytes(112)


def test_nothing_is_written_without_a_yes(at: Open) -> None:
    with at(tag("a")) as sh:
        assert sh("program", "BG1234", hands=("n",))[0] == 1
        code, _, err = sh("program", "BG1234")
        assert (code, "--yes" in err) == (2, True)
        assert sh.data("a") == bytes(112)
        code, out, _ = sh("program", "BG1234", hands=("what?", "y"))
        assert (code, out.count("Write the item BG1234 on it?")) == (0, 2)
        assert item(sh, "a").id == "BG1234"


def test_a_tag_that_was_changed_for_another_during_the_question_is_not_written(at: Open) -> None:
    with at(tag("a"), tag("b", place="hand")) as sh:

        def swap() -> None:
            sh.world.lift("a")
            sh.world.lay("b")

        assert sh("program", "BG1234", hands=(swap, "y"))[0] == 1
        assert sh.data("a") == sh.data("b") == bytes(112)


def test_a_reader_that_is_in_use_or_not_there_says_so(at: Open) -> None:
    with at(tag("a")) as sh:
        with sh.held():
            code, _, err = sh("read")
            assert (code, "systemctl stop mocban-kiosk" in err) == (4, True), err
        sh.world.set_fault("pad-unplugged", "on")
        sh.gone()
        code, _, err = sh("read")
        assert (code, "cannot be opened" in err) == (4, True), err


def test_a_locked_block_leaves_the_tag_as_it_was(at: Open) -> None:
    with at(tag("a", locks=["3"])) as sh:
        assert sh.refused("program", "BG00077777", "--yes") == "not-written"
        assert (sh.data("a"), sh.world.tag("a").afi) == (bytes(112), 0)
        assert sh.told("read")["tags"][0]["half_written"] is None


def test_reset_makes_blank_and_the_undo_file_brings_it_back(at: Open) -> None:
    with at(tag("a", V2, blocks=8, afi=7, dsfid=6), tag("b", V3, afi=7)) as sh:
        assert sh.refused("reset", "--yes") == "two-tags"
        body = sh.told("reset", "--all", "--yes")
        assert (sh.data("a"), sh.data("b")) == (bytes(32), bytes(112))
        assert (sh.world.tag("a").afi, sh.world.tag("a").dsfid) == (7, 0), "the AFI only when asked"
        assert {one["outcome"] for one in sh.told("reset", "--all", "--yes")["tags"]} == {"blank"}
        sh.told("undo", body["undo"], "--yes")
        assert sh.data("a").hex().upper() == V2
        assert sh.data("b")[:32].hex().upper() == V3
        assert sh.world.tag("a").dsfid == 6
        sh.world.lift("b")
        sh.told("reset", "--afi", "--yes")
        assert (sh.data("a"), sh.world.tag("a").afi) == (bytes(32), 0)


def test_a_lock_is_asked_for_twice(at: Open) -> None:
    with at(tag("a")) as sh:
        uid = sh.uid("a")
        sh.told("program", "BG00077777", "--model", "iso28560-2", "--lockable", "--yes")
        assert sh.refused("lock", "id", "--yes", code=2) == "asked-once"
        assert sh.refused("lock", "id", "--irreversible", "--yes", code=2) == "asked-once"
        assert sh.refused("lock", "all", "--irreversible", "--again", uid, code=2) == "usage"
        assert (
            sh.refused("lock", "id", "--irreversible", "--again", uid[:-1] + "F", "--yes")
            == "other-tag"
        )
        assert (
            sh.refused("lock", "afi", "--irreversible", "--again", uid, "--yes") == "lock-security"
        )
        assert not sh.world.tag("a").locks
        assert sh.told("lock", "id", "--irreversible", "--again", uid, "--yes")["locked"] == "id"
        assert sh.world.tag("a").locks == {"0", "1", "2"}
        sh.told("lock", "dsfid", "--irreversible", "--again", uid.lower(), "--yes")
        sh.told("lock", "eas", "--irreversible", "--again", uid, "--yes")
        sh.told("lock", "afi", "--irreversible", "--again", uid, "--yes", "--even-so")
        assert sh.world.tag("a").locks == {"0", "1", "2", "afi", "dsfid", "eas"}
        assert (
            sh.refused("lock", "dsfid", "--irreversible", "--again", uid, "--yes") == "not-locked"
        )


def test_a_number_that_shares_its_blocks_is_not_locked(at: Open) -> None:
    with at(tag("a", V2, blocks=8)) as sh:
        uid = sh.uid("a")
        assert sh.refused("lock", "id", "--irreversible", "--again", uid, "--yes") == "not-lockable"
        assert not sh.world.tag("a").locks


def test_progress_and_object_do_not_mix(at: Open) -> None:
    with at(tag("a")) as sh:
        code, out, err = sh("program", "BG1234", "--yes", "--json")
        assert code == 0
        (line,) = out.splitlines()
        body: dict[str, Any] = json.loads(line)
        assert body["ok"]
        assert "is written and read back" in err
