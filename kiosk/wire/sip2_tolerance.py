"""What SIP2 lines may have that the protocol does not allow, by name. ``Message.warnings`` begin with one of these.

Real systems do all of this, so reading goes on; each has a name, so that a site can count and judge it.
"""

from __future__ import annotations

from enum import StrEnum


class Tolerance(StrEnum):
    """One thing that reading lets pass."""

    NOISE = "bytes around the line"  # NUL, telnet's FB, control characters
    LINE_FEED = "line feed"  # a line ends in CR alone
    SHORT_CHECKSUM = "short checksum"  # printed without its leading zeros, or empty
    DAMAGED_TRAILER = "damaged trailer"  # counts as a wrong checksum
    LAST_DELIMITER = "last delimiter missing"
    STRAY_BYTE = "stray byte"  # a delimiter too many, or a field of one byte
    FIELD_ID = "odd field id"
    TWICE = "field twice"  # the first counts
    UNEXPECTED = "unexpected"  # + id: not of this message; kept
    LACKS = "lacks"  # + ids
    ODD = "odd"  # + name: a fixed value or a field that is not as it should be; kept
    LOWER_CASE = "lower case"  # + name: read as a capital
    NOT_ENCODED = "not"  # + encoding: what cannot be read is U+FFFD
    DECOMPOSED = "decomposed"  # + id: composed to NFC
    CONTROL = "control character"  # + id: a blank stands in its place

    @classmethod
    def of(cls, warning: str) -> Tolerance:
        """The name of a warning; ValueError if ``decode`` gives no such warning."""
        for each in sorted(cls, key=len, reverse=True):
            if warning == each or warning.startswith(f"{each} "):
                return each
        raise ValueError(f"{warning!r} is no warning of SIP2")
