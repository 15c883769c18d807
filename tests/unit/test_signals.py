"""What becomes a signal, and how incidents read in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocban.clock import rfc3339
from mocban.errors import RemoteProtocolError
from mocban.events import Audited, DeviceChanged, Fact, GateAlarmed, LoanMade
from mocban.i18n import LANGS, catalog
from ops.incidents import words
from ops.incidents.model import KINDS, SEVERITY, STATES, What
from ops.incidents.signals import TEXT_MAX, of_alert, of_fact, of_report

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)


def row(
    fact: Fact, device: str = "gate-1", ts: datetime = NOW, rx: datetime = NOW, **other: Any
) -> dict[str, Any]:
    return {
        "cursor": 1, "device": device, "epoch": "00000000000000e1", "seq": 1, "id": str(fact.id_at(device)),
        "kind": fact.kind, "kv": fact.kv, "ts": rfc3339(ts), "rx": rfc3339(rx), "data": fact.model_dump(mode="json"),
        **other,
    }  # fmt: skip


def changed(part: str, state: str) -> DeviceChanged:
    return DeviceChanged.model_validate({"part": part, "state": state, "at": NOW})


def audited(action: str, thing: str = "kiosk-1") -> Audited:
    return Audited(ref="r", actor="device:kiosk-1", action=action, object=thing)


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (GateAlarmed(passage=1, item="BG1"), ("gate-alarm", "gate-1", "", False)),
        (changed("reader", "lost"), ("reader-lost", "gate-1", "", False)),
        (changed("pad", "lost"), ("reader-lost", "gate-1", "", False)),
        (changed("reader", "ok"), ("reader-lost", "gate-1", "", True)),
        (changed("gate", "lost"), ("device-lost", "gate-1", "gate", False)),
        (changed("gate-siren", "lost"), ("device-lost", "gate-1", "gate-siren", False)),
        (changed("gate-antenna-2", "ok"), ("device-lost", "gate-1", "gate-antenna-2", True)),
        (changed("reader", "degraded"), None),
        (changed("ils", "lost"), None),
        (changed("bus", "lost"), None),
        (audited("clone-suspected"), ("clone", "kiosk-1", "", False)),
        (audited("clone-suspected", "No Device"), ("clone", "gate-1", "", False)),
        (audited("order-restart"), None),
        (LoanMade(session="s", line=1, item="BG1"), None),
    ],
)
def test_which_facts_are_signs(fact: Fact, expected: tuple[Any, ...] | None) -> None:
    found = of_fact(row(fact), "ops")
    assert (found and (found.kind, found.device, found.key, found.over)) == expected
    assert of_fact(row(fact, device="ops"), "ops") is None, "what we told ourselves is none"


def test_what_a_newer_release_tells_is_none() -> None:
    alarm = GateAlarmed(passage=1)
    assert of_fact(row(alarm, kv=9), "ops") is None
    assert of_fact(row(alarm, kind="gate-melted"), "ops") is None


@pytest.mark.parametrize(
    "broken",
    [{"data": {}}, {"data": None}, {"ts": "?"}, {"rx": None}, {"ts": "0001-01-01T00:00:00+14:00"}],
)
def test_what_is_no_fact_is_said(broken: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        of_fact(row(GateAlarmed(passage=1)) | broken, "ops")
    with pytest.raises(RemoteProtocolError):
        of_fact({}, "ops")


@pytest.mark.parametrize(
    ("ts", "at"),
    [
        (NOW - timedelta(hours=30), NOW - timedelta(hours=30)),
        (NOW + timedelta(seconds=1), NOW),
        (datetime(1970, 1, 1, tzinfo=UTC), NOW),
        (datetime(2090, 1, 1, tzinfo=UTC), NOW),
    ],
)
def test_a_clock_that_stands_wrong_does_not_mislead(ts: datetime, at: datetime) -> None:
    found = of_fact(row(GateAlarmed(passage=1), ts=ts), "ops")
    assert found is not None
    assert (found.at, found.heard) == (at, NOW)


def alarm(labels: dict[str, str], status: str = "firing", **annotations: str) -> Any:
    return of_alert(status, labels, annotations, rfc3339(NOW), rfc3339(NOW), "", NOW)


@pytest.mark.parametrize(
    ("name", "app", "expected"),
    [
        ("MocbanKioskOffline", "kiosk", ("kiosk-offline", "kiosk")),
        ("MocbanKioskOffline", "gate", ("kiosk-offline", "gate")),
        ("MocbanReaderLost", "kiosk", ("reader-lost", "")),
        ("MocbanReaderLost", "gate", ("device-lost", "gate")),
        ("MocbanOutboxOld", "kiosk", ("outbox-old", "kiosk")),
        ("MocbanGateStorm", "gate", ("gate-storm", "")),
    ],
)
def test_our_alerts_meet_what_facts_and_people_tell(
    name: str, app: str, expected: tuple[str, str]
) -> None:
    found = alarm({"alertname": name, "device": "box-1", "app": app})
    assert (found.kind, found.key) == expected
    if app == "kiosk" or found.kind == "device-lost":
        told = of_report("i", "person:lan", "x", "box-1", found.kind, NOW)
        assert (told.kind, told.key, told.device) == (found.kind, found.key, found.device)


def test_the_same_alert_has_the_same_id_and_another_another() -> None:
    one = alarm({"alertname": "A", "b": "c"})
    assert one.id == alarm({"b": "c", "alertname": "A"}).id
    assert one.id != alarm({"alertname": "A", "b": "d"}).id
    assert one.id != alarm({"alertname": "A", "b": "c"}, "resolved").id


@given(
    st.dictionaries(st.text(max_size=20), st.text(max_size=2000), max_size=8),
    st.text(max_size=3000),
)
def test_whatever_an_alert_says_it_is_bounded_and_legible(
    labels: dict[str, str], summary: str
) -> None:
    found = alarm(labels, summary=summary)
    for text in (*found.args.values(), found.device, found.app):
        assert len(text) <= TEXT_MAX
        assert text.isprintable()
    assert len(found.key) <= 200
    assert len(found.id) <= 200


def shown(kind: str, **other: Any) -> dict[str, Any]:
    return {
        "title_key": kind, "device": "gate-1", "app": "gate", "signals": 1,
        "args": {"say": "Khói", "alert": "Disk"}, **other,
    }  # fmt: skip


@pytest.mark.parametrize("lang", LANGS)
def test_everything_has_words_in_both_languages(lang: str) -> None:
    texts = catalog("ops", lang)
    told = [*words.TITLES.values(), *words.KIND_WORDS.values(), *words.STATE_WORDS.values()]
    told += [*words.SEVERITY_WORDS.values(), *words.LINES.values(), words.FADED]
    told += [text for pair in words.ERRORS.values() for text in pair]
    assert set(words.TITLES) == set(words.KIND_WORDS) == set(KINDS)
    assert set(words.STATE_WORDS) == set(STATES)
    assert set(words.SEVERITY_WORDS) == set(SEVERITY.values())
    assert set(words.LINES) == set(get_args(What))
    if lang == "vi":
        assert [text for text in told if texts.gettext(text) == text] == []
    for kind in KINDS:
        text = words.title(shown(kind), texts.gettext)
        assert "{" not in text
        assert "gate-1" in text or "Khói" in text


def test_what_nobody_has_words_for_is_still_shown() -> None:
    say = catalog("ops", "en").gettext
    assert words.title(shown("ufo"), say) == "ufo"
    entry = {"actor": "app:ops", "what": "ufo-landed", "text": "", "args": {"place": "roof"}}
    assert words.line(entry, say) == "ufo-landed place=roof"
    assert (
        words.line(entry, say, {"ufo-landed": "A ufo on the {place}{missing}"})
        == "A ufo on the roof"
    )


def test_a_title_counts_alarms_and_names_the_place_of_a_report() -> None:
    say = catalog("ops", "vi").gettext
    assert words.title(shown("gate-alarm", signals=12), say) == "Cổng gate-1 báo động (12)"
    assert words.title(shown("reported"), say) == "Có người báo: Khói (gate-1)"
    assert words.title(shown("alert", device="", args={"alert": "Disk"}), say) == "Cảnh báo Disk"


def test_braces_in_what_people_say_stay_as_they_are() -> None:
    say = catalog("ops", "en").gettext
    title = words.title(shown("reported", device="", args={"say": "{device} {0} {"}), say)
    assert title == "Reported: {device} {0} {"
