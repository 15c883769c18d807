"""Where a database file lives: machine, filesystem, inode. A copied or restored file has another fingerprint."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_MACHINE = Path("/etc/machine-id")


def fingerprint(path: Path) -> str:
    """64 hex digits that change when the file at ``path`` is copied, restored or moved to another machine.

    Not every copy is seen (an image of a whole memory card keeps all three): the watermark's chain finds the rest.
    OSError if there is no such file.
    """
    machine = _MACHINE.read_bytes().strip() if _MACHINE.exists() else b""
    system, inode = os.statvfs(path).f_fsid, path.stat().st_ino
    return hashlib.sha256(b"%b\0%d\0%d" % (machine, system, inode)).hexdigest()
