"""Serial lines by pyserial; one thread owns each port's reading.

``serial:///dev/x?baud=38400&parity=E``: options baud, parity (N, E, O), bytesize, stopbits.
"""

from __future__ import annotations

import asyncio
import errno
import os
import termios
import threading
from functools import cache
from urllib.parse import SplitResult, parse_qsl

import serial

from kiosk.transports.base import Inbox, bad_url
from mocban import log
from mocban.errors import DeviceLost

_log = log.get("kiosk.serial")
_PTYS = range(136, 144)
"""Device numbers of pseudo-terminals on Linux; one that is bound into a container has another name there."""
_OPTIONS = {"baud": "19200", "parity": "N", "bytesize": "8", "stopbits": "1"}
_LOST = (OSError, termios.error)  # SerialException is an OSError, termios.error is not
_WRITE_PATIENCE = 2.0  # seconds


class SerialStream:
    """An open port. ``read`` is fed by the thread, ``write`` runs in a worker: neither blocks the loop."""

    def __init__(self, port: serial.Serial, name: str) -> None:
        self._port = port
        self._name = name
        self._inbox = Inbox()
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._listen, name=f"serial {name}", daemon=True)
        self._thread.start()

    async def read(self) -> bytes:
        return await self._inbox.read()

    def take(self) -> bytes:
        return self._inbox.take()

    async def write(self, data: bytes) -> None:
        self._inbox.check()
        try:
            await asyncio.to_thread(self._port.write, data)
        except _LOST as error:
            self._inbox.end(f"The device at {self._name} is gone: {error}.")
            self._inbox.check()

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._inbox.end(f"The line {self._name} was closed.")
        await asyncio.to_thread(self._shut)

    def _listen(self) -> None:
        """Runs in the thread until the port is closed or gone."""
        say = f"The line {self._name} was closed."
        try:
            while not self._closing:
                if data := self._port.read(1):
                    self._tell(data + self._port.read(self._port.in_waiting))
        except _LOST as error:
            say = f"The device at {self._name} is gone: {error}."
        self._finish(say)

    def _shut(self) -> None:
        self._port.cancel_read()
        self._thread.join()
        self._port.close()

    def _tell(self, data: bytes) -> None:
        try:
            self._loop.call_soon_threadsafe(self._inbox.put, data)
        except RuntimeError:  # the loop ended before the line: nobody listens any more
            self._closing = True

    def _finish(self, say: str) -> None:
        try:
            self._loop.call_soon_threadsafe(self._inbox.end, say)
        except RuntimeError:
            self._port.close()


async def open_serial(parts: SplitResult) -> SerialStream:
    """Open exclusively; DeviceLost if the port is missing, taken or refuses the settings."""
    options = _options(parts)
    name = parts.path
    port = _Port(timeout=None, write_timeout=_WRITE_PATIENCE, exclusive=True)
    try:
        port.port = name
        port.baudrate = int(options["baud"])
        port.parity = options["parity"]
        port.bytesize = int(options["bytesize"])
        port.stopbits = float(options["stopbits"])
    except ValueError as error:
        raise bad_url(parts, str(error)) from None
    try:
        await asyncio.to_thread(port.open)
    except _LOST as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        say = f"The device at {name} cannot be opened: {reason}."
        raise DeviceLost(
            say, "Check the cable, and that no other program uses the device."
        ) from error
    return SerialStream(port, name)


class _Port(serial.Serial):
    """pyserial 3.5 (pinned) with one property of pseudo-terminals taken into account.

    The kernel strips PARENB on a pty, so asking for parity there ends with EINVAL when nothing else changed. The
    other settings were applied, a pty has no parity to lose; on a real line EINVAL stays an error.
    """

    def _reconfigure_port(self, force_update: bool = False) -> None:
        try:
            super()._reconfigure_port(force_update)  # type: ignore[misc]  # private, hence the pin
        except termios.error as error:
            if error.args[0] != errno.EINVAL or self.parity == serial.PARITY_NONE:
                raise
            if self.fd is None or os.major(os.fstat(self.fd).st_rdev) not in _PTYS:
                raise
            _tell_no_parity(str(self.port))


@cache
def _tell_no_parity(name: str) -> None:
    """Once per line and process."""
    _log.info("serial.no-parity", line=name, say="this line has no parity")


def _options(parts: SplitResult) -> dict[str, str]:
    if parts.netloc or not parts.path.startswith("/"):
        raise bad_url(parts, "serial needs an absolute path, as in serial:///dev/ttyUSB0")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(given.keys() - _OPTIONS.keys()):
        raise bad_url(parts, f"unknown option {unknown[0]}")
    return _OPTIONS | given
