"""A device as a process: a real outbox and a real bus, and loans put at a given rate.

Line ``i`` of a session is told exactly once, however often the process is killed: the outbox knows what was put.
What was put is said in a status file, beside the data and never in it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

from mocban import bus, supervise
from mocban.clock import SystemClock
from mocban.errors import StorageError
from mocban.events import LoanMade
from mocban.identity import Identity
from mocban.messages import Ack
from mocban.outbox import Outbox


class PubackLink(bus.Link):
    """The control: believes a PUBACK and forgets the row, as many a store-and-forward does; watermarks mean nothing."""

    def confirmed(self, mid: int, code: int) -> None:
        """PUBACK: as far as they came without a gap."""
        seq, outbox = self._flow._flying.get(mid, 0), self._bus._outbox
        super().confirmed(mid, code)
        if seq and code == 0:
            _believed.add(seq)
            upto = outbox.upto
            while upto + 1 in _believed:
                upto += 1
            outbox.acked(Ack(epoch=outbox.epoch, upto=upto))

    def _watermark(self, payload: bytes) -> None:
        """The gateway's word is not heard."""


_believed: set[int] = set()


async def main(args: argparse.Namespace) -> None:
    """Put and drain until SIGTERM."""
    stop = asyncio.Event()
    supervise.on_signals(stop)
    outbox = Outbox(args.data / "teller.db", args.device, SystemClock())
    link = bus.Bus(args.mqtt, Identity("demo", args.device, "kiosk"), outbox)
    said: dict[str, Any] = {"put": 0, "refused": 0, "faults": 0}

    async def put(end: asyncio.Event) -> None:
        line = 0
        while line < args.total and not end.is_set():
            fact = LoanMade(session=args.session, line=line, item=f"{args.session}-{line:06}")
            try:
                new = outbox.put(fact)
            except StorageError as error:
                said["faults"] += 1
                said["why"] = error.say
                await nap(0.05)
                continue
            line += 1
            said["put"] = line
            if new:
                await nap(1 / args.rate)
        await end.wait()

    async def say(end: asyncio.Event) -> None:
        while not end.is_set():
            status(args.status, outbox, link, said)
            await nap(0.03)

    async def nap(seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)

    try:
        await supervise.keep({"bus": link.run, "put": put, "say": say}, stop)
        status(args.status, outbox, link, said)
    finally:
        outbox.close()


def status(file: Path, outbox: Outbox, link: bus.Bus, said: dict[str, Any]) -> None:
    """Say how far we are; whoever reads sees one whole status."""
    body = {
        **said, "pid": os.getpid(), "depth": outbox.depth, "told": outbox.told, "epoch": outbox.epoch,
        "connected": link.connected, "now": SystemClock().now().isoformat(),
    }  # fmt: skip
    new = file.with_suffix(".new")
    new.write_text(json.dumps(body), encoding="utf-8")
    new.replace(file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--status", type=Path, required=True)
    parser.add_argument("--mqtt", required=True)
    parser.add_argument("--device", default="kiosk-1")
    parser.add_argument("--session", default="s1")
    parser.add_argument("--total", type=int, default=100)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--delete-on-puback", action="store_true")
    parsed = parser.parse_args()
    supervise.lifeline()
    if parsed.delete_on_puback:
        bus.Link = PubackLink  # type: ignore[misc]
    asyncio.run(main(parsed))
