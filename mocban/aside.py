"""Room on the disk set aside: on a full disk the gateway's word must still go in, or nothing is ever forgotten."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

BYTES = 2 * 2**20
"""What is set aside at most; on a small disk an eighth of what is free."""


class Aside:
    """A file beside ``path`` that only takes room."""

    def __init__(self, path: Path) -> None:
        self._file = path.with_name(f"{path.name}.reserve")

    def take(self) -> None:
        """Set the room aside, if it is not and there is plenty; a disk without room has none to set aside."""
        if self._file.exists():
            return
        with suppress(OSError):
            place = os.statvfs(self._file.parent)
            size = min(BYTES, place.f_bavail * place.f_frsize // 8)
            new = self._file.with_suffix(".new")
            with new.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, size))
            new.rename(self._file)

    def give(self) -> bool:
        """Give the room back to the disk; False if there was none."""
        with suppress(OSError):
            self._file.unlink()
            return True
        return False
