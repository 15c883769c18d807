"""Card readers of the computer's smart card service (PC/SC, pcscd): ``pcsc://PART-OF-A-READER'S-NAME``.

``pcsc://`` is the first reader with an ISO 15693 tag, or else with any card; ``?socket=/path`` is a pcscd elsewhere.
pyscard blocks, and for ever if a reader hangs: one thread owns each reader, and a call that is not done in time is
given up together with its thread. Nothing else imports ``smartcard``.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from kiosk.transports.base import bad_url
from kiosk.transports.pcsc_desk import SOCKET, Desk
from mocban.errors import ConfigError, DeviceLost

PATIENCE = 3.0
"""Seconds for one call; an APDU with a tag takes 5 to 50 ms."""
_SLICES = 12
_LIBRARY = "libpcsclite.so.1"
_APT = "Install it: apt-get install pcscd libpcsclite1, and the Python package pyscard."

T = TypeVar("T")
_stuck: dict[str, threading.Thread] = {}
"""Threads that were given up, by address: while one lives, its reader is not asked again."""
_service: list[str] = []
"""The socket of the service that this process talks to, once it does."""


class Slot:
    """One reader, and the card in it. One caller at a time."""

    def __init__(self, desk: Desk, key: str) -> None:
        self._desk = desk
        self._key = key
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._over = False
        self._thread = threading.Thread(target=self._work, name=f"pcsc {key}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """The reader's name; of several that are meant, the first until a tag has lain on one."""
        return self._desk.name

    @property
    def inserted(self) -> bool:
        """Whether a card is connected."""
        return self._desk.card is not None

    async def open(self) -> None:
        """Find the service and the reader."""
        await self._ask(self._desk.open)

    async def insert(self, wait: float) -> bytes | None:
        """Connect the card that lies there, or comes within ``wait`` seconds: its ATR. None: there is none."""
        return await self._ask(lambda: self._desk.insert(wait), 2 * wait)

    async def transmit(self, apdu: bytes) -> bytes:
        """The answer with its status word; b"" if the card is gone or was reset: ``insert`` it anew."""
        return await self._ask(lambda: self._desk.transmit(apdu))

    async def repower(self) -> None:
        """Take the card's power away and give it back: its field off and on."""
        await self._ask(self._desk.repower)

    async def close(self) -> None:
        """Let the reader go; safe to call twice."""
        if not self._over:
            with suppress(DeviceLost):
                await self._ask(self._desk.close)
        self._over = True
        self._jobs.put(None)

    async def _ask(self, job: Callable[[], T], longer: float = 0.0) -> T:
        """``job`` done by the thread, in time."""
        if self._over:
            raise DeviceLost(f"The reader {self.name} is closed.", "Open it again.")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put(lambda: _settle(loop, done, job))
        try:
            # In slices, not by the clock: a computer that stood still loses no reader by it.
            for _ in range(_SLICES):
                await asyncio.wait((done,), timeout=(PATIENCE + longer) / _SLICES)
                if done.done():
                    return done.result()
        finally:
            done.cancel()
        self._over = True
        self._jobs.put(None)
        _stuck[self._key] = self._thread
        raise DeviceLost(
            f"The reader {self.name or 'of the smart card service'} does not answer.",
            "Unplug the reader and plug it in again.",
        )

    def _work(self) -> None:
        """Runs in the thread until the slot is closed, or given up and back from its call."""
        while (job := self._jobs.get()) is not None:
            job()
        self._desk.close()


async def open_slot(url: str) -> Slot:
    """The reader that ``url`` means, its card not connected yet.

    ConfigError: the address is wrong, or pyscard or its library is missing. DeviceLost: no service, no such reader, in
    use, or still stuck in an earlier call.
    """
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme != "pcsc" or given.keys() - {"socket"}:
        raise bad_url(parts, "it is pcsc:// and a part of the reader's name")
    part = unquote(parts.netloc + parts.path).strip("/ ")
    key = f"{given.get('socket', '')} {part.lower()}"
    if (thread := _stuck.get(key)) is not None:
        if thread.is_alive():
            raise DeviceLost(
                "The reader still hangs in an earlier request.",
                "Unplug the reader and plug it in again, or restart pcscd.",
            )
        del _stuck[key]
    slot = Slot(Desk(_library(given.get("socket", "")), part, key), key)
    try:
        await slot.open()
    except BaseException:
        await slot.close()
        raise
    return slot


def _library(socket_path: str) -> Any:
    """pyscard's lowest module, with the service's socket set before its library looks for it."""
    wanted = socket_path or os.environ.get(SOCKET, "")
    if _service and wanted != _service[0]:
        raise ConfigError(
            "This process already talks to another smart card service.", "Set one socket only."
        )
    if wanted:
        os.environ[SOCKET] = wanted
    try:
        ctypes.CDLL(_LIBRARY)  # pyscard itself would end the process later
        from smartcard import scard
    except (ImportError, OSError):
        raise ConfigError(
            "PC/SC readers need a package that is not installed.", _APT, code="missing-package"
        ) from None
    _service[:] = [wanted]
    return scard


def _settle(loop: asyncio.AbstractEventLoop, done: asyncio.Future[T], job: Callable[[], T]) -> None:
    """Do ``job`` here, tell its outcome there."""
    outcome: T | BaseException
    try:
        outcome = job()
    except Exception as error:  # noqa: BLE001  whatever it is belongs to who asked
        outcome = error

    def tell() -> None:
        if done.done():
            return
        if isinstance(outcome, BaseException):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)

    with suppress(RuntimeError):  # the loop ended before the reader answered
        loop.call_soon_threadsafe(tell)


def given_up() -> list[str]:
    """Names of the threads that were given up and still hang in their call."""
    return [thread.name for thread in _stuck.values() if thread.is_alive()]
