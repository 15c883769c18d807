"""Rules about what a playbook refers to: variables, conditions, agents, targets. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mocban.errors import RemoteProtocolError
from ops.runbooks import condition
from ops.runbooks.extension import EXTENSION
from ops.runbooks.model import Party, Playbook, Step, Variable
from ops.runbooks.problem import Problem, error, warning
from ops.runbooks.shape import mapping
from ops.runbooks.variables import KNOWN, check, references


def problems(playbook: Playbook) -> Iterator[Problem]:
    """Every problem of this kind."""
    for variable in playbook.variables.values():
        yield from _variable("", variable)
    passed = _passed(playbook)
    for step in playbook.steps.values():
        for variable in step.variables.values():
            yield from _variable(step.id, variable)
        visible = {**passed, **playbook.variables, **step.variables}
        yield from _step(playbook, step, visible)
    yield from _parties(playbook, {**passed, **playbook.variables})
    yield from _extensions(playbook)


def _passed(playbook: Playbook) -> dict[str, Variable]:
    """What some step declares for itself and passes on."""
    return {
        name: step.variables[name]
        for step in playbook.steps.values()
        for name in step.out_args
        if name in step.variables
    }


def _variable(step: str, variable: Variable) -> Iterator[Problem]:
    if variable.type not in KNOWN:
        yield warning("unknown-type", step, f"{variable.name}: {variable.type}")
    if variable.external and not variable.description:
        yield warning("undescribed", step, variable.name)
    if variable.external and variable.constant:
        yield error("constant-external", step, variable.name)
    if variable.value is not None:
        try:
            check(variable, variable.value)
        except RemoteProtocolError as wrong:
            yield error("bad-value", step, wrong.say)


def _step(playbook: Playbook, step: Step, visible: Mapping[str, Variable]) -> Iterator[Problem]:
    texts = [
        text
        for one in (*step.commands, *step.undo)
        for text in (one.command, one.content, one.description, *(v for m in one.headers.values() for v in m))
    ]  # fmt: skip
    used = dict.fromkeys(name for text in texts for name in references(text))
    for name in (*used, *step.in_args):
        if name not in visible:
            yield error("undeclared", step.id, name)
    for name in step.out_args:
        if name not in visible:
            yield error("undeclared", step.id, name)
        elif visible[name].constant:
            yield error("constant-changed", step.id, name)
    if step.type in {"if-condition", "while-condition"}:
        try:
            condition.check(step.condition, visible)
        except RemoteProtocolError as wrong:
            yield error("bad-condition", step.id, wrong.say)
    if step.type == "action" and step.agent not in playbook.agents:
        yield error("undefined-agent", step.id, step.agent)
    for target in step.targets:
        if target not in playbook.targets:
            yield error("undefined-target", step.id, target)


def _parties(playbook: Playbook, visible: Mapping[str, Variable]) -> Iterator[Problem]:
    known = mapping(playbook.body.get("authentication_info_definitions"))
    kinds = (("agent_definitions", playbook.agents), ("target_definitions", playbook.targets))
    for kind, parties in kinds:
        bodies = mapping(playbook.body.get(kind))
        for party in parties.values():
            for name in _used(party):
                # Steps may have variables of their own that a target reads: those are seen there.
                if name not in visible and not _local(playbook, party, name):
                    yield error("undeclared", "", name)
            auth = mapping(bodies.get(party.id)).get("authentication_info")
            if isinstance(auth, str) and auth not in known:
                yield error("undefined-auth", "", auth)


def _used(party: Party) -> tuple[str, ...]:
    texts = (party.name, party.port, *(value for many in party.address.values() for value in many))
    return tuple(dict.fromkeys(name for text in texts for name in references(text)))


def _local(playbook: Playbook, party: Party, name: str) -> bool:
    users = [step for step in playbook.steps.values() if party.id in {step.agent, *step.targets}]
    return bool(users) and all(name in step.variables for step in users)


def _extensions(playbook: Playbook) -> Iterator[Problem]:
    body = playbook.body
    places = [("", body.get("playbook_extensions"))]
    places += [
        (key, mapping(step).get("step_extensions")) for key, step in mapping(body.get("workflow")).items()
    ]  # fmt: skip
    defined = mapping(body.get("extension_definitions"))
    for step, extensions in places:
        for key in mapping(extensions):
            if key not in defined:
                yield error("undefined-extension", step, key)
            elif key != EXTENSION:
                yield warning(
                    "foreign-extension", step, str(mapping(defined[key]).get("name", key))
                )
