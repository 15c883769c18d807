"""The console's own words: whole in both languages, and short enough for 80 columns."""

from __future__ import annotations

import re
import string
import unicodedata
from pathlib import Path

import pytest
from rich.cells import cell_len

from mocban.i18n import LANGS
from ops import console
from ops.console.actions import ACTIONS, PAGES, on_page
from ops.console.helping import lines
from ops.console.pages.page import WIDTH, keys
from ops.console.search import fold, holds, score
from ops.console.words import REFUSALS, WORDS, age, ago, speech, trouble

_MODAL = 72
"""Columns inside a box of a question."""


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", [*WORDS, *REFUSALS])
def test_both_languages_say_it_with_the_same_values(key: str) -> None:
    vi, en = {**WORDS, **REFUSALS}[key]
    assert vi.strip()
    assert en.strip()
    assert gaps(vi) == gaps(en)
    assert vi == unicodedata.normalize("NFC", vi)
    assert all(char.isprintable() for char in vi + en)


@pytest.mark.parametrize("key", list(WORDS))
def test_a_sentence_takes_two_lines_at_most(key: str) -> None:
    for text in WORDS[key]:
        assert cell_len(text) <= 2 * WIDTH - 20, text


def test_no_word_is_left_over() -> None:
    said = "".join(
        file.read_text(encoding="utf-8") for file in Path(console.__file__).parent.rglob("*.py")
    )
    families = tuple(re.findall(r"""f["']([a-z]+-)\{""", said))
    assert {"away-", "col-", "manual-", "waiting-"} <= set(families)
    said = said.replace("'", '"')
    assert [
        key for key in WORDS if said.count(f'"{key}"') < 2 and not key.startswith(families)
    ] == []


def test_vietnamese_words_are_not_english_left_as_they_were() -> None:
    same = {key for key, (vi, en) in WORDS.items() if vi == en}
    assert same == set()


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("page", PAGES)
def test_the_keys_of_a_page_fit_and_help_is_among_them(page: str, lang: str) -> None:
    shown = keys(page, lang, WIDTH).plain
    assert cell_len(shown) <= WIDTH
    for one in on_page(page):
        if one.foot and (len(one.pages) < len(PAGES) or one.id in {"open", "help"}):
            assert f"{one.shown_key} {one.name(lang)}" in shown


@pytest.mark.parametrize("lang", LANGS)
def test_each_line_of_help_fits_into_its_box(lang: str) -> None:
    for text, style in lines(lang):
        if style:  # commands may go on in a second line, names may not
            assert cell_len(text) <= _MODAL, text


@pytest.mark.parametrize("lang", LANGS)
def test_age_is_said_in_steps(lang: str) -> None:
    say = speech(lang)
    assert age(None, say) == say("age-none")
    assert age(3.0, say) == age(5.9, say)
    assert re.search(r"\b12\b", age(12.7, say))
    assert re.search(r"\b2\b", age(130, say))
    assert re.search(r"\b3\b", age(3 * 3600 + 5, say))
    assert ago(59, say) == ago(0, say) == ago(-5, say)
    assert [ago(s, say).split()[0] for s in (60, 7199, 7200, 2 * 86_400)] == ["1", "119", "2", "2"]


def test_the_plan_s_own_sentence_about_age() -> None:
    assert age(12.3, speech("vi")) == "dữ liệu 12 giây trước"


def test_a_service_away_is_said_plainly() -> None:
    for lang in LANGS:
        say = speech(lang)
        for name in ("ops", "gateway"):
            for code in ("peer-unreachable", "no-token", "remote-protocol"):
                assert trouble(name, code, say)


def test_words_are_found_without_diacritics() -> None:
    assert fold("Đặt SỰ CỐ") == "dat su co"
    assert score("su co", "Sự cố") == score("sự cố", "Sự cố") > 200
    assert score("sc", "Sự cố") > 0
    assert score("duyet", "Từ chối") == 0
    assert (
        score("duyet", "Duyệt bước")
        > score("duyet", "Chờ người khác duyệt")
        > score("dyt", "Duyệt bước")
        > 0
    )
    assert holds("kiosk truc", "✓ trực tuyến demo-kiosk-1")
    assert not holds("kiosk mat", "✓ trực tuyến demo-kiosk-1")
    assert holds("", "anything")


def test_every_action_has_words_in_both_languages() -> None:
    for one in ACTIONS:
        assert all(part.strip() for part in (*one.words, *one.tells))
