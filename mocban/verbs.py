"""The root verbs: ``up``, ``demo``, ``bench``, ``config``, ``doctor``."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mocban import supervise
from mocban.cli import ConfigOption, JsonOption, emit, new_app
from mocban.errors import ConfigError, Exit
from mocban.i18n import language

settings = new_app("The configuration: what is wrong, what applies, what could be said.")
BrokerOption = Annotated[str, typer.Option("--broker", help="auto, mosquitto or iotcore.")]
WithOption = Annotated[
    list[str] | None,
    typer.Option("--with", help="prometheus: with Debian's Prometheus and Alertmanager."),
]
PadOption = Annotated[
    str,
    typer.Option("--pad", help="Reader of the kiosk: feig, 3m, rr9, uhf18, pcsc or none."),
]


def register(root: typer.Typer) -> None:
    """Add the verbs to ``root``."""
    root.command("up")(up)
    root.command("demo")(demo)
    root.command("bench")(bench)
    root.command("doctor")(doctor)
    root.add_typer(settings, name="config")


def up(
    data: Annotated[
        Path, typer.Option("--data", help="Folder the branch keeps its data in.")
    ] = Path("demo-data"),
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Use any free ports.")] = False,
    broker: BrokerOption = "auto",
    pad: PadOption = "feig",
    also: WithOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a whole demo branch on this machine; Ctrl-C ends it."""
    from mocban.demo.plan import known
    from mocban.demo.up import run

    known(pad)
    strange = sorted(set(also or ()) - {"prometheus"})
    if strange:
        raise ConfigError(
            f"there is nothing called {strange[0]} to start",
            "write --with prometheus",
            code="usage",
        )
    code = asyncio.run(
        run(
            data.absolute(),
            free_ports=free_ports,
            broker_kind=broker,
            prometheus=bool(also),
            pad=pad,
        )
    )
    if as_json:
        emit({"ok": code == Exit.DONE, "errors": []})
    raise typer.Exit(code)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Play the journey once, headless, and count.")
    ] = False,
    incident: Annotated[
        str, typer.Option("--incident", help="Play an incident from signal to undo: gate-storm.")
    ] = "",
    kill: Annotated[
        bool, typer.Option("--kill", help="Kill operations -9 in the middle of the incident.")
    ] = False,
    as_json: JsonOption = False,
    broker: BrokerOption = "auto",
    pad: PadOption = "feig",
    also: WithOption = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep data and logs in this folder.")
    ] = None,
) -> None:
    """The demo branch: without --once or --incident the same as ``up``."""
    if once and incident:
        raise ConfigError(
            "--once and --incident are two stories", "play one at a time", code="usage"
        )
    if kill and not incident:
        raise ConfigError("--kill belongs to --incident", "add --incident gate-storm", code="usage")
    if not (once or incident):
        up(broker=broker, pad=pad, also=also, as_json=as_json)
        return
    from mocban.demo.plan import known

    known(pad)
    say: Callable[[str], None] = (lambda _: None) if as_json else typer.echo

    async def play() -> dict[str, Any]:
        if incident:
            from mocban.demo import incident as night

            return await night.play(incident, broker, say, keep, kill=kill)
        from mocban.demo import once as journey

        return await journey.play(broker, say, keep, pad)

    async def interruptible() -> dict[str, Any] | None:
        stop = asyncio.Event()
        supervise.on_signals(stop)
        return await supervise.unless(stop, play())

    result = asyncio.run(interruptible())
    if result is None:  # Ctrl-C: all is ended and cleared away
        raise typer.Exit(Exit.NO)
    if as_json:
        emit(result)
    else:
        for key, value in result.items():
            if key == "not_played":
                typer.echo(f"not played: {value}")
            elif key != "errors":
                typer.echo(f"{key:16} {value}")
        for error in result.get("errors", ()):
            typer.echo(f"mocban: {error['say']}: {error['do']}.", err=True)
    raise typer.Exit(Exit.DONE if result["ok"] else Exit.NO)


def bench(
    name: Annotated[str, typer.Argument(help="A bench, or list.")],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure ours and a reference in the same run (from a checkout)."""
    from mocban import benches

    raise typer.Exit(benches.run(name, quick=quick, as_json=as_json))


@settings.command()
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Read every table of every installed app and name all faults at once; exit 2 if there are any."""
    from mocban.settings import survey

    faults = survey(config).faults
    if as_json:
        emit({"ok": not faults, "errors": [fault.as_json() for fault in faults]})
    else:
        for fault in faults:
            say = fault.as_json()
            meant = f" ({say['do']})" if fault.meant else ""
            typer.echo(f"{fault.where}: {say['say']}{meant}", err=True)
        if not faults:
            typer.echo("the configuration is valid")
    raise typer.Exit(Exit.USAGE if faults else Exit.DONE)


@settings.command()
def show(
    config: ConfigOption = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the values that apply, secrets masked."""
    from mocban.settings import survey

    found = survey(config)
    if found.whole is None:
        check(config, as_json)
    values = found.values()
    if as_json:
        said = [
            {"key": v.key, "value": v.value} | ({"origin": v.origin} if origin else {})
            for v in values
        ]
        emit({"ok": True, "values": said, "errors": []})
        return
    for v in values:
        value = json.dumps(v.value, ensure_ascii=False)
        typer.echo(f"{v.key} = {value}" + (f"  # {v.origin}" if origin else ""))


@settings.command()
def schema(as_json: JsonOption = False) -> None:
    """Print the JSON Schema of the whole configuration."""
    from mocban.schema import schema as build

    body = build()
    if as_json:
        emit({"ok": True, "schema": body, "errors": []})
    else:
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))


def doctor(
    config: ConfigOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Look at apps that are not configured, too.")
    ] = False,
    lang: Annotated[
        str, typer.Option("--lang", help="vi or en; else that of the shell.", metavar="LANG")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Look at everything this machine needs to serve; what is not well says what to do."""
    from mocban import doctor as room

    findings = []
    for finding in room.examine(config, room.words(language(lang)), everything=everything):
        findings.append(finding)
        if not as_json:  # each at once: some take seconds
            _print(finding.name, finding.say, finding.do, ok=finding.ok)
    bad = [finding for finding in findings if not finding.ok]
    if as_json:
        body = [finding.as_json() for finding in findings]
        errors = [{"code": f.name, "say": f.say, "do": f.do} for f in bad]
        emit({"ok": not bad, "checks": body, "errors": errors})
    faulty = any(finding.name == "configuration" for finding in bad)
    raise typer.Exit(Exit.USAGE if faulty else Exit.NO if bad else Exit.DONE)


def _print(name: str, say: str, do: str, *, ok: bool) -> None:
    """A line for one finding, and one for what to do; 80 columns, marks a plain terminal can show."""
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    mark = ("ok" if ok else "NO") if plain else ("✓" if ok else "✗")
    typer.echo(_wrapped(f"{mark} {name}: {say}"))
    if not ok and do:
        typer.echo(_wrapped(f"  {'->' if plain else '→'} {do}"))


def _wrapped(text: str) -> str:
    # A path or an address stays whole, to be copied.
    return textwrap.fill(
        text, 80, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True, replace_whitespace=False,
    )  # fmt: skip
