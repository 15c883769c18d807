"""What the console knows: asked of operations and of the gateway by threads of its own, kept when they fall silent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from mocban.asking import Service, Told
from mocban.clock import Clock
from mocban.errors import MocbanError, PeerUnreachable

Body = dict[str, Any]

EVERY = 2.0
"""Seconds between two rounds."""
TIMEOUT = 4.0
"""Seconds one answer may take."""
OPEN_MAX = 500
"""Most open incidents shown."""
LIST_MAX = 100
"""Most executions, and incidents already resolved, shown."""
ASKS_MAX = 10
"""Most waiting executions whose questions are read in one round."""
DEVICES_MAX = 5000
"""Most devices shown; of more the first."""


@dataclass(frozen=True, slots=True)
class Line:
    """How it stands with one service. ``at``: monotonic time of its last whole round, None before the first.

    ``trouble``: code of what went wrong since then, and ``say`` in its own words; both empty while it answers.
    """

    at: float | None = None
    trouble: str = ""
    say: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """The last known state of everything. Bodies are as the API tells them."""

    ops: Line = field(default_factory=Line)
    gateway: Line = field(default_factory=Line)
    incidents: tuple[Body, ...] = ()
    """Open ones, then, if somebody looks at them, those resolved; newest first."""
    executions: tuple[Body, ...] = ()
    """Newest first; those not over are always among them."""
    waiting: Mapping[str, Body] = field(default_factory=dict)
    """Execution, steps and questions of each that waits for a person, by id."""
    incident: Body | None = None
    """The one looked at, with its timeline."""
    execution: Body | None = None
    """The one looked at, with its steps, log and questions."""
    devices: tuple[Body, ...] = ()
    counts: Body | None = None

    def detail(self, ident: str) -> Body | None:
        """Execution, steps and questions of that execution, if they are known."""
        one = self.execution
        return one if one and one["execution"]["id"] == ident else self.waiting.get(ident)


class Feed:
    """Polls in two threads, so that one silent service never holds up the other. ``changed`` is called by them."""

    def __init__(
        self, ops: Service, gateway: Service, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._ops, self._gateway, self._clock, self._changed = ops, gateway, clock, changed
        self._lock = threading.Lock()
        self._picture = Picture()
        self._incident: int | None = None
        self._execution: str | None = None
        self._resolved = False
        self._round = 0
        self._end = threading.Event()
        self._pokes = {"ops": threading.Event(), "gateway": threading.Event()}

    @property
    def picture(self) -> Picture:
        """What is known now."""
        with self._lock:
            return self._picture

    def start(self) -> None:
        """Begin to poll. The threads never keep a process from ending."""
        for name, look in (("ops", self.look_ops), ("gateway", self.look_gateway)):
            args = (look, self._pokes[name])
            threading.Thread(target=self._keep, args=args, name=f"feed-{name}", daemon=True).start()

    def stop(self) -> None:
        """Poll no more; an answer under way is dropped."""
        self._end.set()
        self.poke()

    def poke(self) -> None:
        """Look again at once: something was just done."""
        for event in self._pokes.values():
            event.set()

    def watch_incident(self, no: int | None) -> None:
        """Look at this one from now on."""
        if no != self._incident:
            self._incident = no
            self._pokes["ops"].set()

    def watch_execution(self, ident: str | None) -> None:
        """Look at this one from now on."""
        if ident != self._execution:
            self._execution = ident
            self._pokes["ops"].set()

    def watch_resolved(self, on: bool) -> None:
        """Whether resolved incidents are wanted too."""
        self._resolved = on
        self._pokes["ops"].set()

    def _keep(self, look: Callable[[], None], poke: threading.Event) -> None:
        while not self._end.is_set():
            poke.clear()
            look()
            if not self._end.is_set():
                # The app may have ended meanwhile: then nobody is there to be told.
                with suppress(RuntimeError):
                    self._changed()
            poke.wait(EVERY)

    # One round each

    def look_ops(self) -> None:
        """Ask operations once. Never raises what a service can do wrong."""
        incident, execution, resolved = self._incident, self._execution, self._resolved
        try:
            found = self._of_ops(incident, execution, resolved=resolved)
        except MocbanError as error:
            self._put(ops=_troubled(self.picture.ops, error))
        except Exception as error:  # noqa: BLE001  whatever it answers, this thread looks again
            self._put(ops=_odd(self.picture.ops, error))
        else:
            self._put(ops=Line(self._clock.mono()), **found)

    def look_gateway(self) -> None:
        """Ask the gateway once. Never raises what a service can do wrong."""
        try:
            devices = self._gateway.rows("/api/v1/devices", TIMEOUT)
            known: dict[str, Any] = {
                "devices": tuple(one for one in devices[:DEVICES_MAX] if _is_device(one))
            }
            if self._round % 5 == 0 or self.picture.counts is None:
                known["counts"] = self._gateway.get("/api/v1/counts", TIMEOUT)
            self._round += 1
        except MocbanError as error:
            self._put(gateway=_troubled(self.picture.gateway, error))
        except Exception as error:  # noqa: BLE001  whatever it answers, this thread looks again
            self._put(gateway=_odd(self.picture.gateway, error))
        else:
            self._put(gateway=Line(self._clock.mono()), **known)

    def _of_ops(self, incident: int | None, execution: str | None, *, resolved: bool) -> Body:
        incidents = list(self._ask(f"/api/v1/incidents?state=open&limit={OPEN_MAX}")["incidents"])
        if resolved:
            incidents += self._ask(f"/api/v1/incidents?state=resolved&limit={LIST_MAX}")[
                "incidents"
            ]
        executions = {
            str(one["id"]): one
            for query in (f"?state=open&limit={LIST_MAX}", f"?limit={LIST_MAX}")
            for one in self._list(f"executions{query}", "id")
        }
        newest = sorted(executions.values(), key=lambda one: str(one["began"]), reverse=True)
        # One that runs may hold a step that waits beside it; those that only wait come first.
        waits = [
            str(one["id"])
            for state in ("waiting", "running")
            for one in newest
            if one["state"] == state
        ]
        waiting = {ident: self._ask(f"/api/v1/executions/{ident}") for ident in waits[:ASKS_MAX]}
        looked = waiting.get(execution or "")
        if execution and looked is None:
            looked = self._looked(f"/api/v1/executions/{execution}")
        return {
            "incidents": tuple(incidents), "executions": tuple(newest), "waiting": waiting, "execution": looked,
            "incident": self._looked(f"/api/v1/incidents/{incident}") if incident else None,
        }  # fmt: skip

    def _list(self, query: str, name: str) -> list[Body]:
        """The things of a list; each has a ``name``."""
        found = self._ask(f"/api/v1/{query}")[query.partition("?")[0]]
        if any(not isinstance(one, dict) or name not in one for one in found):
            raise ValueError(f"something without {name}")
        return list(found)

    def _looked(self, path: str) -> Body | None:
        try:
            return self._ask(path)
        except Told as error:
            if error.status == 404:  # it is gone, the rest is as good as ever
                return None
            raise

    def _ask(self, path: str) -> Body:
        return self._ops.get(path, TIMEOUT, authorized=True)

    def _put(self, **known: Any) -> None:
        with self._lock:
            self._picture = replace(self._picture, **known)


def _troubled(line: Line, error: MocbanError) -> Line:
    code = "peer-unreachable" if isinstance(error, PeerUnreachable) else error.code
    return replace(line, trouble=code, say=error.say)


def _odd(line: Line, error: Exception) -> Line:
    return replace(line, trouble="remote-protocol", say=f"{type(error).__name__}: {error}"[:200])


def _is_device(body: Any) -> bool:
    return isinstance(body, dict) and "device" in body and "app" in body
