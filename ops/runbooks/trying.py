"""``mocban runbook run --dry-run``: what a playbook would do, without any service."""

from __future__ import annotations

from pathlib import Path

import typer

from mocban import config
from mocban.access import Refusal
from mocban.cli import emit
from mocban.errors import ConfigError, RemoteProtocolError
from ops.runbooks import cacao, rendering, tree
from ops.runbooks.library import Found, Library, examined
from ops.runbooks.saying import N_, name, say
from ops.settings import OpsSettings, playbooks


def dry(
    playbook: str,
    path: Path | None,
    given: dict[str, str],
    lang: str,
    *,
    plain: bool,
    as_json: bool,
) -> None:
    read = config.load("ops", OpsSettings, path)
    found = _playbook(playbook, Library(playbooks(read.data_dir), read.app.playbook_keys))
    if found.playbook is None:
        first = found.halting[0]
        raise ConfigError(f"{found.file}: {first.say}", first.do, code=first.code)
    try:
        steps = [one.as_json() for one in rendering.dry(found.playbook, given)]
    except RemoteProtocolError as error:
        raise ConfigError(error.say, error.do, code=error.code) from error
    if as_json:
        emit({"ok": True, "playbook": found.as_json(), "steps": steps, "errors": []})
        return
    shown = {"words": found.playbook.words, "name": found.playbook.name}
    typer.echo("\n".join(tree.dry(name(shown, lang), steps, lang, plain=plain)))
    if not found.runnable:
        typer.echo(
            say(
                lang,
                N_(
                    "It does not run yet: it is not signed by a key that counts here, or has faults."
                ),
            )
        )


def _playbook(text: str, library: Library) -> Found:
    if text.endswith(".json") or "/" in text:
        try:
            with open(text, "rb") as file:
                return examined(file.read(cacao.BYTES_MAX + 1), text, (), shipped=False)
        except OSError as error:
            raise ConfigError(
                f"{text} cannot be read: {error.strerror}", "name a playbook"
            ) from error
    try:
        return library.find(text)
    except Refusal as error:
        raise ConfigError(error.say, error.do, code=error.code) from None


def variables(words: list[str]) -> dict[str, str]:
    """``device=gate-1`` and ``__device__=gate-1`` are the same."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"--var {word[:60]} reads NAME=VALUE", "write both", code="usage")
        found[key if key.startswith("__") else f"__{key}__"] = value
    return found
