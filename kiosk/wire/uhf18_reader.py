"""UHFReader18 and UHFReader288: the reader itself, who it is and how loud and where it sends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from kiosk.wire.uhf18 import Command, Request, Series
from mocban.errors import LocalProtocolError, RemoteProtocolError


@dataclass(frozen=True, slots=True)
class Info:
    """Answer to 21. ``power`` in dBm, 255 unknown; ``tenths``: longest inventory; ``rest``: 288 only."""

    version: tuple[int, int]
    kind: int
    protocols: int
    highest: int
    lowest: int
    power: int
    tenths: int
    rest: bytes = b""

    @property
    def series(self) -> Series:
        """The 288 tells of its antennas and outputs too."""
        return Series.R288 if self.rest else Series.R18

    def encode(self) -> bytes:
        """The data of the answer."""
        band = (self.highest, self.lowest, self.power, self.tenths)
        return bytes((*self.version, self.kind, self.protocols, *band)) + self.rest

    @classmethod
    def decode(cls, data: bytes) -> Info:
        """From the data of the answer."""
        if len(data) < 8:
            raise RemoteProtocolError("The reader's information is too short.")
        kind, protocols, highest, lowest, dbm, tenths = data[2:8]
        return cls((data[0], data[1]), kind, protocols, highest, lowest, dbm, tenths, data[8:])

    def __str__(self) -> str:
        release = f"{self.version[0]:02d}.{self.version[1]:02d}"
        return f"UHFReader{self.series.value} type {self.kind:02X} release {release}"


class Band(IntEnum):
    """Frequency plans: channel N lies at ``base + N * step`` MHz."""

    CHINA2 = 1  # 920.125 + 0.25 N, N to 19
    US = 2  # 902.75 + 0.5 N, N to 49
    KOREA = 3  # 917.1 + 0.2 N, N to 31
    EU = 4  # 865.1 + 0.2 N, N to 14


REGIONS = {"vn": (Band.CHINA2, 0, 11)}
"""Names for a configuration. vn: 920.125 to 922.875 MHz, inside the 918 to 923 MHz of Viet Nam."""


def info() -> Request:
    """21: which reader is this?"""
    return Request(Command.INFO)


def region(band: Band, lowest: int, highest: int) -> Request:
    """22: the band and its channels; the reader keeps it without power."""
    if not 0 <= lowest <= highest <= 0x3F:
        raise LocalProtocolError("Channels are counted from 0 to 63.")
    return Request(
        Command.REGION, bytes((band >> 2 << 6 | highest, (band & 3) << 6 | lowest)), address=0
    )


def scan_time(tenths: int) -> Request:
    """25: the longest inventory, 3 to 255 times 100 ms; the reader keeps it without power."""
    if not 3 <= tenths <= 255:
        raise LocalProtocolError("A reader scans for 0.3 to 25.5 seconds.")
    return Request(Command.SCAN_TIME, bytes((tenths,)), address=0)


def power(dbm: int) -> Request:
    """2F: output power, 0 to 33 dBm; the reader keeps it without power."""
    if not 0 <= dbm <= 33:
        raise LocalProtocolError("A reader has 0 to 33 dBm.")
    return Request(Command.POWER, bytes((dbm,)), address=0)
