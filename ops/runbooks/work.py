"""A step's commands as work to do: variables put in, addressed, each with an id derived from where it stands. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from mocban import commands, identity
from mocban.errors import LocalProtocolError, RemoteProtocolError
from ops.runbooks import rendering
from ops.runbooks.model import ORDER, Command, Party, Playbook, Step, Variable
from ops.runbooks.state import Call, Job, Kind, Run, Visit
from ops.runbooks.variables import seen

LIFE = 600.0
"""Seconds an order lives if its step has no timeout of its own."""
AHEAD = timedelta(hours=23, minutes=55)
"""Longest life of an order we ask for; the gateway takes 24 hours."""
DEVICE = "mocban-device"
"""Type of a target that obeys our orders."""
_NAMESPACE = uuid.UUID("6d6f6362-616e-5001-8000-6f7264657273")  # ours for what a runbook asks for


def scope(run: Run, visit: Visit | None) -> dict[str, Variable]:
    """Every variable ``visit`` sees: the playbook's, then of each step around it, then its own."""
    local: dict[str, Variable] = {}
    while visit is not None:
        local = {**run.step(visit).variables, **local}
        visit = run.visits.get(visit.parent)
    return seen(run.playbook, run.variables, local)


def jobs(
    run: Run, visit: Visit, kind: Kind, attempt: int, at: datetime, *, asked: bool
) -> tuple[Job, ...]:  # fmt: skip
    """The work of ``visit``, or its undo; ``asked``: persons decide first, so that orders must live longer.

    RemoteProtocolError for what cannot be rendered.
    """
    step = run.step(visit)
    values = {n: v.value for n, v in scope(run, visit).items() if v.value is not None}
    life = timedelta(seconds=step.timeout or LIFE)
    if asked:  # what undoes it may be wanted much later
        life = AHEAD if kind == "undo" else life + timedelta(seconds=run.terms.ask_seconds)
    expires = at + min(life, AHEAD)
    made: list[Job] = []
    for command in step.commands if kind == "do" else step.undo:
        for party in _parties(run.playbook, step, command):
            no = len(made)
            ident = job_id(run.id, visit.key, no, kind, attempt)
            made.append(_job(run, command, party, values, no, ident, expires))
    return tuple(made)


def job_id(execution: str, key: str, no: int, kind: Kind, attempt: int) -> uuid.UUID:
    """The id of one job: the same however often it is asked for."""
    return uuid.uuid5(_NAMESPACE, "\x1f".join((execution, key, str(no), kind, str(attempt))))


def digest(job: Job) -> str:
    """Lower-case hex SHA-256 over the canonical form of the rendered command."""
    return hashlib.sha256(identity.canonical(written(job))).hexdigest()


def written(job: Job) -> dict[str, Any]:
    """The rendered command as it is hashed: all of it, so that whoever approves can read what they sign."""
    if job.request is not None:
        return job.request.body()
    body: dict[str, Any] = {"id": job.id, "type": job.type, "command": job.say}
    if job.call is not None:
        body |= {"headers": [list(pair) for pair in job.call.headers], "content": job.call.content}
    return body


def fresh(job: Job, at: datetime, needed: int) -> bool:
    """``job`` can be asked for as it was approved."""
    if job.request is None:
        return True
    return len(job.approvals) >= needed and job.request.expires > at + timedelta(seconds=60)


def _parties(playbook: Playbook, step: Step, command: Command) -> Iterator[Party | None]:
    """Who ``command`` is for: each device, each service, or nobody in particular."""
    targets = [playbook.targets[name] for name in step.targets if name in playbook.targets]
    match command.type:
        case "mocban-order":
            devices = [party for party in targets if party.type == DEVICE]
            if not devices:
                raise RemoteProtocolError(
                    "an order has no device to go to", f"give the step a target of type {DEVICE}",
                    code="no-device",
                )  # fmt: skip
            yield from devices
        case "http-api":
            services = [party for party in targets if party.type == "http-api"]
            agent = playbook.agents.get(step.agent)
            if services:
                yield from services
            else:
                yield agent if agent and agent.type == "http-api" else None
        case _:
            yield None


def _job(
    run: Run, command: Command, party: Party | None, values: Mapping[str, str], no: int, ident: uuid.UUID,
    expires: datetime,
) -> Job:  # fmt: skip
    if party is not None:
        party = rendering.target(party, values)
    match command.type:
        case "mocban-order":
            assert party is not None
            edge = rendering.order(command.command, values)
            request = _request(run, edge, party.name, ident, expires)
            return Job(no, str(ident), ORDER, f"{request.device}: {edge}", edge.persons, request)
        case "http-api":
            asked = rendering.request(command, values)
            headers = tuple(
                (name, one) for name, many in sorted(asked.headers.items()) for one in many
            )
            call = Call(asked.method, _address(asked.url, party), headers, asked.content)
            return Job(no, str(ident), command.type, f"{call.method} {call.url}", call=call)
        case "manual":
            say = rendering.render(command.command, values)
            return Job(no, str(ident), command.type, say)
        case other:
            say = f"nobody here does a command of type {other[:40]}"
            raise RemoteProtocolError(say, code="unknown-command")


def _request(
    run: Run, edge: rendering.Edge, device: str, ident: uuid.UUID, expires: datetime
) -> commands.Request:  # fmt: skip
    try:
        request = commands.Request(
            id=ident, by=run.by, tenant=run.terms.tenant, device=device, app=edge.app, name=edge.name, nv=edge.nv,
            args=dict(edge.args), expires=expires,
        )  # fmt: skip
        request.canonical()
    except LocalProtocolError as error:
        raise RemoteProtocolError(error.say, code="bad-args") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise RemoteProtocolError(f"{where}: {first['msg']}"[:200], code="bad-args") from None
    return request


def _address(text: str, party: Party | None) -> str:
    """The whole URL, or a path at its service."""
    url = text if "://" in text else f"{_base(party)}/{text.lstrip('/')}"
    try:
        parts = urlsplit(url)
        named = parts.scheme in {"http", "https"} and bool(parts.hostname)
        hidden = parts.username is not None or parts.password is not None
    except ValueError:
        named = hidden = False
    if not named:
        say = "a call goes to no service"
        raise RemoteProtocolError(say, "write https://host/path", code="bad-request")
    if hidden:
        say = "an address holds a name or password"
        raise RemoteProtocolError(say, "leave secrets out of playbooks", code="bad-request")
    return url


def _base(party: Party | None) -> str:
    if party is not None:
        port = f":{party.port}" if party.port else ""
        for kind in ("url", "dname", "ipv4", "ipv6"):
            for value in party.address.get(kind, ()):
                if kind == "url":
                    return value.rstrip("/")
                return f"https://[{value}]{port}" if kind == "ipv6" else f"https://{value}{port}"
    raise RemoteProtocolError(
        "a call has no host", "write its whole address, or name a target of type http-api", code="bad-request"
    )  # fmt: skip


def told(run: Run, visit: Visit, results: Mapping[str, str]) -> Run:
    """``run`` with what the step passes on of ``results`` by its out_args. A constant is never set."""
    step = run.step(visit)
    found = {
        name: results[word]
        for name in step.out_args
        if (word := name.strip("_")) in results
        and not (name in run.playbook.variables and run.playbook.variables[name].constant)
    }
    return replace(run, variables={**run.variables, **found}) if found else run
