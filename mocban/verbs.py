"""The root verbs: ``up``, ``demo``, ``bench``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from mocban import supervise
from mocban.cli import JsonOption, emit
from mocban.errors import Exit

BrokerOption = Annotated[str, typer.Option("--broker", help="auto, mosquitto or iotcore.")]


def register(root: typer.Typer) -> None:
    """Add the verbs to ``root``."""
    root.command("up")(up)
    root.command("demo")(demo)
    root.command("bench")(bench)


def up(
    data: Annotated[
        Path, typer.Option("--data", help="Folder the branch keeps its data in.")
    ] = Path("demo-data"),
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Use any free ports.")] = False,
    broker: BrokerOption = "auto",
) -> None:
    """Start a whole demo branch on this machine; Ctrl-C ends it."""
    from mocban.demo.up import run

    raise typer.Exit(asyncio.run(run(data.absolute(), free_ports=free_ports, broker_kind=broker)))


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Play the journey once, headless, and count.")
    ] = False,
    as_json: JsonOption = False,
    broker: BrokerOption = "auto",
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep data and logs in this folder.")
    ] = None,
) -> None:
    """The demo branch: without --once the same as ``up``."""
    if not once:
        up(broker=broker)
        return
    from mocban.demo.once import play

    say = (lambda _: None) if as_json else typer.echo

    async def interruptible() -> dict[str, Any] | None:
        stop = asyncio.Event()
        supervise.on_signals(stop)
        return await supervise.unless(stop, play(broker, say, keep))

    result = asyncio.run(interruptible())
    if result is None:  # Ctrl-C: all is ended and cleared away
        raise typer.Exit(Exit.NO)
    if as_json:
        emit(result)
    else:
        for key, value in result.items():
            typer.echo(f"{key:16} {value}")
    raise typer.Exit(Exit.DONE if result["ok"] else Exit.NO)


def bench(
    name: Annotated[str, typer.Argument(help="A bench, or list.")],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure ours and a reference in the same run (from a checkout)."""
    from mocban import benches

    raise typer.Exit(benches.run(name, quick=quick, as_json=as_json))
