"""``mocban gateway``: run the gateway; look at its dead letters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from gateway.settings import GatewaySettings
from mocban import config
from mocban.cli import ConfigOption, JsonOption, emit, new_app, run_app
from mocban.errors import Exit

app = new_app("The central gateway: facts in, counters and dashboard out.")
dead_app = new_app("Messages that could not be facts.")
app.add_typer(dead_app, name="dead")


@app.command()
def run(path: ConfigOption = None) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    from gateway.app import main

    run_app("gateway", GatewaySettings, main, path)


@dead_app.callback()
def dead() -> None:
    """Messages that could not be facts."""


@dead_app.command("list")
def dead_list(
    path: ConfigOption = None,
    as_json: JsonOption = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="How many of the newest.")
    ] = 100,
) -> None:
    """List dead letters, newest first; exit 1 if there are any."""
    from gateway.store.readings import SqliteReadings

    database = config.load("gateway", GatewaySettings, path).database
    letters = []
    if database.exists():  # looking creates nothing
        readings = SqliteReadings(database)
        try:
            letters = readings.dead(limit)
        finally:
            readings.close()
    if as_json:
        emit({"ok": not letters, "letters": [asdict(letter) for letter in letters], "errors": []})
    else:
        for letter in letters:
            place = f"{letter.epoch}/{letter.seq}" if letter.seq is not None else "-"
            who = f"{letter.reason:14} {letter.device or '-':16} {place:24}"
            typer.echo(f"{letter.rx}  {who} {letter.size} B x{letter.times}")
        if not letters:
            typer.echo("no dead letters")
    raise typer.Exit(Exit.NO if letters else Exit.DONE)
