"""Variables of a playbook: texts with a type, and where texts refer to them (CACAO 2.0, 10.18). Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from mocban.errors import RemoteProtocolError
from ops.runbooks.model import Playbook, Variable

VALUE_MAX = 16_384
"""Longest value, in characters."""
NAME = re.compile(r"__[A-Za-z_][A-Za-z0-9_-]{0,199}__")
REFERENCE = re.compile(r"(__[A-Za-z_][A-Za-z0-9_-]{0,199}?__):value")
"""How a text refers to a variable."""
GIVEN: Mapping[str, str] = {"__outcome__": "string", "__reason__": "string", "__lost__": "string"}
"""What an action answers and ``out_args`` may pass on, besides each word of the answer itself: ``done``, ``failed``,
``refused`` or ``expired``; a code; names of parts a self-test found lost, by comma."""


def references(text: str) -> tuple[str, ...]:
    """Names ``text`` refers to, each once, in order."""
    return tuple(dict.fromkeys(REFERENCE.findall(text)))


def typed(kind: str, text: str) -> Any:
    """``text`` as a value of the CACAO type ``kind`` that compares as such; ValueError if it is none.

    A type that nobody knows is text.
    """
    if len(text) > VALUE_MAX:
        raise ValueError(f"longer than {VALUE_MAX} characters")
    reads = _TYPES.get(kind)
    return text if reads is None else reads(text)


def opening(playbook: Playbook, given: Mapping[str, str]) -> dict[str, str]:
    """The values a run of ``playbook`` begins with: its own, and what was ``given``.

    RemoteProtocolError ``unknown-variable``, ``constant``, ``bad-value`` or ``no-value``, which names the variable.
    """
    for name in given:
        variable = playbook.variables.get(name)
        if variable is None:
            raise _wrong("unknown-variable", f"{_short(name)} is no variable of this playbook")
        if variable.constant:
            raise _wrong("constant", f"{name} is constant")
    found: dict[str, str] = {}
    for name, variable in playbook.variables.items():
        value = given.get(name, variable.value)
        if value is None:
            if variable.external:
                raise _wrong(
                    "no-value", f"{name} has no value: {variable.description}".rstrip(": ")
                )
            continue
        check(variable, value)
        found[name] = value
    return found


def check(variable: Variable, value: str) -> None:
    """RemoteProtocolError ``bad-value`` if ``value`` is none of the variable's type."""
    try:
        typed(variable.type, value)
    except ValueError as error:
        raise _wrong(
            "bad-value", f"{variable.name} is no {variable.type}: {str(error)[:80]}"
        ) from None


def seen(
    playbook: Playbook, values: Mapping[str, str], local: Mapping[str, Variable] | None = None
) -> dict[str, Variable]:
    """The variables a step sees, with their values now: the playbook's, then its own (``local``)."""
    found = {
        name: replace(variable, value=values.get(name, variable.value))
        for name, variable in playbook.variables.items()
    }
    for name, value in values.items():  # passed on by a step that declared it for itself
        if name not in found:
            found[name] = Variable(name, _passed(playbook, name), value)
    for name, variable in (local or {}).items():
        found[name] = replace(variable, value=values.get(name, variable.value))
    return found


def _passed(playbook: Playbook, name: str) -> str:
    kinds = (
        step.variables[name].type for step in playbook.steps.values() if name in step.variables
    )
    return next(kinds, GIVEN.get(name, "string"))


def _wrong(code: str, say: str) -> RemoteProtocolError:
    return RemoteProtocolError(say, "give it with --var NAME=VALUE", code=code)


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}…"


# Types


def _bool(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ValueError("neither true nor false")
    return known[text.lower()]


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,40}", text):
        raise ValueError("no whole number")
    return int(text)


def _float(text: str) -> float:
    if not re.fullmatch(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", text):
        raise ValueError("no number")
    return float(text)


def _hex(text: str) -> str:
    if not re.fullmatch(r"([0-9a-fA-F]{2})*", text):
        raise ValueError("no pairs of hex digits")
    return text.lower()


def _digits(*lengths: int) -> Callable[[str], str]:
    def reads(text: str) -> str:
        if not re.fullmatch(r"[0-9a-fA-F]+", text) or len(text) not in lengths:
            raise ValueError(f"not {' or '.join(map(str, lengths))} hex digits")
        return text.lower()

    return reads


def _mac(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}", text):
        raise ValueError("no six pairs of hex digits")
    return text.lower().replace("-", ":")


def _dictionary(text: str) -> str:
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _uri(text: str) -> str:
    if not urlsplit(text).scheme:
        raise ValueError("no scheme")
    return text


_TYPES: dict[str, Callable[[str], Any]] = {
    "bool": _bool, "integer": _whole, "long": _whole, "float": _float, "string": str,
    "hexstring": _hex, "hash": _digits(32, 40, 56, 64, 96, 128), "md5-hash": _digits(32), "sha256-hash": _digits(64),
    "ipv4-addr": ipaddress.IPv4Interface, "ipv6-addr": ipaddress.IPv6Interface, "mac-addr": _mac,
    "uuid": UUID, "uri": _uri, "dictionary": _dictionary,
}  # fmt: skip
KNOWN = frozenset(_TYPES)
"""Types of the standard's vocabulary."""
ORDERED = frozenset({"integer", "long", "float", "string", "ipv4-addr", "ipv6-addr"})
"""Types with a smaller and a greater."""
