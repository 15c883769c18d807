"""Rules about harm: what patrons feel needs a person or an end, and a way back; no secret in a file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mocban.commands import Risk
from mocban.errors import RemoteProtocolError
from ops.runbooks.model import ORDER, Command, Playbook, Step
from ops.runbooks.problem import Problem, error, warning
from ops.runbooks.rendering import Edge, probe
from ops.runbooks.shape import items, mapping, text
from ops.runbooks.variables import REFERENCE

DESTRUCTIVE = frozenset({"disconnect-system", "restrict-access", "restore-data", "revert-system"})
"""Activities of the standard's vocabulary that take something away, or put something back over what is there."""
_SECRET = re.compile(r"password|passwd|secret|token|api[_-]?key|private[_-]?key|credential", re.IGNORECASE)  # fmt: skip
_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
_LOGIN = re.compile(r"//[^/\s:@]+:[^/\s@]+@")


def problems(playbook: Playbook) -> Iterator[Problem]:
    """Every problem of this kind."""
    for step in playbook.steps.values():
        if not step.undoes:
            yield from _risk(step)
            yield from _activity(playbook, step)
        for one in (*step.commands, *step.undo):
            yield from _inline(step.id, one)
    yield from _login(playbook)
    yield from _values(playbook)


def _risk(step: Step) -> Iterator[Problem]:
    for edge in _edges(step.commands):
        if edge.risk < Risk.C2:
            continue
        if edge.risk is Risk.C3 and step.on_unknown == "retry":
            yield error("blind-retry", step.id, str(edge))
        if step.persons < edge.persons:
            yield error("unapproved", step.id, f"{edge} ({edge.persons})")
        if edge.risk is Risk.C3:
            yield warning("irreversible", step.id, str(edge))
        elif edge.args.get("mode") != "open" and not step.undo:
            yield error("no-undo", step.id, str(edge))


def _edges(commands: tuple[Command, ...]) -> Iterator[Edge]:
    for one in commands:
        if one.type == ORDER:
            try:
                yield probe(one.command)
            except RemoteProtocolError:
                continue  # told by the rules about orders


def _activity(playbook: Playbook, step: Step) -> Iterator[Problem]:
    """Other commands: what they do is only known by the activity they name."""
    if step.persons or not step.commands:
        return
    for body, one in zip(_bodies(playbook, step), step.commands, strict=False):
        activity = text(body.get("playbook_activity"))
        if one.type not in {ORDER, "manual"} and activity in DESTRUCTIVE:
            yield warning("unapproved-activity", step.id, activity)


def _bodies(playbook: Playbook, step: Step) -> list[dict[str, Any]]:
    workflow = mapping(playbook.body.get("workflow"))
    return [mapping(one) for one in items(mapping(workflow.get(step.id)).get("commands"))]


def _inline(step: str, one: Command) -> Iterator[Problem]:
    for name, values in one.headers.items():
        if name.lower() in _HEADERS and any(not REFERENCE.search(value) for value in values):
            yield error("inline-secret", step, name)
    if one.type != "manual" and _LOGIN.search(one.command):
        yield error("inline-secret", step, "URL")
    if one.type == ORDER:
        for word in one.command.split():
            key, found, value = word.partition("=")
            if found and _SECRET.search(key) and not REFERENCE.fullmatch(value):
                yield error("inline-secret", step, key)


def _login(playbook: Playbook) -> Iterator[Problem]:
    """What we do not use does no harm here; it stands in a file all the same."""
    infos = mapping(playbook.body.get("authentication_info_definitions"))
    for info in map(mapping, infos.values()):
        if info.get("kms") is True:
            continue
        for name in ("password", "private_key", "token", "client_secret", "oauth_header"):
            value = text(info.get(name))
            if value and not REFERENCE.fullmatch(value):
                yield warning("login-secret", "", f"{text(info.get('type'))}: {name}")


def _values(playbook: Playbook) -> Iterator[Problem]:
    steps = ((step.id, one) for step in playbook.steps.values() for one in step.variables.values())
    for step, variable in [("", one) for one in playbook.variables.values()] + list(steps):
        if variable.value and _SECRET.search(variable.name):
            yield warning("login-secret", step, variable.name)
