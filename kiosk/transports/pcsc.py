"""Card readers of the computer's smart card service (PC/SC, pcscd): ``pcsc://PART-OF-A-READER'S-NAME``.

``pcsc://`` is the first reader with an ISO 15693 tag, or else with any card; ``?socket=/path`` is a pcscd elsewhere.
pyscard blocks, and for ever if a reader hangs: one thread owns each reader, and a call that is not done in time is
given up together with its thread. Nothing else imports ``smartcard``.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import os
import queue
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from kiosk.transports.base import bad_url
from kiosk.wire.apdu import is_vicinity
from mocban.errors import ConfigError, DeviceLost

PATIENCE = 3.0
"""Seconds for one call; an APDU with a tag takes 5 to 50 ms."""
_SLICES = 12
_LIBRARY = "libpcsclite.so.1"
_SOCKET = "PCSCLITE_CSOCK_NAME"  # read by the library once in a process
_APT = "Install it: apt-get install pcscd libpcsclite1, and the Python package pyscard."
_SERVICE = "Start it: systemctl start pcscd.socket. If it is missing: apt-get install pcscd."
_FREE = "See that no other program uses the reader, or set another one."
_PLUG = "Check its cable, or set another reader."

_NO_READERS = 0x8010002E
_UNAVAILABLE = (0x80100009, 0x80100017)  # the reader was unplugged
_SHARING = 0x8010000B
_DENIED = 0x8010006A
_NO_SERVICE = (0x8010001D, 0x8010001E, 0x80100013, 0x80100001, 0x80100003)
_NO_CARD = (0x8010000C, 0x80100066, 0x80100067, 0x80100068, 0x80100069, 0x80100016, 0x8010002F)
_TIMEOUT = 0x8010000A

T = TypeVar("T")
_stuck: dict[str, threading.Thread] = {}
"""Threads that were given up, by address: while one lives, its reader is not asked again."""
_service: list[str] = []
"""The socket of the service that this process talks to, once it does."""


class Slot:
    """One reader, and the card in it. One caller at a time."""

    def __init__(self, desk: _Desk, key: str) -> None:
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
    slot = Slot(_Desk(_library(given.get("socket", "")), part, key), key)
    try:
        await slot.open()
    except BaseException:
        await slot.close()
        raise
    return slot


class _Desk:
    """What the thread holds; every method blocks and belongs to it."""

    def __init__(self, scard: Any, part: str, key: str) -> None:
        self.name = ""
        self.card: Any = None
        self._scard = scard
        self._part = part
        self._key = key
        self._readers: list[str] = []
        self._context: Any = None
        self._protocol = 0
        self._stale = False
        self._claim: socket.socket | None = None

    def open(self) -> None:
        self._claim = _claim(self._key)
        result, context = self._scard.SCardEstablishContext(self._scard.SCARD_SCOPE_USER)
        self._check(result)
        self._context = context
        result, names = self._scard.SCardListReaders(context, [])
        if _code(result) != _NO_READERS:
            self._check(result)
        if _code(result) == _NO_READERS or not names:
            raise DeviceLost("No PC/SC reader is connected.", "Plug the reader in.")
        self._readers = [name for name in names if self._part.lower() in name.lower()]
        if not self._readers:
            raise DeviceLost(
                f"No PC/SC reader is called {self._part}.", f"There is: {'; '.join(names)}."
            )
        self.name = self._readers[0]

    def insert(self, wait: float) -> bytes | None:
        """A card that just went still stands in the service's books; one look later it does not."""
        self._let_go()
        millis = round(wait * 1000)
        if self._stale and millis:
            self._change([(self.name, self._scard.SCARD_STATE_PRESENT)], millis)
            self._stale = False
        chosen = self._present(0) or (self._present(millis) if millis else None)
        if chosen is None:
            return None
        self._stale = not self._connect(chosen[0])
        return None if self._stale else chosen[1]

    def _connect(self, name: str) -> bool:
        """Whether the card was there; the reader is then the one that is meant."""
        scard = self._scard
        result, card, protocol = scard.SCardConnect(
            self._context,
            name,
            scard.SCARD_SHARE_EXCLUSIVE,
            scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1,
        )
        if _code(result) in _NO_CARD:
            return False
        self._check(result)
        self.name, self._readers = name, [name]
        self.card, self._protocol = card, protocol
        return True

    def transmit(self, apdu: bytes) -> bytes:
        if self.card is None:
            return b""
        scard = self._scard
        pci = (
            scard.SCARD_PCI_T0 if self._protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
        )
        result, answer = scard.SCardTransmit(self.card, pci, list(apdu))
        # A card pulled in the middle ends with success and no bytes.
        if _code(result) in _NO_CARD or (result == 0 and len(answer) < 2):
            self._let_go()
            self._stale = True
            return b""
        self._check(result)
        return bytes(byte & 0xFF for byte in answer)

    def repower(self) -> None:
        if self.card is None:
            return
        scard = self._scard
        result, self._protocol = scard.SCardReconnect(
            self.card,
            scard.SCARD_SHARE_EXCLUSIVE,
            scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1,
            scard.SCARD_UNPOWER_CARD,
        )
        if _code(result) in _NO_CARD:
            self._let_go()
        else:
            self._check(result)

    def close(self) -> None:
        self._let_go()
        if self._context is not None:
            self._scard.SCardReleaseContext(self._context)
            self._context = None
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _let_go(self) -> None:
        card, self.card = self.card, None
        if card is not None:
            self._scard.SCardDisconnect(card, self._scard.SCARD_LEAVE_CARD)

    def _present(self, millis: int) -> tuple[str, bytes] | None:
        """The reader with an ISO 15693 tag, or with any card, after at most so long; and its ATR."""
        scard = self._scard
        known = scard.SCARD_STATE_EMPTY if millis else scard.SCARD_STATE_UNAWARE
        states = self._change([(name, known) for name in self._readers], millis)
        if states is None:
            return None
        if millis:  # something changed: look again, for the first change may be the wrong reader's
            return self._present(0)
        gone = scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE
        if all(state & gone for _, state, _ in states):
            self._check(_UNAVAILABLE[1])
        cards = [
            (name, bytes(byte & 0xFF for byte in atr))
            for name, state, atr in states
            if state & scard.SCARD_STATE_PRESENT
        ]
        return next((card for card in cards if is_vicinity(card[1])), cards[0] if cards else None)

    def _change(
        self, known: list[tuple[str, int]], millis: int
    ) -> list[tuple[str, int, list[int]]] | None:
        """The readers' states as soon as one is not what was known; None: all are, after so long."""
        result, states = self._scard.SCardGetStatusChange(self._context, millis, known)
        if _code(result) == _TIMEOUT:
            return None
        self._check(result)
        return list(states)

    def _check(self, result: int) -> None:
        """DeviceLost with a sentence unless ``result`` is success."""
        code = _code(result)
        if code == 0:
            return
        name = self.name or self._part
        if code in _NO_SERVICE:
            raise DeviceLost("The smart card service pcscd does not run.", _SERVICE)
        if code in _UNAVAILABLE:
            raise DeviceLost(f"The reader {name} is gone.", "Check its cable.")
        if code == _SHARING:
            raise DeviceLost(f"The reader {name} is in use by another program.", _FREE)
        if code == _DENIED:
            raise DeviceLost(
                "The smart card service does not let this program in.",
                "Allow its user in a polkit rule for org.debian.pcsc-lite.",
            )
        raise DeviceLost(f"The reader {name} failed with {code:08X}.", _PLUG)


