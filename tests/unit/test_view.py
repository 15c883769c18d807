"""The screen as a value: what a patron sees for every visit there can be."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import kiosk.ui
from kiosk.runner import BARS as RUNNER_BARS
from kiosk.session.state import Item, Line, Mode, Patron, Phase, Visit, Way
from kiosk.ui.rows import COVERS, Look
from kiosk.ui.server import ACTIONS
from kiosk.ui.view import House, Name, Screen, last_four, view
from kiosk.ui.words import BARS, NOTICES, REASONS
from mocban.i18n import LANGS, catalog

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
CARD = "TV2400001"
HOUSE = House("kiosk-1", idle=60, thanks=8)
CODES = (
    "on-hold", "on-loan", "loan-limit", "not-for-loan", "card-unknown", "card-blocked", "item-unknown", "fee-block",
    "denied", "set-incomplete", "twice", "blank", "foreign", "damaged", "tag-failed", "ils-silent",
)  # fmt: skip
UI = Path(kiosk.ui.__file__).parent


@dataclass(frozen=True)
class Condition:
    """How the kiosk itself is."""

    reader_ok: bool = True
    ils_ok: bool = True
    ready: bool = True


def line(no: int = 1, phase: Phase = Phase.TOLD, way: Way = Way.BORROW) -> Line:
    """One book."""
    due = AT + timedelta(days=20) if way is Way.BORROW else None
    return Line(no, Item(f"BG{no:08}", f"E00401{no:010X}"), way, phase, f"Sách {no}", due=due)


def visit(mode: Mode, *lines: Line) -> Visit:
    """A visit under way."""
    patron = Patron(CARD, remaining=5) if mode not in {Mode.IDLE, Mode.CARD, Mode.RETURN} else None
    return Visit(mode=mode, id="v1", patron=patron, lines=lines, started=AT, touched=AT)


def shown(of: Visit, status: Condition | None = None) -> Screen:
    """The screen in the visit's language."""
    return view(of, status or Condition(), catalog("kiosk", of.lang), HOUSE)


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (Mode.IDLE, Name.WELCOME), (Mode.CARD, Name.CARD), (Mode.CHECKING, Name.CHECKING),
        (Mode.BORROW, Name.BORROW), (Mode.RETURN, Name.RETURN), (Mode.DONE, Name.DONE),
    ],
)  # fmt: skip
def test_every_mode_has_its_screen(mode: Mode, name: Name) -> None:
    assert shown(visit(mode)).name is name


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_a_row_and_only_a_finished_one_is_green(phase: Phase, way: Way) -> None:
    mode = Mode.BORROW if way is Way.BORROW else Mode.RETURN
    (row,) = shown(visit(mode, line(1, phase, way))).rows
    green = {Phase.OPENED, Phase.CLOSED, Phase.TOLD}
    assert (row.look is Look.DONE) == (phase in green)
    assert 0 <= row.cover < COVERS


def test_a_book_lent_but_still_closed_is_to_be_kept_still() -> None:
    (row,) = shown(visit(Mode.BORROW, line(1, Phase.LENT))).rows
    assert (row.look, row.why, row.value) == (Look.BUSY, "Giữ yên sách trên khay", "")


def test_a_book_lifted_too_early_is_asked_back_onto_the_tray() -> None:
    (row,) = shown(visit(Mode.BORROW, replace(line(1, Phase.LENT), here=False, waiting=True))).rows
    assert row.look is Look.TROUBLE
    assert "đặt lại cuốn này lên khay" in row.why


def test_a_loan_whose_tag_stayed_closed_is_never_green() -> None:
    for security in ("pending", "none"):
        (row,) = shown(visit(Mode.BORROW, replace(line(), security=security))).rows
        assert row.look is Look.TROUBLE
        assert row.why


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("reason", CODES)
def test_every_refusal_says_why_and_what_to_do_in_both_languages(
    reason: str, way: Way, lang: str
) -> None:
    refused = replace(line(1, Phase.SAID, way), reason=reason, say="KEEP OUT, MR NGUYEN")
    mode = Mode.BORROW if way is Way.BORROW else Mode.RETURN
    (row,) = shown(replace(visit(mode, refused), lang=lang)).rows
    assert row.look is Look.TROUBLE
    assert row.badge
    assert ("thủ thư" if lang == "vi" else "librarian") in row.why
    assert "NGUYEN" not in repr(row), "the library system's own words may hold a name"


def test_refusals_differ_from_each_other_in_both_languages() -> None:
    assert set(CODES) == set(REASONS)
    for lang in LANGS:
        texts = catalog("kiosk", lang)
        assert len({texts.gettext(REASONS[code].borrow) for code in CODES}) == len(CODES)


