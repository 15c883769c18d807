"""What others wrote on a person's terminal: no command to it, nothing read backwards, nothing signed unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mocban.errors import RemoteProtocolError
from mocban.i18n import catalog
from ops import desk
from ops.runbooks import signing, tree
from ops.runbooks.extension import EXTENSION
from ops.runbooks.saying import line
from tests.support import hostile_books as books
from tests.support.engine_stand import Ops
from tests.support.ops_stand import alert, delivery
from tests.support.person import Person

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxet\u2066\r\nForged: approved\x00"


@pytest.fixture
def staff(tmp_path: Path) -> list[Person]:
    return [Person(tmp_path, name) for name in ("boss", "minh")]


@pytest.fixture
def ops(tmp_path: Path, staff: list[Person]) -> Iterator[Ops]:
    with Ops(tmp_path, "http://127.0.0.1:9", "mqtt://127.0.0.1:9", *staff) as running:
        yield running


def legible(lines: list[str]) -> None:
    """Every line is one line of plain text."""
    assert lines
    assert not {c for text in lines for c in text if not c.isprintable()}
    assert not [text for text in lines if text.startswith("Forged")]


def test_a_playbook_cannot_command_a_terminal(ops: Ops) -> None:
    evil = books.manual(EVIL, on_failure=books.ident("end", 0), description=EVIL)
    ops.write("hostile", books.chain({**evil, "name": EVIL}, {**evil, "name": EVIL}, name=EVIL))
    ident = ops.begin("hostile", variables={})
    step = ops.waiting(ident, "person")["id"]
    for lang in ("vi", "en"):
        legible(tree.draw(ops.show(ident), lang))
    ops.post(ident, "resume", step=step, by="minh", outcome="failed", reason=EVIL)
    ops.stop()
    ops.start()
    found = ops.show(ident)
    for lang in ("vi", "en"):
        legible(tree.draw(found, lang))
        legible([line(entry, lang) for entry in found["log"]])
    answer = ops.api.post(
        "/api/v1/executions", {"playbook": "hostile", "by": "person:boss", "dry": True}
    )
    legible(tree.dry(EVIL, answer["steps"], "vi"))


def test_nothing_told_of_an_incident_commands_a_terminal(ops: Ops) -> None:
    evil = alert(name=EVIL, device="", app=EVIL)
    evil["annotations"] = {"summary": EVIL}
    ops.api.post("/api/v1/alerts", delivery(evil, alert(app=EVIL)))
    report = {"by": "person:lan", "say": EVIL}
    no = ops.api.post("/api/v1/reports", report)["incident"]["no"]
    ops.api.post(f"/api/v1/incidents/{no}/note", {"by": "person:lan", "text": EVIL})
    ops.write("hostile", books.chain(books.manual("look")))
    ident = ops.begin("hostile", variables={}, incident=no)
    ops.post(ident, "stop", by="boss", reason=EVIL)
    ops.wait(ident, "stopped")
    every = ops.api.get("/api/v1/incidents", authorized=True)["incidents"]
    assert len(every) == 3
    for lang in ("vi", "en"):
        legible(desk.table(every, catalog("ops", lang).gettext))
        for one in every:
            found = ops.api.get(f"/api/v1/incidents/{one['no']}", authorized=True)
            legible(desk.sheet(found["incident"], found["timeline"], lang))


# What is signed is what is shown

ASKS = {EXTENSION: {"approval": {"persons": 1}}}


def calling(ops: Ops) -> dict[str, Any]:
    command = {
        "type": "http-api", "command": "POST http://127.0.0.1:9/do", "content": '{"amount": 17}',
        "headers": {"X-Kind": ["storm"]},
    }  # fmt: skip
    step = {**books.call(""), "commands": [command], "step_extensions": ASKS}
    ops.write("hostile", books.chain(step, **books.EXTENDED))
    ident = ops.begin("hostile", variables={})
    ops.ask(ident)
    return ops.show(ident)


def test_all_of_a_call_is_shown_before_it_is_signed(ops: Ops) -> None:
    found = calling(ops)
    (ask,) = found["asks"]
    signing.check(found, ask)
    text = "\n".join(signing.words(found, ask, "vi"))
    for part in ("POST http://127.0.0.1:9/do", '"amount": 17', "X-Kind: storm"):
        assert part in text


def changed(ask: dict[str, Any], how: str) -> dict[str, Any]:
    other = json.loads(json.dumps(ask))
    match how:
        case "content":
            other["commands"][0]["content"] = '{"amount": 1}'
        case "hash":
            other["documents"][0]["body"]["commands"][0] = "0" * 64
        case "one more":
            other["documents"][0]["body"]["commands"].append("0" * 64)
        case "nothing shown":
            del other["commands"]
        case "an order":
            other["documents"].append({"namespace": "mocban-order", "body": {"name": "wipe"}})
        case "begun by":
            other["documents"][0]["body"]["by"] = "person:eve"
    return dict(other)


def test_what_differs_from_what_is_shown_is_not_signed(ops: Ops) -> None:
    found = calling(ops)
    for how in ("content", "hash", "one more", "nothing shown", "an order", "begun by"):
        with pytest.raises(RemoteProtocolError, match="something else"):
            signing.check(found, changed(found["asks"][0], how))


def test_nobody_begins_it_as_an_app_that_bears_their_name(ops: Ops, staff: list[Person]) -> None:
    found = calling(ops)
    body = {"playbook": "hostile", "variables": {}}
    for by, status in (
        ("app:minh", 422), ("person:Minh", 422), ("person:person:minh", 422), ("minh", 422), (" person:minh", 422),
        ("person:minh\n", 422), ("app:ops", 200),
    ):  # fmt: skip
        try:
            ops.api.post("/api/v1/executions", {**body, "by": by})
            got = 200
        except Exception as no:  # noqa: BLE001  whatever it is, its status counts
            got = int(getattr(no, "status", 0))
        assert got == status, by
    ident, (ask,) = found["execution"]["id"], found["asks"]
    signed = ops.sign(ask, staff[0])
    for by in ("boss", "person:boss", "Boss", "minh", "person:person:minh", " boss"):
        status, code = ops.refused(ident, "approve", step=ask["step"], by=by, signatures=signed)
        assert (status, code) in {(403, "own-approval"), (403, "bad-approval"), (422, "usage")}, by
    right = ops.sign(ask, staff[1])
    other = calling(ops)["execution"]["id"]
    answer = ops.refused(other, "approve", step=ask["step"], by="minh", signatures=right)
    assert answer == (403, "bad-approval"), "it was given for another execution"
    ops.approve(ident, staff[1])
    again = ops.refused(ident, "approve", step=ask["step"], by="minh", signatures=right)
    assert again[1] in {"already-decided", "already-over"}
