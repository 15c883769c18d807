"""A backup brought back into a folder of its own, and proved: the hash of every file, every page of every database.

Nothing of it stands in the folder before all of it is proved. Putting it in a service's place stays a person's act.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backup import manifest, restic, sources
from backup.engine import Engine, Entry, engine
from backup.manifest import Manifest
from backup.settings import BackupSettings
from mocban.clock import Clock
from mocban.config import Config
from mocban.errors import ConfigError, MocbanError, StorageError

WORK = ".mocban-restoring"
"""Where files lie until they are proved; a killed restore leaves it, the next one into this folder clears it."""
FILES_MAX = 64
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Restored:
    """What lies in ``folder`` now, proved."""

    snapshot: restic.Snapshot
    manifest: Manifest
    folder: Path


def restore(
    config: Config[BackupSettings], snapshot: str, folder: Path, clock: Clock, stopped: Callable[[], bool],
    show: Callable[[int, int], None],
) -> Restored:  # fmt: skip
    """Bring ``snapshot`` (an id, its beginning, or ``latest``) back into ``folder``, which is new or empty.

    ConfigError: ``not-empty``, ``no-snapshot``, ``ambiguous``; StorageError: ``folder-full``, ``not-as-taken``,
    ``bad-manifest``, ``repository-damaged``. Then the folder is as empty as before.
    """
    if snapshot != LATEST and not restic.ID.fullmatch(snapshot):
        raise _unknown(snapshot)
    restic_ = engine(config.app, clock, stopped)
    folder = folder.absolute()
    _free(folder)
    restic_.ready()
    chosen = choose(restic_.snapshots()[0], snapshot, config.app.device)
    sizes = _sizes(restic_.ls(chosen.id), chosen, restic_)
    work = folder / WORK
    made = _missing(folder)
    try:
        _make(folder, work, sum(sizes.values()))
        entries = restic_.fetch(
            chosen.id, _opener(work, sizes), lambda done: show(done, sum(sizes.values()))
        )
        held = _prove(work, entries, stopped)
        _move(work, folder, [*(part.name for part in held.parts), manifest.NAME])
    except BaseException as error:
        shutil.rmtree(work, ignore_errors=True)
        for each in made:
            with suppress(OSError):  # somebody put something there meanwhile
                each.rmdir()
        if isinstance(error, OSError):
            raise _unwritable(folder, error) from error
        raise
    return Restored(chosen, held, folder)


def choose(found: Iterable[restic.Snapshot], wanted: str, device: str) -> restic.Snapshot:
    """The one snapshot meant; ``latest`` is the last one of ``device``. ConfigError if there is none, or several."""
    if wanted == LATEST:
        own = [one for one in found if one.host == device]
        if not own:
            raise ConfigError(
                f"the repository holds no backup of {device}",
                "name a snapshot, or correct device: mocban backup status lists what there is",
                code="no-snapshot",
            )
        return own[-1]
    fits = [one for one in found if one.id.startswith(wanted)]
    if not fits:
        raise _unknown(wanted)
    if len(fits) > 1:
        raise ConfigError(
            f"{wanted} is the beginning of {len(fits)} snapshots",
            "write more of it",
            code="ambiguous",
        )
    return fits[0]


def _unknown(wanted: str) -> ConfigError:
    return ConfigError(
        f"there is no backup {wanted[:64]!r} in the repository",
        "mocban backup status lists what there is",
        code="no-snapshot",
    )


def _free(folder: Path) -> None:
    """ConfigError (code ``not-empty``) unless ``folder`` is new, or empty but for what a killed restore left."""
    try:
        held = sorted(each.name for each in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(folder, error) from error
    if [name for name in held if name != WORK]:
        raise ConfigError(
            f"{folder} is not empty", "name an empty or a new folder with --to", code="not-empty"
        )


def _sizes(nodes: list[restic.Node], snapshot: restic.Snapshot, restic_: Engine) -> dict[str, int]:
    """Name to size of what the snapshot holds. StorageError unless it looks like one of ours."""
    sizes = {node.path.removeprefix("/"): node.size for node in nodes}
    strange = [node.path for node in nodes if node.kind != "file" or node.path.count("/") != 1]
    if strange or manifest.NAME not in sizes or len(nodes) > FILES_MAX:
        raise StorageError(
            f"the snapshot {snapshot.short} is no backup of mocban",
            f"name another one, or bring it back with restic -r {restic_.repository} restore",
            code="bad-manifest",
        )
    return sizes


def _missing(folder: Path) -> list[Path]:
    """The folders that have to be made, the innermost first."""
    return [each for each in (folder, *folder.parents) if not each.exists()]


def _make(folder: Path, work: Path, size: int) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if work.is_symlink():
        work.unlink()
    elif work.exists():
        shutil.rmtree(work)
    work.mkdir(mode=0o700)
    free = shutil.disk_usage(folder).free
    if free < size + sources.SPARE:
        raise _full(
            folder,
            f"{(size + sources.SPARE) // 1_000_000 + 1} MB are needed, {free // 1_000_000} are free",
        )


def _opener(work: Path, sizes: dict[str, int]) -> Callable[[str, int], BinaryIO | None]:
    def opened(name: str, size: int) -> BinaryIO:
        if sizes.get(name) != size:
            raise _otherwise(name)
        target = os.open(work / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        return os.fdopen(target, "wb")

    return opened


def _prove(work: Path, entries: list[Entry], stopped: Callable[[], bool]) -> Manifest:
    """The manifest, if all files are what it says. StorageError (``not-as-taken``, ``bad-manifest``) if not."""
    back = {entry.name: (entry.size, entry.sha256) for entry in entries}
    size, _ = back.pop(manifest.NAME, (manifest.MAX + 1, ""))
    held = manifest.parse((work / manifest.NAME).read_bytes() if size <= manifest.MAX else b"")
    want = {part.name: (part.bytes, part.sha256) for part in held.parts}
    for name in sorted(want.keys() | back.keys()):
        if want.get(name) != back.get(name):
            raise _otherwise(name)
    for part in held.parts:
        # What the disk took is read again: what was hashed above is what the repository gave.
        if sources.hashed(work / part.name, stopped) != (part.bytes, part.sha256):
            raise _otherwise(part.name)
        sources.examine(work / part.name, stopped)
    return held


def _move(work: Path, folder: Path, names: list[str]) -> None:
    """All or none, as far as a disk can: the manifest last, so that a folder with one is whole."""
    moved: list[str] = []
    try:
        for name in names:
            (work / name).rename(folder / name)
            moved.append(name)
    except OSError:
        for name in moved:
            (folder / name).rename(work / name)
        raise
    work.rmdir()
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _otherwise(name: str) -> StorageError:
    return StorageError(
        f"{name} is not what it was when the backup was taken",
        "bring back an earlier one: mocban backup status lists them; and look at the repository's disk",
        code="not-as-taken",
    )


def _full(folder: Path, why: str) -> StorageError:
    return StorageError(
        f"the disk of {folder} is full ({why})", "name a folder on another disk with --to", code="folder-full",
    )  # fmt: skip


def _unwritable(folder: Path, error: OSError) -> MocbanError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _full(folder, "the backup does not fit")
    return ConfigError(
        f"{folder} cannot be used: {error.strerror}",
        "name a folder this user may write with --to",
        code="refused",
    )
