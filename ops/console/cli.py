"""``mocban ops console``: the operator's console, or one page of it as plain text."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mocban.asking import Service
from mocban.cli import ConfigOption, JsonOption, emit
from mocban.clock import SystemClock
from mocban.errors import ConfigError, Exit
from mocban.i18n import language
from ops.client import Client

PAGES = ("overview", "devices", "incidents", "runbooks")


def register(app: typer.Typer) -> None:
    """Add the verb to ``app``."""
    app.command("console")(console)


def console(
    path: ConfigOption = None,
    lang: Annotated[str, typer.Option("--lang", help="vi or en; else that of the shell.", metavar="LANG")] = "",
    name: Annotated[str, typer.Option("--as", help="Your name among the staff; without it, you are asked.")] = "",
    key: Annotated[
        Path | None, typer.Option("--key", dir_okay=False, help="SSH key to approve with, or its .pub with an agent.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print one page as plain text and end.")] = False,
    page: Annotated[str, typer.Option("--page", help="Which one.", metavar="|".join(PAGES))] = PAGES[0],
    help_actions: Annotated[
        bool, typer.Option("--help-actions", help="List every key and the same by command, and end.")
    ] = False,
    url: Annotated[str, typer.Option("--url", help="Address of the operations API.")] = "",
    gateway_url: Annotated[str, typer.Option("--gateway-url", help="Address of the gateway's API.")] = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Look at incidents, devices and playbooks, and act on them, by keys."""
    lang = language(lang)
    if help_actions:
        _help(lang, as_json=as_json)
        return
    if page not in PAGES:
        raise ConfigError(
            f"there is no page {page}", f"write one of {', '.join(PAGES)}", code="usage"
        )
    key = key.expanduser() if key is not None else None
    if key is not None and not key.is_file():
        raise ConfigError(
            f"there is no key {key}", "name your SSH key, or its .pub with an agent", code="usage"
        )
    who = _name(name)
    ops = Client(path, url)
    gateway = Service(
        "gateway", gateway_url or ops.config.app.gateway_url, lambda: "", ops.config.ca_file
    )
    if once or as_json:
        _once(ops, gateway, page, lang, who, as_json=as_json)
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        raise ConfigError(
            "the console needs a terminal", "run it in one, or print a page with --once", code="no-terminal"
        )  # fmt: skip
    from ops.console.app import run

    run(ops, gateway, lang, who, str(key) if key else "")


def _help(lang: str, *, as_json: bool) -> None:
    from ops.console import helping

    if as_json:
        emit({"ok": True, "actions": helping.table(), "errors": []})
    else:
        typer.echo("\n".join(text.rstrip() for text, _ in helping.lines(lang)))


def _once(ops: Service, gateway: Service, page: str, lang: str, who: str, *, as_json: bool) -> None:
    """One page, and on stderr what could not be asked; exit 4 if that is what the page is made of."""
    from ops.console import plain
    from ops.console.view import Eye
    from ops.console.words import trouble

    clock = SystemClock()
    picture = plain.look(ops, gateway, clock)
    eye = Eye(lang, clock.now(), who)
    lines = {"ops": picture.ops, "gateway": picture.gateway}
    errors = [
        {"code": line.trouble, "say": line.say, "do": ""} for line in lines.values() if line.trouble
    ]
    needed = picture.gateway if page == "devices" else picture.ops
    if as_json:
        emit({"ok": not errors, **plain.body(picture), "errors": errors})
    else:
        if needed.at is not None:
            typer.echo("\n".join(plain.text(page, picture, eye)))
        for name, line in lines.items():
            if line.trouble:
                typer.echo(f"mocban: {trouble(name, line.trouble, eye.say)}", err=True)
    if errors:
        code = Exit.UNREACHABLE if needed.trouble == "peer-unreachable" else Exit.PARTLY
        raise typer.Exit(Exit.USAGE if needed.trouble in {"no-token", "config"} else code)


def _name(name: str) -> str:
    from ops.console.words import NAME

    clean = name.removeprefix("person:").strip().lower()
    if clean and not NAME.fullmatch(clean):
        raise ConfigError(
            f"{name} is no name", "write --as NAME: small letters, digits, . _ -", code="usage"
        )
    return clean
