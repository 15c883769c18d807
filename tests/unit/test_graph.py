"""Workflows of every shape: what the graph says is what following every way says."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from ops.runbooks.graph import Graph, walk
from ops.runbooks.model import Playbook, Step


@st.composite
def workflows(draw: st.DrawFn) -> Playbook:
    """Up to eight steps that lead anywhere, or nowhere."""
    count = draw(st.integers(2, 8))
    keys = [f"s{n}" for n in range(count)]
    steps = {}
    for name in keys:
        kind = draw(st.sampled_from(["action", "action", "end", "parallel", "if-condition"]))
        to = [draw(st.sampled_from([*keys, "gone", ""])) for _ in range(4)]
        match kind:
            case "end":
                steps[name] = Step(name, "end", name)
            case "parallel":
                branches = tuple(filter(None, to[1:]))
                steps[name] = Step(name, "parallel", name, completion=to[0], branches=branches)
            case "if-condition":
                steps[name] = Step(
                    name, "if-condition", name, completion=to[0], on_true=to[1], on_false=to[2]
                )
            case _:
                steps[name] = Step(name, "action", name, success=to[0], failure=to[1])
    return Playbook("playbook--x", "x", "", "s0", steps, exception=draw(st.sampled_from(["", "", "s1"])))  # fmt: skip


def paths(graph: Graph, at: str, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every way from ``at`` that comes nowhere twice, and those that come back to ``at``'s own way once."""
    here = (*seen, at)
    yield here
    for after in graph.after[at]:
        if after not in here:
            yield from paths(graph, after, here)


@settings(max_examples=500, deadline=None)
@given(workflows())
def test_the_graph_says_what_following_every_way_says(playbook: Playbook) -> None:
    graph = Graph(playbook)
    every = {key: list(paths(graph, key)) for key in playbook.steps}
    reach = {key: {way[-1] for way in ways} for key, ways in every.items()}
    for name in playbook.steps:
        assert graph.reach([name]) == reach[name]
        ends = any(playbook.steps[one].type == "end" for one in reach[name])
        assert (name in graph.ending()) is ends
        loops = any(name in reach[after] for after in graph.after[name])
        assert (name in graph.looping()) is loops
    roots = [root for root in ("s0", playbook.exception) if root]
    before = graph.before()
    come = set().union(*(reach[root] for root in roots))
    assert set(before) == come == {step.id for step in walk(playbook)}
    for name in come:
        ways = [set(way) for root in roots for way in every[root] if way[-1] == name]
        assert before[name] == set.intersection(*ways)
    for one in playbook.steps.values():
        assert graph.shared(one) == _shared(one, reach)


def _shared(one: Step, reach: dict[str, set[str]]) -> set[str]:
    inside = [reach.get(key, set()) for key in one.branches]
    twice = {key for n, a in enumerate(inside) for b in inside[n + 1 :] for key in a & b}
    within = set().union(*inside, reach.get(one.on_true, set()), reach.get(one.on_false, set()))
    after = set().union(*(reach.get(key, set()) for key in (one.completion, one.success, one.failure)))  # fmt: skip
    return twice | (within & after)
