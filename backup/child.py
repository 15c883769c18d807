"""restic as a child process: a group of its own, and an end for every wait.

It is asked to stop with SIGINT, after which it takes its lock away; it dies with us even if we are killed.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Self

from backup.faults import cancelled
from mocban.clock import Clock

STDERR_MAX = 32 * 1024
"""Of what it complains about, so much of the beginning and of the end is kept."""
GRACE = 10.0
"""Seconds between SIGINT and SIGKILL."""
LOOK = 0.2
"""Seconds between two looks at the clock."""
_libc = ctypes.CDLL(None)
_PDEATHSIG = 1


@dataclass(slots=True)
class Words:
    """The beginning and the end of a stream of complaints."""

    head: bytes = b""
    tail: bytes = b""

    def add(self, more: bytes) -> None:
        """Keep what fits."""
        room = STDERR_MAX - len(self.head)
        self.head += more[:room]
        self.tail = (self.tail + more[room:])[-STDERR_MAX:]

    def __str__(self) -> str:
        return (self.head + self.tail).decode(errors="replace")


class Child:
    """One running restic. Leave it by ``with``: however that is left, the process is gone."""

    def __init__(
        self, argv: list[str], env: dict[str, str], cwd: Path | None, clock: Clock, deadline: float,
        stall: float, stopped: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._clock, self._stopped = clock, stopped
        self._end, self._stall = clock.mono() + deadline, stall
        self._moved = clock.mono()
        self._mark: object = None
        self.words = Words()
        self.watch: Callable[[], object] | None = None
        """Something that changes as the work goes on; without it, every byte of stdout is progress."""
        self.hopeless: Callable[[str], bool] = lambda _words: False
        """Whether what it complains about so far makes waiting for more useless."""
        ours = os.getpid()

        def tie() -> None:  # in the child: SIGINT as it is by default, and one when we die
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            _libc.prctl(_PDEATHSIG, signal.SIGINT, 0, 0, 0)
            if os.getppid() != ours:
                os._exit(1)

        self._process = subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=tie,  # noqa: PLW1509  this process has no threads yet
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out, self._err = self._process.stdout, self._process.stderr
        self._pipes = selectors.DefaultSelector()
        for pipe in (self._out, self._err):
            os.set_blocking(pipe.fileno(), False)
            self._pipes.register(pipe, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._kill(signal.SIGINT)
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._kill(signal.SIGKILL)
                self._process.wait()
        self._pipes.close()
        self._out.close()
        self._err.close()

    def read(self) -> bytes:
        """The next bytes of stdout, none at its end. Busy if we are to stop, Stuck if waiting is useless."""
        while self._pipes.get_map():
            self._look()
            for key, _ in self._pipes.select(LOOK):
                more = os.read(key.fd, 1 << 16)
                if not more:
                    self._pipes.unregister(key.fileobj)
                elif key.fileobj is self._err:
                    self.words.add(more)
                    if self.hopeless(str(self.words)):
                        raise Stuck("it tries in vain what cannot succeed")
                    continue
                if key.fileobj is self._out and more:
                    if self.watch is None:
                        self._moved = self._clock.mono()
                    return more
        return b""

    def status(self) -> int:
        """Its exit status, once it has said all."""
        while True:
            try:
                return self._process.wait(LOOK)
            except subprocess.TimeoutExpired:
                self._look()

    def _look(self) -> None:
        if self._stopped():
            raise cancelled()
        now = self._clock.mono()
        mark = self.watch() if self.watch is not None else None
        if mark != self._mark:
            self._mark, self._moved = mark, now
        if now > self._end:
            raise Stuck("its time is over")
        if now > self._moved + self._stall:
            raise Stuck(f"nothing moved for {self._stall:.0f} s")

    def _kill(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass


class Stuck(Exception):
    """restic was stopped because nothing came of it any more; never leaves the engine."""


class Stream(RawIOBase):
    """What a child says on stdout, as tarfile reads it."""

    def __init__(self, child: Child) -> None:
        self._child, self._rest = child, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """What has come, up to ``size`` bytes; none at the end."""
        held = self._rest or self._child.read()
        size = len(held) if size < 0 else size
        self._rest = held[size:]
        return held[:size]
