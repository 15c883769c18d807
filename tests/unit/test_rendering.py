"""Commands with their values: a value stays one word of an order, one text of a JSON, one line of a request."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocban.commands import Risk
from mocban.errors import RemoteProtocolError
from ops.runbooks import cacao, rendering
from ops.runbooks.model import Command, Party, Playbook, Step, Variable
from ops.runbooks.variables import opening, references, seen
from tests.support.papers import LOOK, OPEN, QUIET, SHIPPED, START, right, spoilt, written

VALUES = {"__a__": "1", "__b__": "two words", "__mode__": "silent", "__line__": "x\nHost: evil"}


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", ""),
        ("__a__", "__a__"),
        ("__a__:value", "1"),
        ("x__a__:valuey", "x1y"),
        ("__a__:value__b__:value", "1two words"),
        ("__a__:values", "1s"),
        ("__a__:val", "__a__:val"),
    ],
)
def test_a_text_gets_its_values(text: str, whole: str) -> None:
    assert rendering.render(text, VALUES) == whole


def test_a_missing_value_is_named_or_kept() -> None:
    with pytest.raises(RemoteProtocolError, match="__gone__ has no value") as caught:
        rendering.render("a __gone__:value", VALUES)
    assert caught.value.code == "no-value"
    assert rendering.render("a __gone__:value", VALUES, keep=True) == "a __gone__:value"


def test_a_value_is_not_looked_through() -> None:
    assert rendering.render("__x__:value", {"__x__": "__a__:value", "__a__": "1"}) == "__a__:value"


def test_a_short_text_does_not_become_a_huge_one() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        rendering.render("__x__:value" * 5000, {"__x__": "x" * 16_000})
    assert caught.value.code == "too-long"
    content = json.dumps(["__x__:value"] * 5000)
    with pytest.raises(RemoteProtocolError) as caught:
        rendering.request(Command("http-api", "POST /x", content), {"__x__": "x" * 16_000})
    assert caught.value.code == "too-long"


@settings(max_examples=300)
@given(st.text("_a:value-b ", max_size=40), st.text(max_size=5))
def test_references_and_rendering_agree(text: str, value: str) -> None:
    whole = rendering.render(text, dict.fromkeys(references(text), value))
    parts = text
    for name in references(text):
        assert f"{name}:value" in text
        parts = parts.replace(f"{name}:value", value, 1)
    if len(references(text)) == 1 and text.count(":value") == 1:
        assert whole == parts
    if not references(text):
        assert whole == text


# Orders


def test_an_order_is_read_typed() -> None:
    edge = rendering.order("gate set-mode mode=__mode__:value seconds=900", VALUES)
    assert (edge.app, edge.name, edge.nv) == ("gate", "set-mode", 1)
    assert edge.args == {"mode": "silent", "seconds": 900}
    assert (edge.persons, edge.risk, str(edge)) == (0, Risk.C2, "gate set-mode mode=silent seconds=900")  # fmt: skip
    assert rendering.order("gate set-mode mode=open", {}).persons == 1
    assert rendering.order("kiosk wipe", {}).persons == 2
    assert rendering.order("  kiosk   self-test ", {}).args == {}


@pytest.mark.parametrize(
    ("text", "values", "code"),
    [
        ("gate set-mode mode=__x__:value", {"__x__": "open seconds=9"}, "bad-args"),
        ("gate set-mode mode=__x__:value seconds=9", {"__x__": "silent\tvolume=1"}, "bad-args"),
        ("gate __x__:value", {"__x__": "self-test"}, "unknown-command"),
        ("__x__:value self-test", {"__x__": "gate"}, "wrong-app"),
        ("gate set-mode mode=silent seconds=__x__:value", {}, "no-value"),
        ("gate set-mode mode=silent seconds=__x__:value", {"__x__": "90000"}, "bad-args"),
        ("gate", {}, "bad-order"),
        ("gate self-test now", {}, "bad-order"),
        ("kiosk restart patience=1 patience=2", {}, "bad-order"),
        ("kiosk restart hurry=1", {}, "bad-args"),
    ],
)
def test_a_value_does_not_change_what_is_ordered(text: str, values: dict[str, str], code: str) -> None:  # fmt: skip
    with pytest.raises(RemoteProtocolError) as caught:
        rendering.order(text, values)
    assert caught.value.code == code


def test_an_order_is_looked_at_before_its_values_are_known() -> None:
    edge = rendering.probe("gate set-mode mode=__m__:value seconds=__s__:value")
    assert (edge.risk, edge.persons) == (Risk.C2, 0)
    assert rendering.probe("gate set-mode mode=__m__:value").persons == 1


# Requests


def test_a_request_is_cut_before_its_values_come_in() -> None:
    one = Command(
        "http-api", "post /notes/__a__:value HTTP/1.1",
        '{"say": "__q__:value", "many": ["__a__:value", 1]}', {"X-By": ("__a__:value",)},
    )  # fmt: skip
    asked = rendering.request(one, {**VALUES, "__q__": 'he said "no", {}'})
    assert (asked.method, asked.url, asked.headers) == ("POST", "/notes/1", {"X-By": ("1",)})
    assert json.loads(asked.content) == {"say": 'he said "no", {}', "many": ["1", 1]}
    plain = Command("http-api", "PUT /x", "say=__a__:value")
    assert rendering.request(plain, VALUES).content == "say=1"


@pytest.mark.parametrize(
    "one",
    [
        Command("http-api", "GET /__line__:value"),
        Command("http-api", "GET /__b__:value"),
        Command("http-api", "GET /", "", {"X": ("__line__:value",)}),
        Command("http-api", "BREW /"),
        Command("http-api", "GET"),
        Command("http-api", "GET / HTTP/1.1 x"),
    ],
)
def test_a_value_does_not_break_out_of_its_line(one: Command) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        rendering.request(one, VALUES)
    assert caught.value.code == "bad-request"


def test_a_target_gets_its_values() -> None:
    party = Party("x", "http-api", "__a__:value", {"url": ("https://h/__a__:value",)}, "__a__:value")  # fmt: skip
    found = rendering.target(party, VALUES)
    assert (found.name, found.address, found.port) == ("1", {"url": ("https://h/1",)}, "1")
    with pytest.raises(RemoteProtocolError):
        rendering.target(Party("x", "ssh", "__line__:value"), VALUES)


# Values a run begins with


def test_a_run_begins_with_what_was_given() -> None:
    playbook = cacao.parse(written(right()))
    assert opening(playbook, {"__device__": "gate-1"}) == {"__device__": "gate-1", "__outcome__": ""}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({}, "no-value", "__device__ has no value: The gate"),
        ({"__device__": "x", "__x__": "1"}, "unknown-variable", "__x__ is no variable"),
        ({"__device__": "x", "y" * 900: "1"}, "unknown-variable", "…"),
        ({"__device__": "x", "__fixed__": "1"}, "constant", "__fixed__ is constant"),
        ({"__device__": "x", "__count__": "many"}, "bad-value", "__count__ is no integer"),
        ({"__device__": "x" * 16_385}, "bad-value", "longer than 16384"),
    ],
)
def test_a_run_does_not_begin_with_wrong_values(given: dict[str, str], code: str, words: str) -> None:  # fmt: skip
    body = spoilt(
        lambda b: b["playbook_variables"].update(
            __fixed__={"type": "string", "value": "x", "constant": True}, __count__={"type": "integer"}
        )
    )  # fmt: skip
    with pytest.raises(RemoteProtocolError, match=words) as caught:
        opening(cacao.parse(written(body)), given)
    assert caught.value.code == code and len(caught.value.say) < 200


def test_a_step_sees_the_playbooks_variables_and_its_own() -> None:
    local = {"__own__": Variable("__own__", "integer", "3")}
    step = Step("s", "action", "s", variables=local)
    playbook = Playbook("p", "p", "", "s", {"s": step}, {"__a__": Variable("__a__", "string", "x")})
    found = seen(playbook, {"__a__": "new", "__own__": "4"}, None)
    assert (found["__a__"].value, found["__own__"].type, found["__own__"].value) == ("new", "integer", "4")  # fmt: skip
    assert seen(playbook, {}, local)["__own__"].value == "3"


# A whole playbook


def test_a_dry_run_shows_every_step_with_its_values() -> None:
    playbook = cacao.parse(written(right()))
    lines = rendering.dry(playbook, {"__device__": "gate-1"})
    assert [line.step.id for line in lines][:3] == [START, QUIET, LOOK]
    quiet, look = lines[1], lines[2]
    assert (quiet.persons, quiet.targets) == (1, ("gate-1",))
    assert [one.command for one in quiet.undo] == ["gate set-mode mode=open"]
    assert look.commands[0].command == "Look at gate-1"
    again = next(line for line in lines if line.step.id == OPEN)
    assert again.persons == 0  # approved together with what it undoes
    told = json.loads(json.dumps(quiet.as_json()))
    assert told["commands"][0]["command"] == "gate set-mode mode=silent seconds=900"
    assert told["leads"] == {"success": LOOK, "failure": OPEN}


def test_a_dry_run_leaves_what_only_a_run_can_know() -> None:
    playbook = cacao.parse((SHIPPED / "gate-storm.json").read_bytes())
    lines = rendering.dry(playbook, {"__device__": "g-1"})
    said = [one.command for line in lines for one in line.commands]
    assert any("g-1" in one and "__lost__:value" in one for one in said)


@pytest.mark.parametrize("name", ["gate-storm", "reader-lost"])
def test_a_dry_run_shows_all_of_what_we_ship(name: str) -> None:
    playbook = cacao.parse((SHIPPED / f"{name}.json").read_bytes())
    lines = rendering.dry(playbook, playbook.drill["variables"])
    assert {line.step.id for line in lines} == set(playbook.steps)
    assert sum(line.persons for line in lines) == 1


def test_persons_are_those_of_the_strictest_part() -> None:
    def step(*texts: str, undo: str = "", asks: int = 0, undoes: str = "") -> Step:
        todo = tuple(Command("mocban-order", text) for text in texts)
        back = (Command("mocban-order", undo),) if undo else ()
        return Step("s", "action", "s", commands=todo, undo=back, persons=asks, undoes=undoes)

    assert rendering.persons(step("gate self-test"), {}) == 0
    assert rendering.persons(step("gate self-test", "kiosk wipe", asks=1), {}) == 2
    silent, back = "gate set-mode mode=silent seconds=9", "gate set-mode mode=open"
    assert rendering.persons(step(silent), {}) == 0
    assert rendering.persons(step(silent, undo=back), {}) == 1
    assert rendering.persons(step("gate set-mode mode=open", undoes="x"), {}) == 0
    assert rendering.persons(step("gate self-test", asks=3), {}) == 3
