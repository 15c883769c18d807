"""CACAO 2.0: what is read, what is refused with which words, and that no bytes at all do harm."""

from __future__ import annotations

import copy
import hashlib
import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from time import process_time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mocban.errors import RemoteProtocolError
from ops.runbooks import cacao, form, schemas
from ops.runbooks.extension import EXTENSION
from ops.runbooks.lint import lint
from tests.support.papers import (
    DATA,
    DEVICE,
    END,
    GATEWAY,
    LOOK,
    OPEN,
    QUIET,
    SHIPPED,
    START,
    Body,
    own,
    right,
    spoilt,
    written,
)

SOARCA = sorted(path.name for path in DATA.glob("*.json"))
PLAYBOOKS = [path.read_bytes() for path in sorted(SHIPPED.glob("*.json"))]


def test_a_playbook_is_read_with_its_references_resolved() -> None:
    playbook = cacao.parse(written(right()))
    quiet, look = playbook.steps[QUIET], playbook.steps[LOOK]
    assert playbook.start == START and set(playbook.steps) == {START, QUIET, LOOK, OPEN, END}
    assert (quiet.timeout, quiet.persons, quiet.on_unknown) == (60.0, 1, "retry")
    assert [one.command for one in quiet.undo] == ["gate set-mode mode=open"]
    assert (quiet.success, quiet.failure, quiet.completion) == (LOOK, OPEN, "")
    assert (look.on_unknown, look.persons, look.words["vi"]["name"]) == ("ask", 0, "Một việc")
    assert playbook.steps[OPEN].undoes == QUIET
    assert playbook.variables["__device__"].external and playbook.variables["__device__"].value is None  # fmt: skip
    assert playbook.agents[GATEWAY].name == "gateway"
    assert playbook.targets[DEVICE].type == "mocban-device"
    assert playbook.body["name"] == "Quiet"


def test_base64_is_read_as_what_it_says() -> None:
    def change(body: Body) -> None:
        body["workflow"][LOOK]["commands"] = [
            {"type": "manual", "command_b64": "WGVtIGPhu5VuZw=="},
            {"type": "http-api", "command": "POST /x", "content_b64": "e30=", "headers": {"A": ["b"]}},
        ]  # fmt: skip

    manual, post = cacao.parse(written(spoilt(change))).steps[LOOK].commands
    assert manual.command == "Xem cổng"
    assert (post.content, post.headers) == ("{}", {"A": ("b",)})


@pytest.mark.parametrize("data", PLAYBOOKS)
def test_what_we_ship_is_cacao(data: bytes) -> None:
    playbook = cacao.parse(data)
    assert playbook.words["vi"]["name"] and playbook.words["en"]["name"]
    assert playbook.starts_on and playbook.drill["path"][0] == playbook.start


@pytest.mark.parametrize("name", SOARCA)
def test_playbooks_of_others_read_as_expected(name: str) -> None:
    data = (DATA / name).read_bytes()
    errors = list(_playbook_schema().iter_errors(json.loads(data)))
    if name == "fin-playbook.json":
        assert [list(error.absolute_path)[-1] for error in errors] == ["agent"]
        with pytest.raises(RemoteProtocolError, match="agent") as caught:
            cacao.parse(data)
        assert caught.value.code == "bad-playbook"
    else:
        assert not errors
        assert cacao.parse(data).steps


def _playbook_schema() -> Any:
    checks = schemas.validator("playbook")
    assert checks is not None
    return checks


