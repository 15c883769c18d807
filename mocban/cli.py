"""The root command: ``mocban <app> <verb>``. Sub-apps come by entry point and are loaded only when asked for.

However a command ends, this is where it is said: one sentence on stderr, or with ``--json`` one object on the last
line of stdout, and the exit code of its kind.
"""

from __future__ import annotations

import asyncio
import gc
import getpass
import json
import os
import re
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from mocban import log, supervise
from mocban.errors import ConfigError, Exit, MocbanError, StorageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mocban.config import Config

M = TypeVar("M", bound="BaseModel")
OURS = frozenset({"mocban", "kiosk", "gateway", "ops", "backup"})
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Configuration file.", dir_okay=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")]
VERBS = frozenset({"up", "demo", "bench", "config", "doctor"})
"""The root's own verbs: no app is loaded for them."""
EXITS = (
    "Exit codes: 0 done, 1 no, 2 usage or configuration, 3 done with errors, 4 no answer from the"
    " other side, 70 a fault of mocban."
)
LOADING = 100_000
"""How many new objects may come before garbage is looked for, while a command loads: nearly all of them stay."""
_USUAL = gc.get_threshold()
INTERRUPTED = 130
"""What typer makes of Ctrl-C."""


def new_app(help_text: str) -> typer.Typer:
    """A sub-app with our manners."""
    return typer.Typer(
        help=help_text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip


def run_service(
    main: Callable[[asyncio.Event], Awaitable[None]], level: str = "info", *, as_json: bool = False
) -> NoReturn:
    """Run one service process: logs to stderr, ends orderly on a signal or with its supervisor."""
    # What is loaded stays: it is not looked through for garbage, neither while it is loaded nor ever after.
    gc.freeze()
    gc.set_threshold(*_USUAL)
    # FastAPI looks for models of pydantic 1 at its first route. We have none, and to load it costs 30 ms.
    sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]
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
    if as_json:
        emit({"ok": True, "errors": []})
    # All that is ours is closed. Taking the interpreter apart would last longer than the whole ending did (0.3 s).
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(Exit.DONE)


def run_app(
    name: str,
    model: type[M],
    main: Callable[[Config[M], asyncio.Event], Awaitable[None]],
    path: Path | None,
    *,
    as_json: bool = False,
) -> None:
    """Run the service of app ``name`` with its configuration."""
    from mocban import config  # the emulators have none, and it is not cheap to load

    read = config.load(name, model, path)
    run_service(lambda stop: main(read, stop), as_json=as_json)


def user() -> str:
    """The shell's user as a name among ours: small letters, digits, . _ -; "" if nothing of it is left."""
    try:
        name = getpass.getuser().lower()
    except (KeyError, OSError):  # a container's user may have no name
        return ""
    return re.sub(r"[^a-z0-9._-]", "", name)[:32].lstrip("._-")


def emit(body: dict[str, Any]) -> None:
    """Print the one JSON object of ``--json``. StorageError if nobody takes it."""
    try:
        typer.echo(json.dumps(body, ensure_ascii=False))
    except OSError as error:
        say = f"the answer cannot be written: {error.strerror or error}"
        raise StorageError(say, "write it somewhere else") from error


def main() -> None:
    """Entry point of the ``mocban`` command."""
    gc.set_threshold(LOADING)
    argv = sys.argv[1:]
    as_json = "--json" in argv
    try:
        code = tree(argv)(argv, prog_name="mocban", standalone_mode=False)
        sys.exit(Exit.NO if code == INTERRUPTED else int(code or Exit.DONE))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(Exit.NO)
    except typer.TyperException as error:
        _usage(error, as_json=as_json)
    except MocbanError as error:
        _say(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001  whatever it is, it has a sentence and an exit code
        if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in OURS:
            _say(_missing(error, argv), as_json=as_json)
        traceback.print_exc()
        _say(_bug(error), as_json=as_json)


def _say(error: MocbanError, *, as_json: bool) -> NoReturn:
    """One sentence that says what to do, and the exit code of its kind."""
    with suppress(OSError, StorageError):  # nobody can be told, but the exit code still says it
        if as_json:
            emit({"ok": False, "errors": [error.as_json()]})
        else:
            said = ": ".join(part.rstrip(".") for part in (error.say, error.do) if part)
            typer.echo(f"mocban: {said}.", err=True)
    sys.exit(int(error.exit))


def _usage(error: typer.TyperException, *, as_json: bool) -> NoReturn:
    """What was typed means nothing here: exit 2. A group alone shows its help."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and not as_json and context is not None:
        typer.echo(context.get_help(), err=True)
        sys.exit(Exit.USAGE)
    path = context.command_path if context is not None else "mocban"
    say = error.format_message().strip().rstrip(".").replace("\n", " ")
    _say(ConfigError(say, f"see {path} -h", code="usage"), as_json=as_json)


def _bug(error: Exception) -> MocbanError:
    return MocbanError(
        f"this is a fault of mocban ({type(error).__name__})",
        "send the lines above to those who maintain it",
        code="bug",
    )


def _missing(error: ModuleNotFoundError, argv: list[str]) -> ConfigError:
    role = argv[0] if argv and argv[0] in OURS else "demo"
    return ConfigError(
        f"the package {error.name} is missing",
        f'install this role with pip install "mocban[{role}]", or run ./up',
        code="missing-package",
    )


def tree(argv: list[str]) -> Any:
    """The command tree that answers ``argv``; of the apps only the one asked for is loaded."""
    root = new_app("Self-service and security operations for public libraries.")
    wanted = next((word for word in argv if not word.startswith("-")), None)
    apps = {entry.name: entry for entry in entry_points(group="mocban.commands")}
    chosen = [apps[wanted]] if wanted in apps else [apps[name] for name in sorted(apps)]
    if wanted in apps or wanted not in VERBS:
        for entry in chosen:
            with nullcontext() if wanted in apps else suppress(ModuleNotFoundError):
                root.add_typer(entry.load(), name=entry.name)
    if wanted not in apps:
        from mocban import verbs

        verbs.register(root)
    root.callback(epilog=EXITS)(lambda: None)  # keeps sub-commands even where there is only one
    return typer.main.get_command(root)
