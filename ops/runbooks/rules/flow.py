"""Rules about the way through a playbook: every step is come to, none loops, every branch ends. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ops.runbooks.graph import Graph, leads
from ops.runbooks.model import RUN, Playbook, Step
from ops.runbooks.problem import Problem, error, warning


def problems(playbook: Playbook) -> Iterator[Problem]:
    """Every problem of this kind."""
    graph = Graph(playbook)
    yield from _start(playbook)
    yield from _graph(playbook, graph)
    for step in playbook.steps.values():
        yield from _next(playbook, step)
        for shared in sorted(graph.shared(step)):
            # An end does nothing: alternatives may have one in common, what runs side by side may not.
            if step.type == "parallel" or playbook.steps[shared].type != "end":
                yield error("shared-step", step.id, named(playbook, shared))
    yield from _undoes(playbook, graph)


def named(playbook: Playbook, key: str) -> str:
    """What people call the step ``key``."""
    step = playbook.steps.get(key)
    return step.name if step and step.name else key


def _start(playbook: Playbook) -> Iterator[Problem]:
    start = playbook.steps.get(playbook.start)
    if start is None or start.type != "start":
        yield error("no-start", "", playbook.start)
    starts = [step for step in playbook.steps.values() if step.type == "start"]
    for step in starts[1:]:
        yield error("two-starts", step.id, named(playbook, step.id))
    if playbook.exception and playbook.exception not in playbook.steps:
        yield error("missing-step", "", f"workflow_exception: {playbook.exception}")
    if not any(step.type in {"action", "playbook-action"} for step in playbook.steps.values()):
        yield error("no-action")


def _graph(playbook: Playbook, graph: Graph) -> Iterator[Problem]:
    come = graph.reach(key for key in (playbook.start, playbook.exception) if key in playbook.steps)
    ending, looping = graph.ending(), graph.looping()
    for key in playbook.steps:
        if key not in come:
            yield warning("unreachable", key, named(playbook, key))
        if key in looping:
            yield error("loop", key, named(playbook, key))
        if key not in ending:
            yield error("no-end", key, named(playbook, key))


def _next(playbook: Playbook, step: Step) -> Iterator[Problem]:
    if step.type not in RUN:
        yield warning("unsupported-step", step.id, step.type)
    for why, after in leads(step):
        if after not in playbook.steps:
            yield error("missing-step", step.id, f"{why}: {after}")
    if (step.completion and (step.success or step.failure)) or (step.failure and not step.success):
        yield error("mixed-next", step.id, named(playbook, step.id))


def _undoes(playbook: Playbook, graph: Graph) -> Iterator[Problem]:
    undoing = [step for step in playbook.steps.values() if step.undoes]
    before = graph.before() if undoing else {}
    for step in undoing:
        done = playbook.steps.get(step.undoes)
        if done is None or done.type != "action" or not done.undo:
            yield error("undoes-nothing", step.id, named(playbook, step.undoes))
            continue
        if step.id in before and (done.id == step.id or done.id not in before[step.id]):
            yield error("undoes-too-soon", step.id, named(playbook, done.id))
        if (step.commands, step.agent, step.targets) != (done.undo, done.agent, done.targets):
            yield error("undoes-differs", step.id, named(playbook, done.id))
        if step.undo or step.persons:
            yield error("undoes-asks", step.id, named(playbook, step.id))
