"""The rounds at one security gate: who passes is judged at once and without the network, and told afterwards."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

from prometheus_client import Counter

from kiosk.devices.base import Gate, Passage, People
from kiosk.devices.noise import Noise
from kiosk.gate.judging import HF, Rules, Sights, Verdict, judge, said, short
from kiosk.gate.ledger import Ledger, Note
from kiosk.gate.mounted import Mounted
from kiosk.settings import GateSettings
from kiosk.wire.content import Content, ItemTag
from mocban import log
from mocban.clock import Clock
from mocban.errors import RemoteFault, StorageError
from mocban.events import EventsLost, GateAlarmed, StillArmed
from mocban.ids import jitter

GRACE = 1.0
"""Seconds that a round may still take at the end: who was read is told once, not lost and not twice."""
PATIENCE = 0.015
"""Seconds that a round which has something to tell waits for the disk before it reads on."""
BACKOFF = (0.2, 5.0)
"""First and longest pause before a lost gate is opened again, seconds."""
PEOPLE_EVERY = 5
"""The people counters are read every so many rounds."""
WAITING_MOST = 1000
"""Notes kept in memory while the disk takes nothing; the oldest go first."""

_log = log.get("kiosk.gates")
_overflows = Counter("mocban_gate_overflows_total", "Times the gate's buffer lost passages")
_excused = Counter(
    "mocban_gate_excused_total", "Armed tags let go because a feed said so", ["feed"]
)
_silenced = Counter("mocban_gate_silenced_total", "Armed tags that a silent gate did not cry for")
_passed = Counter("mocban_gate_sightings_total", "Sightings of tags, by verdict", ["verdict"])


@dataclass(frozen=True, slots=True)
class Turn:
    """A part of the gate changed its condition. ``code``: in a word; ``say``: for a person."""

    part: str
    state: Literal["ok", "degraded", "lost"]
    code: str = ""
    say: str = ""


class Known(Protocol):
    """What is known of loans; ``kiosk.gate.known.Known`` is one."""

    def excused(self, uid: str, item: str) -> str:
        """The name of what lets this tag go; empty if nothing does."""
        ...

    @property
    def loans(self) -> bool:
        """Whether a feed of loans is in force."""
        ...


class Watch:
    """One gate and its rounds. ``turned`` hears of every turn of the loop, ``changed`` of every change of a part.

    While ``silent``, it judges and counts, but cries for nobody and tells no alarm.
    """

    def __init__(
        self,
        settings: GateSettings,
        gate: Gate,
        ledger: Ledger,
        changed: Callable[[Turn], None],
        clock: Clock,
        known: Known,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._ledger = ledger
        self._changed = changed
        self._clock = clock
        self._known = known
        self._turned = turned
        self._rules = Rules.of(settings, gate.reads)
        self._sights = Sights(self._rules)
        self._mounted = Mounted(settings.test_tags, settings.test_seconds)
        self.silent = False
        self._noise = Noise("gate")
        self._notes: deque[Note] = deque(maxlen=WAITING_MOST)
        self._losing = False  # the overflow that was told goes on
        self._lying = False
        self._mute = False
        self._blind: bool | None = None  # a database decides here, and there is none
        self._stopping = False
        self._resting = True
        self._writing: asyncio.Task[None] | None = None
        self._counters: People | None = None  # read while a slow disk still took the last ones
        self._unsettled = True  # maybe something from before is not told yet

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``: keep the gate open, round after round."""
        watching = asyncio.create_task(self._keep())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({watching, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:  # also if another part of this process failed, and we are cancelled for it
            self._stopping = True
            if not self._resting:
                await asyncio.wait({watching}, timeout=GRACE)
            if self._writing is not None:
                await asyncio.wait({self._writing}, timeout=GRACE)
            watching.cancel()
            stopped.cancel()
            ends = await asyncio.gather(watching, stopped, return_exceptions=True)
            if self._free():
                self._record()
                self._settle(None)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def round(self, *, people: bool) -> bool:
        """One reading of the gate: cry first, write afterwards. True if there may be more to read at once."""
        passages, overflowed = await self._gate.passages()
        self._noise.heard(self._gate.noise)
        busy = await self._heed(passages)
        if self._rules.detect == "eas" and self._mounted.due(self._clock.mono()):
            await self._heed(await self._gate.near(), certain=True)
        if overflowed and not self._losing:
            self._notes.append(Note(EventsLost))
            _overflows.inc()
            _log.warning(
                "gate.overflow", do="read more often, or look for a tag left near the gate"
            )
        self._losing = overflowed
        self._tell_parts()
        if people:
            self._counters = await self._gate.people() or self._counters
        if self._notes and self._free():
            self._writing = asyncio.create_task(asyncio.to_thread(self._record))
            await asyncio.wait({self._writing}, timeout=PATIENCE)
        # Also if the disk refuses: else it would be read, and cried for, for ever. And before it is told.
        await self._gate.done()
        if (self._counters or self._unsettled) and self._free():
            counters, self._counters = self._counters, None
            self._writing = asyncio.create_task(asyncio.to_thread(self._settle, counters))
        return busy

    def _free(self) -> bool:
        """Whether nothing is being written; the disk is used by one thread at a time, away from the loop that cries."""
        if self._writing is not None and self._writing.done():
            writing, self._writing = self._writing, None
            writing.result()  # whatever went wrong but the disk is a fault of ours
        return self._writing is None

    def _record(self) -> None:
        """Write down what happened."""
        try:
            while self._notes:
                note = self._notes.popleft()
                try:
                    self._ledger.note(note)
                except BaseException:
                    self._notes.appendleft(note)
                    raise
                self._unsettled = True
        except StorageError as error:
            _log.error("gate.untold", say=error.say, waiting=len(self._notes))

    def _settle(self, counters: People | None) -> None:
        """Count, and tell what was written down."""
        try:
            if counters is not None:
                self._ledger.counted(counters)
            self._ledger.settle()
            self._unsettled = False
        except StorageError as error:
            self._unsettled = True
            _log.error("gate.untold", say=error.say, waiting=len(self._notes))

    async def _keep(self) -> None:
        pause = BACKOFF[0]
        while True:
            self._turned()
            try:
                version = await self._gate.open()
                self._mounted.opened(self._clock.mono())
                number = 0
                while not self._stopping:
                    self._resting = False
                    due = self._clock.mono() + self._settings.poll_seconds
                    busy = await self.round(people=number % PEOPLE_EVERY == 0)
                    if number == 0:
                        _log.info("gate.open", version=version)
                        self._changed(Turn("gate", "ok"))
                        pause = BACKOFF[0]
                    number += 1
                    self._turned()
                    self._resting = True
                    await self._gate.rest(0.0 if busy else max(0.0, due - self._clock.mono()))
                return
            except RemoteFault as error:
                self._changed(Turn("gate", "lost", "unreachable", error.say))
            finally:
                self._resting = True
                await self._gate.close()
            await asyncio.sleep(jitter(pause))
            pause = min(pause * 2, BACKOFF[1])

    async def _heed(self, passages: list[Passage], *, certain: bool = False) -> bool:
        """Judge, and cry at once; True if somebody is in the gate. Where only a bit was felt, ask who it was."""
        now = self._clock.mono()
        cries: list[tuple[Passage, Content]] = []
        unnamed = busy = False
        for passage in passages:
            content = said(passage)
            verdict = self._judge(passage, content, now, certain=certain)
            busy = busy or verdict not in {Verdict.TEST, Verdict.PARKED}
            if verdict is Verdict.CRY:
                self._sights.acted(passage.uid, now)
                cries.append((passage, content))
            unnamed = unnamed or (not passage.uid and verdict is not Verdict.WAITING)
        if cries:
            await self._cry()
        named = await self._named() if unnamed else []
        if named and any(not passage.uid for passage, _ in cries):
            cries = self._given_away(cries, named, now)
        elif named:
            busy = await self._heed(named, certain=True) or busy
        self._notes.extend(self._alarm(passage, content) for passage, content in cries)
        return busy

    async def _named(self) -> list[Passage]:
        """Who in the field is armed, by name. The gate's loss is found out by the next reading."""
        try:
            return [passage for passage in await self._gate.near() if passage.eas]
        except RemoteFault as error:
            _log.warning("gate.unnamed", say=error.say)
            return []

    def _given_away(
        self, cries: list[tuple[Passage, Content]], named: list[Passage], now: float
    ) -> list[tuple[Passage, Content]]:
        """A bit without a name was cried for; put the names in its place, if it was for these.

        Who of them has a loan is work for the staff, though the siren could not know it.
        """
        found = [(passage, said(passage)) for passage in named]
        meant = [
            (passage, content)
            for passage, content in found
            if self._judge(passage, content, now, certain=True) in {Verdict.CRY, Verdict.LENT}
        ]
        if not meant:
            return cries
        for passage, _ in meant:
            self._sights.acted(passage.uid, now)
        return [(passage, content) for passage, content in cries if passage.uid] + meant

    def _judge(self, passage: Passage, content: Content, now: float, *, certain: bool) -> Verdict:
        """The verdict, and whatever it asks for but the cry."""
        key = passage.uid
        if (news := self._mounted.saw(key, now)) is not None:
            self._blindness(*news)
        sight = self._sights.see(key, now)
        item = content.id if isinstance(content, ItemTag) else ""
        feed = self._known.excused(key, item if self._by_item(passage) else "")
        verdict = judge(
            passage, content, self._rules, sight,
            feed=feed, known=self._known.loans, certain=certain,
        )  # fmt: skip
        _passed.labels(verdict).inc()
        match verdict:
            case Verdict.CRY if self.silent:
                self._sights.acted(key, now)
                _silenced.inc()
                _log.info("gate.silenced", uid=key)
                return Verdict.HELD
            case Verdict.CRY | Verdict.TEST | Verdict.CARD | Verdict.WAITING:
                return verdict
            case Verdict.LENT:
                _excused.labels(feed).inc()
                if sight.acted is None or now - sight.acted >= self._rules.hold:
                    self._sights.acted(key, now)
                    body = {"item": item[:64], "uid": short(key), "feed": feed}
                    self._notes.append(Note(StillArmed, {**body, "direction": passage.direction}))
            case Verdict.EXCUSED:
                _excused.labels(feed).inc()
            case Verdict.PARKED:
                if self._sights.park(key):
                    _log.warning("gate.parked", uid=key, do="take the item away from the gate")
            case (
                Verdict.HELD | Verdict.INBOUND | Verdict.FOREIGN | Verdict.SILENT
                | Verdict.STRANGE | Verdict.BLANK
            ):  # fmt: skip
                pass
            case _:
                assert_never(verdict)
        if self._sights.judged(key, verdict):
            _log.info("gate.passed", uid=key, verdict=str(verdict), feed=feed)
        return verdict

    def _by_item(self, passage: Passage) -> bool:
        """A UHF gate knows a tag by its UII, a kiosk by its TID: what they agree on is the item."""
        return self._rules.detect == "database" or not passage.uid.startswith(HF)

    def _alarm(self, passage: Passage, content: Content) -> Note:
        loans = self._rules.detect == "database" and self._known.loans
        return Note(
            GateAlarmed,
            {
                "item": content.id[:64] if isinstance(content, ItemTag) else "",
                "uid": short(passage.uid),
                "direction": passage.direction,
                "reason": "eas" if passage.eas else "armed",
                "by": "database" if loans else "tag",
            },
        )

    async def _cry(self) -> None:
        """A siren that fails must not cost the fact that it should have cried."""
        try:
            await self._gate.cry(self._settings.siren_seconds)
        except RemoteFault as error:
            _log.error("gate.mute", say=error.say)
            self._mute = True
            self._changed(Turn("gate-siren", "lost", "silent", error.say))
            return
        if self._mute:
            self._mute = False
            self._changed(Turn("gate-siren", "ok"))

    def _tell_parts(self) -> None:
        """What is blind, what lies there, what is not known."""
        now = self._clock.mono()
        for part, ok in self._mounted.missing(now):
            self._blindness(part, ok)
        lying = self._sights.parked(now)
        if lying != self._lying:
            self._lying = lying
            say = "A closed item lies near the gate; take it away." if lying else ""
            state: Literal["ok", "degraded"] = "degraded" if lying else "ok"
            self._changed(Turn("gate-parked", state, "parked-tag" if lying else "", say))
        blind = self._rules.detect == "database" and not self._known.loans
        if blind != bool(self._blind) or (blind and self._blind is None):
            self._blind = blind
            say = "No list of loans is in force; the gate goes by the tags alone." if blind else ""
            state = "degraded" if blind else "ok"
            self._changed(Turn("gate-feeds", state, "no-loans" if blind else "", say))

    def _blindness(self, part: str, ok: bool) -> None:
        say = "" if ok else "Its test tag is not seen; check antenna, cable and the tag itself."
        self._changed(Turn(part, "ok" if ok else "lost", "" if ok else "test-tag", say))
