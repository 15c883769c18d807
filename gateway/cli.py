"""``mocban gateway``: run the gateway; its key, its dead letters, its facts, its orders."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway import ordering
from gateway.settings import GatewaySettings
from mocban import config
from mocban.cli import ConfigOption, JsonOption, emit, new_app, run_app
from mocban.errors import Exit, PeerUnreachable
from mocban.ids import jitter

app = new_app("The central gateway: facts in, orders out, counters and dashboard.")
dead_app = new_app("Messages that could not be facts.")
app.add_typer(dead_app, name="dead")
app.add_typer(ordering.app, name="order")

RETRY = 2.0
"""Longest pause before a follower looks for its gateway again, in seconds."""
_PAGE = 500


@app.command()
def run(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    from gateway.app import main

    run_app("gateway", GatewaySettings, main, path, as_json=as_json)


@app.command()
def key(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print the public key that devices pin as gateway_keys; made if there is none."""
    from gateway.commands import gateway_key

    own = gateway_key(config.load("gateway", GatewaySettings, path))
    if as_json:
        emit({"ok": True, "public": own.public, "kid": own.kid, "errors": []})
    else:
        typer.echo(own.public)


@app.command()
def facts(
    path: ConfigOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as facts come in.")] = False,
    cursor: Annotated[
        Path | None,
        typer.Option("--cursor", dir_okay=False, help="Where it is kept how far you read."),
    ] = None,
    url: ordering.UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print committed facts as JSON lines, from where the cursor stands; some come twice after a crash."""
    with tempfile.TemporaryDirectory() as folder:
        told, at = _print_facts(path, url, cursor or Path(folder, "cursor"), follow=follow)
    if as_json:
        emit({"ok": True, "facts": told, "cursor": at, "errors": []})


def _print_facts(path: Path | None, url: str, file: Path, *, follow: bool) -> tuple[int, str]:
    """How many were printed, and where the cursor stands now."""
    from gateway.client import Client
    from mocban.follow import Follower

    client = Client(path, url)
    follower = Follower(client.url, file, ca_file=client.config.ca_file)
    told, lost = 0, False
    while True:
        try:
            page = follower.page(_PAGE)
            _print(page)
            follower.commit()
            told, lost = told + len(page), False
            if not page:
                if not follow:
                    return told, follower.cursor
                follower.wait(60.0)
        except PeerUnreachable as error:
            if not follow or (not told and not lost and follower.cursor == "0"):
                raise
            if not lost:
                typer.echo(f"mocban: {error.say}: waiting for it.", err=True)
            lost = True
            threading.Event().wait(jitter(RETRY))


def _print(page: list[dict[str, object]]) -> None:
    """On stdout, flushed: only then may the cursor move."""
    try:
        for fact in page:
            typer.echo(json.dumps(fact, ensure_ascii=False))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.DONE) from None


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


@dead_app.command()
def replay(
    path: ConfigOption = None, url: ordering.UrlOption = "", as_json: JsonOption = False
) -> None:
    """Let the running gateway judge its dead letters anew; exit 3 if some stay dead."""
    from gateway.client import Client

    client = Client(path, url)
    if not as_json:
        typer.echo("judging dead letters anew …", err=True)
    done = client.post("/api/v1/dead/replay", {}, timeout=600.0)
    still = int(done["still_dead"])
    if as_json:
        emit({**done, "ok": not still, "errors": [_STILL] if still else []})
    else:
        typer.echo(
            f"{done['tried']} tried: {done['new']} facts now, {done['duplicate']} told before, {still} still dead"
        )
    raise typer.Exit(Exit.PARTLY if still else Exit.DONE)


_STILL = {
    "code": "still-dead",
    "say": "some are no facts in this release either",
    "do": "see mocban gateway dead list",
}
