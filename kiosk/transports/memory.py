"""A null-modem cable inside the process."""

from __future__ import annotations

from urllib.parse import SplitResult

from kiosk.transports.base import Inbox, bad_url
from mocban.errors import DeviceLost

_waiting: dict[str, MemoryStream] = {}


class MemoryStream:
    """One end of the cable; closing either end ends both."""

    def __init__(self) -> None:
        self._inbox = Inbox()
        self._peer: MemoryStream | None = None

    async def read(self) -> bytes:
        return await self._inbox.read()

    def take(self) -> bytes:
        return self._inbox.take()

    async def write(self, data: bytes) -> None:
        self._inbox.check()
        if self._peer is None:
            raise DeviceLost("The other end of the cable is open.", "Open it first.")
        self._peer._inbox.put(data)

    async def close(self) -> None:
        self._inbox.end("The cable was unplugged.")
        if self._peer is not None:
            self._peer._inbox.end("The cable was unplugged.")


def pair() -> tuple[MemoryStream, MemoryStream]:
    """Both ends of a new cable."""
    near, far = MemoryStream(), MemoryStream()
    near._peer, far._peer = far, near
    return near, far


def open_memory(parts: SplitResult) -> MemoryStream:
    """``memory://name``: the first to open a name gets one end, the second the other."""
    if not parts.netloc:
        raise bad_url(parts, "memory needs a name, as in memory://pad")
    if (end := _waiting.pop(parts.netloc, None)) is not None:
        return end
    near, far = pair()
    _waiting[parts.netloc] = far
    return near
