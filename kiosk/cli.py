"""``mocban kiosk``: run, gate, emulate."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from mocban.cli import ConfigOption, JsonOption, new_app, run_app, run_service
from mocban.errors import ConfigError

app = new_app("Self-checkout kiosks and security gates.")
emulate = new_app("Peers that speak the real bytes: for the demo, training and tests.")
app.add_typer(emulate, name="emulate")

WorldOption = Annotated[
    Path, typer.Option("--world", help="The world's file; made from the demo seed if missing.")
]
LinkOption = Annotated[Path, typer.Option("--link", help="Path the tty appears at.")]
HostOption = Annotated[str, typer.Option("--host", help="Address to listen on.")]


@app.command()
def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run the kiosk: pad, library system, screen."""
    from kiosk.app import main
    from kiosk.settings import KioskSettings

    run_app("kiosk", KioskSettings, main, config, as_json=as_json)


@app.command()
def gate(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run one security gate."""
    from kiosk.gates import main
    from kiosk.settings import GateSettings

    run_app("gate", GateSettings, main, config, as_json=as_json)


@emulate.command()
def ils(
    world: WorldOption,
    port: int = 6001,
    host: HostOption = "127.0.0.1",
    as_json: JsonOption = False,
) -> None:
    """A library system that speaks SIP2."""
    from kiosk.emulators.ils import main

    run_service(lambda stop: main(_world(world), host, port, stop), as_json=as_json)


@emulate.command()
def pad(
    world: WorldOption,
    link: LinkOption,
    driver: Annotated[
        str,
        typer.Option(
            "--driver",
            help="feig, 3m, rr9, uhf18, pcsc, none; or world: as its panel says, and changing with it.",
        ),
    ] = "feig",
    begin: Annotated[
        str, typer.Option("--begin", help="With --driver world: the reader to begin with.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """A reader pad: on a pty, or behind a smart card service of its own (pcsc)."""
    from kiosk.emulators.switchable import WORLD, emulator, main

    if begin and driver != WORLD:
        raise ConfigError(
            "--begin belongs to --driver world", "leave it out, or add that", code="usage"
        )
    if driver != WORLD:
        emulator(driver)
    if driver == "pcsc" and not as_json:
        typer.echo(f"pcsc://?socket={link.absolute()}")
    run_service(lambda stop: main(_world(world), link, stop, driver, begin), as_json=as_json)


@emulate.command("gate")
def gate_reader(
    world: WorldOption,
    link: LinkOption,
    driver: Annotated[str, typer.Option("--driver", help="feig or uhf288.")] = "feig",
    as_json: JsonOption = False,
) -> None:
    """A gate reader on a pty."""
    from kiosk.emulators import feig_gate, uhf288_gate

    mains = {"feig": feig_gate.main, "uhf288": uhf288_gate.main}
    if driver not in mains:
        raise ConfigError(f"there is no gate called {driver}", "feig or uhf288", code="usage")
    run_service(lambda stop: mains[driver](_world(world), link, stop), as_json=as_json)


@emulate.command()
def line(
    world: WorldOption,
    forward: Annotated[
        list[str], typer.Option("--forward", help="FROM:TO, two ports on loopback.")
    ],
    as_json: JsonOption = False,
) -> None:
    """The branch's network line, which can be cut."""
    from kiosk.emulators.line import main

    ways = []
    for each in forward:
        here, _, there = each.partition(":")
        if not (here.isdecimal() and there.isdecimal()):
            raise ConfigError(f"{each} names no two ports", "write FROM:TO", code="usage")
        ways.append(("127.0.0.1", int(here), "127.0.0.1", int(there)))
    run_service(lambda stop: main(_world(world), ways, stop), as_json=as_json)


@emulate.command()
def panel(
    world: WorldOption,
    port: int = 8090,
    host: HostOption = "127.0.0.1",
    kiosk_url: str = "",
    gateway_url: str = "",
    as_json: JsonOption = False,
) -> None:
    """The world's control panel and HTTP API."""
    from kiosk.emulators.panel import main

    links = {"kiosk": kiosk_url, "gateway": gateway_url}

    async def serve(stop: asyncio.Event) -> None:
        await main(_world(world), host, port, stop, links)

    run_service(serve, as_json=as_json)


def _world(path: Path) -> Path:
    """The world's file, made from the demo seed by whichever peer comes first, or grown if it is of an earlier day."""
    from kiosk.emulators.tables import build
    from kiosk.emulators.world import DEMO, World

    if path.exists():
        turn = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)  # all peers come at once, and a column is added once
            build(path)
        finally:
            os.close(turn)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            new = Path(folder) / path.name
            World.create(new, tomllib.loads(DEMO.read_text(encoding="utf-8"))).close()
            with suppress(FileExistsError):  # another peer was quicker: its world is the one
                path.hardlink_to(new)
    return path
