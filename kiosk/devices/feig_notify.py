"""FEIG gates in notification mode: the reader connects to us and tells each tag by itself.

The line is ``tcp-listen://HOST:PORT?from=ADDRESS``. Options: ``ack=1`` where the reader waits for our word before it
forgets (it tells again after 5 seconds); ``alive=60``, seconds of silence after which it counts as lost, so its keep-
alive must be on (0: never lost). Outputs are switched on a line of their own if there is one, else on this one: not
every reader listens while it tells.
"""

from __future__ import annotations

from kiosk.devices.base import Passage, People
from kiosk.devices.feig import FeigHost, trouble
from kiosk.devices.feig_records import OUT, RELAY, batch_of, cry, passages, people
from kiosk.devices.pushed import Pushed
from kiosk.wire import iso_host, iso_host_gate
from kiosk.wire.iso_host import Command, Reply, Status
from kiosk.wire.iso_host_gate import Output
from mocban.errors import RemoteProtocolError


class FeigNotify:
    """A gate that tells by itself. ``afi``, ``output``, ``out`` as of ``FeigGate``; ``siren``: URL for outputs."""

    reads = 1

    def __init__(
        self,
        url: str,
        afi: int | None = 0x07,
        *,
        siren: str = "",
        output: int = RELAY,
        out: int = OUT,
        ack: bool = False,
        alive: float = 60.0,
    ) -> None:
        self._line = Pushed(url, iso_host.framer, alive)
        self._siren = FeigHost(siren) if siren else None
        self._afi = afi
        self._output = output
        self._out = out
        self._ack = ack
        self._owed = 0  # notifications that the reader waits to hear of

    @property
    def noise(self) -> int:
        """Bytes dropped while resynchronising, since open."""
        return self._line.noise + (self._siren.noise if self._siren else 0)

    async def open(self) -> str:
        """The siren's line first: a gate that tells and cannot cry is none."""
        self._owed = 0
        version = "FEIG in notification mode"
        if self._siren is not None:
            version = f"{await self._siren.open()}, in notification mode"
        try:
            await self._line.open()
        except BaseException:
            await self.close()
            raise
        return version

    async def close(self) -> None:
        if self._siren is not None:
            await self._siren.close()
        await self._line.close()

    async def passages(self) -> tuple[list[Passage], bool]:
        await self.done()
        found: list[Passage] = []
        missed, self._line.lost = self._line.lost, False
        for frame in self._line.take():
            reply = _reply(frame)
            if reply is None or reply.command != Command.READ_BUFFER:
                continue  # a keep-alive, or an answer that came too late
            self._owed += 1
            if reply.status == Status.NO_DATA:
                continue
            try:
                batch = batch_of(reply)
            except RemoteProtocolError:
                missed = True
                continue
            missed = missed or reply.status == Status.OVERFLOW or batch.spoilt > 0
            found += passages(batch, self._afi, self._out)
        return found, missed

    async def done(self) -> None:
        owed, self._owed = self._owed, 0
        if self._ack:
            for _ in range(owed):
                await self._line.send(iso_host_gate.clear_buffer().encode())

    async def near(self) -> list[Passage]:
        """Nothing: a reader that tells by itself is not asked."""
        return []

    async def rest(self, seconds: float) -> None:
        await self._line.rest(seconds)

    async def people(self) -> People | None:
        """Only where there is a line to ask on."""
        return await people(self._siren) if self._siren is not None else None

    async def cry(self, seconds: float) -> None:
        """On the siren's line, else on this one. RemoteProtocolError if the reader does not do it."""
        if self._siren is not None:
            await cry(self._siren, self._output, seconds)
            return
        request = iso_host_gate.set_output(Output.timed(self._output, seconds))
        reply = await self._line.ask(request.encode(), _switched)
        if reply is None:
            raise RemoteProtocolError(
                "The reader did not answer on its notification line: the siren may be silent.",
                "Set gate.siren to a second line of the reader.",
                code="siren-silent",
            )
        if reply.status != Status.OK:
            raise trouble(reply)


def _reply(frame: bytes) -> Reply | None:
    try:
        return Reply.decode(frame)
    except RemoteProtocolError:
        return None


def _switched(frame: bytes) -> Reply | None:
    reply = _reply(frame)
    return reply if reply is not None and reply.command == Command.SET_OUTPUT else None
