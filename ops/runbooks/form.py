"""Whether a playbook has the form of CACAO 2.0: the standard's schemas, and what they leave open. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from ops.runbooks.extension import EXTENSION, PlaybookExtension, StepExtension
from ops.runbooks.schemas import validator
from ops.runbooks.shape import decoded, items, mapping, moment, text

FAULTS_MAX = 20
"""Most faults of form told at once."""
TIME_MAX = 366 * 86_400_000
"""Longest delay or timeout, in milliseconds: beyond, there is no date to wait for."""
_PLAYBOOK_ID = re.compile(
    r"playbook--[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
)
PARTIES = ("agent_definitions", "target_definitions")
"""Where agents and targets are."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something the standard does not allow. ``place``: keys from the top, by ``/``."""

    place: str
    say: str

    @property
    def step(self) -> str:
        """Id of the step it lies in, or ""."""
        keys = self.place.split("/")
        return keys[1] if keys[0] == "workflow" and len(keys) > 1 else ""


def faults(body: Mapping[str, Any]) -> tuple[Fault, ...]:
    """What is wrong with the form of a loaded playbook, at most ``FAULTS_MAX``; empty: ``read`` reads all of it."""
    found: list[Fault] = []
    for fault in _faults(body):
        if fault not in found:
            found.append(fault)
        if len(found) == FAULTS_MAX:
            break
    return tuple(found)


def _faults(body: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _schema("playbook", body, "")
    if not _PLAYBOOK_ID.fullmatch(text(body.get("id"))):
        yield Fault("id", "it is not playbook-- and a UUID of version 1 to 5")
    for name in ("valid_from", "valid_until", "created", "modified"):
        if name in body and moment(body[name]) is None:
            yield Fault(name, "it is no time")
    for kind in PARTIES:
        for key, party in mapping(body.get(kind)).items():
            yield from _schema(
                f"agent-target/{text(mapping(party).get('type'))}", party, f"{kind}/{key}"
            )
    for key, step in mapping(body.get("workflow")).items():
        place = f"workflow/{key}"
        if text(mapping(step).get("type")) != key.partition("--")[0]:
            yield Fault(f"{place}/type", "it is not the type its id names")
        for name in ("delay", "timeout"):
            span = mapping(step).get(name)
            if type(span) is int and span > TIME_MAX:
                yield Fault(f"{place}/{name}", "it is longer than a year")
        for number, command in enumerate(items(mapping(step).get("commands"))):
            yield from _command_faults(command, f"{place}/commands/{number}")
        yield from _extension_faults(StepExtension, mapping(step).get("step_extensions"), place)
    yield from _extension_faults(PlaybookExtension, body.get("playbook_extensions"), "")


def _command_faults(command: Any, place: str) -> Iterator[Fault]:
    """Commands are told apart by their type; the playbook's schema looks at none of their texts."""
    body = mapping(command)
    yield from _schema(f"commands/{text(body.get('type'))}", command, place)
    for name in ("command", "content"):
        if name in body and not isinstance(body[name], str):
            yield Fault(f"{place}/{name}", "it is no text")
        if f"{name}_b64" in body:
            if name in body:
                yield Fault(place, f"it has both {name} and {name}_b64")
            if decoded(body[f"{name}_b64"]) is None:
                yield Fault(f"{place}/{name}_b64", "it is no base64 of UTF-8")


def _schema(name: str, body: Any, place: str) -> Iterator[Fault]:
    checks = validator(name)
    if checks is None:
        return
    for error in checks.iter_errors(body):
        keys = (str(key)[:120] for key in error.absolute_path)
        where = "/".join(filter(None, (place, *keys)))
        yield Fault(where or "playbook", _sentence(str(error.validator), error))


def _sentence(kind: str, error: Any) -> str:
    """Our words: those of the library repeat the document, which may be long."""
    value = error.validator_value
    match kind:
        case "required":
            missing = [name for name in value if name not in error.instance]
            return f"{', '.join(missing)} is missing"
        case "type":
            return f"it is no {' or '.join([value] if isinstance(value, str) else value)}"
        case "enum":
            return f"it is not {' or '.join(map(str, value))}"
        case "pattern":
            return "it has not the form the standard asks for"
        case "minItems" | "minProperties":
            return f"it has fewer than {value}"
        case "minimum" | "maximum":
            return f"{kind} is {value}"
        case "oneOf":
            return "exactly one of several properties must be there"
        case "not":
            return "it has a property this type may not have"
        case _:
            return f"the standard does not allow it ({kind})"


def _extension_faults(
    model: type[BaseModel], extensions: Any, place: str
) -> Iterator[Fault]:  # fmt: skip
    own = mapping(extensions).get(EXTENSION)
    if own is None:
        return
    kind = "step_extensions" if model is StepExtension else "playbook_extensions"
    place = "/".join(filter(None, (place, kind, EXTENSION)))
    try:
        model.model_validate(own)
    except ValidationError as error:
        for one in error.errors(include_input=False, include_url=False, include_context=False):
            yield Fault("/".join((place, *map(str, one["loc"]))), one["msg"][:200])
        return
    for number, command in enumerate(items(mapping(own).get("undo"))):
        yield from _schema("commands/command-data", command, f"{place}/undo/{number}")
        yield from _command_faults(command, f"{place}/undo/{number}")
