"""Playbooks through a real gateway and broker: approved, ordered, undone; and everything that is no approval."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mocban import access
from mocban.asking import Told
from ops.runbooks import engine
from tests.support.engine_stand import Centres, Ops, Stand, running_centres
from tests.support.gateway_stand import until

TEST, SILENCE, LOOK, OPEN, SIREN = (
    "action--8e7d4f68-6f8f-55f5-b333-7f65f5c70eea", "action--83d1dba8-edba-5f2b-99d3-f34a96997e42",
    "action--4baf3140-862c-5c5c-b62c-e0efecaefdef", "action--7c3c6338-8e86-5e99-8c09-c6e2e19b6827",
    "action--4d1e7cdd-f8c7-56b9-be8d-157be74409c2",
)  # fmt: skip


@pytest.fixture(scope="module")
def centres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centres]:
    with running_centres(tmp_path_factory.mktemp("centre")) as running:
        yield running


@pytest.fixture
def stand(tmp_path: Path, centres: Centres) -> Iterator[Stand]:
    token = access.token(centres.gateway.folder, "gateway")
    centres.gate.deaf, centres.gate.outcome = False, {}
    with Ops(
        tmp_path, centres.gateway.url, centres.broker.url, *centres.staff, gateway_token=token
    ) as ops:
        stand = Stand(centres.broker, centres.gateway, centres.gate, centres.staff, ops)
        stand.before = len(stand.orders)
        yield stand


def test_a_gate_storm_is_silenced_with_approval_looked_at_and_opened_again(stand: Stand) -> None:
    stand.ops.put("gate-storm")
    ident = stand.ops.begin()
    ask = stand.ops.ask(ident)
    assert (ask["step"], ask["persons"], ask["have"]) == (SILENCE, 1, [])
    assert [one["namespace"] for one in ask["documents"]] == [
        "mocban-step",
        "mocban-order",
        "mocban-order",
    ]
    assert "gate-1" in ask["say"]["vi"]
    assert stand.orders == []
    stand.ops.approve(ident, stand.staff[1])
    assert stand.ops.waiting(ident, "person")["id"] == LOOK
    stand.ops.post(ident, "resume", step=LOOK, by="boss", outcome="done")
    found = stand.ops.wait(ident, "done", "failed")
    assert found["execution"]["state"] == "done", found["log"][-3:]
    assert [one["args"]["mode"] for one in stand.orders] == ["silent", "open"]
    assert {tuple(one["approved"]) for one in stand.orders} == {("person:minh",)}
    said = [one["what"] for one in found["log"]]
    assert (said[0], said[-1], said.count("order-asked")) == (
        "execution-begun",
        "execution-done",
        3,
    )
    assert {one["state"] for one in found["steps"]} == {"done", "skipped"}


def test_only_a_signed_playbook_executes_and_every_one_dry_runs(stand: Stand) -> None:
    stand.ops.put("gate-storm", signed=False)
    with pytest.raises(Told) as no:
        stand.ops.begin()
    assert (no.value.status, no.value.code) == (403, "unsigned")
    assert "--dry-run" in no.value.do
    body = {
        "playbook": "gate-storm",
        "by": "person:boss",
        "variables": {"__device__": "gate-1"},
        "dry": True,
    }
    answer = stand.ops.api.post("/api/v1/executions", body)
    assert answer["execution"] is None
    (silence,) = [one for one in answer["steps"] if one["id"] == SILENCE]
    assert (silence["persons"], silence["targets"]) == (1, ["gate-1"])
    assert stand.ops.api.get("/api/v1/executions", authorized=True)["executions"] == []


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"playbook": "nothing"}, 404, "no-playbook"),
        ({"variables": {}}, 422, "no-value"),
        ({"variables": {"__device__": "gate-1", "__other__": "x"}}, 422, "unknown-variable"),
        ({"variables": {"__device__": "x" * 40_000}}, 413, "too-long"),
        ({"by": "somebody"}, 422, "usage"),
        ({"id": "no-uuid"}, 422, "usage"),
    ],
)
def test_what_cannot_begin_says_why(
    stand: Stand, change: dict[str, Any], status: int, code: str
) -> None:
    stand.ops.put("gate-storm")
    body = {
        "playbook": "gate-storm",
        "by": "person:boss",
        "variables": {"__device__": "gate-1"},
        **change,
    }
    with pytest.raises(Told) as no:
        stand.ops.api.post("/api/v1/executions", body)
    assert (no.value.status, no.value.code) == (status, code)
    assert no.value.say


def test_the_same_id_begins_once_and_not_something_else(stand: Stand) -> None:
    stand.ops.put("gate-storm")
    ident = "6d000000-0000-4000-8000-000000000001"
    assert stand.ops.begin(id=ident) == stand.ops.begin(id=ident) == ident
    with pytest.raises(Told) as no:
        stand.ops.begin(id=ident, by="person:lan")
    assert no.value.code == "id-reuse"
    assert len(stand.ops.api.get("/api/v1/executions", authorized=True)["executions"]) == 1


def test_no_wrong_approval_orders_anything_and_a_right_one_counts_once(stand: Stand) -> None:
    stand.ops.put("gate-storm")
    ident, other = stand.ops.begin(), stand.ops.begin()
    boss, minh, _ = stand.staff
    ask, elsewhere = stand.ops.ask(ident), stand.ops.ask(other)
    mine = {"step": ask["step"], "by": "minh", "signatures": stand.ops.sign(ask, minh)}
    wrong: list[tuple[dict[str, Any], tuple[int, str]]] = [
        ({"by": "boss", "signatures": stand.ops.sign(ask, boss)}, (403, "own-approval")),
        ({"by": "nobody"}, (403, "unknown-person")),
        ({"by": "lan"}, (403, "bad-approval")),
        ({"signatures": stand.ops.sign(elsewhere, minh)}, (403, "bad-approval")),
        ({"signatures": mine["signatures"][:1]}, (422, "signatures")),
        ({"step": TEST}, (409, "not-asked")),
        ({"step": "action--none"}, (404, "step-unknown")),
    ]
    for change, answer in wrong:
        assert stand.ops.refused(ident, "approve", **{**mine, **change}) == answer
    assert stand.orders == []
    assert stand.ops.refused("6d000000-0000-4000-8000-00000000ffff", "approve", **mine) == (
        404,
        "execution-unknown",
    )
    stand.ops.post(ident, "approve", **mine)
    stand.ops.waiting(ident, "person")
    assert stand.ops.refused(ident, "approve", **mine) == (409, "already-decided")
    assert stand.ops.refused(ident, "deny", step=ask["step"], by="minh") == (409, "already-decided")
    assert [one["args"]["mode"] for one in stand.orders] == ["silent"]
    assert stand.ops.state(other) == "waiting"


def test_denied_goes_the_other_way_and_orders_nothing(stand: Stand) -> None:
    stand.ops.put("gate-storm")
    ident = stand.ops.begin()
    ask = stand.ops.ask(ident)
    stand.ops.post(ident, "deny", step=ask["step"], by="minh", reason="there is a class inside")
    assert stand.ops.waiting(ident, "person")["id"] == SIREN
    stand.ops.post(ident, "resume", step=SIREN, by="boss", outcome="done")
    found = stand.ops.wait(ident, "done", "failed")
    assert stand.orders == []
    assert next(one["outcome"] for one in found["steps"] if one["id"] == OPEN) == "nothing-to-undo"
    assert [one["text"] for one in found["log"] if one["what"] == "step-denied"] == [
        "there is a class inside"
    ]


def test_stopped_it_undoes_what_it_did_with_the_approval_it_has(stand: Stand) -> None:
    stand.ops.put("gate-storm")
    ident = stand.ops.begin()
    stand.ops.approve(ident, stand.staff[1])
    stand.ops.waiting(ident, "person")
    stand.ops.post(ident, "stop", by="lan", reason="enough")
    found = stand.ops.wait(ident, "stopped")
    assert [one["args"]["mode"] for one in stand.orders] == ["silent", "open"]
    assert next(one["undone"] for one in found["steps"] if one["id"] == SILENCE)
    assert stand.ops.refused(ident, "stop", by="lan") == (409, "already-over")


def test_without_a_gateway_it_waits_and_goes_on_when_there_is_one(stand: Stand) -> None:
    stand.ops.put("gate-storm")
    stand.gateway.stop()
    try:
        ident = stand.ops.begin()
        until(lambda: bool(stand.ops.show(ident)["steps"]), "it has begun")
        assert stand.ops.state(ident) == "running"
    finally:
        stand.gateway.start()
    assert stand.ops.ask(ident)["step"] == SILENCE


def test_a_gate_that_hears_nothing_is_given_up_in_time_and_undone_all_the_same(
    stand: Stand,
) -> None:
    def hasty(body: dict[str, Any]) -> None:
        body["workflow"][SILENCE]["timeout"] = 1500
        body["workflow"][OPEN]["timeout"] = 20_000

    stand.ops.put("gate-storm", hasty)
    ident = stand.ops.begin()
    ask = stand.ops.ask(ident)
    stand.gate.deaf = True
    stand.ops.approve(ident, stand.staff[1], step=ask["step"])
    assert stand.ops.waiting(ident, "person")["id"] == SIREN
    found = stand.ops.show(ident)
    assert next(one["outcome"] for one in found["steps"] if one["id"] == SILENCE) == "timeout"
    stand.ops.post(ident, "resume", step=SIREN, by="boss", outcome="done")
    stand.gate.deaf = False
    stand.ops.wait(ident, "done")
    until(lambda: [one["state"] for one in stand.orders] == ["done", "done"], "both are done")
    assert [one["args"]["mode"] for one in stand.orders] == ["silent", "open"]


def test_a_restart_in_the_middle_changes_nothing_and_tells_nothing_twice(stand: Stand) -> None:
    stand.ops.put("gate-storm")
    body = {"by": "person:lan", "say": "it cries all day", "device": "gate-1", "kind": "gate-storm"}
    number = stand.ops.api.post("/api/v1/reports", body)["incident"]["no"]
    ident = stand.ops.begin(incident=number)
    for _ in range(2):
        stand.ops.ask(ident)
        stand.ops.stop()
        (stand.ops.folder / "ops" / "playbooks" / "gate-storm.json").write_text(
            "{}", encoding="utf-8"
        )
        stand.ops.start()
    stand.ops.approve(ident, stand.staff[1])
    stand.ops.waiting(ident, "person")
    stand.ops.stop()
    stand.ops.start()
    stand.ops.post(ident, "resume", step=LOOK, by="boss", outcome="done")
    found = stand.ops.wait(ident, "done")

    def incident() -> dict[str, Any]:
        return stand.ops.api.get(f"/api/v1/incidents/{number}", authorized=True)

    until(
        lambda: incident()["timeline"][-1]["what"] == "execution-done", "the timeline knows its end"
    )
    assert incident()["incident"]["execution"] == ident
    said = Counter(one["what"] for one in incident()["timeline"])
    assert {
        said[what] for what in ("execution-begun", "step-asked", "step-approved", "step-resumed")
    } == {1}
    assert (
        said["order-asked"] == sum(1 for one in found["log"] if one["what"] == "order-asked") == 3
    )

    def audits() -> Counter[tuple[str, str]]:
        facts = stand.gateway.json("/api/v1/facts?limit=1000")["facts"]
        mine = [
            f["data"]
            for f in facts
            if f["device"] == "ops" and f["data"].get("ref", "").startswith(ident)
        ]
        return Counter((one["ref"], one["action"]) for one in mine)

    until(lambda: any(action == "execution-done" for _, action in audits()), "its end is audited")
    assert set(audits().values()) == {1}
    assert Counter(action for _, action in audits())["step-approved"] == 1


def test_a_disk_that_refuses_changes_nothing_and_is_tried_again(stand: Stand) -> None:
    stand.ops.put("gate-storm")
    ident = stand.ops.begin()
    ask = stand.ops.ask(ident)
    disk = sqlite3.connect(stand.ops.config.database, isolation_level=None, timeout=10)
    disk.execute(
        "CREATE TRIGGER full BEFORE INSERT ON happening BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    body = {"step": ask["step"], "by": "minh", "signatures": stand.ops.sign(ask, stand.staff[1])}
    assert stand.ops.refused(ident, "approve", **body) == (503, "storage")
    assert (stand.ops.state(ident), stand.orders) == ("waiting", [])
    disk.execute("DROP TRIGGER full")
    stand.ops.post(ident, "approve", **body)
    disk.execute(
        "CREATE TRIGGER full BEFORE INSERT ON happening BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    until(lambda: [one["state"] for one in stand.orders] == ["done"], "the gate obeyed")
    disk.execute("DROP TRIGGER full")
    assert stand.ops.waiting(ident, "person")["id"] == LOOK
    disk.close()


def test_nobody_waits_for_approvals_that_nobody_can_give(stand: Stand) -> None:
    stand.ops.put("gate-storm")
    stand.ops.stop()
    boss = stand.staff[0]
    stand.ops.config = replace(stand.ops.config, staff={"boss": boss.line, "alias": boss.line})
    stand.ops.start()
    with pytest.raises(Told) as no:
        stand.ops.begin()
    assert no.value.code == "nobody-approves"


def test_no_more_than_so_many_run_at_once(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RUNNING_MAX", 2)
    stand.ops.put("gate-storm")
    first = stand.ops.begin()
    stand.ops.begin()
    with pytest.raises(Told) as no:
        stand.ops.begin()
    assert (no.value.status, no.value.code) == (503, "too-many")
    stand.ops.ask(first)
    stand.ops.post(first, "stop", by="boss")
    stand.ops.wait(first, "stopped")
    stand.ops.begin()


def test_an_incident_begins_its_playbook_by_itself_and_anybody_of_the_staff_may_approve(
    stand: Stand,
) -> None:
    stand.ops.put("gate-storm")
    stand.ops.stop()
    settings = stand.ops.config.app.model_copy(update={"autorun": {"gate-storm": "gate-storm"}})
    stand.ops.config = replace(stand.ops.config, app=settings)
    stand.ops.start()
    body = {"by": "person:lan", "say": "it cries", "device": "gate-1", "kind": "gate-storm"}
    number = stand.ops.api.post("/api/v1/reports", body)["incident"]["no"]

    def begun() -> list[dict[str, Any]]:
        return list(stand.ops.api.get("/api/v1/executions", authorized=True)["executions"])

    until(lambda: bool(begun()), "the playbook began by itself")
    (one,) = begun()
    assert (one["by"], one["incident"]) == ("app:ops", number)
    assert one["variables"]["__device__"] == "gate-1"
    stand.ops.approve(one["id"], stand.staff[0])
    stand.ops.waiting(one["id"], "person")
    stand.ops.post(one["id"], "stop", by="boss")
    stand.ops.wait(one["id"], "stopped")


def test_playbooks_are_listed_and_shown(stand: Stand) -> None:
    stand.ops.put("gate-storm")
    every = stand.ops.api.get("/api/v1/playbooks", authorized=True)["playbooks"]
    known = {one["name"]: one for one in every}
    assert known["gate-storm"]["signed_by"] == "boss"
    assert known["reader-lost"]["signed_by"] == ""
    shown = stand.ops.api.get("/api/v1/playbooks/gate-storm", authorized=True)
    assert shown["playbook"]["spec_version"] == "cacao-2.0"
    assert shown["sha256"] == known["gate-storm"]["sha256"]
    assert json.dumps(shown["problems"])
