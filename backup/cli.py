"""``mocban backup``: take one, bring one back, look how old the last one is."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backup.settings import BackupSettings
from mocban import config, log
from mocban.cli import ConfigOption, JsonOption, emit, new_app
from mocban.clock import SystemClock, rfc3339
from mocban.errors import Exit

if TYPE_CHECKING:
    from backup.restore import Restored
    from backup.standing import Standing

app = new_app(
    "Backups of this machine's databases in a restic repository. Keys are never in them: keep copies of the keys"
    " folders in data_dir somewhere else."
)
SHOWN = 20
"""Snapshots that status lists."""
Say = Callable[[str], str]


@app.command()
def run(
    path: ConfigOption = None,
    init: Annotated[
        bool, typer.Option("--init", help="Make the repository if there is none.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a backup now, read it back and compare. Keys are not taken."""
    from backup import job

    read = config.load("backup", BackupSettings, path)
    say = _begin()
    with _stoppable() as stopped, _progress(say, as_json=as_json) as show:
        done = job.run(read, SystemClock(), stopped, show, init=init)
    if as_json:
        emit(
            {
                "ok": True, "run": done.run, "snapshot": done.snapshot, "bytes": done.bytes, "added": done.added,
                "files": [part.model_dump() for part in done.manifest.parts],
                "taken": rfc3339(done.manifest.taken), "told": done.waiting == 0, "errors": [],
            }
        )  # fmt: skip
        return
    told = say(
        "backup {snapshot} is good: {size} taken, read back and compared; {added} are new in the repository"
    )
    typer.echo(told.format(snapshot=done.snapshot, size=_size(done.bytes), added=_size(done.added)))
    if done.waiting:
        typer.echo(say("the gateway has not heard of it yet: the next run tells it"))


