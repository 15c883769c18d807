"""What ends a backup early, said the same way wherever it is met."""

from __future__ import annotations

from pathlib import Path

from mocban.errors import Exit, LocalFault, StorageError, Transient


class Busy(LocalFault, Transient):
    """Not now: somebody else is at work, or a person stopped it. Nothing was harmed; try again later."""

    code = "busy"
    exit = Exit.NO


def cancelled() -> Busy:
    """Somebody stopped it: a signal, Ctrl-C."""
    return Busy("stopped before it was done", "begin again when it suits", code="cancelled")


def staging_full(folder: Path, why: str) -> StorageError:
    """No room for the copies."""
    return StorageError(
        f"the staging folder {folder} is full ({why})",
        "free space on its disk, or set staging to a folder on another one",
        code="staging-full",
    )
