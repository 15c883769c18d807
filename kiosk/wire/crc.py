"""The CRC-16s of readers and tags: one generator (0x1021), four sets of parameters."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Crc16:
    """CRC-16 with polynomial 0x1021 and register start 0xFFFF; calling it gives the checksum.

    ``reflected``: least significant bit first (0x8408). ``xorout``: applied at the end.
    ``start`` continues the register of an earlier call, before ``xorout``.
    """

    name: str
    reflected: bool
    xorout: int
    table: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        one = _reflected_entry if self.reflected else _forward_entry
        object.__setattr__(self, "table", tuple(one(byte) for byte in range(256)))

    def __call__(self, data: bytes, start: int = 0xFFFF) -> int:
        table = self.table
        register = start
        if self.reflected:
            for byte in data:
                register = (register >> 8) ^ table[(register ^ byte) & 0xFF]
        else:
            for byte in data:
                register = ((register << 8) & 0xFFFF) ^ table[(register >> 8) ^ byte]
        return register ^ self.xorout


def _reflected_entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0x8408 if byte & 1 else byte >> 1
    return byte


def _forward_entry(byte: int) -> int:
    register = byte << 8
    for _ in range(8):
        register = (register << 1) ^ 0x1021 if register & 0x8000 else register << 1
    return register & 0xFFFF


CCITT_FALSE = Crc16("CCITT-FALSE", reflected=False, xorout=0x0000)  # ISO 28560-3 basic block
GENIBUS = Crc16("GENIBUS", reflected=False, xorout=0xFFFF)  # 3M pads, Gen2 StoredCRC
MCRF4XX = Crc16("MCRF4XX", reflected=True, xorout=0x0000)  # FEIG ISO-Host, UHFReader
X25 = Crc16("X-25", reflected=True, xorout=0xFFFF)  # ISO 15693 air frames
