"""A command with the values of its variables, and a whole playbook as it would be done. Pure.

A value is never looked through for references, and never becomes more than the one word it stands in: an order is cut
into words, a JSON content into its texts, before values come in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mocban import commands
from mocban.errors import RemoteProtocolError
from ops.runbooks.graph import leads, walk
from ops.runbooks.model import ORDER, Command, Party, Playbook, Step
from ops.runbooks.variables import REFERENCE, opening, seen

RENDERED_MAX = 65_536
"""Longest text with its values, in characters."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATH = re.compile(r"[/?#]")
_LEAVES = re.compile(r"[/?#@\\]")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})


@dataclass(frozen=True, slots=True)
class Edge:
    """An order of a playbook, checked: what becomes a ``commands.Request``. ``args`` are typed."""

    app: str
    name: str
    nv: int
    args: Mapping[str, Any]
    persons: int
    risk: commands.Risk

    def __str__(self) -> str:
        return " ".join((self.app, self.name, *(f"{k}={v}" for k, v in self.args.items())))


@dataclass(frozen=True, slots=True)
class Asked:
    """An HTTP request of a playbook. ``url`` as written: whole, or under the address of the target."""

    method: str
    url: str
    headers: Mapping[str, tuple[str, ...]]
    content: str


def render(text: str, values: Mapping[str, str], *, keep: bool = False) -> str:
    """``text`` with the values it refers to; with ``keep``, a reference without one stays.

    RemoteProtocolError ``no-value`` names the variable; ``too-long``.
    """

    def value(found: re.Match[str]) -> str:
        known = values.get(found[1])
        if known is None and not keep:
            raise RemoteProtocolError(
                f"{found[1]} has no value", "give it with --var, or let a step before set it", code="no-value"
            )  # fmt: skip
        return found[0] if known is None else known

    # Counted before it is made: a short text may refer to a long value thousands of times.
    length = len(text) + sum(len(values.get(name, "")) for name in REFERENCE.findall(text))
    if length > RENDERED_MAX:
        raise RemoteProtocolError("with its values it is too long", "shorten them", code="too-long")
    return REFERENCE.sub(value, text)


def order(text: str, values: Mapping[str, str]) -> Edge:
    """The order ``APP NAME KEY=VALUE…``, checked against the kernel's commands.

    RemoteProtocolError ``bad-order``, ``unknown-command``, ``bad-args``, ``wrong-app``, ``no-value``.
    """
    app, name, version, words = _cut(text)
    cls = commands.COMMANDS[name, version]
    try:
        typed = cls.model_validate({key: render(word, values) for key, word in words.items()})
    except ValidationError as error:
        raise _bad_args(name, error.errors(include_input=False, include_url=False)) from None
    args = typed.model_dump(mode="json", exclude_unset=True)
    return Edge(app, name, version, args, typed.persons, cls.risk)


def probe(text: str) -> Edge:
    """As ``order`` before any value is known: ``args`` hold references as they stand, the unknown is let be."""
    app, name, version, words = _cut(text)
    cls = commands.COMMANDS[name, version]
    varying = frozenset(key for key, word in words.items() if REFERENCE.search(word))
    unknown = varying - set(cls.model_fields)
    if unknown:
        raise RemoteProtocolError(f"{name} has no {min(unknown)[:40]}", code="bad-args")
    args: dict[str, Any] = {key: word for key, word in words.items() if key not in varying}
    try:
        args = cls.model_validate(args).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        faults = [one for one in faults if not one["loc"] or one["loc"][0] not in varying]
        if faults:
            raise _bad_args(name, faults) from None
    args = {**args, **{key: words[key] for key in varying}}
    return Edge(app, name, version, args, cls.model_construct(**args).persons, cls.risk)


def _cut(text: str) -> tuple[str, str, int, dict[str, str]]:
    """App, name, newest version and the words of its arguments. What is done may not depend on a value."""
    words = text.split()
    if len(words) < 2 or any("=" not in word for word in words[2:]):
        raise RemoteProtocolError(
            "an order reads APP NAME KEY=VALUE", "as: gate set-mode mode=silent seconds=900", code="bad-order"
        )  # fmt: skip
    app, name = words[:2]
    args: dict[str, str] = {}
    for word in words[2:]:
        key, _, value = word.partition("=")
        if key in args:
            raise RemoteProtocolError(f"{key[:40]} stands twice", "write it once", code="bad-order")
        args[key] = value
    version = max((nv for known, nv in commands.COMMANDS if known == name), default=0)
    cls = commands.COMMANDS.get((name, version))
    if cls is None:
        known = ", ".join(sorted({name for name, _ in commands.COMMANDS}))
        raise RemoteProtocolError(
            f"there is no command {name[:40]}", f"there are {known}", code="unknown-command"
        )
    if app not in cls.apps:
        raise RemoteProtocolError(
            f"{app[:40]} does not obey {name}", f"obeyed by {', '.join(sorted(cls.apps))}", code="wrong-app"
        )  # fmt: skip
    return app, name, version, args


def _bad_args(name: str, faults: list[ErrorDetails]) -> RemoteProtocolError:
    where = ".".join(map(str, faults[0]["loc"])) or name
    return RemoteProtocolError(f"{where}: {faults[0]['msg']}"[:200], code="bad-args")


def request(command: Command, values: Mapping[str, str]) -> Asked:
    """An ``http-api`` command: ``METHOD URL [HTTP/…]``, headers, content.

    Values within JSON stay texts. RemoteProtocolError ``bad-request``, ``no-value``, ``too-long``.
    """
    words = command.command.split()
    if len(words) not in {2, 3} or words[0].upper() not in _METHODS:
        raise RemoteProtocolError(
            "a request reads METHOD URL", "as: POST https://gateway.example/api/v1/notes", code="bad-request"
        )  # fmt: skip
    url = _address(words[1], values)
    headers = {
        name: tuple(_line(one, values) for one in many) for name, many in command.headers.items()
    }
    return Asked(words[0].upper(), url, headers, _content(command.content, values))


