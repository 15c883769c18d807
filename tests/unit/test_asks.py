"""What a person signs, and every approval that is none: each has a code and a sentence of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mocban import commands, identity
from mocban.access import Refusal
from mocban.clock import SetClock, rfc3339
from ops.runbooks import asks
from ops.runbooks.happenings import Approved, Begun, Passed
from ops.runbooks.model import Command, Party, Playbook, Step
from ops.runbooks.plan import begin, step
from ops.runbooks.state import Run, Terms, Visit
from tests.support.person import Person
from tests.support.runbook_author import OPEN, SILENT
from tests.support.runbook_world import ID

NOW = SetClock().now()
KEY = "action--1"


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Person]:
    folder = tmp_path_factory.mktemp("staff")
    return {name: Person(folder, name) for name in ("boss", "an", "binh", "nobody")}


@pytest.fixture
def staff(persons: Mapping[str, Person]) -> dict[str, str]:
    return {name: persons[name].line for name in ("boss", "an", "binh")}


def playbook(sha256: str = "ab" * 32, count: int = 1) -> Playbook:
    steps = {
        "start--1": Step("start--1", "start", "start", completion=KEY),
        KEY: Step(
            KEY, "action", "silence", commands=(SILENT, Command("manual", "look")), targets=("t",), persons=count,
            undo=(OPEN,), success="end--1", failure="action--2",
        ),
        "action--2": Step("action--2", "action", "other", commands=(SILENT,), targets=("t",), persons=1),
        "end--1": Step("end--1", "end", "end"),
    }  # fmt: skip
    return Playbook(
        "playbook--1",
        "p",
        sha256,
        "start--1",
        steps,
        targets={"t": Party("t", "mocban-device", "gate-1")},
    )


def asked(ident: str = ID, by: str = "person:boss", **more: int | str) -> Run:
    return begin(playbook(**more), Begun(NOW, ident, by, Terms("demo", 3600.0)))[0]  # type: ignore[arg-type]


def signed(run: Run, person: Person, key: str = KEY) -> list[str]:
    return [person.sign(one.message, one.namespace) for one in asks.documents(run, run.visits[key])]


def code(
    run: Run, by: str, signatures: list[str], staff: Mapping[str, str], at: datetime = NOW, key: str = KEY
) -> str:  # fmt: skip
    with pytest.raises(Refusal) as no:
        asks.verify(run, run.visits[key], by, signatures, staff, at)
    assert no.value.say
    assert no.value.do
    assert no.value.status in {403, 409, 410, 422}
    return no.value.code


def test_the_documents_are_the_step_and_each_order_of_it_and_of_its_undo() -> None:
    run = asked()
    first, order, undo = asks.documents(run, run.visits[KEY])
    assert first.namespace == "mocban-step"
    body = dict(first.body)
    hashes = body.pop("commands")
    assert body == {
        "v": 1, "tenant": "demo", "execution": ID, "step": KEY, "playbook": "ab" * 32, "by": "person:boss",
        "expires": rfc3339(NOW + timedelta(hours=1)),
    }  # fmt: skip
    assert len(set(hashes)) == 3
    assert [one.namespace for one in (order, undo)] == [commands.NAMESPACE] * 2
    requests = [commands.Request.model_validate(one.body) for one in (order, undo)]
    assert [one.args["mode"] for one in requests] == ["silent", "open"]
    assert order.message == requests[0].canonical(), "it is what the gateway and the device check"


def test_an_approval_that_is_right_travels_with_the_orders(
    persons: dict[str, Person], staff: dict[str, str]
) -> None:
    run = asked()
    yes = asks.verify(run, run.visits[KEY], "an", signed(run, persons["an"]), staff, NOW)
    assert yes is not None
    run, _ = step(run, Approved(NOW, KEY, yes))
    visit = run.visits[KEY]
    for job in (*visit.jobs, *visit.undo):
        if job.request is not None:
            assert commands.approved(job.request, job.approvals, staff) == {"an"}


def test_nobody_approves_what_they_began_not_even_under_another_name(
    persons: dict[str, Person], staff: dict[str, str]
) -> None:
    run = asked()
    mine = signed(run, persons["boss"])
    assert code(run, "boss", mine, staff) == "own-approval"
    assert code(run, "alias", mine, {**staff, "alias": staff["boss"]}) == "own-approval"


def test_what_an_app_began_any_of_the_staff_may_approve(
    persons: dict[str, Person], staff: dict[str, str]
) -> None:
    run = asked(by="app:ops")
    assert (
        asks.verify(run, run.visits[KEY], "boss", signed(run, persons["boss"]), staff, NOW)
        is not None
    )


@pytest.mark.parametrize(
    "other", ["execution", "playbook", "step", "person", "namespace", "order", "nonsense"]
)
def test_a_signature_over_anything_else_is_none(
    other: str, persons: dict[str, Person], staff: dict[str, str]
) -> None:
    run, an = asked(), persons["an"]
    right = signed(run, an)
    match other:
        case "execution":
            wrong = signed(asked("22222222-2222-4222-8222-222222222222"), an)
        case "playbook":
            wrong = [signed(asked(sha256="cd" * 32), an)[0], *right[1:]]
        case "step":
            body = {**asks.documents(run, run.visits[KEY])[0].body, "step": "action--2"}
            wrong = [an.sign(identity.canonical(body), "mocban-step"), *right[1:]]
        case "person":
            wrong = signed(run, persons["binh"])
        case "namespace":
            wrong = [
                an.sign(asks.documents(run, run.visits[KEY])[0].message, commands.NAMESPACE),
                *right[1:],
            ]
        case "order":
            wrong = [right[0], right[2], right[1]]
        case _:
            wrong = ["nonsense"] * 3
    assert code(run, "an", wrong, staff) == "bad-approval"


def test_each_other_wrong_thing_has_a_code_of_its_own(
    persons: dict[str, Person], staff: dict[str, str]
) -> None:
    run = asked(count=2)
    right = signed(run, persons["an"])
    assert code(run, "nobody", signed(run, persons["nobody"]), staff) == "unknown-person"
    assert code(run, "an", right[:2], staff) == "signatures"
    assert code(run, "an", right, staff, NOW + timedelta(hours=2)) == "expired"
    yes = asks.verify(run, run.visits[KEY], "an", right, staff, NOW)
    assert yes is not None
    run, _ = step(run, Approved(NOW, KEY, yes))
    assert asks.verify(run, run.visits[KEY], "an", right, staff, NOW) is None, "twice is once"
    twin = {**staff, "twin": staff["an"]}
    assert code(run, "twin", right, twin) == "same-key"
    other = asks.verify(run, run.visits[KEY], "binh", signed(run, persons["binh"]), staff, NOW)
    assert other is not None
    run, _ = step(run, Approved(NOW, KEY, other))
    assert code(run, "binh", right, staff) == "already-decided"


def test_a_signature_of_a_question_that_ran_out_does_not_answer_the_next_one(
    persons: dict[str, Person], staff: dict[str, str]
) -> None:
    run = asked()
    old = signed(run, persons["an"])
    until = run.visits[KEY].until
    assert until is not None
    run, _ = step(run, Passed(until, KEY, "wait", until))
    assert code(run, "an", old, staff, until) == "bad-approval"


def test_a_step_that_asks_nobody_needs_nobody(staff: dict[str, str]) -> None:
    run = asked()
    visit: Visit = replace(run.visits[KEY], phase="act", persons=0)
    with pytest.raises(Refusal) as no:
        asks.verify(run, visit, "an", [], staff, NOW)
    assert no.value.code == "not-asked"
