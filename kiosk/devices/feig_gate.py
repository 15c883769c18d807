"""FEIG gates (ISC.LR, LRM, ANT1520/680): buffered reads, EAS, people counters and timed outputs by ISO-Host.

Options of the URL: ``output=0x81``, the relay of siren and lamp (type in bits 7-5, number in bits 4-0); ``out=2``, the
number that the radar gives to those who go out; ``mode=notify`` for a reader that connects to us and tells by itself
(``kiosk.devices.feig_notify``, with options of its own).
"""

from __future__ import annotations

import asyncio

from kiosk.devices import urls
from kiosk.devices.base import Gate, Passage, People
from kiosk.devices.feig import FeigHost, lost
from kiosk.devices.feig_notify import FeigNotify
from kiosk.devices.feig_records import OUT, RELAY, batch_of, cry, passages, people
from kiosk.wire import iso_host_gate, iso_host_tags
from kiosk.wire.iso15693 import Found, Uid
from kiosk.wire.iso_host import Reply, Status
from kiosk.wire.iso_host_tags import Blocks
from mocban import log
from mocban.errors import RemoteProtocolError

_SETS = 16  # records in one answer, some 60 bytes each
_NEAR = 16  # tags that are asked one by one; more do not go through a gate at once
_BLOCKS = (9, 8)  # that hold the basic block of ISO 28560-3, and of a tag of 32 bytes
_ARMED = (Status.OK, Status.RF_WARNING, Status.DATA_FALSE)  # only an armed tag says anything
_NO_ALARM = (Status.NO_TAG, Status.ISO_ERROR)

_log = log.get("kiosk.gates")


def feig_gate(
    url: str, *, afi: int | None = 0x07, eas: bool = False, siren: str = "", output: int = RELAY
) -> Gate:
    """A gate at ``url``, not opened yet. ``siren``: URL of the line for outputs, in notification mode only."""
    line, options = urls.part(url, ("mode", "output", "out", "ack", "alive"))
    mode = urls.choice(url, "mode", options.pop("mode", "buffer"), ("buffer", "notify"))
    if "output" in options:
        output = _byte(url, options["output"])
    out = urls.number(url, "out", options.get("out", str(OUT)), 1, 2)
    if mode == "notify":
        alive = urls.number(url, "alive", options.get("alive", "60"), 0, 3600)
        ack = urls.choice(url, "ack", options.get("ack", "0"), ("0", "1")) == "1"
        return FeigNotify(
            line, afi, siren=siren, output=output, out=out, ack=ack, alive=float(alive)
        )
    return FeigGate(line, afi, output, eas=eas, out=out)


class FeigGate:
    """A gate that is asked. ``afi``: what it is set to poll, so what every tag it reports holds; None if it polls all.

    ``eas``: it is asked for armed EAS bits, too; with ``afi`` None for these alone.
    """

    reads = 1  # the buffer holds each tag once a passage, and an EAS alarm is a pattern of 256 bits

    def __init__(
        self, url: str, afi: int | None = 0x07, output: int = RELAY, *, eas: bool = False, out: int = OUT
    ) -> None:  # fmt: skip
        self._host = FeigHost(url)
        self._afi = afi
        self._output = output
        self._out = out
        self._eas = eas
        self._buffer = afi is not None or not eas
        self._owed = False  # records were read and are still in the gate

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._host.noise

    async def open(self) -> str:
        self._owed = False
        return await self._host.open()

    async def close(self) -> None:
        await self._host.close()

    async def passages(self) -> tuple[list[Passage], bool]:
        """One answer of the buffer. Who dies before it is ``done`` is told it again: twice is better than never."""
        found, missed = await self._buffered() if self._buffer else ([], False)
        if self._eas and not found and await self._feels():
            found.append(Passage("", None, b"", eas=True))
        return found, missed

    async def done(self) -> None:
        if self._owed:
            await self._host.ask(iso_host_gate.clear_buffer())
            self._owed = False

    async def near(self) -> list[Passage]:
        found: list[Passage] = []
        for uid in await self._inventory():
            armed = self._eas and await self._feels(uid)
            found.append(Passage(str(uid), None, await self._memory(uid), eas=armed))
        return found

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def people(self) -> People | None:
        """Both aisles together. The order of the four counters was seen at one site: calibrate."""
        return await people(self._host)

    async def cry(self, seconds: float) -> None:
        """As the Protocol; RemoteProtocolError if the gate has no such output."""
        await cry(self._host, self._output, seconds)

    async def _buffered(self) -> tuple[list[Passage], bool]:
        await self.done()
        reply = await self._host.ask(iso_host_gate.read_buffer(_SETS))
        if reply.status == Status.NO_DATA:
            return [], False
        batch = batch_of(reply)
        self._owed = True
        missed = reply.status == Status.OVERFLOW or batch.spoilt > 0
        return passages(batch, self._afi, self._out), missed

    async def _feels(self, uid: Uid | None = None) -> bool:
        """Whether an armed tag is in the field, or this one is armed."""
        reply = await self._host.ask(iso_host_tags.eas_alarm(uid))
        if reply.status in _ARMED:
            return True
        if reply.status in _NO_ALARM:
            return False
        if not self._buffer:
            await self._host.close()
            raise lost(reply)
        _log.error(
            "gate.no-eas",
            say=lost(reply).say,
            do="set gate.detect to afi, or the reader to host mode: it feels no EAS as it is",
        )
        self._eas = False
        return False

    async def _memory(self, uid: Uid) -> bytes:
        """As much as holds an id, if the tag is heard."""
        for count in _BLOCKS:
            reply = await self._host.ask(iso_host_tags.read_blocks(uid, 0, count))
            if reply.status in (Status.OK, Status.RF_WARNING):
                try:
                    return Blocks.decode(reply.data).data
                except RemoteProtocolError:
                    continue
        return b""

    async def _inventory(self) -> list[Uid]:
        reply = await self._host.ask(iso_host_tags.inventory())
        return [found.uid for found in _found(reply)[:_NEAR]]


def _found(reply: Reply) -> list[Found]:
    if reply.status not in (Status.OK, Status.MORE, Status.RF_WARNING):
        return []
    try:
        return iso_host_tags.decode_found(reply.data)
    except RemoteProtocolError:
        return []


def _byte(url: str, text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    return urls.number(url, "output", str(number), 0, 255)
