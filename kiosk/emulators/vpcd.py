"""A real smart card service of our own with a virtual reader (pcscd, Debian's vsmartcard-vpcd), and the card in it.

The service runs in mount and network namespaces of its own: its files and ports are nobody else's, and the driver's
port, which it opens to every interface, is on none that anybody could reach. Needs root, and Linux.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from pathlib import Path

from kiosk.emulators.talk import Said
from mocban.errors import ConfigError

DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
READER = "Virtual PCD"
_PORT = 35963  # the driver takes the next one too, for a second slot
_NETWORK = 0x40000000  # CLONE_NEWNET
_STARTUP = 10.0  # seconds; it takes 0.03
_CONF = """\
FRIENDLYNAME "{reader}"
DEVICENAME /dev/null:0x{port:X}
LIBPATH {driver}
CHANNELID 0x{port:X}
"""
# The service's folder is compiled in; its neighbour dies with us, whatever ends us.
_START = (
    'mkdir -p /run/pcscd && mount --bind "$1" /run/pcscd && ip link set lo up'
    ' && exec pcscd --foreground --error --config "$2"'
)


class Control(IntEnum):
    """Messages of one byte; only ATR is answered."""

    OFF = 0
    ON = 1
    RESET = 2
    ATR = 4


class Service:
    """One pcscd. ``folder`` is made; its socket is ``folder/run/pcscd.comm``."""

    def __init__(self, folder: Path) -> None:
        for name in ("pcscd", "unshare", "setpriv", "ip"):
            if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
                raise _missing(name)
        if not DRIVER.exists():
            raise _missing("vsmartcard-vpcd")
        if os.geteuid() != 0:
            raise ConfigError(
                "only root starts a smart card service apart", "run as root", code="missing-tool"
            )
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def comm(self) -> Path:
        """Where clients find it."""
        return self._folder / "run" / "pcscd.comm"

    async def start(self, *, reader: bool = True) -> None:
        """Start it, with its reader or with none, and wait until it listens."""
        run, conf = self._folder / "run", self._folder / "reader.conf"
        run.mkdir(parents=True, exist_ok=True)
        for old in run.iterdir():
            old.unlink()
        text = _CONF.format(reader=READER, port=_PORT, driver=DRIVER) if reader else ""
        conf.write_text(text, "utf-8")
        with (self._folder / "pcscd.log").open("wb") as told:
            self._process = subprocess.Popen(  # noqa: ASYNC220  it is there at once, and waited for below
                [
                    *("setpriv", "--pdeathsig", "TERM"),
                    *("unshare", "--mount", "--net", "--propagation", "private"),
                    *("sh", "-c", _START, "sh", str(run), str(conf)),
                ],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=told,
            )
        async with asyncio.timeout(_STARTUP):
            while not _listens(self.comm):
                if self._process.poll() is not None:
                    raise ConfigError("pcscd did not start", str(self._folder / "pcscd.log"))
                await asyncio.sleep(0.005)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(how)
        await asyncio.to_thread(process.wait)
        self.comm.unlink(missing_ok=True)

    def signal(self, what: signal.Signals) -> None:
        """Stop it where it stands, or let it go on."""
        if self._process is not None:
            self._process.send_signal(what)

    async def connect(self) -> socket.socket:
        """A line to the virtual slot: to be connected is to be inserted."""
        if self._process is None:
            raise ConnectionRefusedError
        line = await asyncio.to_thread(_socket_beside, self._process.pid)
        line.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", _PORT))
        except BaseException:
            line.close()
            raise
        return line


async def converse(
    line: socket.socket,
    answer: Callable[[bytes], Said | None],
    control: Callable[[Control], bytes | None],
) -> None:
    """Be the card until the service ends the line. No answer to an APDU (None) is a card that hangs."""
    loop = asyncio.get_running_loop()
    while True:
        size = await _receive(line, 2)
        message = await _receive(line, int.from_bytes(size, "big"))
        heard_at = loop.time()
        if len(message) == 1:
            known = message[0] in list(Control)
            if known and (said := control(Control(message[0]))) is not None:
                await _send(line, said)
            continue
        spoken = answer(message)
        if spoken is None:
            continue
        await asyncio.sleep(max(0.0, heard_at + spoken.think + spoken.air - loop.time()))
        await _send(line, spoken.data)


async def _send(line: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(line, struct.pack(">H", len(data)) + data)


async def _receive(line: socket.socket, size: int) -> bytes:
    """Exactly ``size`` bytes; ConnectionError at the end of the line."""
    data = b""
    while len(data) < size:
        # The driver sends the length first and the rest after our acknowledgement, which the kernel would hold back.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = await asyncio.get_running_loop().sock_recv(line, size - len(data))
        if not part:
            raise ConnectionResetError("the service ended the line")
        data += part
    return data


def _listens(comm: Path) -> bool:
    """Whether somebody takes calls there: the file stands a moment before that."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            line.connect(str(comm))
        except OSError:
            return False
    return True


def _socket_beside(pid: int) -> socket.socket:
    """A socket in the network of that process: made by a thread that goes there and ends."""
    made: list[socket.socket | OSError] = []

    def go() -> None:
        try:
            with Path(f"/proc/{pid}/ns/net").open("rb") as network:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(network.fileno(), _NETWORK) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def _missing(name: str) -> ConfigError:
    return ConfigError(
        f"{name} is missing",
        "apt-get install pcscd vsmartcard-vpcd iproute2",
        code="missing-tool",
    )
