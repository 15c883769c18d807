"""A pseudo-terminal that behaves like a USB-serial line: a name that comes and goes, honest speed.

Timing is that of 8E1 (11 bits a byte) and the speed is checked; a pty carries no parity, so none is claimed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import termios
import tty
from contextlib import suppress
from pathlib import Path

_BITS = 11  # start, 8 data, parity, stop
_CHUNK = 0.004  # seconds of bytes handed over at once, as USB-serial adapters do
_NOBODY = 0.02  # seconds between two looks for somebody at the other end
_SPEEDS = {38400: termios.B38400}


class TtyLine:
    """The device's side of a serial line; ``link`` is the name the kiosk opens."""

    def __init__(self, link: Path, baud: int = 38400) -> None:
        self.link = link
        self._baud = baud
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
        return size * _BITS / self._baud

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
            await asyncio.sleep(max(0.0, due - loop.time()))
            if self._master is None:
                return
            # EIO: they left; EAGAIN: they do not read and the line has no flow control.
            with suppress(OSError):
                os.write(self._master, chunk)

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


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
