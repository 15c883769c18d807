"""Disks that are full or fail: a small tmpfs, and ``failing_disk.c`` built, preloaded and told which write fails."""

from __future__ import annotations

import errno
import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from mocban.errors import ConfigError
from tests.fault.harness import Process, tool

WORDS = 5
FULL, BROKEN = errno.ENOSPC, errno.EIO


class FailingDisk:
    """The disk below ``under`` of every process started with ``env``."""

    def __init__(self, library: Path, control: Path, under: Path) -> None:
        control.write_bytes(bytes(8 * WORDS))
        self._file = control.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), 8 * WORDS)
        self.env = {
            "LD_PRELOAD": str(library), "FAIL_CONTROL": str(control), "FAIL_UNDER": f"{under}/",
        }  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()
        self._file.close()

    @property
    def writes(self) -> int:
        """Writes since the count began."""
        return self._word(0)

    @property
    def failed(self) -> int:
        """Writes refused since the count began."""
        return self._word(4)

    def arm(self, at: int, row: int = 1, number: int = FULL) -> None:
        """Count from the beginning; write ``at`` fails with errno ``number``, and so many in a row; 0: none does."""
        for word, value in ((1, 0), (0, 0), (4, 0), (2, row), (3, number), (1, at)):
            self._map[8 * word : 8 * word + 8] = struct.pack("=q", value)

    def heal(self) -> None:
        """Nothing fails any more; the counts stand."""
        self._map[8:16] = bytes(8)

    def _word(self, number: int) -> int:
        return int(struct.unpack("=q", self._map[8 * number : 8 * number + 8])[0])


@dataclass
class Report:
    """What the rounds on a failing disk ended with."""

    writes: int = 0  # of one round
    rounds: int = 0
    failed: int = 0
    codes: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def line(self, what: str) -> str:
        """The numbers, to be quoted."""
        ended = {code: self.codes.count(code) for code in sorted(set(self.codes))}
        return (
            f"\n{what}: {self.writes} writes, {self.rounds} rounds, {self.failed} with a fault,"
            f" ended with {ended}"
        )

    def ended(self, process: Process) -> None:
        """If ``process`` ended by itself: with one sentence of ours. A disk that fails is no bug."""
        log = process.log.read_text(encoding="utf-8")
        assert "Traceback" not in log, log[-1500:]
        if process.code is not None:
            last = log.rstrip().rpartition("\n")[2]
            assert process.code > 0, f"{process.code}: {log[-1500:]}"
            assert last.startswith("mocban: "), log[-1500:]
            assert "fault of mocban" not in last, last
            self.codes.append(process.code)


def each_write(writes: int) -> Iterator[tuple[int, int, int]]:
    """What to arm so that each of so many writes fails: by turns alone, for want of room, or with the next, broken.

    With MOCBAN_ALL each of them fails both ways.
    """
    for at in range(1, writes + 1):
        both = bool(os.environ.get("MOCBAN_ALL"))
        if both or at % 2:
            yield at, 1, FULL
        if both or not at % 2:
            yield at, 2, BROKEN


def build(folder: Path) -> Path:
    """Compile the shim into ``folder``."""
    library = folder / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    argv = [
        tool("gcc"),
        "-shared",
        "-fPIC",
        "-O1",
        "-Wall",
        "-Werror",
        "-o",
        str(library),
        str(source),
        "-ldl",
    ]
    subprocess.run(argv, check=True)
    return library


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A tmpfs of ``size`` at ``folder``; ConfigError (code ``missing-tool``) if we are not root."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        raise ConfigError("only root mounts a small disk", "run as root", code="missing-tool")
    subprocess.run(
        [tool("mount"), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run([tool("umount"), str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk of ``folder`` to the last byte; unlink what is returned to free it."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass
    return ballast
