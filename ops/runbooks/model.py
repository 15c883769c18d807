"""A playbook as we run it: CACAO 2.0 (OASIS, CS01) read once, its references resolved to plain values. Pure.

Times are seconds (CACAO writes milliseconds). Texts may hold variable references, ``__name__:value``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

StepType = Literal[
    "start", "end", "action", "if-condition", "parallel", "while-condition", "switch-condition", "playbook-action"
]  # fmt: skip
RUN: frozenset[str] = frozenset({"start", "end", "action", "if-condition", "parallel"})
"""Step types this release executes; a playbook with another one is refused before it begins."""
ORDER = "mocban-order"
"""Our command type: an order to a device, ``APP NAME KEY=VALUE…``."""
OBEYED: frozenset[str] = frozenset({"manual", "http-api", ORDER})
"""Command types this release executes."""

Words = Mapping[str, Mapping[str, str]]
"""Language to ``name`` and ``description``."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command; ``command`` and ``content`` are decoded if they came as base64."""

    type: str
    command: str
    content: str = ""
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True)
class Party:
    """An agent or a target. ``address``: kind to values, as in CACAO."""

    id: str
    type: str
    name: str
    address: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    port: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """Values are text, typed on use; ``external``: whoever starts the playbook gives it."""

    name: str
    type: str
    value: str | None = None
    constant: bool = False
    external: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the workflow. Exactly one of ``completion`` and (``success``, ``failure``) leads on, or neither."""

    id: str
    type: StepType
    name: str
    description: str = ""
    delay: float = 0.0
    timeout: float | None = None
    completion: str = ""
    success: str = ""
    failure: str = ""
    commands: tuple[Command, ...] = ()
    agent: str = ""
    targets: tuple[str, ...] = ()
    in_args: tuple[str, ...] = ()
    out_args: tuple[str, ...] = ()
    condition: str = ""
    on_true: str = ""
    on_false: str = ""
    branches: tuple[str, ...] = ()
    variables: Mapping[str, Variable] = field(default_factory=dict)
    # our extension
    words: Words = field(default_factory=dict)
    persons: int = 0
    undo: tuple[Command, ...] = ()
    undoes: str = ""
    on_unknown: Literal["retry", "ask"] = "ask"


@dataclass(frozen=True, slots=True)
class Playbook:
    """A whole playbook. ``sha256``: lower-case hex over the JCS form without its signatures."""

    id: str
    name: str
    sha256: str
    start: str
    steps: Mapping[str, Step]
    variables: Mapping[str, Variable] = field(default_factory=dict)
    agents: Mapping[str, Party] = field(default_factory=dict)
    targets: Mapping[str, Party] = field(default_factory=dict)
    exception: str = ""
    description: str = ""
    words: Words = field(default_factory=dict)
    starts_on: tuple[str, ...] = ()
    drill: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    """The document itself, as read."""
