"""The webhook as Alertmanager meets it: stored before it is answered, whatever it sends and however often."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mocban import access
from tests.support.gateway_stand import until
from tests.support.ops_stand import Ops, alert, delivery


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ops]:
    with Ops(tmp_path_factory.mktemp("ops")) as ops:
        yield ops


@pytest.fixture
def ops(tmp_path: Path) -> Iterator[Ops]:
    with Ops(tmp_path) as ops:
        yield ops


def webhook(ops: Ops, body: Any) -> tuple[int, dict[str, Any]]:
    status, answer = ops.ask(
        "POST", "/api/v1/alerts", body, access.token(ops.folder, "ops", "webhook")
    )
    return status, dict(json.loads(answer))


def test_a_delivery_repeated_is_stored_once(ops: Ops) -> None:
    told = [alert(), alert("MocbanOutboxOld")]
    assert ops.deliver(*told) == {
        "ok": True, "new": 2, "known": 0, "malformed": 0, "truncated": 0, "incidents": [1, 2],
    }  # fmt: skip
    ops.stop()
    ops.start()
    assert ops.deliver(*told)["known"] == 2
    assert [(one["kind"], one["signals"], one["severity"]) for one in ops.incidents()] == [
        ("outbox-old", 1, "critical"), ("kiosk-offline", 1, "critical"),
    ]  # fmt: skip


def test_a_resolved_alert_ends_its_incident_and_a_new_one_comes_back_into_it(ops: Ops) -> None:
    ops.deliver(alert())
    ops.deliver(alert(status="resolved", ends="2026-11-25T08:01:00Z"))
    assert ops.incidents()[0]["over"] == "2026-11-25T08:01:00.000Z"
    assert [entry["what"] for entry in ops.timeline(1)] == ["opened", "over"]
    ops.deliver(alert(starts="2026-11-25T08:02:00Z"))
    assert [(one["over"], one["signals"]) for one in ops.incidents()] == [("", 2)]


def test_truncated_alerts_are_said_in_the_timeline_and_in_metrics(ops: Ops) -> None:
    answer = ops.deliver(alert(), truncated=12)
    assert answer["truncated"] == 12
    assert [(one["what"], one["args"].get("count")) for one in ops.timeline(1)][-1] == (
        "truncated",
        "12",
    )
    metrics = ops.ask("GET", "/metrics", token="")[1].decode()
    assert "mocban_ops_alerts_truncated_total 12.0" in metrics
    assert 'mocban_ops_signals_total{source="alert"} 1.0' in metrics
    assert 'mocban_ops_incidents{kind="kiosk-offline",state="open"} 1.0' in metrics
    assert 'mocban_ops_webhook_seconds_count{outcome="stored"} 1.0' in metrics


def test_more_alerts_than_a_delivery_may_hold_are_counted(ops: Ops) -> None:
    told = [alert("Disk", f"kiosk-{n}") for n in range(1200)]
    answer = ops.deliver(*told)
    assert (answer["new"], answer["truncated"]) == (1000, 200)
    assert ops.timeline(1)[-1]["what"] == "truncated"


def test_an_alert_nobody_knows_is_an_incident_of_its_own(shared: Ops) -> None:
    before = len(shared.incidents())
    shared.deliver(
        alert("HostOutOfDisk", "", instance="db:9100", severity="warning"),
        alert("HostOutOfDisk", "", instance="web:9100", severity="page"),
        alert("", ""),
    )
    found = shared.incidents()[: len(shared.incidents()) - before]
    assert [(one["kind"], one["severity"], one["args"].get("alert")) for one in reversed(found)] == [
        ("alert", "minor", "HostOutOfDisk"), ("alert", "critical", "HostOutOfDisk"), ("alert", "critical", None),
    ]  # fmt: skip


def test_our_own_alert_without_a_device_joins_nothing(shared: Ops) -> None:
    no = shared.deliver(alert("MocbanReaderLost", ""))["incidents"][0]
    assert shared.get(f"/api/v1/incidents/{no}")["incident"]["kind"] == "alert"
    no = shared.deliver(alert("MocbanReaderLost", "No Device; at all"))["incidents"][0]
    assert shared.get(f"/api/v1/incidents/{no}")["incident"]["kind"] == "alert"


def test_of_a_delivery_with_damaged_alerts_the_sound_ones_are_kept(shared: Ops) -> None:
    bad = [
        {**alert(), "startsAt": "yesterday"}, {**alert(), "status": "maybe"}, {**alert(), "labels": [1]}, 7,
        {**alert(), "labels": {"alertname": 3}}, {**alert(), "startsAt": "0001-01-01T00:00:00+14:00"},
        {**alert(), "labels": {"alertname": "\ud800"}}, {**alert(), "fingerprint": "\udfff"},
        {**alert(), "labels": {f"l{n}": "" for n in range(101)}}, {**alert(), "status": "resolved", "endsAt": ""},
    ]  # fmt: skip
    status, answer = webhook(shared, delivery(*bad, alert("MocbanOutboxOld", "kiosk-9")))  # type: ignore[arg-type]
    assert (status, answer["new"], answer["malformed"]) == (200, 1, len(bad))
    status, answer = webhook(shared, delivery(*bad))  # type: ignore[arg-type]
    assert (status, answer["errors"][0]["code"]) == (400, "bad-alerts")


def test_times_that_cannot_be_are_bent_to_what_can(shared: Ops) -> None:
    for n, starts in enumerate(("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z")):
        no = shared.deliver(alert("MocbanOutboxOld", f"odd-{n}", starts=starts))["incidents"][0]
        assert shared.get(f"/api/v1/incidents/{no}")["incident"]["opened"] > "2020"
    assert shared.deliver(alert("Many", ""), truncated=10**30)["truncated"] == 1_000_000


NONE = [
    b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe", b'{"alerts": 3}', b'{"alerts": null}', b"{}",
    b'{"alerts": [], "truncatedAlerts": "many"}', b'{"alerts": [], "truncatedAlerts": -1}', b"[" * 100_000,
    b'{"alerts": ' + b"[" * 50_000,
]  # fmt: skip


@pytest.mark.parametrize("body", NONE, ids=range(len(NONE)))
def test_what_is_no_delivery_is_refused_with_a_sentence(shared: Ops, body: bytes) -> None:
    status, answer = webhook(shared, body)
    assert status == 400
    assert answer["ok"] is False
    assert answer["errors"][0]["code"] == "bad-delivery"
    assert "version 4" in answer["errors"][0]["do"]


def test_an_empty_delivery_is_fine(shared: Ops) -> None:
    assert shared.deliver()["new"] == 0


def test_a_delivery_longer_than_a_mebibyte_is_refused(shared: Ops) -> None:
    status, answer = webhook(shared, b" " * (1024 * 1024 + 1))
    assert (status, answer["errors"][0]["code"]) == (413, "too-long")
    assert "max_alerts" in answer["errors"][0]["do"]
    status, _ = webhook(shared, b" " * 1024 * 1024)
    assert status == 400


def test_who_has_no_token_is_told_where_it_lies(shared: Ops) -> None:
    for token in ("", "0" * 64):
        status, body = shared.ask("POST", "/api/v1/alerts", delivery(alert()), token)
        error = json.loads(body)["errors"][0]
        assert (status, error["code"]) == (401, "no-token")
        assert "webhook.token" in error["do"]
    assert shared.ask("POST", "/api/v1/alerts", delivery())[0] == 200, "the operator may, too"


def test_the_webhooks_token_opens_nothing_else(shared: Ops) -> None:
    token = access.token(shared.folder, "ops", "webhook")
    for method, path in (
        ("GET", "/api/v1/incidents"), ("GET", "/api/v1/incidents/1"), ("POST", "/api/v1/reports"),
        ("POST", "/api/v1/incidents/1/ack"), ("GET", "/api/v1/executions"), ("GET", "/api/v1/playbooks"),
    ):  # fmt: skip
        assert shared.ask(method, path, {} if method == "POST" else None, token)[0] == 401, path


def test_a_delivery_that_breaks_off_is_not_stored_and_hurts_nobody(shared: Ops) -> None:
    body = json.dumps(delivery(alert("BreaksOff", ""))).encode()
    token = access.token(shared.folder, "ops", "webhook")
    with socket.create_connection(("127.0.0.1", shared.port)) as line:
        line.sendall(
            b"POST /api/v1/alerts HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
            + token.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-9]
        )  # fmt: skip
    shared.deliver(alert("AfterIt", ""))
    told = [one["args"].get("alert") for one in shared.incidents()]
    assert "AfterIt" in told
    assert "BreaksOff" not in told


def test_a_full_disk_is_a_503_and_alertmanager_comes_again(ops: Ops) -> None:
    with closing(sqlite3.connect(ops.config.database, timeout=10)) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
        db.commit()
        status, answer = webhook(ops, delivery(alert()))
        assert (status, answer["errors"][0]["code"]) == (503, "storage")
        assert db.execute("SELECT count(*) FROM signal").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM incident").fetchone() == (0,)
        assert 'outcome="failed"} 1.0' in ops.ask("GET", "/metrics", token="")[1].decode()
        db.execute("DROP TRIGGER full")
        db.commit()
    until(lambda: webhook(ops, delivery(alert()))[0] == 200, "the disk takes it")
    assert [one["signals"] for one in ops.incidents()] == [1]


def test_foreign_pages_cannot_reach_it(shared: Ops) -> None:
    with socket.create_connection(("127.0.0.1", shared.port)) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert line.recv(64).startswith(b"HTTP/1.1 403")
