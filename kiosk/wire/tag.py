"""Any tag of any model: bytes of its memory -> what it says."""

from __future__ import annotations

from kiosk.wire import iso28560_3
from kiosk.wire.content import Content


def decode(
    data: bytes, *, afi: int | None = None, dsfid: int | None = None, epc: bytes = b""
) -> Content:
    """User memory from block 0, as many bytes as were read -> Content. Total: never raises.

    ``afi`` and ``dsfid`` as the tag told them, if it was asked. ``epc``: of a UHF tag, its protocol control word and
    UII (ISO/IEC 18000-63 bank 01 from word 1); ``data`` is then its user bank, empty if it was not read.
    """
    del afi, dsfid, epc
    return iso28560_3.decode(data)
