"""Around the store's tests: stores by name, letters as the desk reads them, shorthands."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from gateway.letters import Desk, Message
from gateway.projections import apply
from gateway.store.port import Letter, Outcome, Readings, Store, Watermark
from gateway.store.readings import SqliteReadings
from gateway.store.sqlite import SqliteStore
from mocban.events import Fact
from mocban.messages import Receipt
from tests.support.gateway_stand import EPOCH, envelope

RX = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
DESK = Desk("demo", ZoneInfo("Asia/Ho_Chi_Minh"))
OTHER = "00000000000000e2"
Open = Callable[[Path], tuple[Store, Readings]]


def sqlite(folder: Path) -> tuple[Store, Readings]:
    return SqliteStore(folder / "g.db", apply, stray_letters=5), SqliteReadings(folder / "g.db")


STORES: dict[str, Open] = {"sqlite": sqlite}


class Stand:
    """One open store and shorthands."""

    def __init__(self, opener: Open, folder: Path) -> None:
        self.store, self.read = opener(folder)

    def close(self) -> None:
        self.store.close()
        self.read.close()

    def append(self, *letters: Letter | None) -> Outcome:
        """The outcome, its watermarks without their chains: those have tests of their own."""
        outcome = self.store.append([letter for letter in letters if letter is not None])
        return replace(
            outcome, watermarks=tuple(replace(mark, chain="") for mark in outcome.watermarks)
        )


def read(payload: bytes, kind: str, device: str = "kiosk-1", **properties: str) -> Letter | None:
    return DESK.read(Message(f"mocban/v1/demo/{device}/evt/{kind}", payload, **properties), RX)


def told(
    fact: Fact, seq: int, epoch: str = EPOCH, device: str = "kiosk-1", **other: Any
) -> Letter | None:
    payload = envelope(fact, seq, epoch=epoch, device=device, **({"ts": RX} | other))
    return read(payload, fact.kind, device, epoch=epoch, seq=str(seq))


def state(
    online: bool, epoch: str = EPOCH, app: str = "kiosk", device: str = "kiosk-1"
) -> Letter | None:
    body = {"v": 1, "online": online, "epoch": epoch, "app": app, "version": "1"}
    return DESK.read(Message(f"mocban/v1/demo/{device}/state", json.dumps(body).encode()), RX)


def mark(upto: int, epoch: str = EPOCH, device: str = "kiosk-1") -> tuple[Watermark, ...]:
    return (Watermark(device, epoch, upto),)


def receipt(order: UUID, device: str = "kiosk-1") -> Letter | None:
    body = Receipt(order=order, app="kiosk", epoch=EPOCH, seq=1).encode()
    return DESK.read(Message(f"mocban/v1/demo/{device}/rsp/self-test", body), RX)


def reasons(stand: Stand) -> list[str]:
    return [letter.reason for letter in stand.read.dead(100)]
