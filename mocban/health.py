"""Is this process well? Named checks, readiness, ``/healthz``, and word to systemd.

A check says how things are; a pulse says that a loop of ours still turns. A lost reader or broker is told by a check,
and no restart would bring it back; a loop that no longer turns is nothing but a case for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import Gauge

from mocban import log
from mocban.clock import Clock, rfc3339

_log = log.get("health")
_up = Gauge("mocban_check_ok", "1 if the named check of this process passes", ["check"])


@dataclass(frozen=True, slots=True)
class Check:
    """One condition; ``say`` tells a person what is wrong."""

    ok: bool
    say: str
    since: str


class Health:
    """The checks of one process. Ready once every check named in ``needs`` has been ok; stays ready after."""

    def __init__(self, clock: Clock, needs: tuple[str, ...] = ()) -> None:
        self._clock = clock
        self._checks: dict[str, Check] = {
            name: Check(False, "not yet", rfc3339(clock.now())) for name in needs
        }
        self._needs = set(needs)
        self._allowed: dict[str, float] = {}  # seconds between two pulses
        self._due: dict[str, float] = {}  # monotonic time by which the next one must have come
        self.ready = not needs
        self.on_change: Callable[[], None] = lambda: None
        """Called when a check is ok that was not, or the other way round; from the thread that says so."""

    def check(self, name: str, ok: bool, say: str = "") -> None:
        """Record the condition ``name``; tells systemd READY=1 the first time everything needed is ok."""
        old = self._checks.get(name)
        if old is None or (old.ok, old.say) != (ok, say):
            self._checks[name] = Check(ok, say, rfc3339(self._clock.now()))
        _up.labels(name).set(ok)
        if not self.ready and all(self._checks[need].ok for need in self._needs):
            self.ready = True
            sd_notify("READY=1")
        if old is None or old.ok != ok:
            self.on_change()

    def expect(self, name: str, within: float) -> None:
        """From now on the loop ``name`` turns at least every ``within`` seconds."""
        self._allowed[name] = within
        self.pulse(name)

    def pulse(self, name: str, pause: float = 0.0) -> None:
        """The loop ``name`` turned, whatever came of it; before its next turn it rests ``pause`` seconds on purpose."""
        self._due[name] = self._clock.mono() + self._allowed[name] + pause

    def stuck(self) -> list[str]:
        """The loops whose turn is overdue."""
        now = self._clock.mono()
        return sorted(name for name, due in self._due.items() if now > due)

    async def watchdog(self, stop: asyncio.Event) -> None:
        """Keep systemd content until ``stop``, as long as every expected loop turns, and this one with them.

        Until we are ready, the time to start is extended in place of the watchdog, which does not run yet.
        """
        allowed = watchdog_seconds()
        if allowed is None:
            await stop.wait()
            return
        told: list[str] = []
        while not stop.is_set():
            stuck = self.stuck()
            if stuck != told:
                told = stuck
                _log.error("health.stuck", loops=stuck) if stuck else _log.info("health.turns")
            alive = (
                f"EXTEND_TIMEOUT_USEC={allowed * 1_000_000:.0f}" if not self.ready else "WATCHDOG=1"
            )
            with contextlib.suppress(
                OSError
            ):  # systemd is not there for a moment: the next sign counts
                sd_notify(f"STATUS={self._status(stuck)}" + (f"\n{alive}" if not stuck else ""))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), allowed / 2)

    def _status(self, stuck: list[str]) -> str:
        """One line for ``systemctl status``."""
        wrong = [f"{name} stands still" for name in stuck]
        wrong += [f"{n}: {c.say}" for n, c in sorted(self._checks.items()) if not c.ok]
        return "; ".join(wrong).replace("\n", " ") or "all is well"

    @property
    def ok(self) -> bool:
        """Every check passes."""
        return all(check.ok for check in self._checks.values())

    def as_json(self) -> dict[str, Any]:
        """The body of ``/healthz``."""
        return {
            "ok": self.ok,
            "ready": self.ready,
            "checks": {
                n: {"ok": c.ok, "say": c.say, "since": c.since}
                for n, c in sorted(self._checks.items())
            },
        }


def watchdog_seconds() -> float | None:
    """How long systemd waits for a sign of life of this process; None if it does not watch it."""
    pid, micros = os.environ.get("WATCHDOG_PID", ""), os.environ.get("WATCHDOG_USEC", "")
    if not micros.isdecimal() or int(micros) == 0 or pid not in {"", str(os.getpid())}:
        return None
    return int(micros) / 1_000_000


def sd_notify(text: str) -> bool:
    """Send ``text`` to systemd's notify socket; False where there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.sendall(text.encode())
    return True
