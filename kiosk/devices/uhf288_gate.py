"""UHF gates by UHFReader288 (Chafon, WYUAN and many unbranded): 57600 8N1, or TCP; light beams on its inputs.

``mode=poll`` (as it comes): it is asked for an inventory again and again, and each new tag for its control word, which
holds the AFI. ``mode=push``: it is in its real-time mode and tells every sighting by itself, without the control word:
then only a database, or with ``format=gaoxiao`` the bit in the UII, tells who may leave. ``alive=60``: seconds of
silence after which it is lost (its heartbeat must be on; 0: never).

``beams=1,2``: inputs of the beam on the street's side and of the one behind it, ``dark=0`` if an input is low while its
beam is interrupted. ``siren=relay`` or ``buzzer``; ``unit=50``: milliseconds that the relay's time is counted in.
Further options as of the pad. An inventory names a tag by its UII, so that is a passage's ``uid``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from kiosk.devices import urls
from kiosk.devices.base import Passage, People
from kiosk.devices.beams import INNER, OUTER, Beams
from kiosk.devices.pushed import Pushed
from kiosk.devices.uhf import Aim
from kiosk.devices.uhf18_pad import Uhf18Reader
from kiosk.wire import epc as bank01
from kiosk.wire import len_frame, uhf18, uhf18_gate, uhf18_reader
from kiosk.wire.uhf18 import Bank, Reply, Request, Status
from kiosk.wire.uhf18_gate import Sighting
from kiosk.wire.uhf18_reader import Info
from mocban import log
from mocban.errors import DeviceLost, RemoteProtocolError

_BAUD = 57600
_LOOK = 0.02  # seconds between two looks at the beams
_PC = 1  # word of bank 01
_DEAF = 3  # questions about inputs without an answer until none is asked any more
_MOST = 64  # tags whose control word is asked for in one call

_log = log.get("kiosk.gates")


def uhf288_gate(
    url: str, *, afi: int | None = 0x07, eas: bool = False, siren: str = ""
) -> Uhf288Gate:
    """A gate at ``url``, not opened yet. What it is asked to heed makes no difference to what it tells."""
    del afi, siren
    names = ("mode", "format", "alive", "beams", "dark", "siren", "unit")
    line, options = urls.part(url, names)
    mode = urls.choice(url, "mode", options.get("mode", "poll"), ("poll", "push"))
    form = urls.choice(url, "format", options.get("format", "iso"), ("iso", "gaoxiao"))
    alive = urls.number(url, "alive", options.get("alive", "60"), 0, 3600)
    ears: _Ears = _Asked(line) if mode == "poll" else _Told(line, float(alive), form)
    beams = [
        urls.number(url, "beams", one, 1, 4) for one in options.get("beams", "").split(",") if one
    ]
    dark = urls.number(url, "dark", options.get("dark", "1"), 0, 1)
    voice = urls.choice(url, "siren", options.get("siren", "relay"), ("relay", "buzzer"))
    unit = urls.number(url, "unit", options.get("unit", "50"), 1, 1000) / 1000
    if len(beams) not in {0, 2} or len(set(beams)) != len(beams):
        urls.choice(url, "beams", "", ("two inputs, as in 1,2",))
    return Uhf288Gate(ears, beams, dark=bool(dark), relay=voice == "relay", unit=unit, eas=eas)


class Uhf288Gate:
    """A gate whose reader hears by ``ears``. ``beams``: its inputs, outer and inner, or none."""

    reads = 2  # radio reflects: one stray sighting is no passage

    def __init__(
        self, ears: _Ears, beams: Sequence[int] = (), *, dark: bool = True, relay: bool = True,
        unit: float = uhf18_gate.UNIT, eas: bool = False,
    ) -> None:  # fmt: skip
        self._ears = ears
        self._inputs = tuple(beams)
        self._dark = dark
        self._relay = relay
        self._unit = unit
        self._eas = eas
        self._beams = Beams()  # not made anew: a reader that was lost for a moment forgets nobody
        self._deaf = 0

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._ears.noise

    async def open(self) -> str:
        self._deaf = 0
        return await self._ears.open()

    async def close(self) -> None:
        await self._ears.close()

    async def passages(self) -> tuple[list[Passage], bool]:
        await self._look()
        sightings, missed = await self._ears.heard()
        await self._look()
        way = self._beams.way(_now())
        found = [_passage(uii, epc, antenna, way) for antenna, uii, epc in sightings]
        if self._eas:
            reply = await self._ears.ask(uhf18.check_eas())
            if reply is not None and reply.status == Status.OK:
                found.append(Passage("", None, b"", direction=way, eas=True))
        return found, missed

    async def done(self) -> None:
        """It has no buffer."""

    async def near(self) -> list[Passage]:
        """No tag of several can be asked for its EAS bit: only one that is alone is known to be the armed one."""
        sightings, _ = await self._ears.heard()
        once = {uii: (antenna, epc) for antenna, uii, epc in sightings}
        armed = self._eas and len(once) == 1
        way = self._beams.way(_now())
        return [_passage(uii, epc, at, way, eas=armed) for uii, (at, epc) in once.items()]

    async def rest(self, seconds: float) -> None:
        """The beams are looked at meanwhile: a person crosses one in a third of a second."""
        end = _now() + seconds
        while (left := end - _now()) > 0 and not await self._ears.rest(min(left, _LOOK)):
            await self._look()

    async def people(self) -> People | None:
        """By the beams, since this program began; None without beams."""
        if not self._inputs or self._deaf >= _DEAF:
            return None
        return People(self._beams.entered, self._beams.left)

    async def cry(self, seconds: float) -> None:
        """By the relay's own time; a reader that knows none sounds its buzzer, as often as it takes."""
        if self._relay:
            reply = await self._ears.ask(uhf18_gate.relay(seconds, self._unit))
            if reply is not None and reply.status == Status.OK:
                return
            _log.warning(
                "gate.no-relay", do="wire the siren to the buzzer's output, or use siren=buzzer"
            )
        reply = await self._ears.ask(uhf18_gate.buzzer(seconds))
        if reply is None or reply.status != Status.OK:
            why = "no answer" if reply is None else uhf18.words(reply.status)
            raise RemoteProtocolError(
                f"The reader sounds neither its relay nor its buzzer: {why}.",
                "Take a reader with a timed relay, or a siren of its own line.",
                code="siren-silent",
            )

    async def _look(self) -> None:
        """Read the beams. A reader that never tells its inputs is not asked for ever."""
        if not self._inputs or self._deaf >= _DEAF:
            return
        reply = await self._ears.ask(uhf18_gate.inputs())
        try:
            if reply is None:
                raise RemoteProtocolError("The reader does not tell its inputs.")
            levels = uhf18_gate.decode_inputs(reply)
        except RemoteProtocolError as error:
            self._deaf += 1
            if self._deaf == _DEAF:
                _log.error("gate.no-beams", say=error.say, do="check the reader's inputs")
            return
        self._deaf = 0
        outer, inner = (bool(levels >> number - 1 & 1) == self._dark for number in self._inputs)
        self._beams.read(outer * OUTER | inner * INNER, _now())


