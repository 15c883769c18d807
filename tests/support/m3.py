"""Frames of 3M pads by an arithmetic of its own, which is not that of the codec."""

from __future__ import annotations

U = "E0 04 01 00 12 34 56 78"
"""The tag of de-men."""
UID = U.replace(" ", "")


def sealed(body: str, start: str = "D6") -> bytes:
    """A frame by an arithmetic of its own: length and checksum put around ``body``."""
    data = bytes.fromhex(body)
    data = (len(data) + 2).to_bytes(2, "big") + data
    register = 0xFFFF
    for byte in data:
        register ^= byte << 8
        for _ in range(8):
            register = register << 1 & 0xFFFF ^ (0x1021 if register & 0x8000 else 0)
    return bytes.fromhex(start) + data + (register ^ 0xFFFF).to_bytes(2, "big")