def _code(result: int) -> int:
    return result & 0xFFFFFFFF  # negative on 32 bits


def _library(socket_path: str) -> Any:
    """pyscard's lowest module, with the service's socket set before its library looks for it."""
    wanted = socket_path or os.environ.get(_SOCKET, "")
    if _service and wanted != _service[0]:
        raise ConfigError(
            "This process already talks to another smart card service.", "Set one socket only."
        )
    if wanted:
        os.environ[_SOCKET] = wanted
    try:
        ctypes.CDLL(_LIBRARY)  # pyscard itself would end the process later
        from smartcard import scard
    except (ImportError, OSError):
        raise ConfigError(
            "PC/SC readers need a package that is not installed.", _APT, code="missing-package"
        ) from None
    _service[:] = [wanted]
    return scard


def _claim(key: str) -> socket.socket:
    """Ours among our own programs, until closed or dead: an exclusive connection needs a card, this needs none."""
    where = f"{os.environ.get(_SOCKET, '')} {key}"
    name = hashlib.sha256(where.encode()).hexdigest()[:32]
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0mocban pcsc {name}")
    except OSError:
        claim.close()
        raise DeviceLost("The reader is in use by another program of ours.", _FREE) from None
    return claim


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
    """Names of threads that hang in a call for ever, for tests and the doctor."""
    return [thread.name for thread in _stuck.values() if thread.is_alive()]
