"""``mocban tag decode`` as a librarian or a script meets it."""

from __future__ import annotations

import io
import json
import string
import sys
from pathlib import Path
from typing import Any

import pytest

from kiosk.tagging import words
from kiosk.wire.content import Element, Model, Usage, Warn
from mocban import cli
from mocban.i18n import catalog

V1 = "910005 1CBE991A14 0201D0 140204B3 4607441CB6E2E335D6 830207ACC09EBAA06F6B0000"
V2 = "11010131313232333334340000000000000000513E4445373035000000000000"
TURNED = "42010111303030473433323100000035030000 00424E56170031304700000000"
CARD = "180101545632343030303031000000000000008808564E42473031 0000000000"
UII = "45C2 141C C04F C70B ADB5 C6E2 DA1D ED4D D319"
USER = "06 02 01 D0 14 02 04 B3 46 07 44 1C B6 E2 E3 35 D6 53 08 AB 4D 6C 9D D5 56 CD EB 00"
THREE_M = "04110000 323030393031303130313233 00000000 FFFFFFFF 7FFFFFFF 00000000"
SHAPE = ["model", "kind", "item", "owner", "part", "parts", "usage", "fields", "warnings"]


@pytest.fixture(autouse=True)
def _shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration and no language but what a test gives."""
    monkeypatch.delenv("MOCBAN_CONFIG", raising=False)
    monkeypatch.setenv("MOCBAN_LANG", "en")
    monkeypatch.chdir(tmp_path)


class Shell:
    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = patch, capsys

    def __call__(self, *argv: str, stdin: str = "") -> tuple[int, str, str]:
        """Exit code, stdout and stderr of ``mocban tag decode argv``."""
        self._patch.setattr(sys, "argv", ["mocban", "tag", "decode", *argv])
        self._patch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def told(self, *argv: str, stdin: str = "", code: int = 0) -> dict[str, Any]:
        """The one object of ``--json``."""
        ended, out, err = self("--json", *argv, stdin=stdin)
        assert (ended, err) == (code, ""), out
        body: dict[str, Any] = json.loads(out.splitlines()[-1])
        return body


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


def test_the_object_has_one_shape(shell: Shell) -> None:
    assert shell.told(V2) == {
        "ok": True, "model": "iso28560-3", "kind": "item", "item": "11223344", "owner": "DE-705", "part": 1,
        "parts": 1, "usage": 1, "fields": {}, "warnings": [], "errors": [],
    }  # fmt: skip
    for memory in (V1, CARD, "00" * 32, "DEADBEEF", UII, USER, V2[:40]):
        assert list(shell.told(memory)) == ["ok", *SHAPE, "errors"]


@pytest.mark.parametrize(
    ("memory", "want"),
    [
        (V1, ["iso28560-2", "item", "123456789012", "US-InU-Mu", 3, 12, None, {"shelf-location": "QA268.L55"}, []]),
        (TURNED, ["iso28560-3", "item", "BG00012345", "VN-BG01", 1, 1, 1, {}, ["blocks-reversed"]]),
        (CARD, ["iso28560-3", "patron", "TV2400001", "VN-BG01", None, None, 8, {}, []]),
        (UII, ["iso28560-4", "item", "12345678", "CH-000134-1", 1, 3, None, {}, ["no-check"]]),
        (USER, ["iso28560-4", "item", None, "US-InU-Mu", 3, 12, None, {"shelf-location": "QA268.L55"},
                ["id-in-bank-01"]]),
        ("33353030 30303132 00000000", ["ascii", "item", "35000012", None, 1, 1, None, {},
                                        ["no-check"]]),
        ("00" * 32, ["blank", "blank", None, None, None, None, None, {}, []]),
        ("55" * 32, ["blank", "blank", None, None, None, None, None, {}, []]),
        ("DEADBEEF", ["foreign", "foreign", None, None, None, None, None, {}, []]),
    ],
)  # fmt: skip
def test_what_tags_say(memory: str, want: list[Any], shell: Shell) -> None:
    body = shell.told(memory)
    assert [body[key] for key in SHAPE] == want


def test_hex_as_people_write_it(shell: Shell) -> None:
    want = shell.told(V2)
    pairs = [V2[at : at + 2] for at in range(0, len(V2), 2)]
    assert shell.told(*pairs) == want
    assert shell.told(":".join(pairs).lower()) == want
    assert shell.told(" ".join(f"0x{pair}" for pair in pairs)) == want
    assert shell.told("-", stdin="\n".join(pairs) + "\n") == want


def test_a_uhf_tag_by_both_banks(shell: Shell) -> None:
    for epc in ("25C2 0DB7 C050 CD4B DAC1", "811E 25C2 0DB7 C050 CD4B DAC1"):
        body = shell.told(USER, "--epc", epc)
        assert (body["item"], body["owner"], body["part"]) == ("BG00012345", "US-InU-Mu", 3)
        assert shell.told("--epc", epc)["item"] == "BG00012345"
    assert shell.told("--epc", "3000 E200 0017 2217 0133 1260 9896")["kind"] == "blank"


def test_a_broken_check_value_shows_no_number(shell: Shell) -> None:
    body = shell.told(V2[:8] + "39" + V2[10:])
    assert (body["model"], body["kind"], body["item"]) == ("iso28560-3", "foreign", None)
    assert body["warnings"] == ["checksum"]


@pytest.mark.parametrize(("cut", "item"), [(40, "11223344"), (38, "11223344"), (36, None)])
def test_a_fixed_block_cut_short(cut: int, item: str | None, shell: Shell) -> None:
    body = shell.told(V2[:cut])
    assert (body["model"], body["item"]) == ("iso28560-3", item)
    assert body["warnings"] == ["bytes-missing"]
    lines = shell(V2[:cut])[1]
    assert f"At least {32 - cut // 2} bytes more" in lines


def test_data_sets_cut_short(shell: Shell) -> None:
    body = shell.told(V1.replace(" ", "")[:36])
    assert (body["model"], body["kind"], body["item"]) == ("iso28560-2", "item", "123456789012")
    assert "bytes-missing" in body["warnings"]


def test_swapped_nibbles_and_dsfid_are_passed_on(shell: Shell) -> None:
    lent = shell.told("21" + "0101393900000000000000000000000000", "--swapped-nibbles")
    assert lent["warnings"][-1] == "bytes-missing"
    assert shell.told("4608 7C30C31CB3D35800", "--dsfid", "06")["model"] == "foreign"


@pytest.mark.parametrize("memory", ["", "FF", "11 01 01"])
def test_what_is_no_tag_at_all(memory: str, shell: Shell) -> None:
    body = shell.told(memory, code=1)
    assert body["ok"] is False
    assert body["errors"][0]["code"] == "no-tag"
    assert "block 0" in body["errors"][0]["do"]
    code, out, err = shell(memory)
    assert (code, out) == (1, "")
    assert "no tag at all" in err


@pytest.mark.parametrize(
    "argv",
    [(), ("1",), ("ZZ",), ("12", "3"), (V2, "--afi", "7C2"), (V2, "--afi", "x"), (V2, "--epc", "123"), ("00" * 8193,)],
)  # fmt: skip
def test_what_is_no_hex_is_wrong_usage(argv: tuple[str, ...], shell: Shell) -> None:
    body = shell.told(*argv, code=2)
    assert body["errors"][0]["code"] == "usage"
    assert body["errors"][0]["do"]


def test_endless_input_is_not_read_to_its_end(shell: Shell) -> None:
    assert shell.told("-", stdin="00" * 1_000_000, code=2)["errors"][0]["code"] == "usage"


def test_a_table_for_people_in_both_languages(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = shell(TURNED, "--afi", "07")
    assert code == 0
    rows = dict(line.split("  ", 1) for line in out.splitlines() if "  " in line)
    assert rows["Item number"].strip() == "BG00012345"
    assert rows["Security"].strip() == "in stock: a gate cries"
    assert "Look out: The bytes stand backwards" in out
    monkeypatch.setenv("MOCBAN_LANG", "vi")
    out = shell(TURNED, "--afi", "C2")[1]
    assert "Số tài liệu" in out
    assert "đang cho mượn" in out
    assert "Lưu ý: " in out


def test_security_by_the_settings_of_the_site(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "mocban.toml"
    file.write_text("[kiosk.security]\nin_stock = 0xD7\non_loan = 0xDA\n", encoding="utf-8")
    site = ("--config", str(file))
    assert "in stock" in shell(V2, "--afi", "D7", *site)[1]
    assert "on loan" in shell(V2, "--afi", "DA", *site)[1]
    assert "AFI 07 is neither" in shell(V2, "--afi", "07", *site)[1]
    assert "on loan" in shell(USER, "--epc", "25C2 0DB7 C050 CD4B DAC1")[1]


def test_a_tag_cannot_write_over_the_terminal(shell: Shell) -> None:
    block = "41 08 08 7C 30 C3 1C B3 D3 58 7F 02 05 61 1B 5B 32 4A 00"  # a title with an escape sequence
    out = shell(block)[1]
    assert "\x1b" not in out


def _sentences() -> list[str]:
    return [
        *words.MODELS.values(), *words.KINDS.values(), *words.ROWS, words.PART, words.PART_UNKNOWN, words.IN_STOCK,
        words.ON_LOAN, words.NEITHER, *words.USAGES.values(), words.RESERVED, *words.ELEMENTS.values(),
        *words.EXTRAS.values(), *words.SENTENCES.values(), words.ODD, words.NO_TAG,
    ]  # fmt: skip


def test_everything_is_said_in_both_languages() -> None:
    unchanged = {"ISO/TS 28560-4 (UHF)", "3M (RFID 501)"}
    for text in _sentences():
        vietnamese = catalog("kiosk.tagging", "vi").gettext(text)
        assert vietnamese != text or text in unchanged, f"not in the Vietnamese catalog: {text}"
        assert _blanks(vietnamese) == _blanks(text)
        assert catalog("kiosk.tagging", "en").gettext(text) == text


def test_there_are_words_for_every_code() -> None:
    assert set(Model) == set(words.MODELS)
    assert set(Warn) < set(words.SENTENCES)
    apart = {
        Element.PRIMARY_ID, Element.CONTENT_PARAMETER, Element.OWNER, Element.SET_INFORMATION, Element.TYPE_OF_USAGE,
    }  # fmt: skip
    assert set(Element) - apart == set(words.ELEMENTS)
    reserved = {usage for usage in Usage if usage.name.startswith("FUTURE")}
    assert set(Usage) - reserved == set(words.USAGES)


@pytest.mark.parametrize("memory", [THREE_M, "24E6 3400 8003 0053 3813 0058 B907 0000"])
def test_every_field_has_a_name(memory: str, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCBAN_LANG", "vi")
    out = shell(memory)[1]
    for name in shell.told(memory)["fields"]:
        assert f"{name} " not in out


def _blanks(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_what_may_not_go_out_off_line_is_said(shell: Shell) -> None:
    assert shell.told("4108087C30C31CB3D358 050113 0000")["fields"] == {"sub-usage": "3"}