@pytest.mark.parametrize("code", NOTICES)
def test_a_notice_is_a_sentence_on_the_card_screen(code: str) -> None:
    vi = shown(replace(visit(Mode.CARD), notice=code))
    en = shown(replace(visit(Mode.CARD), notice=code, lang="en"))
    assert vi.name is Name.CARD
    assert "thủ thư" in vi.note
    assert "librarian" in en.note


def test_an_unknown_code_still_sends_the_patron_to_the_librarian() -> None:
    (row,) = shown(visit(Mode.BORROW, replace(line(1, Phase.SAID), reason="never-heard-of"))).rows
    assert "thủ thư" in row.why
    assert "thủ thư" in shown(replace(visit(Mode.CARD), notice="never-heard-of")).note


def test_what_needs_the_patron_stands_on_top_and_the_rest_is_newest_first() -> None:
    refused = replace(line(2, Phase.SAID), reason="on-hold")
    lines = (
        line(1),
        refused,
        line(3),
        line(4, Phase.LENT),
        line(5, Phase.ASKED),
        line(6, Phase.ASKED),
    )
    screen = shown(visit(Mode.BORROW, *lines))
    assert [row.key for row in screen.rows] == ["line-2", "reading", "line-4", "line-3", "line-1"]
    assert screen.count == 2
    assert screen.tally == "2 đã mượn · 1 cần chú ý · 3 đang xử lý"
    assert screen.rows[1].title == "Đang đọc thêm 2 cuốn…"


def test_the_allowance_shrinks_with_every_loan_that_stands() -> None:
    lines = (
        line(1),
        line(2, Phase.LENT),
        replace(line(3, Phase.SAID), reason="on-hold"),
        line(4, Phase.UNDONE),
    )
    assert shown(visit(Mode.BORROW, *lines)).allowance == "Còn được mượn thêm 3 cuốn"
    full = tuple(line(no) for no in range(1, 6))
    assert shown(visit(Mode.BORROW, *full)).allowance == "Bạn đã mượn đủ số sách được mượn"
    unsaid = replace(visit(Mode.BORROW, *full), patron=Patron(CARD))
    assert shown(unsaid).allowance == ""


def test_a_returned_book_shows_where_to_put_it() -> None:
    with_bin = replace(line(1, Phase.TOLD, Way.RETURN), bin="2")
    named = replace(line(2, Phase.TOLD, Way.RETURN), bin="Giá A, tầng hai")
    rows = shown(visit(Mode.RETURN, with_bin, named, line(3, Phase.TOLD, Way.RETURN))).rows
    assert [row.value for row in rows] == ["thùng trả sách", "Giá A, tầng hai", "Thùng 2"]


def test_due_days_are_unambiguous_in_both_languages() -> None:
    for lang in LANGS:
        (row,) = shown(replace(visit(Mode.BORROW, line()), lang=lang)).rows
        assert row.value == "12/12/2026"


def test_the_closing_screen_lists_due_days_and_what_to_leave_behind() -> None:
    refused = replace(line(3, Phase.SAID), reason="on-hold")
    screen = shown(visit(Mode.DONE, line(1), line(2), refused))
    assert screen.title == "Xong! Bạn đã mượn 2 cuốn"
    assert [(due.title, due.value) for due in screen.dues] == [
        ("Sách 1", "12/12/2026"),
        ("Sách 2", "12/12/2026"),
    ]
    assert [row.title for row in screen.rows] == ["Sách 3"]
    assert [action.name for action in screen.actions] == ["more", "cancel"]


def test_a_screen_ends_by_the_last_sign_of_life() -> None:
    assert shown(visit(Mode.IDLE)).ends_at is None
    assert shown(visit(Mode.BORROW)).ends_at == AT + timedelta(seconds=60)
    assert shown(visit(Mode.DONE)).ends_at == AT + timedelta(seconds=8)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Condition(reader_ok=False), "E-READER"),
        (Condition(ils_ok=False), "E-ILS"),
        (Condition(ready=False), "E-NOT-READY"),
    ],
)
def test_a_kiosk_that_cannot_work_says_so_with_a_code(status: Condition, code: str) -> None:
    for lang in LANGS:
        screen = shown(Visit(lang=lang), status)
        assert screen.name is Name.OUT
        assert screen.code.endswith(f"kiosk-1 · {code}")
        assert not screen.actions


