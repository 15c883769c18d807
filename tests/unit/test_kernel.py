"""The kernel's ground: ids, clock, envelope, topics, errors, redaction."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocban import events, log, topics
from mocban.clock import SetClock, parse_rfc3339, rfc3339
from mocban.errors import DeviceLost, PeerUnreachable, RemoteFault, RemoteProtocolError, Transient
from mocban.health import Health
from mocban.identity import Identity
from mocban.ids import check_device, fact_id

LOAN = events.LoanMade(session="5e55", line=1, item="BG00012345")


def envelope(**changes: object) -> dict[str, object]:
    body: dict[str, object] = {
        "v": 1, "id": str(LOAN.id_at("kiosk-1")), "epoch": "00112233445566ff", "seq": 1,
        "ts": "2026-11-22T08:00:00.000Z", "mono": 1.5, "boot": "5e" * 16, "kind": "loan-made", "kv": 1,
        "data": LOAN.model_dump(mode="json"),
    }  # fmt: skip
    return {**body, **changes}


def test_a_fact_told_twice_has_one_id_and_another_line_another() -> None:
    assert LOAN.id_at("kiosk-1") == LOAN.model_copy(update={"item": "other"}).id_at("kiosk-1")
    assert LOAN.id_at("kiosk-1") != LOAN.model_copy(update={"line": 2}).id_at("kiosk-1")
    assert LOAN.id_at("kiosk-1") != LOAN.id_at("kiosk-2")
    assert fact_id("a-b", "c", 1) != fact_id("a-b", "c1")  # parts never run together


def test_every_kind_is_its_class_in_kebab_case() -> None:
    assert events.kinds() == (
        "audited", "command-answered", "device-changed", "events-lost", "fact-shed", "gate-alarmed", "item-refused",
        "loan-made", "people-counted", "return-made", "security-mended", "still-armed",
    )  # fmt: skip


def test_an_envelope_survives_the_wire() -> None:
    read = events.parse(json.dumps(envelope()).encode())
    again = events.parse(read.encode())
    assert again == read
    assert again.fact() == LOAN
    assert b'"ts":"2026-11-22T08:00:00.000Z"' in read.encode()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"v": 2}, "bad-envelope"),
        ({"extra": 1}, "bad-envelope"),
        ({"epoch": "xyz"}, "bad-envelope"),
        ({"seq": 0}, "bad-envelope"),
        ({"ts": "yesterday"}, "bad-envelope"),
        ({"data": {"x": "y" * 5000}}, "too-long"),
    ],
)
def test_a_wrong_envelope_is_named(changes: dict[str, object], code: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        events.parse(json.dumps(envelope(**changes)).encode())
    assert caught.value.code == code


def test_unknown_kinds_and_bad_data_are_told_apart_from_bad_envelopes() -> None:
    for changes, code in (
        ({"kind": "moon-landed"}, "unknown-kind"),
        ({"kv": 9}, "unknown-kind"),
        ({"data": {"session": "s", "line": -1, "item": "x"}}, "bad-data"),
    ):
        read = events.parse(json.dumps(envelope(**changes)).encode())
        with pytest.raises(RemoteProtocolError) as caught:
            read.fact()
        assert caught.value.code == code


@given(st.binary(max_size=300))
def test_noise_is_never_anything_but_a_protocol_error(noise: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        events.parse(noise)


def test_a_complaint_never_quotes_the_offending_value() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        events.parse(json.dumps(envelope(epoch="TV2400001")).encode())
    assert "TV2400001" not in str(caught.value)


def test_topics_round_trip_and_foreign_ones_are_refused() -> None:
    text = "mocban/v1/demo/kiosk-1/evt/loan-made"
    topic = topics.parse(text)
    assert (topic.tenant, topic.device, topic.channel, topic.name) == (
        "demo",
        "kiosk-1",
        "evt",
        "loan-made",
    )
    assert str(topic) == text
    assert topics.every("+", "evt") == "mocban/v1/+/+/evt/#"
    assert topics.every("demo", "state") == "mocban/v1/demo/+/state"
    for foreign in ("mocban/v2/demo/kiosk-1/state", "mocban/v1/demo/kiosk-1/evt", "mocban/v1/demo/kiosk-1/state/x",
                    "mocban/v1/demo/K1/state", "a/b", "", "mocban/v1/demo/kiosk-1/foo"):  # fmt: skip
        with pytest.raises(RemoteProtocolError):
            topics.parse(foreign)


@given(st.text(max_size=60))
def test_any_text_is_a_topic_or_a_protocol_error(text: str) -> None:
    try:
        assert str(topics.parse(text)) == text
    except RemoteProtocolError as error:
        assert error.code == "foreign-topic"


def test_device_ids_are_checked() -> None:
    assert check_device("kiosk-1") == "kiosk-1"
    for wrong in ("K1", "ab", "x" * 33, "a b c", ""):
        with pytest.raises(ValueError):
            check_device(wrong)
    assert Identity("demo", "kiosk-1", "kiosk").client_id == "kiosk-1.kiosk"


def test_times_are_utc_with_z() -> None:
    at = datetime(2026, 11, 22, 8, 0, 0, 123456, tzinfo=UTC)
    assert rfc3339(at) == "2026-11-22T08:00:00.123Z"
    assert parse_rfc3339("2026-11-22T15:00:00+07:00") == datetime(2026, 11, 22, 8, tzinfo=UTC)
    with pytest.raises(ValueError):
        parse_rfc3339("2026-11-22T08:00:00")


def test_an_error_says_whose_fault_and_whether_to_retry() -> None:
    lost = DeviceLost("the pad is gone", "plug it in")
    assert isinstance(lost, RemoteFault)
    assert isinstance(lost, Transient)
    assert isinstance(lost, PeerUnreachable)
    assert lost.as_json() == {"code": "device-lost", "say": "the pad is gone", "do": "plug it in"}


def test_logs_blank_everything_that_could_name_a_patron() -> None:
    line = {"event": "x", "card": "TV1", "user_name": "A", "AA": "1", "nested": {"pin": "1234"}, "uid": "E004",
            "say": "lent to TV2400001", "list": ["TV2400002"]}  # fmt: skip
    clean = log.redact(None, "info", line)
    assert "TV" not in json.dumps(clean)
    assert "1234" not in json.dumps(clean)
    assert clean["uid"] == "E004"


def test_health_is_ready_once_everything_needed_was_well() -> None:
    health = Health(SetClock(), ("reader", "ils"))

    def seen() -> tuple[bool, bool]:
        return health.ready, health.ok

    assert seen() == (False, False)
    health.check("reader", ok=True)
    assert seen() == (False, False)
    health.check("ils", ok=True)
    assert seen() == (True, True)
    health.check("ils", ok=False, say="silent")
    assert seen() == (True, False), "readiness is about the start"
    assert health.as_json()["checks"]["ils"]["say"] == "silent"