@app.command()
def restore(
    to: Annotated[Path, typer.Option("--to", file_okay=False, help="A new or an empty folder.")],
    snapshot: Annotated[
        str, typer.Argument(help="Its id or the beginning of it; latest is the last one.")
    ] = "latest",
    path: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a backup back into a folder, and prove that it is what was taken."""
    from backup import restore as room

    read = config.load("backup", BackupSettings, path)
    say = _begin()
    with _stoppable() as stopped, _progress(say, as_json=as_json) as show:
        back = room.restore(
            read,
            snapshot,
            to,
            SystemClock(),
            stopped,
            lambda done, whole: show("fetch", done, whole),
        )
    steps = _steps(say, read.data_dir, back)
    if as_json:
        emit(
            {
                "ok": True, "snapshot": back.snapshot.id, "taken": rfc3339(back.manifest.taken),
                "folder": str(back.folder), "files": [part.model_dump() for part in back.manifest.parts],
                "steps": steps, "errors": [],
            }
        )  # fmt: skip
        return
    told = say("backup {snapshot} of {when} lies in {folder}, and is what was taken:")
    when = _when(back.manifest.taken)
    typer.echo(told.format(snapshot=back.snapshot.short, when=when, folder=back.folder))
    for part in back.manifest.parts:
        rows = say("{n} rows").format(n=sum(part.rows.values()))
        typer.echo(f"  {part.name:16} {_size(part.bytes):>10}  {rows}  sha256 {part.sha256[:16]}…")
    typer.echo(say("To put it in place:"))
    for n, step in enumerate(steps, 1):
        typer.echo(f"  {n}. {step}")


@app.command()
def status(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say how old the last good backup is; exit 1 if there is none or it is too old, 3 if some cannot be read."""
    from backup import standing

    read = config.load("backup", BackupSettings, path)
    say = _begin()
    with _stoppable() as stopped:
        found = standing.look(read, SystemClock(), stopped)
    errors = _wrong(found, read.app.max_age_hours)
    if as_json:
        emit(_status(found, errors))
    else:
        _print(say, found, read.app)
    if not found.fresh:
        raise typer.Exit(Exit.NO)
    raise typer.Exit(Exit.PARTLY if errors else Exit.DONE)


def _begin() -> Say:
    """The words of the shell's language; of the log only what is an error."""
    from mocban.i18n import catalog, language

    log.setup("error")
    return catalog("backup", language()).gettext


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Whether a signal asked us to stop. A second one changes nothing: the end has begun."""
    asked: list[int] = []
    kept = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:  # nohup
            kept[number] = signal.signal(number, lambda which, _frame: asked.append(which))
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def _progress(say: Say, *, as_json: bool) -> Iterator[Callable[[str, int, int], None]]:
    """One line on a terminal that is written over, nothing elsewhere."""
    words = {
        "open": say("opening the repository"), "copy": say("copying the databases"),
        "store": say("storing"), "verify": say("reading back"), "fetch": say("bringing back"),
        "tell": say("telling the gateway"),
    }  # fmt: skip
    if as_json or not sys.stderr.isatty():
        yield lambda _stage, _done, _whole: None
        return
    last = [""]

    def show(stage: str, done: int, whole: int) -> None:
        line = (
            f"{words[stage]} … {min(100, 100 * done // whole)} %" if whole else f"{words[stage]} …"
        )
        if line != last[0]:
            last[0] = line
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _steps(say: Say, data_dir: Path, back: Restored) -> list[str]:
    """What a person does to put it in place."""
    apps = [part.app for part in back.manifest.parts]
    names = ", ".join(apps)
    files = ", ".join(
        f"{data_dir / app / app}.db{end}" for app in apps for end in ("", "-wal", "-shm")
    )
    copies = ", ".join(
        f"{back.folder / f'{app}.db'} → {data_dir / app / f'{app}.db'}" for app in apps
    )
    return [
        say("stop these services: {names}").format(names=names),
        say("move these files away, the logs (-wal, -shm) too, for they would be played into it: {files}").format(
            files=files
        ),
        say("copy, with the owner and the mode the old file had: {copies}").format(copies=copies),
        say("start the services, and look with mocban doctor; keys are in no backup, those that are there stay"),
    ]  # fmt: skip


def _wrong(found: Standing, hours: int) -> list[dict[str, str]]:
    errors = []
    do = "run mocban backup run, and see that its timer is on"
    if found.age is None:
        say = "there is no good backup of this machine"
        errors.append({"code": "no-good-backup", "say": say, "do": do})
    elif not found.fresh:
        say = f"the last good backup is not of the last {hours} h"
        errors.append({"code": "too-old", "say": say, "do": do})
    if found.damaged:
        say = f"{found.damaged} backups in the repository cannot be read"
        errors.append(
            {"code": "damaged-snapshots", "say": say, "do": "run restic check --read-data"}
        )
    return errors


def _status(found: Standing, errors: list[dict[str, str]]) -> dict[str, Any]:
    good = found.good
    return {
        "ok": not errors,
        "last": None if good is None or found.taken is None or found.age is None else {
            "run": good.id, "snapshot": good.snapshot, "taken": rfc3339(found.taken),
            "age_seconds": int(found.age.total_seconds()), "bytes": good.bytes,
        },
        "try": None if found.latest is None else {
            "run": found.latest.id, "began": rfc3339(found.latest.began), "outcome": found.latest.outcome,
            "reason": found.latest.reason,
        },
        "snapshots": [{**asdict(one), "taken": rfc3339(one.taken)} for one in found.snapshots],
        "damaged": found.damaged,
        "bytes": found.size,
        "errors": errors,
    }  # fmt: skip


def _print(say: Say, found: Standing, settings: BackupSettings) -> None:
    if found.good is None or found.taken is None or found.age is None:
        typer.echo(say("there is no good backup of this machine"))
    else:
        told = say("last good backup: {when}, {age} ago ({snapshot}, {size})")
        typer.echo(
            told.format(
                when=_when(found.taken), age=_age(say, found.age), snapshot=found.good.snapshot,
                size=_size(found.good.bytes),
            )
        )  # fmt: skip
        if not found.fresh:
            typer.echo(
                say("that is not of the last {hours} h").format(hours=settings.max_age_hours)
            )
    if found.latest is not None and found.latest.outcome != "done":
        reason = found.latest.reason or say("it runs still, or was cut off")
        told = say("last try: {when}, without success ({reason})")
        typer.echo(told.format(when=_when(found.latest.began), reason=reason))
    told = say("{n} backups, {size} in {folder}")
    typer.echo(
        told.format(n=len(found.snapshots), size=_size(found.size), folder=settings.repository)
    )
    if found.damaged:
        typer.echo(
            say("{n} backups cannot be read: run restic check --read-data").format(n=found.damaged)
        )
    for one in reversed(found.snapshots[-SHOWN:]):
        typer.echo(f"  {one.short}  {_when(one.taken)}  {one.host}")


def _when(at: datetime) -> str:
    return at.astimezone().strftime("%d/%m/%Y %H:%M")


def _age(say: Say, age: timedelta) -> str:
    hours, minutes = divmod(max(0, int(age.total_seconds()) // 60), 60)
    return say("{hours} h {minutes} min").format(hours=hours, minutes=minutes)


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
