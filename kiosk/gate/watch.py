"""The rounds at one security gate: who passes is judged at once and without the network, and told afterwards."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import assert_never

from prometheus_client import Counter

from kiosk.devices.base import Gate, Passage
from kiosk.devices.noise import Noise
from kiosk.gate.ledger import Ledger
from kiosk.settings import GateSettings, Security
from kiosk.wire.content import ItemTag
from kiosk.wire.tag import decode
from mocban import log
from mocban.clock import Clock
from mocban.errors import RemoteFault, StorageError
from mocban.ids import jitter

BACKOFF = (0.2, 5.0)
"""First and longest pause before a lost gate is opened again, seconds."""
PEOPLE_EVERY = 5
"""The people counters are read every so many rounds."""
WAITING_MOST = 1000
"""Alarms kept in memory while the disk takes nothing; the oldest go first."""

_log = log.get("kiosk.gates")
_overflows = Counter("mocban_gate_overflows_total", "Times the gate's buffer lost passages")
_excused = Counter(
    "mocban_gate_excused_total", "Armed tags let go because a feed said so", ["feed"]
)
_silenced = Counter("mocban_gate_silenced_total", "Armed tags that a silent gate did not cry for")


class Verdict(StrEnum):
    """What a gate makes of one tag."""

    CRY = "cry"
    HELD = "held"  # armed, but it cried for this tag a moment ago
    SILENT = "silent"  # on loan
    STRANGE = "strange"  # not a mark of this site, or none known
    EXCUSED = "excused"  # armed, but a feed says to let it go


def judge(
    passage: Passage, security: Security, cries: Mapping[str, float], now: float, hold: float,
    *, excused: bool = False,
) -> Verdict:  # fmt: skip
    """Whether to cry. ``cries``: when it last cried for a uid; that, ``now`` and ``hold`` in seconds of one clock.

    ``excused``: a feed in force says to let this tag go.
    """
    if passage.afi == security.on_loan:
        return Verdict.SILENT
    if passage.afi != security.in_stock:
        return Verdict.STRANGE
    if excused:
        return Verdict.EXCUSED
    last = cries.get(passage.uid)
    return Verdict.CRY if last is None or now - last >= hold else Verdict.HELD


class Watch:
    """One gate and its rounds. ``excused``: name of the feed that excuses a uid now, or nothing.

    While ``silent``, it judges and counts, but cries for nobody and tells no alarm. ``turned`` hears of every turn.
    """

    def __init__(
        self,
        settings: GateSettings,
        gate: Gate,
        ledger: Ledger,
        changed: Callable[[bool, str], None],
        clock: Clock,
        excused: Callable[[str], str],
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._ledger = ledger
        self._changed = changed
        self._clock = clock
        self._cries: dict[str, float] = {}
        self._excused = excused
        self._turned = turned
        self.silent = False
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
            self._turned()
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
                    self._turned()
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
            feed = self._excused(passage.uid)
            verdict = judge(
                passage, self._settings.security, self._cries, now, hold, excused=bool(feed)
            )
            match verdict:
                case Verdict.CRY if self.silent:
                    _silenced.inc()
                    _log.info("gate.silenced", uid=passage.uid)
                case Verdict.CRY:
                    self._cries[passage.uid] = now
                    armed.append(passage)
                case Verdict.EXCUSED:
                    _excused.labels(feed).inc()
                    _log.info("gate.passed", uid=passage.uid, verdict=str(verdict), feed=feed)
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


def _item(passage: Passage) -> str:
    """The item's id, or nothing if the tag cannot be read."""
    content = decode(passage.data)
    return content.id[:64] if isinstance(content, ItemTag) else ""
