"""An execution drawn for a terminal: what was done, what waits, and the exact command to type next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ops.incidents.words import plain as clean
from ops.runbooks.saying import N_, STATES, moment, name, reason, say

MARKS: Mapping[str, tuple[str, str]] = {
    "todo": ("○", "[ ]"), "running": ("●", "[>]"), "waiting": ("…", "[.]"), "done": ("✓", "[x]"),
    "failed": ("✗", "[!]"), "skipped": ("–", "[-]"), "unknown": ("?", "[?]"), "stopped": ("■", "[#]"),
}  # fmt: skip
"""By state: for a terminal that can, and for one that cannot."""
_SILENT = frozenset({"start", "end"})


def draw(shown: Mapping[str, Any], lang: str, *, plain: bool = False) -> list[str]:
    """The whole picture of what ``GET /api/v1/executions/{id}`` answers."""
    run = shown["execution"]
    head = say(
        lang, N_("{playbook}: {state}, begun by {by} at {began}"), playbook=name(run["playbook"], lang),
        state=say(lang, STATES[run["state"]]), by=run["by"].partition(":")[2], began=moment(run["began"]),
    )  # fmt: skip
    mark = MARKS[run["state"]][plain]
    lines = [f"{mark} {head}", f"  {run['id']}"]
    if run["reason"]:
        lines.append("  " + say(lang, N_("Why: {reason}"), reason=reason(run["reason"], lang)))
    lines += [_row(row, depth, lang, plain=plain) for row, depth in _rows(shown["steps"])]
    waits = list(following(shown, lang))
    return [*lines, *(["", *waits] if waits else [])]


def _rows(steps: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], int]]:
    """Steps in the order they were come to, each branch under its parent."""

    def under(parent: str | None, depth: int) -> Iterator[tuple[dict[str, Any], int]]:
        for row in sorted(
            (r for r in steps if r["parent"] == parent), key=lambda r: r["branch"] or 0
        ):
            yield row, depth
            yield from under(row["id"], depth + 1)

    for row, depth in under(None, 0):
        if row["type"] not in _SILENT:
            yield row, depth


def _row(row: Mapping[str, Any], depth: int, lang: str, *, plain: bool) -> str:
    mark = MARKS[row["state"]][plain]
    title = name(row, lang)
    if row["undoes"]:
        title = say(lang, N_("undo: {step}"), step=title)
    notes = []
    if row["waits"] == "approval":
        notes.append(say(lang, N_("waits for approval")))
    elif row["waits"] in {"person", "word"}:
        notes.append(say(lang, N_("waits for a person")))
    elif row["outcome"] and row["state"] in {"failed", "unknown", "skipped"}:
        notes.append(reason(row["outcome"], lang))
    if row["undone"]:
        notes.append(say(lang, N_("undone")))
    note = f"  ({', '.join(notes)})" if notes else ""
    return f"  {'   ' * depth}{mark} {title}{note}"


def following(shown: Mapping[str, Any], lang: str) -> Iterator[str]:
    """Who is waited for, and the command they type."""
    run, rows = (
        shown["execution"],
        [row for row in shown["steps"] if row["waits"] in {"approval", "person", "word"}],
    )
    asks = {ask["step"]: ask for ask in shown["asks"]}
    short = run["id"][:8]
    for row in rows:
        step = f" {row['id']}" if len(rows) > 1 else ""
        title = name(row, lang)
        if row["waits"] == "approval" and row["id"] in asks:
            ask = asks[row["id"]]
            left = ask["persons"] - len(ask["have"])
            yield say(
                lang, N_("{step}: {count} more must approve until {until}, and not {by}:"), step=title, count=left,
                until=moment(ask["expires"]), by=run["by"].partition(":")[2],
            )  # fmt: skip
            yield f"  mocban runbook approve {short}{step} --key ~/.ssh/id_ed25519 --as NAME"
            yield f"  mocban runbook deny {short}{step} --as NAME --reason TEXT"
        elif row["waits"] == "person":
            yield say(lang, N_("{step}: a person does this, and says so:"), step=title)
            if told := name(row, lang, "description"):
                yield from (f"  {clean(line)}" for line in told.splitlines())
            yield from (
                f"  {clean(line)}"
                for job in row["jobs"]
                if job["type"] == "manual" and job["state"] != "done"
                for line in job["say"].splitlines()
            )
            yield f"  mocban runbook resume {short}{step} --as-done --by NAME"
            yield f"  mocban runbook resume {short}{step} --failed --by NAME --reason TEXT"
        elif row["waits"] == "word":
            yield say(
                lang, N_("{step}: nobody knows whether it was done ({reason}). Look, and say:"), step=title,
                reason=reason(row["outcome"], lang),
            )  # fmt: skip
            yield f"  mocban runbook resume {short}{step} --as-done | --failed | --retry --by NAME"


def dry(title: str, steps: list[dict[str, Any]], lang: str, *, plain: bool = False) -> list[str]:
    """What would be done, from rendered steps."""
    mark = MARKS["todo"][plain]
    lines = [say(lang, N_("{playbook}: this is what would be done"), playbook=title)]
    for row in steps:
        if row["type"] in _SILENT:
            continue
        lines.append(f"  {mark} {name(row, lang)}")
        if row["persons"]:
            lines.append(
                "      " + say(lang, N_("must be approved by {count}"), count=row["persons"])
            )
        if row["condition"]:
            lines.append("      " + say(lang, N_("if {condition}"), condition=row["condition"]))
        to = f" → {', '.join(row['targets'])}" if row["targets"] else ""
        lines += [f"      {one['type']}: {one['command']}{to}" for one in row["commands"]]
        lines += [
            "      " + say(lang, N_("undone by: {what}"), what=one["command"])
            for one in row["undo"]
        ]
        if row["timeout"]:
            lines.append(
                "      " + say(lang, N_("at most {seconds} s"), seconds=round(row["timeout"]))
            )
    return [clean(text) for text in lines]


def drill(
    title: str, steps: list[dict[str, Any]], ends: str, lang: str, *, plain: bool = False
) -> list[str]:
    """How a drill went, from the steps it came to and how it ended."""
    lines = [say(lang, N_("{playbook}: its drill, played without any device"), playbook=title)]
    for row in steps:
        if row["type"] in _SILENT:
            continue
        done = row["outcome"] == "done"
        note = "" if done else f"  ({reason(row['reason'] or row['outcome'], lang)})"
        lines.append(f"  {MARKS['done' if done else 'failed'][plain]} {name(row, lang)}{note}")
    state = say(lang, STATES[ends])
    return [*lines, f"{MARKS[ends][plain]} {say(lang, N_('It ends: {state}'), state=state)}"]