def _address(text: str, values: Mapping[str, str]) -> str:
    """A value is the whole address it begins, or a host, or one word of a path or query, which it cannot leave."""
    if " " in _line(text, values):
        raise RemoteProtocolError("an address holds no blank", "check the values", code="bad-request")  # fmt: skip
    scheme, sep, rest = text.partition("://")
    if not sep:
        scheme, rest = "", text
    cut = _PATH.search(rest)
    host, path = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    named = _line(host, values)
    quoted = {one: quote(values.get(one, ""), safe="") for one in REFERENCE.findall(path)}
    whole = _line(path, quoted)
    ways = {part for part in re.split(r"[/?#]", whole) if part in {".", ".."}}
    if (sep and _LEAVES.search(named)) or ways - set(re.split(r"[/?#]", path)):
        raise RemoteProtocolError(
            "a value leads to another address", "check the values", code="bad-request"
        )
    return f"{_line(scheme, values)}{sep}{named}{whole}"


def target(party: Party, values: Mapping[str, str]) -> Party:
    """An agent or target with values in its name, port and addresses."""
    address = {kind: tuple(_line(v, values) for v in many) for kind, many in party.address.items()}
    return replace(party, name=_line(party.name, values), port=_line(party.port, values), address=address)  # fmt: skip


def command(one: Command, values: Mapping[str, str], *, keep: bool = False) -> Command:
    """``one`` as text with its values: what is shown, and hashed for approval."""
    return replace(
        one,
        command=render(one.command, values, keep=keep),
        content=_content(one.content, values, keep=keep),
        headers={k: tuple(render(v, values, keep=keep) for v in m) for k, m in one.headers.items()},
        description=render(one.description, values, keep=keep),
    )


def _line(text: str, values: Mapping[str, str]) -> str:
    whole = render(text, values)
    if _CONTROL.search(whole):
        raise RemoteProtocolError("a value has a line break in it", "check the values", code="bad-request")  # fmt: skip
    return whole


def _content(text: str, values: Mapping[str, str], *, keep: bool = False) -> str:
    if REFERENCE.search(text) is None:
        return render(text, values, keep=keep)
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return render(text, values, keep=keep)
    whole = json.dumps(_within(body, lambda one: render(one, values, keep=keep)), ensure_ascii=False)  # fmt: skip
    if len(whole) > RENDERED_MAX:
        raise RemoteProtocolError("with its values it is too long", "shorten them", code="too-long")
    return whole


def _within(body: Any, change: Callable[[str], str]) -> Any:
    match body:
        case str():
            return change(body)
        case dict():
            return {key: _within(value, change) for key, value in body.items()}
        case list():
            return [_within(value, change) for value in body]
        case _:
            return body


# A whole playbook


@dataclass(frozen=True, slots=True)
class Rendered:
    """One step as it would be done. ``leads``: why to which step; ``persons``: who must approve it, its undo included.

    A reference to what only a run can know stands as it is.
    """

    step: Step
    commands: tuple[Command, ...] = ()
    targets: tuple[str, ...] = ()
    undo: tuple[Command, ...] = ()
    condition: str = ""
    persons: int = 0
    leads: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As the API tells it."""
        return {
            "id": self.step.id, "type": self.step.type, "name": self.step.name,
            "words": {lang: dict(told) for lang, told in self.step.words.items()},
            "commands": [{"type": one.type, "command": one.command} for one in self.commands],
            "targets": list(self.targets),
            "undo": [{"type": one.type, "command": one.command} for one in self.undo],
            "undoes": self.step.undoes, "condition": self.condition, "persons": self.persons,
            "timeout": self.step.timeout, "leads": dict(self.leads),
        }  # fmt: skip


def dry(playbook: Playbook, given: Mapping[str, str]) -> list[Rendered]:
    """What a run with these variables would do, each step once, in the order it may be reached.

    RemoteProtocolError as ``variables.opening``, or if an order with its values is none.
    """
    told = {name for step in playbook.steps.values() for name in step.out_args}
    values = {name: v for name, v in opening(playbook, given).items() if name not in told}
    return [_rendered(playbook, step, values) for step in walk(playbook)]


def persons(step: Step, values: Mapping[str, str]) -> int:
    """How many must approve ``step``: what it asks for itself, and what each order of it and of its undo needs.

    A step that undoes another one needs nobody: its orders were approved together with what they undo.
    RemoteProtocolError as ``order``.
    """
    if step.undoes:
        return 0
    orders = [one for one in (*step.commands, *step.undo) if one.type == ORDER]
    return max([step.persons, *(order(one.command, values).persons for one in orders)])


def _rendered(playbook: Playbook, step: Step, values: Mapping[str, str]) -> Rendered:
    own = {name: one.value for name, one in seen(playbook, values, step.variables).items()}
    known = {
        name: value
        for name, value in own.items()
        if value is not None
        and (name in values or (name in step.variables and name not in step.out_args))
    }
    targets = [playbook.targets[one] for one in step.targets if one in playbook.targets]
    try:
        needed = persons(step, known)
    except RemoteProtocolError as error:
        if error.code != "no-value":
            raise
        needed = step.persons
    return Rendered(
        step, tuple(command(one, known, keep=True) for one in step.commands),
        tuple(render(one.name, known, keep=True) for one in targets),
        tuple(command(one, known, keep=True) for one in step.undo), step.condition, needed, tuple(leads(step)),
    )  # fmt: skip
