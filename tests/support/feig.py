"""Frames of FEIG readers, sealed with the tests' own arithmetic."""

from __future__ import annotations

U = "E0 04 01 00 12 34 56 78"
"""The UID of the demo's tag de-men."""


def sealed(frame: str) -> str:
    data = bytes.fromhex(frame)
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return (data + register.to_bytes(2, "little")).hex(" ")


def x25(data: str) -> str:
    """The CRC a tag puts behind its answer."""
    register = 0xFFFF
    for byte in bytes.fromhex(data):
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return " " + (register ^ 0xFFFF).to_bytes(2, "little").hex(" ")
