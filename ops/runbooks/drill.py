"""A playbook played through with the answers its drill gives: which steps are come to, and how it ends. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mocban.errors import RemoteProtocolError
from ops.runbooks import condition
from ops.runbooks.model import Playbook, Step
from ops.runbooks.shape import items, mapping, text
from ops.runbooks.variables import opening, seen

VISITS_MAX = 300
"""Most steps of one play: a loop ends here."""
VALUE_MAX = 200
"""Longest value in a play; the rest is cut off."""


@dataclass
class Play:
    """One play. Every approval is given at once, and nothing is undone but by steps."""

    playbook: Playbook
    values: dict[str, str]
    path: list[str] = field(default_factory=list)
    ends: Literal["done", "failed"] = "done"
    tries: dict[str, int] = field(default_factory=dict)


def play(playbook: Playbook) -> tuple[tuple[str, ...], Literal["done", "failed"]]:
    """The steps in the order they are come to, branches one after the other, and the end of it all.

    An answer the drill does not give is ``done``. RemoteProtocolError if variables or a condition are wrong, or
    ``loop`` if it does not end.
    """
    given = {name: text(one) for name, one in mapping(playbook.drill.get("variables")).items()}
    values = {name: one[:VALUE_MAX] for name, one in opening(playbook, given).items()}
    found = Play(playbook, values)
    _follow(found, playbook.start)
    return tuple(found.path), found.ends


def _follow(found: Play, key: str) -> None:
    """From ``key`` to the end of its branch."""
    while key in found.playbook.steps:
        if len(found.path) == VISITS_MAX:
            raise RemoteProtocolError("it does not end", "take out the loop", code="loop")
        step = found.playbook.steps[key]
        found.path.append(key)
        key = _after(found, step)


def _after(found: Play, step: Step) -> str:
    match step.type:
        case "action":
            if _answered(found, step):
                return step.success or step.completion
            if not step.failure and not step.completion:
                found.ends = "failed"
            return step.failure or step.completion
        case "parallel":
            for branch in step.branches:
                _follow(found, branch)
        case "if-condition":
            visible = seen(found.playbook, found.values, step.variables)
            holds = condition.evaluate(step.condition, visible)
            _follow(found, step.on_true if holds else step.on_false)
        case _:
            pass
    return step.completion or step.success


def shown(playbook: Playbook, path: tuple[str, ...]) -> list[dict[str, Any]]:
    """The steps of ``path`` as a play of ``playbook`` came to them, with what the drill answers each."""
    tries: Counter[str] = Counter()
    rows = []
    for key in path:
        step = playbook.steps[key]
        answer = _answer(playbook, key, tries[key])
        tries[key] += 1
        rows.append({
            "id": key, "name": step.name, "words": {lang: dict(told) for lang, told in step.words.items()},
            "type": step.type, "outcome": text(answer.get("outcome")) or "done", "reason": text(answer.get("reason")),
        })  # fmt: skip
    return rows


def _answer(playbook: Playbook, key: str, number: int) -> Mapping[str, Any]:
    answers = items(mapping(playbook.drill.get("answers")).get(key))
    return mapping(answers[number]) if number < len(answers) else {}


def _answered(found: Play, step: Step) -> bool:
    number = found.tries.get(step.id, 0)
    found.tries[step.id] = number + 1
    answer = _answer(found.playbook, step.id, number)
    outcome = text(answer.get("outcome")) or "done"
    results = {**mapping(answer.get("result")), "outcome": outcome, "reason": text(answer.get("reason"))}  # fmt: skip
    for name in step.out_args:
        if name.strip("_") in results:
            found.values[name] = str(results[name.strip("_")])[:VALUE_MAX]
    return outcome == "done"
