"""A workflow as a graph of steps: who leads where, what is reached, what loops, what lies before what. Pure.

Every answer is found by going over the steps a few times, never by following all paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from ops.runbooks.model import Playbook, Step


def leads(step: Step) -> list[tuple[str, str]]:
    """Where ``step`` leads: the reason, and a step's id. Branches come before what comes after them."""
    named = [
        *((f"branch {number}", branch) for number, branch in enumerate(step.branches, 1)),
        ("true", step.on_true), ("false", step.on_false),
        ("completion", step.completion), ("success", step.success), ("failure", step.failure),
    ]  # fmt: skip
    return [(why, after) for why, after in named if after]


def inner(step: Step) -> tuple[str, ...]:
    """Where the branches of ``step`` begin; each runs to an end of its own before ``step`` goes on."""
    return tuple(filter(None, (*step.branches, step.on_true, step.on_false)))


def outer(step: Step) -> tuple[str, ...]:
    """What may come after ``step`` and all its branches."""
    return tuple(filter(None, (step.completion, step.success, step.failure)))


def walk(playbook: Playbook) -> list[Step]:
    """Steps from the start on, each once: a step's branches before what comes after them, the exception's last."""
    found: dict[str, Step] = {}
    waiting = [playbook.exception, playbook.start]
    while waiting:
        step = playbook.steps.get(waiting.pop())
        if step is None or step.id in found:
            continue
        found[step.id] = step
        waiting.extend(reversed([after for _, after in leads(step)]))
    return list(found.values())


class Graph:
    """The steps of one playbook; ids that lead to nothing are left out."""

    def __init__(self, playbook: Playbook) -> None:
        self._playbook = playbook
        self._steps = playbook.steps
        self.after: dict[str, tuple[str, ...]] = {
            key: tuple(dict.fromkeys(to for _, to in leads(step) if to in playbook.steps))
            for key, step in playbook.steps.items()
        }

    def reach(self, starts: Iterable[str]) -> frozenset[str]:
        """Everything that can be come to from ``starts``, themselves too."""
        return _spread(starts, self.after)

    def ending(self) -> frozenset[str]:
        """Steps from which an end can be come to."""
        before: dict[str, list[str]] = {key: [] for key in self.after}
        for key, afters in self.after.items():
            for after in afters:
                before[after].append(key)
        ends = [key for key, step in self._steps.items() if step.type == "end"]
        return _spread(ends, before)

    def looping(self) -> frozenset[str]:
        """Steps that can be come to again from themselves."""
        return frozenset(
            key
            for key, afters in self.after.items()
            if any(self._within[after] >> self._number[key] & 1 for after in afters)
        )

    def before(self) -> Mapping[str, frozenset[str]]:
        """For each step that is come to: those that lie on every way to it from the start, itself too."""
        roots = [root for root in (self._playbook.start, self._playbook.exception) if root in self._steps]  # fmt: skip
        order = [step.id for step in walk(self._playbook)]
        ways: dict[str, list[str]] = {key: [] for key in order}
        for key in order:
            for after in self.after[key]:
                ways[after].append(key)
        found = {key: frozenset(order) for key in order}
        for root in roots:
            found[root] = frozenset({root})
        changed = True
        while changed:
            changed = False
            for key in order:
                if key in roots:
                    continue
                common = frozenset.intersection(*(found[way] for way in ways[key])) | {key}
                if common != found[key]:
                    found[key], changed = common, True
        return found

    def shared(self, step: Step) -> frozenset[str]:
        """Steps that would be done twice: in two parallel branches of ``step``, or in one and again after it."""
        once = twice = beyond = 0
        for key in step.branches:
            twice |= once & self._within.get(key, 0)
            once |= self._within.get(key, 0)
        for key in inner(step):
            once |= self._within.get(key, 0)
        for key in outer(step):
            beyond |= self._within.get(key, 0)
        both = twice | (once & beyond)
        return frozenset(key for key, number in self._number.items() if both >> number & 1)

    @cached_property
    def _number(self) -> Mapping[str, int]:
        return {key: number for number, key in enumerate(self.after)}

    @cached_property
    def _within(self) -> Mapping[str, int]:
        """For each step: a bit for each that can be come to from it, itself too."""
        found = {key: 1 << number for key, number in self._number.items()}
        changed = True
        while changed:
            changed = False
            for key in reversed(self.after):
                bits = found[key]
                for after in self.after[key]:
                    bits |= found[after]
                if bits != found[key]:
                    found[key], changed = bits, True
        return found


def _spread(starts: Iterable[str], to: Mapping[str, Iterable[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(to[key])
    return frozenset(found)
