"""Pieces of the staff's tools that need no reader: what differs, labels in other models, lists, values."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from kiosk.tagging import models, sentences, shelf
from kiosk.tagging.calibration import Heard, settings
from kiosk.tagging.cli import app
from kiosk.tagging.memory import Held, Memory, runs
from kiosk.tagging.refusals import REFUSALS, Refused, refused
from kiosk.wire.content import NOBODY, CardTag, Content, ItemTag, Label, Model, Owner, Usage
from kiosk.wire.tag import decode
from mocban.errors import ConfigError, StorageError
from mocban.i18n import catalog
from tests.support.tag_desk import V2, V3

BG01 = Owner("VN", "BG01")
CARD = "180101545632343030303031000000000000008808564E42473031 0000000000"
TITLED = "91 00 05 1C BE 99 1A 14 7F 02 0A 53 E1 BB 91 20 C4 91 E1 BB 8F 00"
"""Data sets of the notes: number 123456789012, title in UTF-8."""


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCBAN_LANG", "en")


def memory(data: str, size: int = 112, dsfid: int = 0) -> Memory:
    return Memory("E004010000000001", 4, Held(bytes.fromhex(data).ljust(size, b"\0"), 7, dsfid))


def said(changed: models.Changed) -> Content:
    return decode(changed.data, dsfid=changed.dsfid)


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.sampled_from((4, 8)),
)
def test_the_runs_make_one_memory_of_the_other_and_touch_nothing_else(
    old: bytes, new: bytes, block: int
) -> None:
    now, last = bytearray(old), -1
    for first, data in runs(old, new, block):
        assert first > last
        for at in range(0, len(data), block):
            place = first * block + at
            assert bytes(now[place : place + block]) != data[at : at + block]
        now[first * block : first * block + len(data)] = data
        last = first + len(data) // block  # two runs that touch would be one
    assert bytes(now) == new


@pytest.mark.parametrize("model", [Model.ISO28560_3, Model.ISO28560_2])
def test_a_3m_tag_becomes_an_iso_tag_of_the_same_number(model: Model) -> None:
    changed = models.convert(memory(V3), model, BG01)
    content = said(changed)
    assert isinstance(content, ItemTag)
    assert (content.model, content.id, content.part, content.parts) == (model, "200901010123", 1, 1)
    assert (content.owner, content.usage) == (BG01, Usage.CIRCULATING)
    assert set(changed.left) >= {"branch", "library", "custom"}
    assert changed.dsfid == (6 if model is Model.ISO28560_2 else 0)


def test_leading_zeros_stay() -> None:
    zeros = "04110000" + b"000000123456".hex() + "00" * 16
    for model in (Model.ISO28560_2, Model.ISO28560_3, Model.ASCII, Model.NDEF):
        content = said(models.convert(memory(zeros), model, NOBODY))
        assert isinstance(content, ItemTag)
        assert (content.model, content.id) == (model, "000000123456")


def test_what_a_model_has_no_place_for_is_named() -> None:
    changed = models.convert(memory(TITLED, dsfid=6), Model.RFID501, NOBODY)
    assert changed.left == ("title",)
    assert changed.dsfid == 0, "06 would say ISO 28560-2"
    content = said(changed)
    assert isinstance(content, ItemTag)
    assert (content.model, content.id) == (Model.RFID501, "123456789012")
    kept = said(models.convert(memory(TITLED, dsfid=6), Model.ISO28560_3, NOBODY))
    assert isinstance(kept, ItemTag)
    assert dict(kept.fields)["title"] == "Số đỏ"


def test_a_card_stays_a_card() -> None:
    content = said(models.convert(memory(CARD), Model.ISO28560_2, BG01))
    assert isinstance(content, CardTag)
    assert content.id == "TV2400001"
    with pytest.raises(Refused) as error:
        models.convert(memory(CARD), Model.RFID501, BG01)
    assert error.value.code == "does-not-fit"


def test_the_same_model_is_not_written_anew() -> None:
    held = memory(V2)
    assert models.convert(held, Model.ISO28560_3, BG01) == models.Changed(held.held.data, 0)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("00", "blank"), ("DEADBEEF", "foreign"), (V2[:8] + "39" + V2[10:], "damaged"),
        ("04000000" + V3[8:], "parts-unknown"),
    ],
)  # fmt: skip
def test_what_cannot_be_trusted_is_not_converted(data: str, code: str) -> None:
    with pytest.raises(Refused) as error:
        models.convert(memory(data), Model.ISO28560_2, NOBODY)
    assert error.value.code == code


def test_an_unknown_number_of_parts_is_one_only_if_a_person_says_so() -> None:
    content = said(
        models.convert(memory("04000000" + V3[8:]), Model.ISO28560_3, NOBODY, single=True)
    )
    assert isinstance(content, ItemTag)
    assert (content.part, content.parts) == (1, 1)


def test_a_label_that_does_not_fit_says_why() -> None:
    with pytest.raises(Refused) as error:
        models.write(Label("BG0001", BG01, parts=300, part=1), Model.ISO28560_3, memory("00"))
    assert error.value.code == "does-not-fit"
    assert "300" in error.value.say
    assert error.value.do
    assert ".." not in f"{error.value.say}: {error.value.do}."


def test_every_refusal_says_what_to_do() -> None:
    words = dict.fromkeys(
        ("uid", "wanted", "uids", "n", "item", "why", "do", "at", "path", "afi", "what"), "x"
    )
    for code in REFUSALS:
        error = refused(code, **words)
        assert error.code == code
        assert error.say
        assert error.do


@pytest.mark.parametrize(
    ("text", "column", "want"),
    [
        ("BG1\nBG2\n\nBG1\n", "", ["BG1", "BG2"]), ("\ufeffbarcode,title\nBG1,x\nBG2,y\n", "", ["BG1", "BG2"]),
        ("title;Barcode\nx;0001\ny;0002\n", "barcode", ["0001", "0002"]), ("# shelf 1\nBG1\r\nBG2", "", ["BG1", "BG2"]),
        ('"a,b",7\n', "", ["a,b"]), ("Mã vạch\tTên\nBG1\tx\n", "", ["BG1"]), ("'0001\n", "", ["0001"]),
    ],
)  # fmt: skip
def test_lists_as_libraries_have_them(
    tmp_path: Path, text: str, column: str, want: list[str]
) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8", newline="")
    assert list(shelf.read_list(path, column)) == want


@pytest.mark.parametrize(
    ("data", "column", "why"),
    [
        (b"", "", "no number"), (b"barcode\n", "", "no number"), (b"\xff\xfe\x00B", "", "UTF-8"),
        (b"a,b\n1,2\n", "c", "no column"),
        (b"x" * 300, "", "no item numbers"), (b'"' + b"a" * 200_000, "", "no table"),
    ],
)  # fmt: skip
def test_lists_that_are_none(tmp_path: Path, data: bytes, column: str, why: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=why) as error:
        shelf.read_list(path, column)
    assert error.value.do


def test_a_list_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        shelf.read_list(Path("/nonexistent/list"))


@given(st.lists(st.lists(st.text(max_size=20), min_size=2, max_size=2), max_size=5))
def test_no_cell_is_a_formula_and_none_is_lost(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    rows = [
        ["".join(c for c in cell if c not in "\r\n\0" and c.isprintable()) for cell in row]
        for row in rows
    ]
    path = tmp_path_factory.mktemp("out") / "out.csv"
    shelf.write_table(path, rows)
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.reader(file))
    assert [[cell.removeprefix("'") for cell in row] for row in found] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    for row in found:
        assert not [cell for cell in row if cell.lstrip(" ").startswith(("=", "+", "-", "@"))]


def test_known_formulas_are_defused() -> None:
    for cell in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =cmd|' /C calc'!A0"):
        assert shelf.harmless(cell) == f"'{cell}"
    assert shelf.harmless("BG-0001") == "BG-0001"


def test_a_result_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        shelf.write_table(tmp_path / "none" / "out.csv", [["a"]])


@pytest.mark.parametrize(
    ("rang", "eas", "want"),
    [
        ({7}, False, ['by = "afi"', "in_stock = 0x07", "on_loan = 0xC2"]),
        ({0xD7}, None, ['by = "afi"', "in_stock = 0xD7", "on_loan = 0xDA"]),
        ({0xDA}, False, ['by = "afi"', "in_stock = 0xDA", "on_loan = 0xD7"]),
        ({0x21}, False, ['by = "afi"', "in_stock = 0x21", "on_loan = 0x07"]),
        ({7}, True, ['by = "afi+eas"', "in_stock = 0x07", "on_loan = 0xC2"]), (set(), True, ['by = "eas"']),
        (set(), False, []), ({7, 0xC2, 0xD7, 0xDA, 0x21}, True, []),
    ],
)  # fmt: skip
def test_what_a_gate_says_becomes_settings(
    rang: set[int], eas: bool | None, want: list[str]
) -> None:
    heard = Heard({afi: afi in rang for afi in (0x07, 0xC2, 0xD7, 0xDA, 0x21)}, eas)
    assert settings(heard) == want


@pytest.mark.parametrize("page", ["tags.md", "tags.vi.md"])
def test_the_page_tells_of_every_command_and_of_no_other(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    told = set(re.findall(r"mocban tag ([a-z]+)", text))
    assert told == set(command.commands)
    options = {
        one for each in command.commands.values() for param in each.params for one in param.opts
    }
    assert set(re.findall(r"`(?:[a-z]+ )?(--[a-z-]+)", text)) <= options


def test_everything_is_said_in_both_languages() -> None:
    told = {text for pair in REFUSALS.values() for text in pair} - {"{do}"}
    for name, value in vars(sentences).items():
        if name.isupper() and name not in {"YES", "NO"}:
            told |= {value} if isinstance(value, str) else set(value.values())
    same = {"EAS", sentences.CHIP, sentences.DONE, sentences.BAD}
    for text in told:
        vietnamese = catalog("kiosk.tagging", "vi").gettext(text)
        assert vietnamese != text or text in same, f"not in the Vietnamese catalog: {text}"
        assert set(re.findall(r"{\w+}", vietnamese)) == set(re.findall(r"{\w+}", text))
        assert catalog("kiosk.tagging", "en").gettext(text) == text
