"""From a gate's cry to a resolved incident: real gateway, real broker, real service; and what people do about it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mocban.events import Audited, DeviceChanged, GateAlarmed
from tests.support.gateway_stand import CLOCK, Broker, Gateway, Teller, running_broker, until
from tests.support.ops_stand import Ops, alert

LAN, HOA = "person:lan", "person:hoa"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker("iotcore", tmp_path) as started:
        yield started


@pytest.fixture
def gateway(broker: Broker, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path, broker.url) as started:
        yield started


@pytest.fixture
def ops(broker: Broker, gateway: Gateway, tmp_path: Path) -> Iterator[Ops]:
    with Ops(tmp_path, broker.url, gateway.url) as started:
        yield started


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Ops]:
    with Ops(tmp_path) as started:
        yield started


def cry(device: Teller, first: int, last: int) -> None:
    for n in range(first, last + 1):
        device.tell(GateAlarmed(passage=n, item=f"BG{n:08}", direction="out"), n)
    device.wait_mark(last)


def kinds(ops: Ops) -> list[tuple[str, str, int]]:
    return [(one["kind"], one["device"], one["signals"]) for one in reversed(ops.incidents())]


def told(ops: Ops, alarms: int) -> bool:
    return kinds(ops) == [("gate-alarm", "gate-1", alarms)]


def said(ops: Ops, no: int, what: str) -> bool:
    return bool(ops.timeline(no)[-1]["what"] == what)


def moved(cursor: Path, text: str) -> bool:
    return cursor.read_text().strip() != text


def test_a_gate_cries_and_an_incident_opens(broker: Broker, ops: Ops) -> None:
    with Teller(broker.url, "gate-1") as gate:
        cry(gate, 1, 2)
        until(lambda: kinds(ops) == [("gate-alarm", "gate-1", 2)], "both alarms are one incident")
        cry(gate, 3, 12)
    until(lambda: kinds(ops) == [("gate-storm", "gate-1", 12)], "it is a fault of the gate")
    assert {"opened", "signal", "became"} == {one["what"] for one in ops.timeline(1)}


def test_what_was_told_while_it_was_away_is_read_on(
    broker: Broker, gateway: Gateway, tmp_path: Path
) -> None:
    ops = Ops(tmp_path, broker.url, gateway.url)
    with Teller(broker.url, "gate-1") as gate:
        cry(gate, 1, 3)
        for upto in (3, 4, 5):
            with ops:
                until(partial(told, ops, upto), "it is read")
            cry(gate, upto + 1, upto + 1)


def test_a_cursor_that_is_lost_or_a_gateway_that_is_another_changes_nothing(
    broker: Broker, gateway: Gateway, tmp_path: Path
) -> None:
    ops = Ops(tmp_path, broker.url, gateway.url)
    cursor = ops.config.database.with_name("facts.cursor")
    with Teller(broker.url, "gate-1") as gate:
        cry(gate, 1, 3)
        with ops:
            until(lambda: kinds(ops) == [("gate-alarm", "gate-1", 3)], "it is read")
            until(cursor.exists, "the cursor is stored")
        for text in ("0", "00000000000000ff.1"):
            cursor.write_text(text)
            with ops:
                cry(gate, 4, 4)
                until(partial(moved, cursor, text), "it is read anew")
                # The cry may come with a later page; whatever was counted twice never comes to four.
                until(lambda: kinds(ops) == [("gate-alarm", "gate-1", 4)], "it counts once")


def test_a_reader_lost_by_fact_and_by_alert_is_one_incident_until_it_is_back(
    broker: Broker, ops: Ops
) -> None:
    at = CLOCK.now()
    with Teller(broker.url) as kiosk:
        kiosk.tell(DeviceChanged(part="reader", state="lost", code="unreachable", at=at), 1)
        kiosk.tell(DeviceChanged(part="ils", state="lost", code="unreachable", at=at), 2)
        kiosk.wait_mark(2)
        until(lambda: kinds(ops) == [("reader-lost", "kiosk-1", 1)], "the reader is lost")
        ops.deliver(alert("MocbanReaderLost", starts=at.isoformat()))
        assert kinds(ops) == [("reader-lost", "kiosk-1", 2)]
        back = at + timedelta(seconds=3)
        kiosk.tell(DeviceChanged(part="reader", state="ok", at=back), 3, ts=back)
        kiosk.wait_mark(3)
        until(lambda: bool(ops.incidents()[0]["over"]), "it is over")
    assert ops.incidents()[0]["state"] == "open", "a person looks at what a device told"
    assert [one["what"] for one in ops.timeline(1)] == ["opened", "signal", "over"]


def test_a_gate_whose_reader_is_lost_is_a_device_lost(broker: Broker, ops: Ops) -> None:
    with Teller(broker.url, "gate-1") as gate:
        gate.tell(DeviceChanged(part="gate", state="lost", code="unreachable", at=CLOCK.now()), 1)
        gate.wait_mark(1)
    until(lambda: kinds(ops) == [("device-lost", "gate-1", 1)], "the gate is lost")
    ops.deliver(alert("MocbanReaderLost", "gate-1", app="gate", starts=CLOCK.now().isoformat()))
    assert kinds(ops) == [("device-lost", "gate-1", 2)]


def test_a_copied_memory_card_is_an_incident_and_our_own_audit_is_none(
    broker: Broker, gateway: Gateway, ops: Ops
) -> None:
    with Teller(broker.url) as kiosk:
        fact = Audited(ref="x", actor="person:boss", action="order-restart", object="kiosk-1")
        kiosk.tell(fact, 1)
        kiosk.wait_mark(1)
        kiosk.tell(Audited(ref="y", actor="person:boss", action="order-wipe", object="kiosk-1"), 1)
        kiosk.settle()
    until(lambda: kinds(ops) == [("clone", "kiosk-1", 1)], "the clone is told of")
    status, _ = ops.post("/api/v1/incidents/1/ack", {"by": LAN})
    assert status == 200

    def acts() -> set[tuple[str, str]]:
        facts = gateway.json("/api/v1/facts?limit=1000")["facts"]
        told = [fact["data"] for fact in facts if fact["device"] == "ops"]
        return {(one["actor"], one["action"]) for one in told}

    wanted = {
        ("app:ops", "service-started"),
        ("app:ops", "incident-opened"),
        (LAN, "incident-acked"),
    }
    until(lambda: wanted <= acts(), "the audit is at the gateway")
    assert kinds(ops) == [("clone", "kiosk-1", 1)]


def test_a_disk_that_refuses_holds_the_cursor_back(
    broker: Broker, gateway: Gateway, ops: Ops
) -> None:
    cursor = ops.config.database.with_name("facts.cursor")
    with Teller(broker.url, "gate-1") as gate, closing(sqlite3.connect(ops.config.database)) as db:
        cry(gate, 1, 1)
        until(lambda: kinds(ops) == [("gate-alarm", "gate-1", 1)], "it is read")
        until(
            lambda: (
                cursor.read_text().strip()
                == gateway.json("/api/v1/facts?after=0&limit=1000")["next"]
            ),
            "read up",
        )
        db.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON incident BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
        db.commit()
        before = cursor.read_text()
        cry(gate, 2, 2)
        until(lambda: not ops.health()["checks"]["store"]["ok"], "it says so")
        assert cursor.read_text() == before
        assert kinds(ops) == [("gate-alarm", "gate-1", 1)]
        db.execute("DROP TRIGGER full")
        db.commit()
        until(lambda: kinds(ops) == [("gate-alarm", "gate-1", 2)], "it is read once there is room")
    until(lambda: bool(ops.health()["checks"]["store"]["ok"]), "it is well again")


def test_a_gateway_that_is_away_is_said_and_waited_for(
    broker: Broker, gateway: Gateway, ops: Ops
) -> None:
    until(lambda: bool(ops.health()["ok"]), "all is well")
    gateway.stop()
    until(lambda: not ops.health()["checks"]["gateway"]["ok"], "it is missed")
    assert ops.ask("GET", "/healthz", token="")[0] == 503
    assert ops.deliver(alert())["new"] == 1
    gateway.start()
    with Teller(broker.url, "gate-1") as gate:
        cry(gate, 1, 1)
    until(lambda: len(kinds(ops)) == 2, "facts are read again")
    until(lambda: bool(ops.health()["ok"]), "all is well again")


def test_a_playbook_does_not_begin_for_what_was_told_late(tmp_path: Path) -> None:
    with Ops(tmp_path, autorun={"kiosk-offline": "none", "outbox-old": "none"}) as ops:
        now = CLOCK.now()
        ops.deliver(alert(starts=(now - timedelta(hours=2)).isoformat()))
        ops.deliver(alert("MocbanOutboxOld", starts=now.isoformat()))
        for no, code in ((1, "too-old"), (2, "no-playbook")):
            until(partial(said, ops, no, "playbook-refused"), "it is said")
            assert ops.timeline(no)[-1]["args"]["code"] == code


def test_a_report_is_an_incident_once(alone: Ops) -> None:
    body = {
        "id": "00000000-0000-4000-8000-000000000001", "by": LAN, "say": "The screen is dark", "device": "kiosk-1",
    }  # fmt: skip
    for _ in range(2):
        status, answer = alone.post("/api/v1/reports", body)
        assert (status, answer["incident"]["no"]) == (200, 1)
    assert (
        alone.post("/api/v1/reports", {"by": LAN, "say": "The screen is dark"})[1]["incident"]["no"]
        == 2
    )
    assert [entry["actor"] for entry in alone.timeline(1)] == [LAN]


def test_a_report_of_a_kind_joins_what_is_known(alone: Ops) -> None:
    alone.deliver(alert(starts=CLOCK.now().isoformat()))
    body = {"by": LAN, "say": "It is dark", "device": "kiosk-1", "kind": "kiosk-offline"}
    assert alone.post("/api/v1/reports", body)[1]["incident"]["signals"] == 2
    assert alone.timeline(1)[-1]["args"]["say"] == "It is dark"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"by": LAN}, "say"), ({"by": LAN, "say": " \n\t"}, "say"), ({"by": LAN, "say": "x" * 301}, "say"),
        ({"say": "x"}, "by"), ({"by": "lan", "say": "x"}, "by"), ({"by": "person:" + "x" * 40, "say": "x"}, "by"),
        ({"by": LAN, "say": "x", "device": "No Device"}, "device"), ({"by": LAN, "say": "x", "kind": "alert"}, "kind"),
        ({"by": LAN, "say": "x", "kind": "ufo"}, "kind"), ({"by": LAN, "say": "x", "id": "1"}, "id"),
        ({"by": LAN, "say": "x", "more": 1}, "more"), ({"by": LAN, "say": "\ud800"}, "say"), ([], "body"), (b"{", ""),
    ],
)  # fmt: skip
def test_a_wrong_report_says_what_is_wrong(alone: Ops, body: Any, field: str) -> None:
    status, answer = alone.ask("POST", "/api/v1/reports", body)
    error = json.loads(answer)["errors"][0]
    assert (status, error["code"]) == (422, "usage")
    assert error["say"].startswith(field)
    assert alone.incidents() == []


def test_people_hand_an_incident_on(alone: Ops) -> None:
    alone.deliver(alert())
    path = "/api/v1/incidents/1"
    assert alone.post(f"{path}/ack", {"by": LAN})[1]["incident"]["state"] == "acked"
    assert alone.post(f"{path}/ack", {"by": HOA})[1]["incident"]["acked_by"] == LAN
    note = {"id": "00000000-0000-4000-8000-000000000002", "by": HOA, "text": "the cable was out"}
    for _ in range(2):
        assert alone.post(f"{path}/note", note)[0] == 200
    assert alone.post(f"{path}/note", {"by": HOA})[0] == 422
    for _ in range(2):
        status, answer = alone.post(f"{path}/resolve", {"by": HOA, "text": "plugged in"})
        assert (status, answer["incident"]["resolved_by"]) == (200, HOA)
    status, answer = alone.post(f"{path}/resolve", {"by": LAN})
    assert (status, answer["errors"][0]["code"]) == (409, "already")
    assert alone.post(f"{path}/ack", {"by": LAN})[0] == 409
    assert [(one["what"], one["text"]) for one in alone.timeline(1)] == [
        ("opened", ""), ("acked", ""), ("noted", "the cable was out"), ("resolved", "plugged in"),
    ]  # fmt: skip


@pytest.mark.parametrize("no", ["7", "0", "99999999999999999999999"])
def test_an_incident_that_is_not_there(alone: Ops, no: str) -> None:
    for method, path, body in (("GET", no, None), ("POST", f"{no}/ack", {"by": LAN})):
        status, answer = alone.ask(method, f"/api/v1/incidents/{path}", body)
        assert (status, json.loads(answer)["errors"][0]["code"]) == (404, "incident-unknown")
    assert alone.ask("GET", "/api/v1/incidents/one")[0] == 422
    assert alone.ask("GET", "/api/v1/incidents?state=lost")[0] == 422
    assert alone.ask("GET", "/api/v1/incidents?limit=1001")[0] == 422
    status, answer = alone.ask("GET", "/api/v1/nowhere")
    assert (status, json.loads(answer)["ok"]) == (404, False)


def test_two_of_them_do_not_work_on_one_folder(alone: Ops, tmp_path: Path) -> None:
    second = Ops(tmp_path)
    second.start()
    with pytest.raises(Exception, match="another process works with"):
        second.stop()
    assert alone.health()["ready"]


def test_ten_deliver_and_report_at_once(alone: Ops) -> None:
    failed: list[Any] = []

    def one(n: int) -> None:
        try:
            for m in range(5):
                alone.deliver(alert("Busy", f"kiosk-{n}-{m}"), alert("MocbanOutboxOld", "kiosk-7"))
                status, _ = alone.post("/api/v1/reports", {"by": LAN, "say": f"{n} {m}"})
                assert status == 200
        except BaseException as error:  # noqa: BLE001  told below
            failed.append(error)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    found = alone.incidents()
    assert len(found) == 50 + 50 + 1
    assert len({one["no"] for one in found}) == len(found)
