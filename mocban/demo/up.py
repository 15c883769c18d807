"""``mocban up``: the demo branch for a person, until Ctrl-C."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from mocban import supervise
from mocban.demo.branch import Branch, Ports
from mocban.errors import Exit


async def run(folder: Path, *, free_ports: bool, broker_kind: str) -> int:
    """Start the branch in ``folder``, say where it is, end it on SIGINT, SIGTERM or SIGHUP."""
    supervise.lifeline()
    stop = asyncio.Event()
    supervise.on_signals(stop)
    typer.echo("Đang khởi động chi nhánh mẫu… / Starting the demo branch…")
    starting = asyncio.create_task(
        _start(folder, Ports.free() if free_ports else Ports(), broker_kind)
    )
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():  # Ctrl-C before it was up
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return Exit.DONE
    stopping.cancel()
    branch = starting.result()
    try:
        typer.echo(
            f"""
  Màn hình tự phục vụ / Kiosk screen       {branch.kiosk_url}
  Bảng theo dõi / Gateway dashboard        {branch.gateway_url}
  Thế giới mẫu / Demo world control panel  {branch.world_url}

  Dữ liệu / Data: {folder}   MQTT: {branch.broker}
  Mở cả ba trong trình duyệt, đặt thẻ rồi đặt sách lên khay. Ctrl-C để dừng.
  Open all three in a browser, lay the card and then books on the pad. Ctrl-C ends it."""
        )
        await stop.wait()
    finally:
        await branch.end()
    return Exit.DONE


async def _start(folder: Path, ports: Ports, broker_kind: str) -> Branch:
    return await Branch(folder, ports, broker_kind).__aenter__()
