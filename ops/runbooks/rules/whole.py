"""Rules about the paper itself: its summary, its activities, its times, its words, its drill. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mocban.errors import RemoteProtocolError
from ops.runbooks.drill import play
from ops.runbooks.extension import EXTENSION
from ops.runbooks.model import Playbook
from ops.runbooks.problem import Problem, error, warning
from ops.runbooks.shape import items, mapping, moment, text, texts


def problems(playbook: Playbook) -> Iterator[Problem]:
    """Every problem of this kind."""
    yield from _summary(playbook)
    yield from _activities(playbook)
    yield from _times(playbook)
    yield from _words(playbook)
    yield from _drill(playbook)


def _summary(playbook: Playbook) -> Iterator[Problem]:
    said = playbook.body.get("playbook_processing_summary")
    if not isinstance(said, dict):
        return
    steps = list(playbook.steps.values())
    types = {step.type for step in steps}
    commands = [one for step in steps for one in step.commands]
    extended = any(name in playbook.body for name in ("playbook_extensions", "extension_definitions"))  # fmt: skip
    found = {
        "manual_playbook": bool(commands) and all(one.type == "manual" for one in commands),
        "external_playbooks": "playbook-action" in types,
        "parallel_processing": "parallel" in types,
        "if_logic": "if-condition" in types,
        "while_logic": "while-condition" in types,
        "switch_logic": "switch-condition" in types,
        "temporal_logic": any(step.delay or step.timeout for step in steps),
        "data_markings": bool(playbook.body.get("markings")),
        "extensions": extended,
    }
    for flag, holds in found.items():
        # Left out means false. Signatures are not looked at: who signs may not change what is signed.
        if bool(said.get(flag, False)) is not holds:
            yield warning("summary", "", f"{flag}: {str(said.get(flag, False)).lower()}")


def _activities(playbook: Playbook) -> Iterator[Problem]:
    listed = playbook.body.get("playbook_activities")
    if playbook.body.get("playbook_types") and not listed:
        yield warning("no-activity")
    done = {
        text(one.get("playbook_activity"))
        for step in mapping(playbook.body.get("workflow")).values()
        for one in map(mapping, items(mapping(step).get("commands")))
    }
    for activity in texts(listed):
        if activity not in done:
            yield warning("activity", "", activity)


def _times(playbook: Playbook) -> Iterator[Problem]:
    body = playbook.body
    if body.get("revoked") is True:
        yield error("revoked")
    if _later(body.get("created"), body.get("modified")):
        yield warning("times", "", "created, modified")
    if _later(body.get("valid_from"), body.get("valid_until")):
        yield error("never-valid")


def _later(first: Any, second: Any) -> bool:
    one, other = moment(first), moment(second)
    return bool(one and other and one > other)


def _words(playbook: Playbook) -> Iterator[Problem]:
    """A playbook with our extension is for our staff: they read it in their language."""
    if EXTENSION not in mapping(playbook.body.get("playbook_extensions")):
        return
    wordless = [] if {"vi", "en"} <= set(playbook.words) else [""]
    wordless += [
        step.id
        for step in playbook.steps.values()
        if step.type in {"action", "if-condition", "parallel"} and not {"vi", "en"} <= set(step.words)
    ]  # fmt: skip
    for step in wordless:
        yield warning("no-words", step)


def _drill(playbook: Playbook) -> Iterator[Problem]:
    answers, path = mapping(playbook.drill.get("answers")), texts(playbook.drill.get("path"))
    for key in dict.fromkeys((*answers, *path)):
        if key not in playbook.steps:
            yield warning("drill-step", "", key)
    given = set(mapping(playbook.drill.get("variables")))
    wanted = {one.name for one in playbook.variables.values() if one.external}
    missing = sorted(wanted - given) if playbook.drill else []
    for name in missing:
        yield warning("drill-variable", "", name)
    if path and not missing:
        yield from _played(playbook, path)


def _played(playbook: Playbook, path: tuple[str, ...]) -> Iterator[Problem]:
    try:
        come, ends = play(playbook)
    except RemoteProtocolError as wrong:
        yield warning("drill-path", "", wrong.say)
        return
    if come != path:
        place = next(
            (n for n, two in enumerate(zip(come, path, strict=False)) if two[0] != two[1]),
            min(len(come), len(path)),
        )
        yield warning("drill-path", path[place] if place < len(path) else "", str(place + 1))
    elif ends != playbook.drill.get("ends", "done"):
        yield warning("drill-path", "", ends)
