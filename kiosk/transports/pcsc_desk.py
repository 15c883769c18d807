"""What the thread of a PC/SC reader holds: the service, the reader's name, the card. Every call blocks."""

from __future__ import annotations

import hashlib
import os
import socket
from typing import Any

from kiosk.wire.apdu import is_vicinity
from mocban.errors import DeviceLost

SOCKET = "PCSCLITE_CSOCK_NAME"
"""Names the service's socket; read by the library once in a process."""
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


class Desk:
    """One reader as the service has it. Every method belongs to one thread, and may block for ever.

    ``scard``: pyscard's lowest module. ``part``: of the reader's name, any if empty. ``key``: its address, which
    one program of ours has at a time.
    DeviceLost: no service, no such reader, in use, or gone.
    """

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
        """Find the service and the readers that are meant."""
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
        """The ATR of a card that lies there, or comes within ``wait`` seconds, now connected; None: there is none.

        A card that just went still stands in the service's books; one look later it does not.
        """
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
        """The answer with its status word; b"" if the card is gone or was reset."""
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
        """The card's power off and on."""
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
        """Let card, service and claim go; safe to call twice."""
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


def _claim(key: str) -> socket.socket:
    """Ours among our own programs, until closed or dead: an exclusive connection needs a card, this needs none."""
    where = f"{os.environ.get(SOCKET, '')} {key}"
    name = hashlib.sha256(where.encode()).hexdigest()[:32]
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0mocban pcsc {name}")
    except OSError:
        claim.close()
        raise DeviceLost("The reader is in use by another program of ours.", _FREE) from None
    return claim
