"""One backup from begin to end: copy, look through, store, read back, compare.

A run is good only if what was read back from the repository is, byte for byte, what was copied: a repository that lost
something takes a new snapshot without a word. One run at a time; what a killed run left behind the next one clears.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from backup import manifest, report, restic, sources
from backup.engine import Engine, Entry, engine
from backup.faults import Busy, cancelled
from backup.manifest import Manifest
from backup.settings import BackupSettings
from mocban.clock import Clock
from mocban.config import Config
from mocban.errors import ConfigError, MocbanError, StorageError
from mocban.ids import new_id

STAGED = "mocban-staged"
"""Our folder in the staging folder: nothing else there is touched."""

Show = Callable[[str, int, int], None]
"""Gets the stage (``open``, ``copy``, ``store``, ``verify``, ``tell``), and how much of how much is done."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A good backup. ``added``: bytes new in the repository; ``waiting``: facts the gateway has not taken yet."""

    run: str
    snapshot: str
    manifest: Manifest
    bytes: int
    added: int
    waiting: int


def run(
    config: Config[BackupSettings], clock: Clock, stopped: Callable[[], bool], show: Show, *, init: bool = False,
) -> Backup:  # fmt: skip
    """Take a backup. ``init``: make the repository if there is none.

    Whatever ends it early is raised, after it was put on record and told. Busy (code ``backup-running``) while
    another one runs.
    """
    restic_ = engine(config.app, clock, stopped)
    folder = config.database.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder) from error
    with _alone(folder), report.Record(config.database, clock) as record:
        ident = new_id()
        record.begin(ident)
        try:
            repository, summary, held = _take(config, restic_, clock, stopped, show, ident, init)
            size = sum(part.bytes for part in held.parts)
            record.end(ident, repository=repository, snapshot=summary.snapshot, size=size)
        except MocbanError as error:
            _note(record, ident, error)
            report.tell(config, record, clock, stopped)
            raise
        show("tell", 0, 0)
        waiting = report.tell(config, record, clock, stopped)
    return Backup(ident, summary.snapshot, held, size, summary.added, waiting)


def _note(record: report.Record, ident: str, error: MocbanError) -> None:
    # What went wrong first is what counts; if this fails, too, the next run finds this one unfinished.
    with suppress(StorageError):
        record.end(ident, error.code)


def _take(
    config: Config[BackupSettings], restic_: Engine, clock: Clock, stopped: Callable[[], bool], show: Show,
    ident: str, init: bool,
) -> tuple[str, restic.Summary, Manifest]:  # fmt: skip
    show("open", 0, 0)
    with _staged(config.app.staging or config.database.parent / "staging") as folder:
        restic_.scratch = folder / "restic"
        repository = _opened(restic_, init=init)
        found = sources.locate(config.data_dir, config.app.sources)
        sources.room(found, folder)
        taken, parts = clock.now(), []
        for n, source in enumerate(found):
            show("copy", n, len(found))
            if stopped():
                raise cancelled()
            parts.append(sources.stage(source, folder, clock, stopped))
        held = Manifest(
            run=ident, tenant=config.tenant, device=config.app.device, host=socket.gethostname(),
            release=version("mocban"), taken=taken, parts=tuple(parts),
        )  # fmt: skip
        text = held.encode()
        try:
            (folder / manifest.NAME).write_bytes(text)
        except OSError as error:
            raise sources.written(folder, error) from error
        names = [*(part.name for part in parts), manifest.NAME]
        summary = restic_.store(
            folder, names, config.app.device, ident,
            lambda progress: show("store", progress.bytes, progress.bytes_total),
        )  # fmt: skip
        _verify(restic_, summary.snapshot, held, text, show)
    return repository, summary, held


def _opened(restic_: Engine, *, init: bool) -> str:
    try:
        return restic_.ready()
    except ConfigError as error:
        if error.code != "no-repository" or not init:
            raise
    restic_.make()
    return restic_.ready()


def _verify(restic_: Engine, snapshot: str, held: Manifest, text: bytes, show: Show) -> None:
    """StorageError (code ``repository-damaged``) unless the repository gives back what it was given."""
    total = sum(part.bytes for part in held.parts) + len(text)
    want = {part.name: (part.bytes, part.sha256) for part in held.parts}
    want[manifest.NAME] = (len(text), sha256(text).hexdigest())
    back: list[Entry] = restic_.fetch(
        snapshot, lambda _name, _size: None, lambda done: show("verify", done, total)
    )
    if {entry.name: (entry.size, entry.sha256) for entry in back} != want:
        raise restic.damaged(restic_.repository, "it gives back something else than it was given")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of this machine's one run; it goes with the process."""
    try:
        held = os.open(folder / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(folder) from error
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy(
                "another backup is running here", "wait until it has ended", code="backup-running"
            ) from error
        yield
    finally:
        os.close(held)


def _unwritable(folder: Path) -> ConfigError:
    return ConfigError(
        f"{folder} cannot be written", "run the backup as a user who may write data_dir, or as root"
    )


@contextmanager
def _staged(above: Path) -> Iterator[Path]:
    """A new folder only we may enter, gone afterwards. It holds databases in the clear."""
    folder = above / STAGED
    try:
        above.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        folder.mkdir(mode=0o700)
        (folder / "restic").mkdir(mode=0o700)
    except OSError as error:
        raise sources.written(above, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clear(folder: Path) -> None:
    """What a killed run left. A link in its place is not followed."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
