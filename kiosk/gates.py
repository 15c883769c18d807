"""A security gate: judge who passes, cry at once and without the network, then tell. A process of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from enum import StrEnum
from typing import assert_never

from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.middleware import Middleware

from kiosk.devices import open_gate
from kiosk.devices.base import Gate, Passage
from kiosk.devices.noise import Noise
from kiosk.gate.ledger import Ledger
from kiosk.settings import GateSettings, Security
from kiosk.wire.iso28560 import ItemTag, decode
from mocban import log, supervise, web
from mocban.bus import Bus
from mocban.clock import Clock, SystemClock
from mocban.config import Config
from mocban.errors import MocbanError, RemoteFault, StorageError
from mocban.events import DeviceChanged
from mocban.health import Health
from mocban.ids import jitter
from mocban.outbox import Outbox

BACKOFF = (0.2, 5.0)
"""First and longest pause before a lost gate is opened again, seconds."""
PEOPLE_EVERY = 5
"""The people counters are read every so many rounds."""
WAITING_MOST = 1000
"""Alarms kept in memory while the disk takes nothing; the oldest go first."""

_log = log.get("kiosk.gates")
_overflows = Counter("mocban_gate_overflows_total", "Times the gate's buffer lost passages")


class Verdict(StrEnum):
    """What a gate makes of one tag."""

    CRY = "cry"
    HELD = "held"  # armed, but it cried for this tag a moment ago
    SILENT = "silent"  # on loan
    STRANGE = "strange"  # not a mark of this site, or none known


def judge(
    passage: Passage, security: Security, cries: Mapping[str, float], now: float, hold: float
) -> Verdict:
    """Whether to cry. ``cries``: when it last cried for a uid; that, ``now`` and ``hold`` in seconds of one clock."""
    if passage.afi == security.on_loan:
        return Verdict.SILENT
    if passage.afi != security.in_stock:
        return Verdict.STRANGE
    last = cries.get(passage.uid)
    return Verdict.CRY if last is None or now - last >= hold else Verdict.HELD


class Watch:
    """One gate and its rounds."""

    def __init__(
        self,
        settings: GateSettings,
        gate: Gate,
        ledger: Ledger,
        changed: Callable[[bool, str], None],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._ledger = ledger
        self._changed = changed
        self._clock = clock
        self._cries: dict[str, float] = {}
        self._noise = Noise("gate")
        self._alarms: deque[Passage] = deque(maxlen=WAITING_MOST)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``: keep the gate open, round after round."""
        watching = asyncio.create_task(self._keep())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({watching, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            stopped.cancel()
            ends = await asyncio.gather(watching, stopped, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def round(self, *, people: bool) -> None:
        """One reading of the buffer: cry first, write afterwards."""
        passages, overflowed = await self._gate.passages()
        self._noise.heard(self._gate.noise)
        armed = self._judged(passages)
        self._alarms.extend(armed)
        if armed:
            await self._cry()
        if overflowed:
            _overflows.inc()
            _log.warning(
                "gate.overflow", do="read more often, or look for a tag left near the gate"
            )
        try:
            while self._alarms:
                first = self._alarms[0]
                self._ledger.alarmed(_item(first), first.uid, first.direction)
                self._alarms.popleft()
            if people and (counters := await self._gate.people()) is not None:
                self._ledger.counted(counters)
            self._ledger.settle()
        except StorageError as error:
            _log.error("gate.untold", say=error.say, waiting=len(self._alarms))

    async def _keep(self) -> None:
        pause = BACKOFF[0]
        while True:
            try:
                version = await self._gate.open()
                number = 0
                while True:
                    await self.round(people=number % PEOPLE_EVERY == 0)
                    if number == 0:
                        _log.info("gate.open", version=version)
                        self._changed(True, "")
                        pause = BACKOFF[0]
                    number += 1
                    await asyncio.sleep(self._settings.poll_seconds)
            except RemoteFault as error:
                self._changed(False, error.say)
            finally:
                await self._gate.close()
            await asyncio.sleep(jitter(pause))
            pause = min(pause * 2, BACKOFF[1])

    def _judged(self, passages: list[Passage]) -> list[Passage]:
        now, hold = self._clock.mono(), self._settings.hold_seconds
        self._cries = {uid: at for uid, at in self._cries.items() if now - at < hold}
        armed: list[Passage] = []
        for passage in passages:
            verdict = judge(passage, self._settings.security, self._cries, now, hold)
            match verdict:
                case Verdict.CRY:
                    self._cries[passage.uid] = now
                    armed.append(passage)
                case Verdict.HELD | Verdict.SILENT | Verdict.STRANGE:
                    _log.info("gate.passed", uid=passage.uid, verdict=str(verdict))
                case _:
                    assert_never(verdict)
        return armed

    async def _cry(self) -> None:
        """A siren that fails must not cost the fact that it should have cried."""
        try:
            await self._gate.cry(self._settings.siren_seconds)
        except RemoteFault as error:
            _log.error("gate.mute", say=error.say)


async def main(config: Config[GateSettings], stop: asyncio.Event) -> None:
    """Run one gate until ``stop``. ConfigError if port, folder or driver cannot be had."""
    settings, clock = config.app, SystemClock()
    health = Health(clock, ("gate",))
    with ExitStack() as closing:
        sock = web.bind(settings.host, settings.port)
        closing.callback(sock.close)
        outbox = Outbox(config.database, settings.device, clock)
        closing.callback(outbox.close)
        ledger = Ledger(config.database, outbox)
        closing.callback(ledger.close)
        gate = open_gate(settings.gate_driver, settings.gate, afi=settings.security.in_stock)
        told: list[bool] = []

        def changed(ok: bool, why: str) -> None:
            health.check("gate", ok, why)
            if told[-1:] != [ok]:
                told[:] = [ok]
                _tell_change(outbox, clock, ok=ok)

        watch = Watch(settings, gate, ledger, changed, clock)
        bus = Bus(config.mqtt, config.identity, outbox)
        hosts = web.LOOPBACK | {settings.host}
        page = Starlette(
            routes=web.health_routes(health),
            middleware=[Middleware(web.SecurityHeaders, hosts=hosts)],
        )
        services: dict[str, supervise.Service] = {
            "watch": watch.run,
            "bus": bus.run,
            "http": lambda end: web.serve(page, sock, end),
        }
        _log.info("gate.start", port=web.port_of(sock))
        await supervise.keep(services, stop)
        _log.info("gate.end")


def _tell_change(outbox: Outbox, clock: Clock, *, ok: bool) -> None:
    code = "" if ok else "unreachable"
    with contextlib.suppress(MocbanError):  # /healthz and the log say it, too
        outbox.put(
            DeviceChanged(part="gate", state="ok" if ok else "lost", code=code, at=clock.now())
        )
    (_log.info if ok else _log.warning)("device", part="gate", ok=ok)


def _item(passage: Passage) -> str:
    """The item's id, or nothing if the tag cannot be read."""
    content = decode(passage.data)
    return content.id[:64] if isinstance(content, ItemTag) else ""