_Seen = list[tuple[int, bytes, bytes]]
"""Antenna, UII, and PC and UII where the control word is known."""


class _Ears(Protocol):
    """How the reader hears: asked, or by itself."""

    @property
    def noise(self) -> int: ...

    async def open(self) -> str: ...

    async def close(self) -> None: ...

    async def heard(self) -> tuple[_Seen, bool]:
        """Sightings since the last call, and whether some were lost."""
        ...

    async def rest(self, seconds: float) -> bool:
        """Wait; True at once if something came by itself."""
        ...

    async def ask(self, request: Request) -> Reply | None: ...


class _Asked:
    """One inventory a call. A control word is read once for as long as the tag stays; that is a second sighting."""

    def __init__(self, line: str) -> None:
        self._reader = Uhf18Reader(line)
        self._known: dict[bytes, bytes] = {}  # PC and UII by UII

    @property
    def noise(self) -> int:
        return self._reader.noise

    async def open(self) -> str:
        self._known.clear()
        return await self._reader.open()

    async def close(self) -> None:
        await self._reader.close()

    async def heard(self) -> tuple[_Seen, bool]:
        uiis = list(dict.fromkeys(await self._reader.uiis()))
        self._known = {uii: epc for uii, epc in self._known.items() if uii in uiis}
        seen: _Seen = []
        for uii in uiis[:_MOST]:
            known = self._known.get(uii, b"")
            seen.append((1, uii, known))
            if not known:
                word = await self._reader.read(Aim(uii=uii), Bank.EPC, _PC, 1)
                if word and len(word) == 2:
                    self._known[uii] = word + uii
                    seen.append((1, uii, word + uii))
        return seen, False

    async def rest(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return False

    async def ask(self, request: Request) -> Reply | None:
        return await self._reader.ask(request)


class _Told:
    """Real-time mode. ``form``: what a UII without its control word is taken for."""

    def __init__(self, line: str, alive: float, form: str) -> None:
        self._line = Pushed(urls.with_speed(line, _BAUD), len_frame.framer, alive)
        self._form = form

    @property
    def noise(self) -> int:
        return self._line.noise

    async def open(self) -> str:
        """Who it is, if it answers in this mode at all."""
        await self._line.open()
        try:
            reply = await self.ask(uhf18_reader.info())
        except DeviceLost:
            await self.close()
            raise
        who = "UHFReader"
        if reply is not None and reply.status == Status.OK:
            try:
                who = str(Info.decode(reply.data))
            except RemoteProtocolError:
                who = "UHFReader"
        return f"{who} in real-time mode"

    async def close(self) -> None:
        await self._line.close()

    async def heard(self) -> tuple[_Seen, bool]:
        missed, self._line.lost = self._line.lost, False
        told = [one for frame in self._line.take() if (one := uhf18_gate.told(frame))]
        return [(one.antenna, one.uii, self._epc(one)) for one in told if one.uii], missed

    async def rest(self, seconds: float) -> bool:
        return await self._line.rest(seconds)

    async def ask(self, request: Request) -> Reply | None:
        wanted = request.command

        def answers(frame: bytes) -> Reply | None:
            try:
                reply = Reply.decode(frame)
            except RemoteProtocolError:
                return None
            mine = reply.command == wanted or (reply.command, reply.status) == (0, Status.ILLEGAL)
            return reply if mine else None

        return await self._line.ask(request.encode(), answers, 0.3)

    def _epc(self, sighting: Sighting) -> bytes:
        if self._form != "gaoxiao" or len(sighting.uii) > 2 * bank01.MOST_WORDS:
            return b""
        return bank01.join(sighting.uii, afi=None)


def _passage(uii: bytes, epc: bytes, antenna: int, way: str, *, eas: bool = False) -> Passage:
    found = bank01.split(epc)
    afi = None if found is None else found.pc.afi
    return Passage(uii.hex().upper(), afi, b"", antenna, way, epc, eas)


def _now() -> float:
    return asyncio.get_running_loop().time()
