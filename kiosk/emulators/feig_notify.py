"""An emulated FEIG gate in notification mode: it connects to the computer and tells each tag by itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from kiosk.emulators.feig import until
from kiosk.emulators.feig_gate import HAS, LOOK, Reading, switch
from kiosk.emulators.passing import Passing
from kiosk.emulators.world import World
from kiosk.wire import iso_host
from kiosk.wire.iso_host import Command, Reply, Request, Status
from kiosk.wire.iso_host_gate import Batch, Record
from mocban.errors import RemoteProtocolError

RETRY = 0.1  # seconds between two attempts to connect


async def main(
    world_path: Path, host: str, port: int, stop: asyncio.Event,
    *, ack: bool = False, alive: float = 0.5, patience: float = 0.5, deaf: bool = False, source: str = "",
) -> None:  # fmt: skip
    """Be a gate that tells ``host:port`` until ``stop``; it polls AFI 07.

    ``ack``: it tells each record again every ``patience`` seconds until it hears 32. ``alive``: seconds between two
    keep-alives. ``deaf``: it takes no commands on this line. ``source``: the address it comes from.
    """
    world = World(world_path)
    teller = Teller(world, ack=ack, patience=patience, deaf=deaf)
    try:
        await until(stop, teller.live(host, port, alive, source))
    finally:
        world.close()


class Teller:
    """A reader and what it still has to tell. ``pushed``: how many records went out, repeats too."""

    def __init__(self, world: World, *, ack: bool, patience: float, deaf: bool) -> None:
        self._world = world
        self._reading = Reading(world, Passing(world))
        self._untold: list[Record] = []
        self._ack = ack
        self._patience = patience
        self._deaf = deaf
        self._heard = asyncio.Event()
        self.pushed = 0

    async def live(self, host: str, port: int, alive: float, source: str) -> None:
        """Connect, tell, and connect again."""
        local = (source, 0) if source else None
        while True:
            try:
                reader, writer = await asyncio.open_connection(host, port, local_addr=local)
            except OSError:
                self._untold += self._reading.look()
                await asyncio.sleep(RETRY)
                continue
            listening = asyncio.create_task(self._listen(reader, writer))
            try:
                await self._tell(writer, listening, alive)
            except OSError:
                pass
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                writer.transport.abort()
            await asyncio.sleep(RETRY)

    async def _tell(
        self, writer: asyncio.StreamWriter, listening: asyncio.Task[None], alive: float
    ) -> None:
        loop = asyncio.get_running_loop()
        said_at = -alive
        while not listening.done():
            self._untold += self._reading.look()
            if self._untold:
                self._heard.clear()
                batch = Batch(HAS, (self._untold[0],)).encode()
                writer.write(_frame(Command.READ_BUFFER, batch))
                await writer.drain()
                self.pushed += 1
                said_at = loop.time()
                if not self._ack or await self._acknowledged():
                    self._untold.pop(0)
            elif loop.time() - said_at >= alive:
                writer.write(_frame(Command.DIAGNOSTIC, b"\x00\x00"))
                await writer.drain()
                said_at = loop.time()
            else:
                await asyncio.sleep(LOOK)

    async def _acknowledged(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._heard.wait()
                return True
        return False

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = iso_host.framer()
        while data := await reader.read(4096):
            for frame in framer.feed(data):
                with suppress(RemoteProtocolError):
                    request = Request.decode(frame)
                    if request.command == Command.CLEAR_BUFFER:
                        self._heard.set()
                    elif request.command == Command.SET_OUTPUT and not self._deaf:
                        reply = switch(self._world, request).reply
                        writer.write(
                            Reply(reply.command, reply.status, reply.data, advanced=True).encode()
                        )


def _frame(command: int, data: bytes) -> bytes:
    return Reply(command, Status.OK, data, advanced=True).encode()
