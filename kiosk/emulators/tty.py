"""A pseudo-terminal that behaves like a USB-serial line: a name that comes and goes, honest speed.

The speed is checked; a pty carries no parity, so none is claimed. A computer is late by nature: how late each answer
ended, against the moment its last byte was due, stands in ``lateness``.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import termios
import tty
from collections import deque
from contextlib import suppress
from pathlib import Path

_CHUNK = 0.004  # seconds of bytes handed over at once, as USB-serial adapters do
_KEPT = 10_000  # answers
_NOBODY = 0.02  # seconds between two looks for somebody at the other end
_FINE = (
    0.002  # the last seconds before a due moment are waited exactly; a loop's timers are coarser
)
_SPEEDS = {
    9600: termios.B9600,
    19200: termios.B19200,
    38400: termios.B38400,
    57600: termios.B57600,
    115200: termios.B115200,
}


class TtyLine:
    """The device's side of a serial line; ``link`` is the name the kiosk opens.

    ``bits``: of one byte with start, parity and stop: 10 for 8N1, 11 for 8E1. ``lateness``: seconds by which answers
    ended too late, the latest last.
    """

    def __init__(self, link: Path, baud: int = 38400, bits: int = 11) -> None:
        self.link = link
        self.lateness: deque[float] = deque(maxlen=_KEPT)
        self._baud = baud
        self._bits = bits
        self._master: int | None = None
        self._target = ""
        self._plugged = asyncio.Event()
        self._readable: asyncio.Future[None] | None = None

    @property
    def plugged(self) -> bool:
        """Whether the line is there."""
        return self._master is not None

    def plug(self) -> None:
        """Make the pty, raw before anybody opens it, and its name."""
        if self._master is not None:
            return
        master, slave = os.openpty()
        tty.setraw(slave)
        self._target = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(master, False)
        self._master = master
        draft = self.link.with_name(f".{self.link.name}.new")
        draft.unlink(missing_ok=True)
        draft.symlink_to(self._target)
        draft.replace(self.link)
        self._plugged.set()

    def unplug(self) -> None:
        """Take the name away, then the pty; whoever has it open gets EIO."""
        master, self._master = self._master, None
        if master is None:
            return
        self._plugged.clear()
        with suppress(OSError):
            if self.link.readlink() == Path(self._target):
                self.link.unlink()
        if self._readable is not None:
            asyncio.get_running_loop().remove_reader(master)
            if not self._readable.done():
                self._readable.set_result(None)
        os.close(master)

    def right_speed(self) -> bool:
        """Whether the other end talks at the speed of this device."""
        if self._master is None:
            return True
        with suppress(termios.error):
            return bool(termios.tcgetattr(self._master)[5] == _SPEEDS[self._baud])
        return True

    def airtime(self, size: int) -> float:
        """Seconds that ``size`` bytes take on the line."""
        return size * self._bits / self._baud

    async def read(self) -> bytes:
        """The next bytes; waits while nobody is there or the line is unplugged."""
        while True:
            if self._master is None:
                await self._plugged.wait()
                continue
            try:
                if data := os.read(self._master, 4096):
                    return data
            except BlockingIOError:
                await self._wait(self._master)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                await asyncio.sleep(_NOBODY)

    async def send(self, data: bytes, start: float) -> None:
        """Send from loop time ``start`` on, each chunk due when its last byte would have arrived."""
        loop = asyncio.get_running_loop()
        step = max(1, round(_CHUNK / self.airtime(1)))
        for at in range(0, len(data), step):
            chunk = data[at : at + step]
            due = start + self.airtime(at + len(chunk))
            await _reach(due)
            if self._master is None:
                return
            # EIO: they left; EAGAIN: they do not read and the line has no flow control.
            with suppress(OSError):
                os.write(self._master, chunk)
        self.lateness.append(loop.time() - start - self.airtime(len(data)))

    async def _wait(self, master: int) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        self._readable = ready
        loop.add_reader(master, _settle, ready)
        try:
            await ready
        finally:
            self._readable = None
            if self._master == master:
                loop.remove_reader(master)


async def _reach(due: float) -> None:
    """Wait until loop time ``due``, to some microseconds: it holds the loop for the last moment."""
    loop = asyncio.get_running_loop()
    if (left := due - loop.time()) > _FINE:
        await asyncio.sleep(left - _FINE)
    if (left := due - loop.time()) > 0:
        select.select((), (), (), left)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