def test_the_hash_names_the_text_and_not_its_signatures_or_spaces() -> None:
    body = right()
    plain = hashlib.sha256(
        json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()
    signed = {**body, "signatures": [{"type": "jss"}]}
    spaced = json.loads(json.dumps(dict(reversed(signed.items())), indent=4))
    assert cacao.sha256(body) == cacao.sha256(signed) == cacao.sha256(spaced) == plain
    assert cacao.sha256({**body, "name": "Other"}) != plain


# What is refused before it is looked at


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "bad-json", "line 1"),
        (b"\xff{}", "bad-json", "byte 0 is not UTF-8"),
        (b"[]", "bad-json", "no JSON object"),
        (b"null", "bad-json", "no JSON object"),
        (b'{"a":1,"a":2}', "bad-json", "stands twice"),
        (b'{"a":NaN}', "bad-json", "NaN is no JSON"),
        (b'{"a":-Infinity}', "bad-json", "-Infinity is no JSON"),
        (b'{"a":1e999}', "bad-json", "canonical form"),
        (b'{"a":9007199254740993}', "bad-json", "canonical form"),
        (b'{"a":' + b"9" * 5000 + b"}", "bad-json", "digits"),
        (b'{"a":"\\ud800"}', "bad-json", "canonical form"),
        (b'{"signatures":["\\ud800"]}', "bad-json", "canonical form"),
        (b'{"a\\nb":1}', "bad-json", "line break"),
        (b'{"a":1', "bad-json", "column"),
        (b" " * (cacao.BYTES_MAX + 1), "too-long", "at most 1048576"),
        (b"[" * 200_000, "bad-json", "deeper"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "too-long", "more than 32 levels"),
        (b'{"a":[' + b"0," * 20_000 + b"0]}", "too-long", "more than 20000 values"),
        (json.dumps({"workflow": {str(n): {} for n in range(201)}}).encode(), "too-long", "200 steps"),
        (json.dumps({"agent_definitions": {str(n): {} for n in range(65)}}).encode(), "too-long", "64 in agent"),
        (json.dumps({"target_definitions": {"x": "a" * 4001}}).encode(), "too-long", "4000 characters in target"),
    ],
)  # fmt: skip
def test_no_playbook_at_all(data: bytes, code: str, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words) as caught:
        cacao.parse(data)
    assert caught.value.code == code
    assert len(caught.value.say) < 300 and "\n" not in caught.value.say


def _step(name: str, **parts: Any) -> Callable[[Body], object]:
    return lambda body: body["workflow"][name].update(parts)


def _command(**parts: Any) -> Callable[[Body], object]:
    return _step(LOOK, commands=[{"type": "manual", **parts}])


