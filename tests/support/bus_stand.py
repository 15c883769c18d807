"""A process on the bus with its outbox, for the tests of the bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mocban.bus import Bus
from mocban.events import LoanMade
from mocban.identity import Identity
from mocban.outbox import Outbox

ME = Identity("demo", "kiosk-1", "kiosk")


@asynccontextmanager
async def running(
    port: int, outbox: Outbox, *, scheme: str = "mqtt", **more: Any
) -> AsyncIterator[Bus]:
    stop = asyncio.Event()
    line = Bus(f"{scheme}://127.0.0.1:{port}", ME, outbox, **more)
    task = asyncio.create_task(line.run(stop))
    try:
        yield line
    finally:
        stop.set()
        await asyncio.wait_for(task, 5)


def told(outbox: Outbox, *lines: int) -> None:
    for line in lines:
        outbox.put(LoanMade(session="s", line=line, item="x"))


async def emptied(outbox: Outbox) -> None:
    async with asyncio.timeout(10):
        while outbox.depth:
            await asyncio.sleep(0.01)


def ack(outbox: Outbox, upto: int) -> bytes:
    return json.dumps({"epoch": outbox.epoch, "upto": upto}).encode()
