"""A station without a reader: nothing ever lies on its pad, and it is never lost."""

from __future__ import annotations

from kiosk.devices.base import Lock, Tag
from kiosk.wire.iso15693 import SystemInfo


class NonePad:
    """A pad and a bench with nothing on it: no tag answers, nothing is written. The address is not looked at."""

    noise = 0

    def __init__(self, url: str) -> None:
        del url

    async def open(self) -> str:
        return "no reader"

    async def close(self) -> None:
        pass

    async def tags(self) -> list[Tag]:
        return []

    async def write_afi(self, uid: str, afi: int) -> bool:
        del uid, afi
        return False

    async def read_afi(self, uid: str) -> int | None:
        del uid
        return None

    async def write_eas(self, uid: str, *, armed: bool) -> bool:
        del uid, armed
        return False

    async def read_eas(self, uid: str) -> bool | None:
        del uid
        return None

    async def info(self, uid: str) -> SystemInfo | None:
        del uid
        return None

    async def read(self, uid: str, first: int, count: int) -> bytes | None:
        del uid, first, count
        return None

    async def write(self, uid: str, first: int, data: bytes) -> bool:
        del uid, first, data
        return False

    async def write_dsfid(self, uid: str, dsfid: int) -> bool:
        del uid, dsfid
        return False

    async def lock(self, uid: str, what: Lock, *, first: int = 0, count: int = 0) -> bool:
        del uid, what, first, count
        return False