@pytest.mark.parametrize("why", BARS)
@pytest.mark.parametrize("mode", [Mode.IDLE, Mode.CARD, Mode.CHECKING])
def test_a_barred_kiosk_says_why_with_a_code_and_what_to_do(mode: Mode, why: str) -> None:
    vi = shown(replace(visit(mode), barred=why))
    en = shown(replace(visit(mode), barred=why, lang="en"))
    assert vi.name is en.name is Name.OUT
    assert vi.code.endswith(f"kiosk-1 · {BARS[why].code}")
    assert "đến quầy thủ thư" in vi.lead
    assert "go to the librarian's desk" in en.lead
    assert not vi.actions
    assert "librarian" not in vi.title + vi.lead


def test_every_bar_of_the_runner_has_its_screen_and_its_own_code() -> None:
    assert set(BARS) == set(RUNNER_BARS)
    assert len({bar.code for bar in BARS.values()}) == len(BARS)
    unknown = shown(replace(visit(Mode.IDLE), barred="a reason of a later release"))
    assert unknown.name is Name.OUT


def test_a_kiosk_barred_during_a_visit_says_that_nothing_more_is_lent_and_lets_finish() -> None:
    for mode in (Mode.BORROW, Mode.RETURN):
        screen = shown(replace(visit(mode, line()), barred="closed", lang="en"))
        assert screen.name == mode.value
        assert "Nothing more can be borrowed or returned" in screen.note
        assert [action.name for action in screen.actions] == ["finish"]
    done = shown(replace(visit(Mode.DONE, line()), barred="closed"))
    assert [action.name for action in done.actions] == ["cancel"], "there is no more"


def test_trouble_never_hides_books_under_way() -> None:
    for mode in (Mode.BORROW, Mode.RETURN, Mode.DONE):
        screen = shown(
            visit(mode, line(), replace(line(2, Phase.SAID), reason="on-hold")),
            Condition(False, False),
        )
        assert screen.name == mode.value
        assert screen.rows
    assert "dấu xanh" in shown(visit(Mode.BORROW, line()), Condition(reader_ok=False)).note
    assert "thủ thư" in shown(visit(Mode.BORROW, line()), Condition(ready=False)).note


def test_of_a_card_only_the_last_four_are_shown() -> None:
    assert last_four(CARD) == "•••• 0001"
    assert last_four("0001") == "••••", "a short card would be shown whole"
    for mode in Mode:
        for phase in Phase:
            assert CARD not in repr(shown(visit(mode, line(1, phase))))


def test_every_button_does_something() -> None:
    posted = {action.name for mode in Mode for action in shown(visit(mode, line())).actions}
    written = re.findall(r'data-action="([a-z]+)"', _templates())
    assert posted | set(written) <= ACTIONS


def test_every_icon_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'symbol id="([a-z0-9-]+)"', (UI / "static/icons.svg").read_text()))
    used = set(re.findall(r'(?:icon\(|note\([a-z.]+, |icons\.svg#)"?([a-z0-9-]+)"', _templates()))
    drawn = {action.icon for mode in Mode for action in shown(visit(mode, line())).actions}
    assert len(used) > 5
    assert used | drawn | {"circle-check", "hand"} <= sprite


def test_templates_and_script_hold_no_inline_style_or_script() -> None:
    markup = _templates()
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|javascript:", markup)
    assert re.findall(r"<script[^>]*>", markup) == ['<script src="/static/kiosk.js" defer>']
    assert not re.search(r"\beval\(|new Function|\.style\.", (UI / "static/kiosk.js").read_text())


@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("ink", "paper", 7.0), ("ink", "card", 7.0), ("ink-2", "card", 4.5), ("ink-2", "paper", 4.5),
        ("on-deep", "brand-deep", 4.5), ("card", "brand", 4.5), ("brand", "card", 4.5), ("card", "ok", 4.5),
        ("card", "warn", 4.5), ("ink", "warn-soft", 7.0), ("sun", "brand-deep", 3.0),
    ],
)  # fmt: skip
def test_colours_can_be_told_apart(front: str, back: str, least: float) -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11, for both palettes."""
    css = (UI / "static/kiosk.css").read_text()
    plain = dict(re.findall(r"--([a-z0-9-]+):(#[0-9a-f]{3,6})\b", css.split("html{", 1)[0]))
    strong = css.split("data-contrast=high]{", 1)[1].split("}", 1)[0]
    high = dict(re.findall(r"--([a-z0-9-]+):(#[0-9a-f]{3,6})\b", strong))
    for palette in (plain, {**plain, **high}):
        assert _contrast(palette[front], palette[back]) >= least


def _templates() -> str:
    return "".join(path.read_text() for path in sorted((UI / "templates").glob("*.html")))


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance of ``#rgb`` or ``#rrggbb``, WCAG 2.2."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
