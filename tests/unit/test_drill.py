"""The shipped playbooks, played with every answer a branch may give: they end, and what was done is undone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocban.errors import RemoteProtocolError
from ops.runbooks import cacao
from ops.runbooks.drill import VISITS_MAX, play
from ops.runbooks.model import Playbook, Step
from tests.support.papers import SHIPPED

NAMES = ["gate-storm", "reader-lost"]


@cache
def shipped(name: str) -> Playbook:
    return cacao.parse((SHIPPED / f"{name}.json").read_bytes())


def named(playbook: Playbook, path: tuple[str, ...]) -> list[str]:
    return [playbook.steps[key].words.get("en", {}).get("name", "") for key in path]


@pytest.mark.parametrize("name", NAMES)
def test_the_drill_goes_the_way_it_says(name: str) -> None:
    playbook = shipped(name)
    path, ends = play(playbook)
    assert list(path) == playbook.drill["path"] and ends == playbook.drill["ends"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES), st.data())
def test_whatever_is_answered_it_ends_and_what_was_done_is_undone(
    name: str, draw: st.DataObject
) -> None:
    playbook = shipped(name)
    answer = st.fixed_dictionaries(
        {
            "outcome": st.sampled_from(["done", "failed", "refused", "expired"]),
            "result": st.fixed_dictionaries({"lost": st.sampled_from(["", "reader", "gate", "broker"])}),
        }
    )  # fmt: skip
    answers: dict[str, Any] = {
        step.id: [draw.draw(answer)] for step in playbook.steps.values() if step.type == "action"
    }
    path, ends = play(replace(playbook, drill={**playbook.drill, "answers": answers}))
    assert ends == "done" and playbook.steps[path[-1]].type == "end"
    assert len(set(path)) == len(path)
    for step in playbook.steps.values():
        if step.undoes:
            # Whether it was done, failed, or nobody knows.
            assert (step.undoes in path) is (step.id in path)
            if step.id in path:
                assert path.index(step.undoes) < path.index(step.id)


def test_a_gate_that_does_not_answer_is_looked_at_and_silenced_by_hand() -> None:
    playbook = shipped("gate-storm")
    lost = [{"outcome": "expired"}]
    answers = {step.id: lost for step in playbook.steps.values() if step.agent.startswith("organ")}
    path, _ = play(replace(playbook, drill={**playbook.drill, "answers": answers}))
    assert named(playbook, path) == [
        "", "Let the gate test itself", "Silence the gate for 15 minutes", "Turn the siren off by hand",
        "Let the gate cry again", "Try the gate by hand after 15 minutes", "",
    ]  # fmt: skip


def test_a_gate_with_a_part_lost_sends_somebody_to_its_cables() -> None:
    playbook = shipped("gate-storm")
    test = playbook.steps[playbook.start].completion
    answers = {test: [{"outcome": "done", "result": {"lost": "gate"}}]}
    path, _ = play(replace(playbook, drill={**playbook.drill, "answers": answers}))
    assert "Check power and cables of the gate" in named(playbook, path)


@pytest.mark.parametrize(("broken", "tries"), [(1, 1), (2, 2), (3, 3)])
def test_a_reader_that_comes_back_ends_it(broken: int, tries: int) -> None:
    """``broken``: the self-test that is the first to find the reader."""
    playbook = shipped("reader-lost")
    tests = [step.id for step in playbook.steps.values() if step.out_args]
    answers = {
        key: [{"outcome": "done", "result": {"lost": "" if n >= broken else "broker,reader"}}]
        for n, key in enumerate(tests, 1)
    }
    path, ends = play(replace(playbook, drill={**playbook.drill, "answers": answers}))
    said = named(playbook, path)
    assert ends == "done" and sum(key in tests for key in path) == tries
    assert ("Restart the kiosk" in said) is (broken > 1)
    assert ("Check the reader's cable" in said) is (broken > 2)
    assert "Close the kiosk, for 4 hours at most" not in said


def test_a_loop_and_a_failure_that_leads_nowhere_end_the_play() -> None:
    def step(name: str, **parts: Any) -> Step:
        return Step(name, "action", name, **parts)

    loop = Playbook("p", "p", "", "a", {"a": step("a", completion="a")})
    with pytest.raises(RemoteProtocolError) as caught:
        play(loop)
    assert caught.value.code == "loop" and VISITS_MAX == 300
    answers = {"a": [{"outcome": "failed"}]}
    dead = Playbook("p", "p", "", "a", {"a": step("a", success="a")}, drill={"answers": answers})
    assert play(dead) == (("a",), "failed")
