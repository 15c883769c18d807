"""Operations among enemies: bodies without end, floods, foreign hosts, words that are none, signals without end."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mocban import access
from mocban.clock import SetClock
from ops.api import bounds
from ops.incidents import rows
from ops.incidents.correlate import Rules
from ops.incidents.model import Signal
from ops.incidents.store import Store
from tests.support.gateway_stand import until
from tests.support.ops_stand import Ops, alert, delivery


@pytest.fixture
def ops(tmp_path: Path) -> Iterator[Ops]:
    with Ops(tmp_path) as running:
        yield running


def raw(ops: Ops, head: str, body: bytes = b"", wait: float = 10.0) -> bytes:
    """What comes back for a request as it is written, until the other side closes or ``wait`` is over."""
    with socket.create_connection(("127.0.0.1", ops.port), timeout=wait) as sock:
        sock.sendall(head.replace("\n", "\r\n").encode() + body)
        found = b""
        try:
            while more := sock.recv(65536):
                found += more
                if b"\r\n\r\n" in found and b'"errors"' in found:
                    break
        except (TimeoutError, ConnectionError):
            pass
        return found


def test_a_body_of_an_unknown_caller_is_not_read_into_memory(ops: Ops) -> None:
    status, answer = ops.ask("POST", "/api/v1/executions", b"[" + b" " * bounds.BODY_MAX, token="")
    assert status == 413, answer
    first = json.loads(answer)["errors"][0]
    assert (first["code"], bool(first["do"])) == ("too-long", True)


def test_a_length_nobody_can_hold_is_refused_before_anything_is_sent(ops: Ops) -> None:
    head = "POST /api/v1/reports HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 999999999999\n\n"
    assert raw(ops, head).startswith(b"HTTP/1.1 413")
    both = head.replace("Content-Length: 999999999999", "Content-Length: 5\nContent-Length: 7")
    assert raw(ops, both).startswith(b"HTTP/1.1 400")
    assert ops.health()["ok"] is not None


@pytest.mark.parametrize("path", ["/api/v1/reports", "/api/v1/alerts", "/api/v1/executions"])
def test_a_body_that_never_ends_ends(ops: Ops, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SECONDS", 0.5)
    token = access.token(ops.folder, "ops")
    head = (
        f"POST {path} HTTP/1.1\nHost: 127.0.0.1\nAuthorization: Bearer {token}\n"
        "Content-Type: application/json\nTransfer-Encoding: chunked\n\n"
    )
    answer = raw(ops, head, b"1\r\n{\r\n", wait=6.0)
    assert answer.startswith(b"HTTP/1.1 408"), answer[:200]
    assert b'"too-slow"' in answer


def test_sixty_four_at_once_lose_nothing_and_foreign_hosts_get_nothing(ops: Ops) -> None:
    token = access.token(ops.folder, "ops", "webhook")

    def one(number: int) -> int:
        body = delivery(alert(device=f"kiosk-{number}"))
        return ops.ask("POST", "/api/v1/alerts", body, token if number % 2 else "wrong")[0]

    with ThreadPoolExecutor(64) as pool:
        found = list(pool.map(one, range(64)))
    assert found == [401, 200] * 32
    assert len(ops.incidents()) == 32
    for host in ("evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", ""):
        answer = raw(ops, f"GET /api/v1/incidents HTTP/1.1\nHost: {host}\nConnection: close\n\n")
        assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")), (host, answer[:80])


WRONG: list[tuple[str, Any, int]] = [
    ("/api/v1/incidents/1/note", {"by": "person:lan", "text": "x" * 1_000_000}, 422),
    ("/api/v1/incidents/-1/note", {"by": "person:lan", "text": "x"}, 404),
    ("/api/v1/incidents/-9999999999999999999999/ack", {"by": "person:lan"}, 404),
    ("/api/v1/incidents/1;drop table incident/ack", {"by": "person:lan"}, 422),
    ("/api/v1/incidents/1/ack", {"by": "person:Lan"}, 422),
    ("/api/v1/incidents/1/ack", {"by": "person:lan' OR 1=1"}, 422),
    ("/api/v1/incidents/1/note", {"by": "person:lan", "text": "\u202e\x1b\x00"}, 422),
    ("/api/v1/reports", {"by": "person:lan", "say": "x", "device": "../gate"}, 422),
    ("/api/v1/reports", {"by": "person:lan", "say": "\ud800"}, 422),
    ("/api/v1/executions", {"playbook": "gate-storm", "by": "person:lan", "incident": -1}, 422),
    ("/api/v1/executions", {"playbook": "../../etc/passwd", "by": "person:lan"}, 404),
    (
        "/api/v1/executions",
        {"playbook": "gate-storm", "by": "person:lan", "variables": {f"__v{n}__": "" for n in range(10_000)}},
        422,
    ),
    ("/api/v1/executions/%00/stop", {"by": "lan"}, 404),
    ("/api/v1/executions/' OR '1'='1/stop".replace(" ", "%20"), {"by": "lan"}, 404),
]  # fmt: skip


def test_what_is_no_word_of_ours_is_refused_in_a_sentence(ops: Ops) -> None:
    ops.post("/api/v1/reports", {"by": "person:lan", "say": "cổng kêu"})
    for path, body, status in WRONG:
        got, answer = ops.ask("POST", path.replace(" ", "%20"), json.dumps(body).encode())
        assert got == status, (path, str(body)[:60], got, answer[:200])
        assert json.loads(answer)["errors"][0]["say"]
    assert len(ops.incidents()) == 1
    assert ops.health()["checks"]["store"]["ok"]


def test_an_alert_of_five_megabytes_is_refused_and_its_neighbours_are_kept(ops: Ops) -> None:
    token = access.token(ops.folder, "ops", "webhook")
    huge = alert(**{f"label{n}": "x" * 10_000 for n in range(500)})
    assert ops.ask("POST", "/api/v1/alerts", delivery(huge), token)[0] == 413
    many = alert(**{f"label{n}": "x" * 100 for n in range(500)})
    taken = ops.deliver(many, alert(device="kiosk-2"))
    assert (taken["new"], taken["malformed"]) == (1, 1)
    sick = alert(name="\x1b]0;pwned\x07\u202eSick", device="kiosk-3")
    sick["annotations"]["summary"] = "\x1b[2J\u202e\x9b31mgone\nnext"
    ops.deliver(sick)
    text = json.dumps(ops.incidents()) + json.dumps(ops.timeline(ops.incidents()[0]["no"]))
    assert not [c for c in json.loads(json.dumps(text)) if not c.isprintable()]
    assert "\\u001b" not in text
    assert "\\u202e" not in text


def test_an_alert_is_not_lost_for_a_long_description(ops: Ops) -> None:
    long = alert()
    long["annotations"] = {"summary": "kiosk away", "description": "x" * 50_000}
    assert ops.deliver(long)["new"] == 1
    long = alert(device="kiosk-2")
    long["annotations"] = {"summary": "cổng " * 10_000}
    ops.deliver(long)
    assert len(json.dumps(ops.incidents()[0])) < 3_000


def test_a_gate_that_cries_without_end_is_one_incident_of_few_rows(tmp_path: Path) -> None:
    clock = SetClock()
    store = Store(tmp_path / "ops.db", clock, Rules())
    many = [
        Signal(f"fact:{n}", "fact", "gate-alarm", "gate-1", clock.now(), heard=clock.now())
        for n in range(20_000)
    ]
    for start in range(0, len(many), 500):
        store.take(many[start : start + 500])
    (one,) = store.incidents()
    assert (one.kind, one.signals) == ("gate-storm", 20_000)
    db = sqlite3.connect(tmp_path / "ops.db")
    (lines,) = db.execute("SELECT count(*) FROM entry").fetchone()
    db.close()
    store.close()
    assert lines <= 10 < rows.ENTRIES_MAX


ACTS = [
    ("ack", {}), ("note", {"text": "Nguyễn Văn A thẻ 0123456789"}), ("resolve", {"text": "0123456789"}),
]  # fmt: skip


def test_each_act_is_told_once_and_without_what_people_wrote(ops: Ops) -> None:
    _, found = ops.post("/api/v1/reports", {"by": "person:lan", "say": "thẻ 0123456789 của An"})
    no = found["incident"]["no"]
    for verb, more in ACTS:
        for _ in range(2 if verb != "note" else 1):
            assert (
                ops.post(f"/api/v1/incidents/{no}/{verb}", {"by": "person:lan", **more})[0] == 200
            )
    told = ["incident-opened", "incident-acked", "incident-noted", "incident-resolved"]

    def facts() -> list[dict[str, Any]]:
        return [one for one in outbox(ops) if one["action"] in told]

    until(lambda: len(facts()) >= len(told), "everything is told")
    assert [one["action"] for one in facts()] == told
    assert "0123456789" not in json.dumps(outbox(ops), ensure_ascii=False)


def outbox(ops: Ops) -> list[dict[str, Any]]:
    """The audited facts that wait to be sent: nobody here takes them."""
    db = sqlite3.connect(f"file:{ops.config.database}?mode=ro", uri=True)
    try:
        found = db.execute("SELECT payload FROM outbox ORDER BY seq").fetchall()
    finally:
        db.close()
    return [json.loads(row[0])["data"] for row in found]


def test_nothing_waits_after_a_flood_of_connections_that_say_nothing(ops: Ops) -> None:
    idle = [socket.create_connection(("127.0.0.1", ops.port), timeout=5) for _ in range(100)]
    try:
        answered = threading.Event()

        def ask() -> None:
            ops.incidents()
            answered.set()

        threading.Thread(target=ask).start()
        assert answered.wait(5)
    finally:
        for one in idle:
            one.close()