def _own(name: str, **parts: Any) -> Callable[[Body], object]:
    return lambda body: own(body["workflow"][name]).update(parts)


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        (lambda b: b.pop("name"), "playbook", "name is missing"),
        (lambda b: b.update(spec_version="cacao-1.0"), "spec_version", "cacao-2.0"),
        (lambda b: b.update(id="playbook--018f3d1e-0000-7000-8000-000000000000"), "id", "the standard asks"),
        (lambda b: b.update(id=b["id"].replace("playbook", "runbook")), "id", "it is not playbook--"),
        (lambda b: b.update(created="2026-11-25T08:00:00+07:00"), "created", "the standard asks"),
        (lambda b: b.update(modified="2026-02-30T08:00:00.000Z"), "modified", "it is no time"),
        (lambda b: b.update(workflow=[]), "workflow", "it is no object"),
        (lambda b: b.update(priority=101), "priority", "maximum is 100"),
        (lambda b: b["workflow"].update({LOOK: "x"}), LOOK, "it is no object"),
        (_step(LOOK, type="end"), LOOK, "it is not"),
        (_step(LOOK, on_success=None), LOOK, "it is no string"),
        (_step(LOOK, agent="Lan"), f"{LOOK}/agent", "the standard asks"),
        (_step(LOOK, delay=0), f"{LOOK}/delay", "minimum is 1"),
        (_step(END, on_completion=LOOK), END, "may not have"),
        (_step(LOOK, commands=[]), f"{LOOK}/commands", "fewer than 1"),
        (_command(command=7), f"{LOOK}/commands/0/command", "it is no string"),
        (_command(command="a", command_b64="YQ=="), f"{LOOK}/commands/0", "both command and command_b64"),
        (_command(command_b64="Y"), f"{LOOK}/commands/0/command_b64", "no base64"),
        (_command(command_b64="/w=="), f"{LOOK}/commands/0/command_b64", "no base64 of UTF-8"),
        (_command(type="mocban-order", command=["x"]), f"{LOOK}/commands/0/command", "it is no text"),
        (_step(LOOK, commands=[{"type": "http-api"}]), f"{LOOK}/commands/0", "command is missing"),
        (lambda b: b["agent_definitions"][GATEWAY].pop("name"), GATEWAY, "name is missing"),
        (lambda b: b["target_definitions"][DEVICE].update(type="http-api"), DEVICE, "address is missing"),
        (_own(QUIET, approval={"persons": True}), "approval/persons", "integer"),
        (_own(QUIET, approval={"persons": 9}), "approval/persons", "less than or equal"),
        (_own(QUIET, approve=1), "approve", "Extra inputs"),
        (_own(QUIET, on_unknown="hope"), "on_unknown", "'retry' or 'ask'"),
        (_own(QUIET, undo=[{"command": "x"}]), "undo/0", "type is missing"),
        (_own(QUIET, words={"fr": {"name": "x"}}), "words/fr", "'vi' or 'en'"),
        (lambda b: b["playbook_extensions"][EXTENSION].update(drill={"path": 1}), "drill/path", "list"),
        (lambda b: b.update(signatures=[{"type": "pgp"}]), "signatures/0", "missing"),
    ],
)  # fmt: skip
def test_the_form_is_wrong_in_one_place(
    change: Callable[[Body], object], place: str, words: str
) -> None:
    body = spoilt(change)
    found = form.faults(body)
    assert any(place in fault.place and words in fault.say for fault in found), found
    assert found[0].step in {"", LOOK, QUIET, END}
    with pytest.raises(RemoteProtocolError) as caught:
        cacao.parse(written(body))
    assert caught.value.code == "bad-playbook"
    assert caught.value.say == f"{found[0].place}: {found[0].say}"


def test_many_faults_are_told_only_so_far() -> None:
    body = spoilt(lambda b: b.update(labels=[7] * 500))
    assert len(form.faults(body)) == form.FAULTS_MAX


@pytest.mark.parametrize(
    ("parts", "now", "holds"),
    [
        ({}, 2026, True),
        ({"revoked": True}, 2026, False),
        ({"valid_from": "2027-01-01T00:00:00Z"}, 2026, False),
        ({"valid_from": "2027-01-01T00:00:00Z"}, 2027, True),
        ({"valid_until": "2027-01-01T00:00:00Z"}, 2026, True),
        ({"valid_until": "2027-01-01T00:00:00Z"}, 2027, False),
    ],
)
def test_a_playbook_has_its_days(parts: Body, now: int, holds: bool) -> None:
    playbook = cacao.parse(written({**right(), **parts}))
    assert cacao.valid(playbook, datetime(now, 1, 1, tzinfo=UTC)) is holds


def test_no_schema_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("it asked the network")

    schemas._validator.cache_clear()
    schemas._registry.cache_clear()
    schemas._schemas.cache_clear()
    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    for name in sorted(schemas._schemas()):
        checks = schemas.validator(name.removeprefix(schemas.BASE).removesuffix(".json"))
        assert checks is not None
        list(checks.iter_errors({"type": "x", "address": {}, "workflow": {LOOK: {}}}))
    assert len(schemas._schemas()) == 51
    assert form.faults(right()) == ()


# Anything at all


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLAYBOOKS), st.data())
def test_changed_bytes_are_refused_or_read(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(changed) - 1))
        changed[at : at + draw.draw(st.integers(0, 3))] = draw.draw(st.binary(max_size=3))
    _try(bytes(changed))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from([QUIET, LOOK, END, START, "__x__:value", "gate set-mode mode=open", "action", "end", "' ("]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([json.loads(data) for data in PLAYBOOKS] + [right()]), st.data())
