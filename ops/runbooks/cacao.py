"""CACAO 2.0 (OASIS, CS01): bytes to a ``Playbook``, bounded and checked against the schemas of the standard. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from mocban import identity
from mocban.clock import parse_rfc3339
from mocban.errors import LocalProtocolError, RemoteProtocolError
from ops.runbooks import form
from ops.runbooks.extension import EXTENSION
from ops.runbooks.model import Command, Party, Playbook, Step, StepType, Variable
from ops.runbooks.shape import decoded, items, mapping, maybe, seconds, text, texts

BYTES_MAX = 1024 * 1024
"""Longest playbook, in bytes."""
DEPTH_MAX = 32
"""Deepest nesting of its JSON."""
NODES_MAX = 20_000
"""Most JSON values in it."""
STEPS_MAX = 200
"""Most steps of its workflow."""
PARTY_MAX = 4_000
"""Longest agent or target as JSON: the patterns of the standard for addresses are slow on long text."""
PARTIES_MAX = 64
"""Most agents, and most targets."""


def parse(data: bytes) -> Playbook:
    """The playbook in ``data``; RemoteProtocolError ``too-long``, ``bad-json`` or ``bad-playbook``."""
    body = load(data)
    for fault in form.faults(body):
        raise RemoteProtocolError(f"{fault.place}: {fault.say}", code="bad-playbook")
    return read(body)


def load(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``, bounded; RemoteProtocolError ``too-long`` or ``bad-json``."""
    if len(data) > BYTES_MAX:
        raise RemoteProtocolError(
            f"it has {len(data)} bytes, a playbook has at most {BYTES_MAX}", "split it", code="too-long"
        )  # fmt: skip
    try:
        body = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
        if isinstance(body, dict):
            identity.canonical(body)
    except UnicodeDecodeError as error:
        raise _not_json(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _not_json(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise _not_json(f"it is nested deeper than {DEPTH_MAX}") from None
    except (ValueError, LocalProtocolError) as error:  # a lone surrogate, a number without end
        raise _not_json(str(error)[:200]) from None
    if not isinstance(body, dict):
        raise _not_json("it is no JSON object")
    _bounded(body)
    return body


def canonical(body: Mapping[str, Any]) -> bytes:
    """``body`` without its signatures in the form of RFC 8785; LocalProtocolError if it has none."""
    return identity.canonical({name: one for name, one in body.items() if name != "signatures"})


def sha256(body: Mapping[str, Any]) -> str:
    """What names this text of a playbook: lower-case hex over ``canonical``."""
    return hashlib.sha256(canonical(body)).hexdigest()


def valid(playbook: Playbook, now: datetime) -> bool:
    """Whether ``now`` lies within its ``valid_from`` and ``valid_until``, and nobody revoked it."""
    since, until = playbook.body.get("valid_from"), playbook.body.get("valid_until")
    return not (
        playbook.body.get("revoked") is True
        or (since and now < parse_rfc3339(since))
        or (until and now >= parse_rfc3339(until))
    )


# Reading


def read(body: Mapping[str, Any]) -> Playbook:
    """The playbook in ``body``. Never raises: what has not the right form reads as missing, so ask ``faults`` first."""
    own = mapping(mapping(body.get("playbook_extensions")).get(EXTENSION))
    return Playbook(
        id=text(body.get("id")), name=text(body.get("name")), sha256=sha256(body),
        start=text(body.get("workflow_start")),
        steps={key: _step(key, mapping(step)) for key, step in mapping(body.get("workflow")).items()},
        variables=_variables(body.get("playbook_variables")),
        agents=_parties(body.get("agent_definitions")),
        targets=_parties(body.get("target_definitions")),
        exception=text(body.get("workflow_exception")),
        description=text(body.get("description")),
        words=_words(own), starts_on=texts(own.get("starts_on")), drill=mapping(own.get("drill")),
        body=body,
    )  # fmt: skip


def _step(key: str, body: Mapping[str, Any]) -> Step:
    own = mapping(mapping(body.get("step_extensions")).get(EXTENSION))
    persons = mapping(own.get("approval")).get("persons")
    return Step(
        id=key, type=_step_type(body, key), name=text(body.get("name")),
        description=text(body.get("description")),
        delay=seconds(body.get("delay")) or 0.0, timeout=seconds(body.get("timeout")),
        completion=text(body.get("on_completion")), success=text(body.get("on_success")),
        failure=text(body.get("on_failure")),
        commands=_commands(body.get("commands")), agent=text(body.get("agent")),
        targets=texts(body.get("targets")),
        in_args=texts(body.get("in_args")), out_args=texts(body.get("out_args")),
        condition=text(body.get("condition")), on_true=text(body.get("on_true")),
        on_false=text(body.get("on_false")), branches=texts(body.get("next_steps")),
        variables=_variables(body.get("step_variables")),
        words=_words(own), persons=persons if type(persons) is int else 0,
        undo=_commands(own.get("undo")), undoes=text(own.get("undoes")),
        on_unknown="retry" if own.get("on_unknown") == "retry" else "ask",
    )  # fmt: skip


def _step_type(body: Mapping[str, Any], key: str) -> StepType:
    said = text(body.get("type")) or key.partition("--")[0]
    # A type nobody knows is a fault of form; it reads as one that is not executed.
    return next((one for one in get_args(StepType) if one == said), "playbook-action")


def _commands(value: Any) -> tuple[Command, ...]:
    return tuple(_command(mapping(one)) for one in items(value))


def _command(body: Mapping[str, Any]) -> Command:
    headers = mapping(body.get("headers"))
    return Command(
        type=text(body.get("type")),
        command=text(body.get("command")) or decoded(body.get("command_b64")) or "",
        content=text(body.get("content")) or decoded(body.get("content_b64")) or "",
        headers={name: texts(values) for name, values in headers.items()},
        description=text(body.get("description")),
    )


def _variables(value: Any) -> dict[str, Variable]:
    return {
        name: Variable(
            name=name, type=text(mapping(one).get("type")), value=maybe(mapping(one).get("value")),
            constant=mapping(one).get("constant") is True,
            external=mapping(one).get("external") is True,
            description=text(mapping(one).get("description")),
        )
        for name, one in mapping(value).items()
    }  # fmt: skip


def _parties(value: Any) -> dict[str, Party]:
    return {
        key: Party(
            id=key, type=text(mapping(one).get("type")), name=text(mapping(one).get("name")),
            address={
                kind: tuple(map(str, items(values)))
                for kind, values in mapping(mapping(one).get("address")).items()
            },
            port=text(mapping(one).get("port")),
        )
        for key, one in mapping(value).items()
    }  # fmt: skip


def _words(own: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {
        lang: {name: text(one) for name, one in mapping(told).items()}
        for lang, told in mapping(own.get("words")).items()
    }


# Bounds


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _not_json(say: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"it is no JSON of a playbook: {say}", "see what wrote it", code="bad-json")  # fmt: skip


def _bounded(body: dict[str, Any]) -> None:
    """RemoteProtocolError ``too-long`` for what would take too long to look at."""
    level: list[Any] = [body]
    nodes = 0
    for _ in range(DEPTH_MAX):
        nodes += len(level)
        if nodes > NODES_MAX:
            raise _too_much(f"more than {NODES_MAX} values")
        if any(not key.isprintable() for one in level if isinstance(one, dict) for key in one):
            raise _not_json("a name has a line break or the like in it")
        level = [
            child
            for one in level
            if isinstance(one, (dict, list))
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            break
    else:
        raise _too_much(f"more than {DEPTH_MAX} levels")
    if len(mapping(body.get("workflow"))) > STEPS_MAX:
        raise _too_much(f"more than {STEPS_MAX} steps")
    for kind in form.PARTIES:
        parties = mapping(body.get(kind))
        if len(parties) > PARTIES_MAX:
            raise _too_much(f"more than {PARTIES_MAX} in {kind}")
        if any(len(json.dumps(one)) > PARTY_MAX for one in parties.values()):
            raise _too_much(f"one of more than {PARTY_MAX} characters in {kind}")


def _too_much(say: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"it has {say}", "split it", code="too-long")
