"""An emulated reader at the other end of a cable inside the process: no time of a line, none of the air."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from kiosk.emulators.talk import Said
from kiosk.transports.base import open_stream
from kiosk.wire.framing import Framer
from mocban.errors import DeviceLost

Answer = Callable[[bytes], Said | None]


@asynccontextmanager
async def wired(name: str, framer: Framer, answer: Answer) -> AsyncIterator[str]:
    """The URL of a cable at whose other end ``answer`` speaks."""
    url = f"memory://{name}"
    far = await open_stream(url)

    async def speak() -> None:
        while True:
            for frame in framer.feed(await far.read()):
                if (said := answer(frame)) is not None:
                    await far.write(said.data)

    speaking = asyncio.create_task(speak())
    try:
        yield url
    finally:
        speaking.cancel()
        with suppress(asyncio.CancelledError, DeviceLost):
            await speaking
        await far.close()