def test_changed_values_are_refused_or_read(body: Body, draw: st.DataObject) -> None:
    changed: Any = copy.deepcopy(body)
    for _ in range(draw.draw(st.integers(1, 3))):
        at: Any = changed
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = draw.draw(st.sampled_from(keys))
            if isinstance(at[key], (dict, list)) and draw.draw(st.integers(0, 4)):
                at = at[key]
                continue
            at[key] = draw.draw(JSON)
            break
    _try(json.dumps(changed).encode())


def _try(data: bytes) -> None:
    """Nothing but our own errors, and lint agrees with parse."""
    try:
        body = cacao.load(data)
    except RemoteProtocolError as error:
        assert error.code in {"bad-json", "too-long"}
        return
    problems = lint(body)
    assert all(problem.say and problem.told("vi")[0] for problem in problems)
    try:
        playbook = cacao.parse(data)
    except RemoteProtocolError as error:
        assert error.code == "bad-playbook"
        assert any(problem.code == "form" for problem in problems)
    else:
        assert not any(problem.code == "form" for problem in problems)
        assert playbook.sha256 == cacao.sha256(body)


# Bounded time


def _long_addresses() -> Body:
    address = {
        "url": ["a." * 140 + "!" for _ in range(6)],
        "ipv4": ["1." * 400],
        "ipv6": ["f:" * 300],
    }
    party = {"type": "http-api", "name": "x", "address": address}
    return spoilt(
        lambda b: b.update(
            target_definitions={
                f"http-api--{n:08x}-0000-4000-8000-000000000000": party for n in range(64)
            }
        )
    )


def _dense() -> Body:
    """200 steps, each of which leads to as many as it can."""
    keys = [f"parallel--{n:08x}-0000-4000-8000-000000000000" for n in range(195)]
    workflow = {
        key: {"type": "parallel", "next_steps": keys[max(0, n - 50) : n + 50], "on_completion": END}
        for n, key in enumerate(keys)
    }
    return spoilt(lambda b: b["workflow"].update(workflow))


def _many_texts() -> Body:
    step = {
        **right()["workflow"][LOOK],
        "commands": [{"type": "manual", "command": "__" * 40} for _ in range(25)],
    }
    more = {f"action--{n:08x}-0000-4000-8000-000000000000": step for n in range(190)}
    return spoilt(lambda b: b["workflow"].update(more))


def _conditions() -> Body:
    one = {
        "type": "if-condition", "on_true": END, "on_completion": END,
        "condition": "NOT " * 15 + "__device__:value MATCHES '" + "[a-z]*" * 90 + "'",
    }  # fmt: skip
    more = {f"if-condition--{n:08x}-0000-4000-8000-000000000000": one for n in range(190)}
    return spoilt(lambda b: b["workflow"].update(more))


def _drilled() -> Body:
    """A hundred conditions in a row, each as costly as can be, and all of them played."""
    keys = [f"if-condition--{n:08x}-0000-4000-8000-000000000000" for n in range(100)]
    one = {
        "type": "if-condition", "on_true": END,
        "condition": " OR ".join(["__device__:value LIKE '%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%!'"] * 20),
    }  # fmt: skip
    more = {
        key: {**one, "on_completion": after}
        for key, after in zip(keys, [*keys[1:], QUIET], strict=True)
    }

    def change(body: Body) -> None:
        body["workflow"].update(more)
        body["workflow"][START].update(on_completion=keys[0])
        given = {"__device__": "".join(chr(n) for n in range(0x4E00, 0x4E00 + 4096))}
        body["playbook_extensions"][EXTENSION].update(drill={"variables": given, "path": [START]})

    return spoilt(change)


@pytest.mark.parametrize("make", [_long_addresses, _dense, _many_texts, _conditions, _drilled])
def test_the_worst_playbook_takes_seconds_at_most(make: Callable[[], Body]) -> None:
    data = written(make())
    began = process_time()
    lint(cacao.load(data))
    assert process_time() - began < 10.0
