"""Rules about commands: they can be read, we can do them, and the device they name obeys. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mocban.errors import RemoteProtocolError
from mocban.ids import check_device
from ops.runbooks.model import OBEYED, ORDER, Command, Playbook, Step
from ops.runbooks.problem import Problem, error, warning
from ops.runbooks.rendering import probe, request
from ops.runbooks.variables import REFERENCE, references

DEVICE = "mocban-device"
"""Type of a target that is a device of ours."""
_CODES = frozenset({"bad-order", "unknown-command", "wrong-app", "bad-args"})


def problems(playbook: Playbook) -> Iterator[Problem]:
    """Every problem of this kind."""
    for step in playbook.steps.values():
        if step.type == "action" and not step.timeout:
            yield warning("no-timeout", step.id, step.name or step.id)
        for one in (*step.commands, *step.undo):
            yield from _command(step, one)
        if any(one.type == ORDER for one in (*step.commands, *step.undo)):
            yield from _addressed(playbook, step)


def _command(step: Step, one: Command) -> Iterator[Problem]:
    if one.type not in OBEYED:
        yield warning("unsupported-command", step.id, one.type)
        return
    if not one.command.strip():
        yield error("empty-command", step.id, one.type)
        return
    try:
        match one.type:
            case "http-api":
                texts = (
                    one.command,
                    one.content,
                    *(v for many in one.headers.values() for v in many),
                )
                request(one, dict.fromkeys(references(" ".join(texts)), "x"))
            case "manual":
                pass
            case _:
                probe(one.command)
    except RemoteProtocolError as wrong:
        code = wrong.code if wrong.code in _CODES else "bad-request"
        yield error(code, step.id, f"{one.command[:60]}: {wrong.say}")


def _addressed(playbook: Playbook, step: Step) -> Iterator[Problem]:
    agent = playbook.agents.get(step.agent)
    if agent and (agent.type not in {"organization", "http-api"} or agent.name != "gateway"):
        yield error("order-agent", step.id, agent.name)
    targets = [playbook.targets[key] for key in step.targets if key in playbook.targets]
    if not step.targets:
        yield error("no-device", step.id, step.name or step.id)
    for target in targets:
        if target.type != DEVICE:
            yield error("no-device", step.id, target.name)
        elif REFERENCE.search(target.name) is None:
            try:
                check_device(target.name)
            except ValueError:
                yield error("bad-device", step.id, target.name)
