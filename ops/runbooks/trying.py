"""``mocban runbook run --dry-run`` and ``--drill``: a playbook tried without any service."""

from __future__ import annotations

from pathlib import Path

import typer

from mocban.cli import emit
from mocban.errors import ConfigError, Exit, RemoteProtocolError
from ops.runbooks import papers, rendering, tree
from ops.runbooks.drill import play, shown
from ops.runbooks.library import Found
from ops.runbooks.model import Playbook
from ops.runbooks.problem import warning
from ops.runbooks.saying import N_, name, say


def dry(
    named: str, path: Path | None, given: dict[str, str], lang: str, *, plain: bool, as_json: bool
) -> None:
    """Print what the playbook would do. ConfigError if it cannot be read or is not given what it asks for."""
    found, playbook = _read(named, path)
    try:
        steps = [one.as_json() for one in rendering.dry(playbook, given)]
    except RemoteProtocolError as error:
        raise ConfigError(error.say, error.do, code=error.code) from error
    if as_json:
        emit({"ok": True, "playbook": found.as_json(), "steps": steps, "errors": []})
        return
    typer.echo("\n".join(tree.dry(_title(playbook, lang), steps, lang, plain=plain)))
    if not found.runnable:
        no = N_("It does not run yet: it is not signed by a key that counts here, or has faults.")
        typer.echo(say(lang, no))


def drill(named: str, path: Path | None, lang: str, *, plain: bool, as_json: bool) -> None:
    """Play the drill and print its way; exit 1 if it goes or ends otherwise than it says."""
    found, playbook = _read(named, path)
    if not playbook.drill:
        raise ConfigError(
            f"{found.file} has no drill", "write one in its extension, or say --dry-run", code="no-drill"
        )  # fmt: skip
    try:
        come, ends = play(playbook)
    except RemoteProtocolError as error:
        raise ConfigError(error.say, error.do, code=error.code) from error
    wrong = [one for one in found.problems if one.code.startswith("drill-")]
    if not wrong and ends != playbook.drill.get("ends", "done"):
        wrong = [warning("drill-path", "", ends)]
    steps = shown(playbook, come)
    if as_json:
        errors = [{"code": one.code, "say": one.say, "do": one.do} for one in wrong]
        told = {"playbook": found.as_json(), "steps": steps, "ends": ends}
        emit({"ok": not wrong, **told, "errors": errors})
    else:
        typer.echo("\n".join(tree.drill(_title(playbook, lang), steps, ends, lang, plain=plain)))
        for one in wrong:
            typer.echo(f"mocban: {': '.join(one.told(lang))}.", err=True)
    if wrong:
        raise typer.Exit(Exit.NO)


def _read(named: str, path: Path | None) -> tuple[Found, Playbook]:
    found = papers.one(named, path)
    if found.playbook is None:
        first = found.halting[0]
        raise ConfigError(f"{found.file}: {first.say}", first.do, code=first.code)
    return found, found.playbook


def _title(playbook: Playbook, lang: str) -> str:
    return name({"words": playbook.words, "name": playbook.name}, lang)


def variables(words: list[str]) -> dict[str, str]:
    """``device=gate-1`` and ``__device__=gate-1`` are the same."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"--var {word[:60]} reads NAME=VALUE", "write both", code="usage")
        found[key if key.startswith("__") else f"__{key}__"] = value
    return found
