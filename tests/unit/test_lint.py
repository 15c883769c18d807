"""Lint: each rule finds what it is for, and lets be what is right; words in both languages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ops.runbooks.rules as rules_package
from ops.runbooks import cacao
from ops.runbooks.extension import DEFINITION, EXTENSION
from ops.runbooks.graph import Graph
from ops.runbooks.lint import PROBLEMS_MAX, lint
from ops.runbooks.problem import HALTING, Problem, error
from ops.runbooks.verdicts import FILE, VERDICTS
from tests.support.papers import (
    AT,
    DATA,
    DEVICE,
    END,
    GATEWAY,
    LOOK,
    OPEN,
    QUIET,
    SHIPPED,
    STAFF,
    START,
    Body,
    key,
    order,
    own,
    right,
    spoilt,
)

OTHER, IF, BOTH, LATER = key("action", "other"), key("if-condition"), key("parallel"), key("end", "later")  # fmt: skip
Change = Callable[[Body], object]


def codes(body: Body) -> set[tuple[str, str]]:
    return {(one.level, one.code) for one in lint(body)}


def step(name: str, /, **parts: Any) -> Change:
    return lambda body: body["workflow"][name].update(parts)


def without(name: str, *parts: str) -> Change:
    return lambda body: [body["workflow"][name].pop(part) for part in parts]


def says(name: str, **parts: Any) -> Change:
    return lambda body: own(body["workflow"][name]).update(parts)


def variable(name: str, **parts: Any) -> Change:
    return lambda body: body["playbook_variables"].update({name: {"type": "string", **parts}})


def commands(*all_of: Body) -> Change:
    """What LOOK does."""
    return step(LOOK, commands=list(all_of))


def ordered(text: str) -> Change:
    """LOOK sends an order that needs nothing else."""

    def change(body: Body) -> None:
        body["workflow"][LOOK].update(agent=GATEWAY, targets=[DEVICE], commands=[order(text)])
        own(body["workflow"][LOOK]).update(undo=[order("gate set-mode mode=open")])

    return change


def together(*changes: Change) -> Change:
    return lambda body: [change(body) for change in changes]


def branched(body: Body, **parts: Any) -> Body:
    """LOOK is an if-condition with a branch to OTHER and END, and goes on to OPEN."""
    look = body["workflow"].pop(LOOK)
    body["workflow"][QUIET].update(on_success=IF)
    body["workflow"][OTHER] = {**look, "on_success": LATER, "on_failure": LATER}
    body["workflow"][LATER] = {"type": "end"}
    body["workflow"][IF] = {
        "type": "if-condition", "condition": "__outcome__:value = 'done'", "on_true": OTHER, "on_completion": OPEN,
        "step_extensions": {EXTENSION: {"words": {"vi": {"name": "x"}, "en": {"name": "x"}}}}, **parts,
    }  # fmt: skip
    return body


def parallel(body: Body) -> Body:
    """Both branches of a parallel step come together in OTHER."""
    branched(body)
    body["workflow"].pop(IF)
    body["workflow"][QUIET].update(on_success=BOTH)
    one, two = ({**body["workflow"][OTHER], "on_success": OTHER, "on_failure": OTHER} for _ in range(2))  # fmt: skip
    body["workflow"][key("action", "1")], body["workflow"][key("action", "2")] = one, two
    body["workflow"][BOTH] = {
        "type": "parallel", "next_steps": [key("action", "1"), key("action", "2")], "on_completion": OPEN,
        "step_extensions": {EXTENSION: {"words": {"vi": {"name": "x"}, "en": {"name": "x"}}}},
    }  # fmt: skip
    return body


def test_nothing_is_wrong_with_what_is_right() -> None:
    assert lint(right()) == ()
    assert lint(branched(right())) == ()


RULES: list[tuple[str, str, Change]] = [
    ("error", "form", lambda b: b.pop("name")),
    # the way through
    ("error", "no-start", lambda b: b.update(workflow_start=QUIET)),
    ("error", "no-start", lambda b: b.update(workflow_start=key("start", "x"))),
    ("error", "two-starts", lambda b: b["workflow"].update(
        {key("start", "x"): {"type": "start", "on_completion": END}})),
    ("error", "no-action", lambda b: b.update(
        workflow={START: {"type": "start", "on_completion": END}, END: {"type": "end"}})),
    ("error", "missing-step", step(LOOK, on_failure=key("action", "x"))),
    ("error", "missing-step", lambda b: b.update(workflow_exception=key("end", "x"))),
    ("error", "missing-step", lambda b: branched(b, on_false=key("end", "x"))),
    ("warning", "unreachable", lambda b: b["workflow"].update({LATER: {"type": "end"}})),
    ("error", "loop", step(LOOK, on_success=LOOK)),
    ("error", "loop", step(OPEN, on_completion=QUIET)),
    ("error", "no-end", without(OPEN, "on_completion")),
    ("error", "no-end", lambda b: branched(b)["workflow"][OTHER].update(on_success=key("x"), on_failure=key("x"))),
    ("error", "mixed-next", step(LOOK, on_completion=END)),
    ("error", "mixed-next", without(LOOK, "on_success")),
    ("error", "shared-step", parallel),
    ("error", "shared-step", lambda b: branched(b, on_false=OPEN)),
    ("warning", "unsupported-step", lambda b: b["workflow"].update(
        {key("while-condition"): {
            "type": "while-condition", "condition": "__outcome__:value = 'x'", "on_true": END, "on_completion": END}})),
    ("error", "undoes-nothing", says(OPEN, undoes=LOOK)),
    ("error", "undoes-nothing", says(OPEN, undoes=key("action", "x"))),
    ("error", "undoes-too-soon", step(START, on_completion=LOOK)),
    ("error", "undoes-too-soon", says(QUIET, undoes=QUIET)),
    ("error", "undoes-differs", step(OPEN, commands=[order("gate set-mode mode=closed seconds=9")])),
    ("error", "undoes-asks", says(OPEN, approval={"persons": 1})),
    # what it refers to
    ("error", "undeclared", commands({"type": "manual", "command": "see __x__:value"})),
    ("error", "undeclared", commands({"type": "http-api", "command": "GET /", "headers": {"A": ["__x__:value"]}})),
    ("error", "undeclared", says(QUIET, undo=[order("gate set-mode mode=__x__:value")])),
    ("error", "undeclared", step(QUIET, out_args=["__reason__"])),
    ("error", "undeclared", step(LOOK, in_args=["__x__"])),
    ("error", "undeclared", lambda b: b["target_definitions"][DEVICE].update(name="gate-__x__:value")),
    ("warning", "unknown-type", variable("__x__", type="colour")),
    ("warning", "undescribed", variable("__x__", external=True)),
    ("error", "constant-external", variable("__x__", external=True, constant=True, description="x")),
    ("error", "bad-value", variable("__x__", type="integer", value="nine")),
    ("error", "bad-value", step(LOOK, step_variables={"__x__": {"type": "bool", "value": "maybe"}})),
    ("error", "constant-changed", variable("__outcome__", constant=True, value="")),
    ("error", "bad-condition", lambda b: branched(b, condition="__outcome__:value == 'done'")),
    ("error", "bad-condition", lambda b: branched(b, condition="__nobody__:value = 'done'")),
    ("error", "bad-condition", lambda b: branched(b, condition="__import__('os')")),
    ("error", "undefined-agent", step(LOOK, agent=key("group", "x"))),
    ("error", "undefined-target", step(LOOK, targets=[key("group", "x")])),
    ("error", "undefined-auth", lambda b: b["target_definitions"].update(
        {key("http-api"): {
            "type": "http-api", "name": "x", "address": {"dname": ["x"]}, "authentication_info": key("http-basic")}})),
    ("error", "undefined-extension", lambda b: b.pop("extension_definitions")),
    ("warning", "foreign-extension", together(
        lambda b: b["extension_definitions"].update({key("extension-definition"): dict(DEFINITION)}),
        lambda b: b["playbook_extensions"].update({key("extension-definition"): {}}))),
    # commands
    ("warning", "unsupported-command", commands({"type": "bash", "command": "true"})),
    ("error", "empty-command", commands({"type": "manual", "command": " "})),
    ("error", "empty-command", commands({"type": "manual"})),
    ("warning", "no-timeout", without(LOOK, "timeout")),
    ("error", "bad-order", ordered("gate")),
    ("error", "bad-order", ordered("gate set-mode mode=silent mode=open")),
    ("error", "bad-order", ordered("gate set-mode silent")),
    ("error", "unknown-command", ordered("gate sing")),
    ("error", "unknown-command", ordered("gate __outcome__:value mode=silent")),
    ("error", "wrong-app", ordered("printer self-test")),
    ("error", "bad-args", ordered("gate set-mode mode=asleep seconds=9")),
    ("error", "bad-args", ordered("gate set-mode mode=silent seconds=0")),
    ("error", "bad-args", ordered("gate set-mode mode=silent volume=__outcome__:value seconds=5")),
    ("error", "bad-args", ordered("gate set-mode seconds=__outcome__:value")),
    ("error", "bad-args", says(QUIET, undo=[order("gate set-mode mode=shut")])),
    ("error", "bad-request", commands({"type": "http-api", "command": "FETCH /x"})),
    ("error", "bad-request", commands({"type": "http-api", "command": "GET"})),
    ("error", "order-agent", together(ordered("gate self-test"), step(LOOK, agent=STAFF))),
    ("error", "order-agent", lambda b: b["agent_definitions"][GATEWAY].update(name="somebody")),
    ("error", "no-device", together(ordered("gate self-test"), without(LOOK, "targets"))),
    ("error", "no-device", lambda b: b["target_definitions"][DEVICE].update(type="linux")),
    ("error", "bad-device", lambda b: b["target_definitions"][DEVICE].update(name="Gate 1")),
    # harm
    ("error", "unapproved", ordered("gate set-mode mode=silent")),
    ("error", "unapproved", together(ordered("kiosk wipe"), says(LOOK, approval={"persons": 1}))),
    ("error", "no-undo", together(ordered("gate set-mode mode=silent seconds=9"), says(LOOK, undo=[]))),
    ("error", "no-undo", together(ordered("gate set-mode mode=__outcome__:value seconds=9"), says(LOOK, undo=[]))),
    ("warning", "irreversible", together(ordered("kiosk wipe"), says(LOOK, approval={"persons": 2}))),
    ("error", "blind-retry", together(ordered("kiosk wipe"), says(LOOK, approval={"persons": 2}, on_unknown="retry"))),
    ("warning", "unapproved-activity", commands(
        {"type": "http-api", "command": "POST /block", "playbook_activity": "restrict-access"})),
    ("error", "inline-secret", commands(
        {"type": "http-api", "command": "GET /", "headers": {"Authorization": ["Bearer abc"]}})),
    ("error", "inline-secret", commands({"type": "http-api", "command": "GET https://me:word@host/"})),
    ("error", "inline-secret", ordered("gate collect-logs url=https://host/x token=00112233445566778899aabbccddeeff")),
    ("warning", "login-secret", lambda b: b.update(
        authentication_info_definitions={
            key("http-basic"): {"type": "http-basic", "user_id": "me", "password": "word"}})),
    ("warning", "login-secret", variable("__api_key__", value="abc")),
    # the paper
    ("warning", "summary", lambda b: b.update(playbook_processing_summary={"parallel_processing": True})),
    ("warning", "summary", lambda b: b.update(playbook_processing_summary={})),
    ("warning", "no-activity", lambda b: b.update(playbook_types=["mitigation"])),
    ("warning", "activity", lambda b: b.update(playbook_activities=["scan-system"])),
    ("error", "revoked", lambda b: b.update(revoked=True)),
    ("warning", "times", lambda b: b.update(created="2027-01-01T00:00:00.000Z")),
    ("error", "never-valid", lambda b: b.update(valid_from="2027-01-01T00:00:00Z", valid_until=AT)),
    ("warning", "no-words", lambda b: own(b["workflow"][LOOK]).update(words={"vi": {"name": "x"}})),
    ("warning", "no-words", lambda b: b["playbook_extensions"][EXTENSION].update(words={})),
    ("warning", "drill-step", lambda b: b["playbook_extensions"][EXTENSION].update(
        drill={"variables": {"__device__": "x"}, "path": ["x"]})),
    ("warning", "drill-path", lambda b: b["playbook_extensions"][EXTENSION].update(
        drill={"variables": {"__device__": "x"}, "path": [START, QUIET, OPEN, END]})),
    ("warning", "drill-path", lambda b: b["playbook_extensions"][EXTENSION].update(
        drill={"variables": {"__device__": "x"}, "path": [START, QUIET, LOOK, OPEN, END], "ends": "failed"})),
    ("warning", "drill-path", lambda b: b["playbook_extensions"][EXTENSION].update(
        drill={"variables": {"__device__": "x", "__x__": "y"}, "path": [START]})),
    ("warning", "drill-variable", lambda b: b["playbook_extensions"][EXTENSION].update(drill={"path": [START]})),
]  # fmt: skip


@pytest.mark.parametrize(("level", "code", "change"), RULES)
def test_a_rule_finds_what_it_is_for(level: str, code: str, change: Change) -> None:
    found = lint(spoilt(change))
    assert (level, code) in {(one.level, one.code) for one in found}, found
    assert [one.level for one in found] == sorted(one.level for one in found)
    mine = next(one for one in found if one.code == code)
    assert mine.halts is (level == "error" or code in HALTING)


RIGHT: list[Change] = [
    lambda b: b["playbook_extensions"][EXTENSION].update(
        drill={"variables": {"__device__": "x"}, "path": [START, QUIET, LOOK, OPEN, END]}),
    lambda b: b["playbook_extensions"][EXTENSION].update(
        drill={
            "variables": {"__device__": "x"}, "path": [START, QUIET, OPEN, END],
            "answers": {QUIET: [{"outcome": "expired"}]}}),
    lambda b: branched(b)["playbook_extensions"][EXTENSION].update(
        drill={
            "variables": {"__device__": "x"}, "path": [START, QUIET, IF, OTHER, LATER, OPEN, END],
            "answers": {QUIET: [{"outcome": "done", "result": {"outcome": "x"}}]}}),
    lambda b: branched(b, on_false=END),
    ordered("gate self-test"),
    ordered("kiosk restart patience=300"),
    ordered("gate set-mode mode=silent seconds=__outcome__:value"),
    together(ordered("gate set-mode mode=silent"), says(LOOK, approval={"persons": 1})),
    together(ordered("gate set-mode mode=open"), says(LOOK, undo=[], approval={"persons": 1})),
    commands({"type": "http-api", "command": "POST /n HTTP/1.1", "headers": {"Authorization": ["__outcome__:value"]}}),
    step(LOOK, step_variables={"__x__": {"type": "string", "value": "x"}}, out_args=["__x__"]),
    lambda b: branched(
        b, on_false=LATER, condition="__outcome__:value IN ('done', 'failed') AND NOT __device__:value LIKE 'x%'"),
    lambda b: b.update(
        playbook_processing_summary={"temporal_logic": True, "extensions": True, "digital_signatures": True}),
    lambda b: b.update(authentication_info_definitions={
        key("http-basic"): {"type": "http-basic", "user_id": "me", "password": "vault/1", "kms": True}}),
    lambda b: b.update(workflow_exception=key("end", "x")) or b["workflow"].update({key("end", "x"): {"type": "end"}}),
]  # fmt: skip


@pytest.mark.parametrize("change", RIGHT)
def test_a_rule_lets_be_what_is_right(change: Change) -> None:
    assert lint(spoilt(change)) == ()


def test_every_rule_is_tried_and_every_word_is_said() -> None:
    assert {code for _, code, _ in RULES} == set(VERDICTS) - set(FILE) | {"form"}
    source = Path(next(iter(rules_package.__path__)))
    named = {
        word
        for file in source.glob("*.py")
        for word in re.findall(r'(?:error|warning)\("([a-z-]+)"', file.read_text())
    }
    assert named <= set(VERDICTS)


@pytest.mark.parametrize("code", sorted(VERDICTS))
def test_a_problem_says_what_is_wrong_and_what_to_do(code: str) -> None:
    told = {lang: error(code, "", "{what} is %s").told(lang) for lang in ("vi", "en")}
    assert told["vi"] != told["en"]
    for say, do in told.values():
        assert say and do and "\n" not in say + do
        assert ("{what} is %s" in say) is ("{what}" in VERDICTS[code]["en"][0])
        assert not say.endswith(".") and not do.endswith(".")
    assert Problem("error", code).as_json()["code"] == code


def test_a_long_name_does_not_make_a_long_sentence() -> None:
    found = lint(spoilt(step(LOOK, name="x" * 10_000, on_success=key("action", "y" * 9000))))
    assert found and all(len(one.say) < 400 for one in found)


def test_only_so_many_problems_are_told() -> None:
    bash = {**right()["workflow"][LOOK], "commands": [{"type": "bash"}]}
    more = {key("action", str(n)): bash for n in range(190)}
    assert len(lint(spoilt(lambda b: b["workflow"].update(more)))) == PROBLEMS_MAX


# Playbooks of others, and ours

EXPECTED = {
    "fin-playbook.json": {
        ("error", "form"), ("warning", "unsupported-command"), ("warning", "no-timeout"), ("warning", "times"),
    },
    "http-playbook.json": {("warning", "no-activity"), ("warning", "no-timeout")},
    "manual-playbook.json": {("warning", "no-activity")},
    "openc2-playbook.json": {
        ("warning", "no-activity"), ("warning", "no-timeout"), ("warning", "unsupported-command"),
    },
    "powershell-playbook.json": {
        ("warning", "login-secret"), ("warning", "no-timeout"), ("warning", "unsupported-command"),
    },
    "ssh-playbook.json": {
        ("warning", "login-secret"), ("warning", "no-activity"), ("warning", "no-timeout"),
        ("warning", "unsupported-command"),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_playbooks_of_soarca(name: str) -> None:
    found = lint(cacao.load((DATA / name).read_bytes()))
    assert {(one.level, one.code) for one in found} == EXPECTED[name]
    if name == "openc2-playbook.json":
        assert "openc2" in {one.what for one in found}
    if name == "fin-playbook.json":
        assert "pong" in {one.what for one in found}
        assert any(one.code == "form" and "agent" in one.what for one in found)


def test_every_playbook_of_soarca_is_expected() -> None:
    assert {path.name for path in DATA.glob("*.json")} == set(EXPECTED)


def test_a_list_as_workflow_and_a_loop_without_end_are_found() -> None:
    """What the schemas let through, or read with one error: a workflow of version 1, a loop."""
    assert ("error", "form") in codes(spoilt(lambda b: b.update(workflow=[])))
    endless = spoilt(step(OPEN, on_completion=LOOK))
    assert {("error", "loop"), ("error", "no-end")} <= codes(endless)


@pytest.mark.parametrize("name", ["gate-storm", "reader-lost"])
def test_what_we_ship_is_clean(name: str) -> None:
    body = cacao.load((SHIPPED / f"{name}.json").read_bytes())
    assert lint(body) == ()
    playbook = cacao.read(body)
    assert playbook.starts_on == (name,)
    asking = [one for one in playbook.steps.values() if one.persons]
    assert [one.persons for one in asking] == [1]
    undoing = [one for one in playbook.steps.values() if one.undoes]
    assert [one.undoes for one in undoing] == [asking[0].id]
    # Whoever asked for it, and whatever failed after it: the way back is taken on every way.
    after = Graph(playbook).reach([asking[0].success, asking[0].failure])
    assert undoing[0].id in after
    for one in playbook.steps.values():
        if one.id in after and one.type == "action" and one.id != undoing[0].id:
            assert one.success and one.failure, one.name
