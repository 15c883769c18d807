"""What is wrong with a playbook: its form first, then what would hang, hurt, or not be done. Pure.

The schemas of the standard let through playbooks that loop for ever or lead nowhere; these rules do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.runbooks import cacao, form
from ops.runbooks.problem import HALTING, Problem, error
from ops.runbooks.rules import danger, data, flow, orders, whole

__all__ = ["HALTING", "Problem", "lint"]

PROBLEMS_MAX = 200
"""Most problems told at once."""


def lint(body: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Everything wrong with a loaded playbook; errors first, then by step. If none ``halts``, it can be executed."""
    playbook = cacao.read(body)
    found = [error("form", fault.step, f"{fault.place}: {fault.say}") for fault in form.faults(body)]  # fmt: skip
    for rules in (flow, data, orders, danger, whole):
        found.extend(rules.problems(playbook))
    order = {key: number for number, key in enumerate(playbook.steps, 1)}
    ranked = sorted(dict.fromkeys(found), key=lambda one: (one.level, order.get(one.step, 0)))
    return tuple(ranked[:PROBLEMS_MAX])
