"""The console as a command of the shell, and on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from struct import pack

from mocban import access
from tests.support.console_stand import (
    Recorded,
)
from tests.support.gateway_stand import CLOCK


def config(folder: Path, stand: Recorded) -> Path:
    access.token(folder, "ops")
    file = folder / "mocban.toml"
    file.write_text(
        f'data_dir = "{folder}"\n[ops]\nport = {stand.port}\ngateway_url = "{stand.url}"\n', encoding="utf-8"
    )  # fmt: skip
    return file


def command(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mocban", "ops", "console", *words], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, check=False, env={**os.environ, "MOCBAN_LANG": "vi", **env},
    )  # fmt: skip


class Terminal:
    """A console in a process of its own on a pseudo-terminal. ``writes``: how often it drew."""

    def __init__(self, argv: list[str], **env: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            surround = {"TERM": "xterm", "MOCBAN_LANG": "vi", "LANG": "C.UTF-8", **env}
            os.execve(sys.executable, [sys.executable, *argv], {**os.environ, **surround})
        ioctl(self.fd, termios.TIOCSWINSZ, pack("HHHH", 24, 80, 0, 0))
        self.said = b""
        self.writes = 0

    def read(self, seconds: float) -> None:
        """What it draws meanwhile."""
        read([self], seconds)

    def until(self, text: str, deadline: float = 30.0) -> None:
        end = CLOCK.mono() + deadline
        while text.encode() not in self.said:
            assert CLOCK.mono() < end, (
                f"{text} was never drawn:\n{self.said.decode(errors='replace')[-3000:]}"
            )
            self.read(0.05)

    def press(self, keys: bytes) -> None:
        self.said = b""
        os.write(self.fd, keys)

    def end(self) -> int:
        end = CLOCK.mono() + 15
        while CLOCK.mono() < end:
            self.read(0.05)
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("it does not end")


def read(lines: Iterable[Terminal], seconds: float) -> None:
    """What each draws meanwhile."""
    end = CLOCK.mono() + seconds
    known = {line.fd: line for line in lines}
    while known and (left := end - CLOCK.mono()) > 0:
        for fd in select.select(list(known), [], [], min(left, 0.05))[0]:
            try:
                known[fd].said += os.read(fd, 65_536)
            except OSError:  # it has ended
                del known[fd]
            else:
                known[fd].writes += 1


@contextmanager
def terminal(*words: str, **env: str) -> Iterator[Terminal]:
    started = Terminal(["-m", "mocban", "ops", "console", *words], **env)
    try:
        yield started
    finally:
        os.close(started.fd)
