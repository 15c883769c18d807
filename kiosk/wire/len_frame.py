"""Frames of the cheap readers, HF and UHF alike: ``LEN ADR … CRC``.

LEN counts the bytes after itself. CRC MCRF4XX over all before it, least significant byte first; the residue over a
whole frame is 0. What lies between ADR and CRC is the family's own: ``rr9`` and ``uhf18``.
"""

from __future__ import annotations

from kiosk.wire.crc import MCRF4XX
from kiosk.wire.framing import Drop, Framer, Take, Wait
from mocban.errors import LocalProtocolError, RemoteProtocolError

LONGEST = 256  # bytes of a frame: LEN is one byte
_LEAST = 4  # LEN of a frame with one byte between ADR and CRC


def framer() -> Framer:
    """A framer for either side; on a wrong CRC it drops one byte and looks again."""
    return Framer(scan, LONGEST)


def scan(buffer: bytes) -> Take | Wait | Drop:
    """What the start of ``buffer`` (not empty) is."""
    size = buffer[0] + 1
    if size <= _LEAST:
        return Drop()
    if len(buffer) < size:
        return Wait()
    return Take(size) if MCRF4XX(buffer[:size]) == 0 else Drop()


def sealed(address: int, body: bytes) -> bytes:
    """The whole frame; LocalProtocolError if ``body`` (1 to 252 bytes) does not fit."""
    size = len(body) + 3
    if not _LEAST <= size <= 255:
        raise LocalProtocolError(f"A body of {len(body)} bytes does not fit into one frame.")
    frame = bytes((size, address)) + body
    return frame + MCRF4XX(frame).to_bytes(2, "little")


def unsealed(frame: bytes) -> tuple[int, bytes]:
    """Address and body of a whole frame; RemoteProtocolError if it is none."""
    if not frame or scan(frame) != Take(len(frame)):
        raise RemoteProtocolError("Not a whole frame, or its checksum is wrong.")
    return frame[1], frame[2:-2]
