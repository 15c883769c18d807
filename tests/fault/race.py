"""The forced race: broker killed and back, the device first and the gateway later; then gateway and device killed too.

A broker that comes back without its memory confirms (PUBACK) what it has nobody to give to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.fault.harness import CLOCK, Stand, pause, seeded, until

TOTAL, RATE = 200, 100.0
IN_BETWEEN = 15
"""Facts put between the loss of the gateway's line and the death of the broker: confirmed, and only there."""
LATER = 1.0
"""Seconds the gateway stays away after the device is back."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one race ended with."""

    sent: int
    lost: int
    doubled: int
    left: int  # in the outbox
    seconds: float  # from the last fault until the outbox was empty


def race(folder: Path, kind: str, salt: str, *, control: bool = False) -> Figures:
    """One run over broker ``kind``; the seed and ``salt`` choose the moments."""
    _, numbers = seeded(salt)
    with Stand(folder, kind, total=TOTAL, rate=RATE, control=control) as stand:
        stand.start()
        moments = [numbers.randrange(10, 40), numbers.randrange(130, 170)]
        until(lambda: stand.device.put() >= moments[0], "some facts are put")
        stand.centre_line.cut()
        until(lambda: stand.device.put() >= moments[0] + IN_BETWEEN, "the broker holds some facts")
        stand.broker.kill()
        stand.broker.start()
        until(stand.device.connected, "the device is back")
        pause(LATER + numbers.random() / 4)
        stand.gateway.kill()
        stand.centre_line.restore()
        until(lambda: stand.device.put() >= moments[1], "more facts are put")
        stand.device.kill()
        stand.gateway.start()
        stand.device.start()
        began = CLOCK.mono()
        if control:
            until(stand.gateway.ready, "the gateway is ready")
        stand.settle()
        seconds = CLOCK.mono() - began
        left = int(stand.device.status()["depth"])
        loans = stand.gateway.loans() if not control else _at_rest(stand)
        wanted, stored = set(stand.device.items), set(loans)
        assert stored <= wanted, "the gateway stores only what was told"
        doubled = max(len(loans), stand.gateway.counted()) - len(stored)
        return Figures(len(wanted), len(wanted - stored), doubled, left, seconds)


def _at_rest(stand: Stand) -> list[str]:
    """What is stored once nothing more comes: the control has no watermark to wait for."""
    loans: list[str] = []

    def same() -> bool:
        nonlocal loans
        before, loans = loans, stand.gateway.loans()
        pause(0.3)
        return bool(loans) and before == loans

    until(same, "nothing more comes")
    return loans
