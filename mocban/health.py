"""Is this process well? Named checks, readiness, ``/healthz``, and word to systemd."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

from prometheus_client import Gauge

from mocban.clock import Clock, rfc3339

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
        self.ready = not needs

    def check(self, name: str, ok: bool, say: str = "") -> None:
        """Record the condition ``name``; tells systemd READY=1 the first time everything needed is ok."""
        old = self._checks.get(name)
        if old is None or (old.ok, old.say) != (ok, say):
            self._checks[name] = Check(ok, say, rfc3339(self._clock.now()))
        _up.labels(name).set(ok)
        if not self.ready and all(self._checks[need].ok for need in self._needs):
            self.ready = True
            sd_notify("READY=1")

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


def sd_notify(text: str) -> bool:
    """Send ``text`` to systemd's notify socket; False where there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.sendall(text.encode())
    return True
