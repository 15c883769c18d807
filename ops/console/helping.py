"""Every key, what it does, and the same as a command of the shell: from the one list of actions. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from ops.console.actions import ACTIONS, Action
from ops.console.sheet import Lines

_GAP = re.compile(r"\{([a-z]+)\}")
OPEN: Mapping[str, str] = {
    "overview": "mocban ops console --once",
    "devices": "mocban ops console --once --page devices",
    "incidents": "mocban ops incidents show {no}",
    "runbooks": "mocban runbook show {execution}",
}
"""What opening a line is in the shell, by page."""


def command(template: str, values: Mapping[str, str]) -> str:
    """The command with its values, each as the shell reads it; what is not known yet stays in capitals."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            return name.upper()
        return values[name] if name == "variables" else shlex.quote(values[name])

    return " ".join(_GAP.sub(value, template).split())


def shell(action: Action) -> list[str]:
    """What it is in the shell, with names in capitals."""
    if action.id == "open":
        return sorted({command(one, {}) for one in OPEN.values()})
    return [command(action.cli, {})] if action.cli else []


def lines(lang: str) -> Lines:
    """The page of help."""
    found: Lines = []
    for one in ACTIONS:
        found.append(
            (
                f"{' '.join(_read(key) for key in one.keys):8} {one.name(lang):11} {one.sentence(lang)}",
                "bold",
            )
        )
        found += [(f"{'':9}{each}", "") for each in shell(one)]
    return found


def table() -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {
            "id": one.id, "keys": [_read(key) for key in one.keys], "pages": sorted(one.pages),
            "vi": one.name("vi"), "en": one.name("en"), "commands": shell(one),
        }
        for one in ACTIONS
    ]  # fmt: skip


def _read(key: str) -> str:
    return {"question_mark": "?", "slash": "/", "escape": "esc"}.get(key, key)
