"""The CRC-16s of readers and tags: one generator (0x1021), four sets of parameters.

The standard library has the forward one, and fast: a babbling line must not cost a processor. The reflected one is the
forward one with the bits of every byte, of the start and of the result turned.
"""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass

_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Crc16:
    """CRC-16 with polynomial 0x1021 and register start 0xFFFF; calling it gives the checksum.

    ``reflected``: least significant bit first (0x8408). ``xorout``: applied at the end.
    ``start`` continues the register of an earlier call, before ``xorout``.
    """

    name: str
    reflected: bool
    xorout: int

    def __call__(self, data: bytes, start: int = 0xFFFF) -> int:
        if self.reflected:
            return _turned(crc_hqx(data.translate(_TURNED), _turned(start))) ^ self.xorout
        return crc_hqx(data, start) ^ self.xorout


def _turned(register: int) -> int:
    return _TURNED[register & 0xFF] << 8 | _TURNED[register >> 8]


CCITT_FALSE = Crc16("CCITT-FALSE", reflected=False, xorout=0x0000)  # ISO 28560-3 basic block
GENIBUS = Crc16("GENIBUS", reflected=False, xorout=0xFFFF)  # 3M pads, Gen2 StoredCRC
MCRF4XX = Crc16("MCRF4XX", reflected=True, xorout=0x0000)  # FEIG ISO-Host, UHFReader
X25 = Crc16("X-25", reflected=True, xorout=0xFFFF)  # ISO 15693 air frames
