"""Approvals among enemies: partial, denied, stopped, of a file that was changed since; and what is told of each act."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mocban.asking import Told
from ops.runbooks.extension import EXTENSION
from tests.support import hostile_books as books
from tests.support.engine_stand import Ops
from tests.support.gateway_stand import until
from tests.support.person import Person

CARD = "thẻ 0123456789 của Nguyễn Văn An"


@pytest.fixture
def staff(tmp_path: Path) -> list[Person]:
    return [Person(tmp_path, name) for name in ("boss", "minh", "lan")]


@pytest.fixture
def ops(tmp_path: Path, staff: list[Person]) -> Iterator[Ops]:
    line = {one.name: one for one in staff}
    alias = Person(tmp_path, "alias")
    alias.key, alias.line = line["minh"].key, line["minh"].line
    with Ops(tmp_path, "http://127.0.0.1:9", "mqtt://127.0.0.1:9", *staff, alias) as running:
        yield running


def begin(ops: Ops, persons: int = 1, **more: Any) -> str:
    own = {EXTENSION: {"approval": {"persons": persons}}}
    ops.write(
        "hostile", books.chain(books.manual("look", step_extensions=own), **books.EXTENDED, **more)
    )
    return ops.begin("hostile", variables={})


def outbox(ops: Ops, ident: str) -> Counter[str]:
    """What is told of an execution: nobody here takes it."""
    db = sqlite3.connect(f"file:{ops.config.database}?mode=ro", uri=True)
    try:
        found = [json.loads(row[0])["data"] for row in db.execute("SELECT payload FROM outbox")]
    finally:
        db.close()
    assert "0123456789" not in json.dumps(found, ensure_ascii=False)
    return Counter(one["action"] for one in found if one["ref"].startswith(ident))


def test_two_persons_are_two_keys_and_a_no_after_one_yes_is_a_no(
    ops: Ops, staff: list[Person]
) -> None:
    ident = begin(ops, persons=2)
    ask = ops.ask(ident)
    key, minh = ask["step"], ops.sign(ask, staff[1])
    ops.post(ident, "approve", step=key, by="minh", signatures=minh)
    ops.post(ident, "approve", step=key, by="minh", signatures=minh)
    assert ops.ask(ident)["have"] == ["minh"]
    alias = ops.refused(ident, "approve", step=key, by="alias", signatures=minh)
    assert alias == (409, "same-key")
    assert ops.refused(ident, "deny", step=key, by="eve", reason="") == (403, "unknown-person")
    ops.post(ident, "deny", step=key, by="lan", reason=CARD)
    late = ops.refused(ident, "approve", step=key, by="lan", signatures=ops.sign(ask, staff[2]))
    assert late[1] in {"already-decided", "already-over"}
    assert ops.wait(ident, "failed")["execution"]["reason"] == "denied"
    until(lambda: outbox(ops, ident)["execution-failed"] == 1, "all is told")
    told = outbox(ops, ident)
    assert told == {
        "execution-begun": 1,
        "step-approved": 1,
        "step-denied": 1,
        "execution-failed": 1,
    }


def test_whoever_is_asked_by_more_than_there_are_is_never_asked(ops: Ops) -> None:
    with pytest.raises(Told) as no:
        begin(ops, persons=3)  # minh, lan; alias is minh
    assert no.value.code == "nobody-approves"


def test_what_takes_more_signatures_than_can_be_sent_does_not_begin(ops: Ops) -> None:
    gates = {books.target(n): {"type": "mocban-device", "name": f"gate-{n}"} for n in range(60)}
    order = {"type": "mocban-order", "command": "gate set-mode mode=silent seconds=900"}
    step = {
        "type": "action", "name": "all", "agent": books.GATEWAY, "targets": list(gates), "commands": [order] * 2,
        "step_extensions": {EXTENSION: {"approval": {"persons": 1}, "undo": [order] * 2}},
    }  # fmt: skip
    ops.write(
        "hostile",
        books.chain(
            step, **books.EXTENDED, target_definitions=gates, agent_definitions=books.AGENTS
        ),
    )
    with pytest.raises(Told) as no:
        ops.begin("hostile", variables={})
    assert (no.value.status, no.value.code) == (422, "too-many-orders"), no.value.say


def test_a_yes_is_for_the_text_that_was_asked_about(ops: Ops, staff: list[Person]) -> None:
    ident = begin(ops)
    before = ops.ask(ident)
    other = begin(ops, description="another text")
    assert ops.ask(ident) == before, "what runs goes by its own copy"
    assert ops.ask(other)["documents"][0]["body"]["playbook"] != before["documents"][0]["body"]["playbook"]  # fmt: skip
    signed = ops.sign(before, staff[1])
    assert (
        ops.refused(other, "approve", step=before["step"], by="minh", signatures=signed)[1]
        == "bad-approval"
    )
    ops.post(ident, "approve", step=before["step"], by="minh", signatures=signed)
    ops.waiting(ident, "person")


def test_after_a_stop_nobody_approves_and_each_act_is_told_once(
    ops: Ops, staff: list[Person]
) -> None:
    ident = begin(ops)
    ask = ops.ask(ident)
    ops.post(ident, "stop", by="boss", reason=CARD)
    signed = ops.sign(ask, staff[1])
    late = ops.refused(ident, "approve", step=ask["step"], by="minh", signatures=signed)
    assert late == (409, "already-over")
    other = begin(ops)
    ops.approve(other, staff[1])
    step = ops.waiting(other, "person")["id"]
    ops.post(other, "resume", step=step, by="lan", outcome="done", reason=CARD)
    assert ops.refused(other, "resume", step=step, by="lan", outcome="done")[1] == "already-over"
    until(lambda: outbox(ops, other)["execution-done"] == 1, "all is told")
    assert outbox(ops, other) == {
        "execution-begun": 1, "step-approved": 1, "step-resumed": 1, "execution-done": 1,
    }  # fmt: skip
    assert outbox(ops, ident) == {"execution-begun": 1, "execution-stop": 1, "execution-stopped": 1}


def test_what_stands_in_variables_is_not_told(ops: Ops) -> None:
    given = {"__who__": {"type": "string", "external": True}}
    body = books.chain(books.manual("ask __who__:value"), playbook_variables=given)
    ops.write("hostile", body)
    for value in (CARD, "__who__:value", "'; DROP TABLE execution; --", "\n\nmode=open", '"}{'):
        ident = ops.begin("hostile", variables={"__who__": value})
        (job,) = ops.waiting(ident, "person")["jobs"]
        assert job["say"] == f"ask {value}", "a value is a word and nothing else"
        ops.post(ident, "stop", by="boss", reason="")
        until(partial(stopped, ops, ident), "all is told")


def stopped(ops: Ops, ident: str) -> bool:
    return outbox(ops, ident)["execution-stopped"] == 1
