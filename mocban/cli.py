"""The root command: ``mocban <app> <verb>``. Sub-apps come by entry point and are loaded only when asked for."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from mocban import log, supervise
from mocban.errors import ConfigError, Exit, MocbanError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mocban.config import Config

M = TypeVar("M", bound="BaseModel")
OURS = frozenset({"mocban", "kiosk", "gateway", "ops", "backup"})
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Configuration file.", dir_okay=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")]


def new_app(help_text: str) -> typer.Typer:
    """A sub-app with our manners."""
    return typer.Typer(
        help=help_text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip


def run_service(main: Callable[[asyncio.Event], Awaitable[None]], level: str = "info") -> NoReturn:
    """Run one service process: logs to stderr, ends orderly on a signal or with its supervisor."""
    supervise.lifeline()
    log.setup(level)

    async def body() -> None:
        stop = asyncio.Event()
        supervise.on_signals(stop)
        try:
            await main(stop)
        finally:
            supervise.deaf()

    asyncio.run(body())
    # All that is ours is closed. Taking the interpreter apart would last longer than the whole ending did (0.3 s).
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(Exit.DONE)


def run_app(
    name: str,
    model: type[M],
    main: Callable[[Config[M], asyncio.Event], Awaitable[None]],
    path: Path | None,
) -> None:
    """Run the service of app ``name`` with its configuration."""
    from mocban import config  # the emulators have none, and it is not cheap to load

    read = config.load(name, model, path)
    run_service(lambda stop: main(read, stop))


def emit(body: dict[str, Any]) -> None:
    """Print the one JSON object of ``--json``."""
    typer.echo(json.dumps(body, ensure_ascii=False))


def main() -> None:
    """Entry point of the ``mocban`` command."""
    argv = sys.argv[1:]
    try:
        _root(argv)(argv, prog_name="mocban")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in OURS:
            raise
        _say(_missing(error, argv), as_json="--json" in argv)
    except MocbanError as error:
        _say(error, as_json="--json" in argv)


def _say(error: MocbanError, *, as_json: bool) -> NoReturn:
    """One sentence that says what to do, and the exit code of its kind."""
    if as_json:
        emit({"ok": False, "errors": [error.as_json()]})
    else:
        typer.echo(f"mocban: {error.say}" + (f": {error.do}." if error.do else "."), err=True)
    sys.exit(int(error.exit))


def _missing(error: ModuleNotFoundError, argv: list[str]) -> ConfigError:
    role = argv[0] if argv and argv[0] in OURS else "demo"
    return ConfigError(
        f"the package {error.name} is missing",
        f'install this role with pip install "mocban[{role}]", or run ./up',
        code="missing-package",
    )


def _root(argv: list[str]) -> Callable[..., Any]:
    root = new_app("Self-service and security operations for public libraries.")
    wanted = next((word for word in argv if not word.startswith("-")), None)
    apps = {entry.name: entry for entry in entry_points(group="mocban.commands")}
    chosen = [apps[wanted]] if wanted in apps else [apps[name] for name in sorted(apps)]
    if wanted in apps or wanted not in {"up", "demo", "bench"}:
        for entry in chosen:
            with nullcontext() if wanted in apps else suppress(ModuleNotFoundError):
                root.add_typer(entry.load(), name=entry.name)
    if wanted not in apps:
        from mocban import verbs

        verbs.register(root)
    root.callback()(lambda: None)  # keeps sub-commands even where there is only one
    return typer.main.get_command(root)
