"""``mocban up``: the demo branch for a person, until Ctrl-C."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from mocban import supervise
from mocban.demo.branch import Branch, Ports
from mocban.demo.plan import PACE
from mocban.errors import Exit


async def run(folder: Path, *, free_ports: bool, broker_kind: str, prometheus: bool = False) -> int:
    """Start the branch in ``folder``, say where it is, end it on SIGINT, SIGTERM or SIGHUP."""
    supervise.lifeline()
    stop = asyncio.Event()
    supervise.on_signals(stop)
    typer.echo("Đang khởi động chi nhánh mẫu… / Starting the demo branch…")
    ports = Ports.free() if free_ports else Ports()
    try:
        branch = Branch(folder, ports, broker_kind, PACE if prometheus else None)
        started = await supervise.unless(stop, branch.start())
        if started is not None:
            await _open(branch, stop)
    finally:
        supervise.deaf()
    return Exit.DONE


async def _open(branch: Branch, stop: asyncio.Event) -> None:
    alerts = f"\n  Cảnh báo / Alerts                        {branch.prometheus_url}alerts" * bool(
        branch.prometheus_url
    )
    try:
        typer.echo(
            f"""
  Màn hình tự phục vụ / Kiosk screen       {branch.kiosk_url}
  Bảng theo dõi / Gateway dashboard        {branch.gateway_url}
  Thế giới mẫu / Demo world control panel  {branch.world_url}{alerts}
  Bàn trực vận hành / Operations console   mocban ops console --config {branch.plan.config_file}

  Dữ liệu / Data: {branch.folder}   MQTT: {branch.broker}
  Mở cả ba trong trình duyệt, đặt thẻ rồi đặt sách lên khay. Ctrl-C để dừng.
  Open all three in a browser, lay the card and then books on the pad. Ctrl-C ends it."""
        )
        await stop.wait()
    finally:
        await branch.end()
