"""What a gate makes of a tag: marks, sightings, the way it goes, whose it is, how long it lies there."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.devices.base import Passage
from kiosk.gate.judging import ALLOWED, GONE, LULL, TAGS_MOST, Rules, Sight, Sights, Verdict, judge
from kiosk.gate.mounted import Mounted
from kiosk.settings import Detect, Direction, GateSettings, Security
from kiosk.wire import gaoxiao
from kiosk.wire.content import (
    Blank,
    CardTag,
    Content,
    Damage,
    Damaged,
    Foreign,
    ItemTag,
    Label,
    Owner,
    Usage,
)

UID = "E004010012345678"
OURS, THEIRS = Owner("VN", "BG01"), Owner("DE", "705")
NOW = 1000.0


def item(owner: Owner = OURS) -> ItemTag:
    return ItemTag("BG00012345", Usage.CIRCULATING, 1, 1, owner)


def passage(
    afi: int | None = 0x07, *, uid: str = UID, direction: Direction = "out", eas: bool = False, epc: bytes = b""
) -> Passage:  # fmt: skip
    return Passage(uid, afi, b"", 1, direction, epc, eas)


def verdict(
    seen: Passage, rules: Rules | None = None, content: Content | None = None, sight: Sight | None = None,
    *, feed: str = "", known: bool = False, certain: bool = False,
) -> Verdict:  # fmt: skip
    return judge(
        seen, content or item(), rules or Rules(), sight or Sight(NOW, NOW, (NOW,)),
        feed=feed, known=known, certain=certain,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("detect", "afi", "eas", "known", "feed", "expected"),
    [
        ("afi", 0x07, False, False, "", Verdict.CRY),
        ("afi", 0xC2, False, False, "", Verdict.SILENT),
        ("afi", 0x00, False, False, "", Verdict.STRANGE),
        ("afi", None, False, False, "", Verdict.STRANGE),
        ("afi", 0x07, False, True, "recent-loans", Verdict.LENT),
        ("afi", 0x07, False, True, "pending-security", Verdict.LENT),
        ("afi", 0x07, False, True, ALLOWED, Verdict.EXCUSED),
        ("afi", 0xC2, False, True, "recent-loans", Verdict.SILENT),
        ("eas", None, True, False, "", Verdict.CRY),
        ("eas", None, False, False, "", Verdict.SILENT),
        ("eas", 0x07, False, False, "", Verdict.SILENT),
        ("eas", None, True, True, "recent-loans", Verdict.LENT),
        ("hybrid", 0x07, False, False, "", Verdict.CRY),
        ("hybrid", None, True, False, "", Verdict.CRY),
        ("hybrid", 0xC2, True, False, "", Verdict.CRY),
        ("hybrid", 0xC2, False, False, "", Verdict.SILENT),
        ("hybrid", None, False, False, "", Verdict.STRANGE),
        ("database", None, False, True, "", Verdict.CRY),
        ("database", 0xC2, False, True, "", Verdict.CRY),
        ("database", 0x07, False, True, "recent-loans", Verdict.EXCUSED),
        ("database", None, False, True, ALLOWED, Verdict.EXCUSED),
        ("database", 0x07, False, False, "", Verdict.CRY),  # no list of loans: by the tag alone
        ("database", 0xC2, False, False, "", Verdict.SILENT),
        ("database", None, False, False, "", Verdict.STRANGE),
        ("database", 0x07, False, False, "own-kiosk", Verdict.LENT),
    ],
)
def test_what_gives_an_item_away_is_the_sites_setting(
    detect: Detect, afi: int | None, eas: bool, known: bool, feed: str, expected: Verdict
) -> None:
    seen = passage(afi, eas=eas)
    assert verdict(seen, Rules(detect=detect), feed=feed, known=known) is expected


def test_a_site_with_other_marks_is_judged_by_them() -> None:
    site = Rules(in_stock=0xDA, on_loan=0x9E)
    assert verdict(passage(0xDA), site) is Verdict.CRY
    assert verdict(passage(0x9E), site) is Verdict.SILENT
    assert verdict(passage(0x07), site) is Verdict.STRANGE


@pytest.mark.parametrize("detect", ["afi", "hybrid", "database"])
def test_the_bit_of_gaoxiao_counts_where_no_family_is_told(detect: Detect) -> None:
    for on_loan, expected in ((True, Verdict.SILENT), (False, Verdict.CRY)):
        epc = gaoxiao.encode(Label("BG00012345"), on_loan=on_loan)
        seen = passage(None, uid=epc[2:].hex().upper(), epc=epc)
        assert verdict(seen, Rules(detect=detect)) is expected


def test_two_sightings_within_the_time_make_sure_where_the_gate_needs_them() -> None:
    rules = Rules(reads=2, within=0.15)
    sights = Sights(rules)
    assert verdict(passage(), rules, sight=sights.see(UID, NOW)) is Verdict.WAITING
    assert verdict(passage(), rules, sight=sights.see(UID, NOW + 0.16)) is Verdict.WAITING
    assert verdict(passage(), rules, sight=sights.see(UID, NOW + 0.30)) is Verdict.CRY
    assert verdict(passage(uid="E0"), rules, sight=sights.see("E0", NOW + 0.30)) is Verdict.WAITING
    assert verdict(passage(), rules, sight=Sight(NOW, NOW, (NOW,)), certain=True) is Verdict.CRY


def test_one_tag_cries_once_in_the_hold_time_and_another_is_not_held_by_it() -> None:
    rules = Rules(hold=10.0)
    sights = Sights(rules)
    assert verdict(passage(), rules, sight=sights.see(UID, NOW)) is Verdict.CRY
    sights.acted(UID, NOW)
    assert verdict(passage(), rules, sight=sights.see(UID, NOW + 9.9)) is Verdict.HELD
    assert verdict(passage(), rules, sight=sights.see(UID, NOW + 10)) is Verdict.CRY
    assert verdict(passage(uid="E0"), rules, sight=sights.see("E0", NOW + 0.1)) is Verdict.CRY


@pytest.mark.parametrize(
    ("directions", "direction", "expected"),
    [
        (("out", "unknown"), "out", Verdict.CRY),
        (("out", "unknown"), "unknown", Verdict.CRY),
        (("out", "unknown"), "in", Verdict.INBOUND),
        (("out",), "unknown", Verdict.INBOUND),
        (("in", "out", "unknown"), "in", Verdict.CRY),
    ],
)
def test_only_those_ways_cry_that_are_set(
    directions: tuple[Direction, ...], direction: Direction, expected: Verdict
) -> None:
    rules = Rules.of(GateSettings(directions=directions), 1)
    assert verdict(passage(direction=direction), rules) is expected


@pytest.mark.parametrize(
    ("owners", "owner", "expected"),
    [
        ((), THEIRS, Verdict.CRY),
        (("VN-BG01",), OURS, Verdict.CRY),
        (("vn-bg01", "VN-BG02"), OURS, Verdict.CRY),
        (("VN-BG01",), THEIRS, Verdict.FOREIGN),
        (("VN-BG01",), Owner("", ""), Verdict.CRY),  # a model without owners
    ],
)
def test_an_item_of_another_house_is_not_cried_for(
    owners: tuple[str, ...], owner: Owner, expected: Verdict
) -> None:
    rules = Rules.of(GateSettings(owners=owners), 1)
    assert verdict(passage(), rules, item(owner)) is expected
    assert verdict(passage(0xC2), rules, item(owner)) is Verdict.SILENT


@pytest.mark.parametrize("detect", get_args(Detect))
def test_cards_and_blank_tags_never_cry_whatever_their_mark(detect: Detect) -> None:
    rules = Rules(detect=detect)
    for afi in (0x07, 0xC2, None):
        seen = passage(afi, eas=True)
        for known in (True, False):
            assert verdict(seen, rules, CardTag("TV2400001", OURS), known=known) is Verdict.CARD
            assert verdict(seen, rules, Blank(), known=known) is Verdict.BLANK


def test_an_armed_tag_that_cannot_be_read_cries_but_no_database_makes_it_an_item() -> None:
    for content in (Damaged(Damage.CHECKSUM), Damaged(Damage.MISSING, 32), Foreign()):
        assert verdict(passage(), content=content) is Verdict.CRY
        rules = Rules(detect="database")
        assert verdict(passage(None), rules, content, known=True) is Verdict.STRANGE


def test_a_tag_that_lies_there_for_long_is_parked_and_cries_again_once_it_was_gone() -> None:
    rules = Rules(parked=60.0, hold=10.0)
    sights = Sights(rules)
    said = []
    for second in range(70):
        one = verdict(passage(), rules, sight=sights.see(UID, NOW + second))
        if one is Verdict.CRY:
            sights.acted(UID, NOW + second)
        if one is Verdict.PARKED:
            assert sights.park(UID) is (Verdict.PARKED not in said)
        said.append(one)
    assert said.count(Verdict.CRY) == 7
    assert set(said[61:]) == {Verdict.PARKED}
    assert sights.parked(NOW + 70)
    gone = NOW + 69 + GONE + 1
    assert not sights.parked(gone)
    assert verdict(passage(), rules, sight=sights.see(UID, gone + 1)) is Verdict.CRY


def test_who_walks_through_again_and_again_is_not_parked() -> None:
    rules = Rules(parked=60.0, hold=0.0)
    sights = Sights(rules)
    for walk in range(40):
        sight = sights.see(UID, NOW + walk * (LULL + 1))
        assert verdict(passage(), rules, sight=sight) is Verdict.CRY
        sights.acted(UID, sight.last)


def test_a_test_tag_is_never_cried_for_whatever_it_holds() -> None:
    rules = Rules.of(GateSettings(test_tags=(UID,)), 1)
    for afi in (0x07, None):
        for content in (item(), Blank(), Foreign()):
            assert verdict(passage(afi, eas=True), rules, content) is Verdict.TEST


def test_an_excuse_waits_for_as_many_sightings_as_a_cry() -> None:
    rules = Rules(reads=2)
    assert verdict(passage(), rules, feed="recent-loans") is Verdict.WAITING


@given(st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 30)), max_size=200))
def test_what_is_remembered_is_bounded_and_forgotten(steps: list[tuple[int, float]]) -> None:
    sights, now = Sights(Rules()), 0.0
    for key, pause in steps:
        now += pause
        sights.see(str(key), now)
    assert len(sights) <= TAGS_MOST
    sights.parked(now + GONE + 1)
    assert len(sights) == 0


def test_a_stream_of_tags_drops_those_seen_longest_ago() -> None:
    sights = Sights(Rules())
    for key in range(TAGS_MOST + 10):
        sights.see(str(key), NOW)
    assert len(sights) == TAGS_MOST


@pytest.mark.parametrize(
    ("by", "detect", "detects"),
    [
        ("afi", "", "afi"),
        ("eas", "", "eas"),
        ("afi+eas", "", "hybrid"),
        ("database", "", "database"),
        ("afi", "database", "database"),
        ("afi+eas", "afi", "afi"),
    ],
)
def test_the_site_decides_what_a_gate_heeds_unless_the_gate_is_set(
    by: str, detect: str, detects: str
) -> None:
    raw = {"security": Security.model_validate({"by": by}), "detect": detect}
    assert GateSettings.model_validate(raw).detects == detects


def test_how_often_a_tag_must_be_seen_is_the_gates_matter_unless_it_is_set() -> None:
    assert Rules.of(GateSettings(), 2).reads == 2
    assert Rules.of(GateSettings(reads=3, reads_ms=400), 1) == Rules(reads=3, within=0.4)


def test_a_test_tag_that_is_not_seen_any_more_means_a_blind_antenna() -> None:
    mounted = Mounted(("A1", "A2"), 60.0)
    mounted.opened(0.0)
    assert mounted.saw("A1", 1.0) == ("gate-antenna-1", True)
    assert mounted.saw("A1", 2.0) is None
    assert mounted.saw("B", 2.0) is None
    assert mounted.missing(60.0) == []
    assert mounted.missing(60.1) == [("gate-antenna-2", False)]
    assert mounted.missing(61.0) == []
    assert mounted.saw("A2", 61.5) == ("gate-antenna-2", True)
    assert mounted.missing(62.1) == [("gate-antenna-1", False)]
    mounted.opened(100.0)  # the whole gate was away: its own fact says so
    assert mounted.missing(159.0) == []


def test_a_single_test_tag_stands_for_the_field_and_none_for_nothing() -> None:
    one = Mounted((UID,), 10.0)
    one.opened(0.0)
    assert one.missing(11.0) == [("gate-field", False)]
    none = Mounted((), 10.0)
    none.opened(0.0)
    assert none.missing(1e9) == []
    assert not none.due(1e9)


def test_test_tags_are_looked_for_three_times_in_their_time() -> None:
    mounted = Mounted((UID,), 60.0)
    mounted.opened(0.0)
    assert [second for second in range(60) if mounted.due(float(second))] == [0, 20, 40]
