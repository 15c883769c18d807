"""``mocban up``: the demo branch for a person, until Ctrl-C."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
from pathlib import Path

import typer

from mocban import supervise
from mocban.demo.branch import Branch, Ports
from mocban.demo.plan import PACE, PADS
from mocban.errors import Exit

_LAY = """\
Mở cả ba trong trình duyệt, đặt thẻ rồi đặt sách lên khay. Ctrl-C để dừng.
  Open all three in a browser, lay the card and then books on the pad. Ctrl-C ends it."""
_NO_READER = """\
Không có đầu đọc: quầy không mượn trả được; cổng an ninh vẫn chạy. Ctrl-C để dừng.
  Without a reader the kiosk can lend and take back nothing; the gate works. Ctrl-C ends it."""


async def run(
    folder: Path,
    *,
    free_ports: bool,
    broker_kind: str,
    prometheus: bool = False,
    pad: str = PADS[0],
) -> int:
    """Start the branch in ``folder``, say where it is, end it on SIGINT, SIGTERM or SIGHUP."""
    supervise.lifeline()
    stop = asyncio.Event()
    supervise.on_signals(stop)
    typer.echo("Đang khởi động chi nhánh mẫu… / Starting the demo branch…")
    ports = Ports.free() if free_ports else Ports()
    try:
        branch = Branch(folder, ports, broker_kind, PACE if prometheus else None, pad)
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
  Bàn trực vận hành / Operations console   {typed()} ops console --config {shown(branch.plan.config_file)}

  Dữ liệu / Data: {branch.folder}   MQTT: {branch.broker}   Đầu đọc / Reader: {branch.plan.pad}
  {_NO_READER if branch.plan.pad == "none" else _LAY}"""
        )
        await stop.wait()
    finally:
        await branch.end()


def typed() -> str:
    """What a person types here for ``mocban``: its name if the shell finds this one, else the way to it."""
    ours = Path(sys.executable).with_name("mocban")
    found = shutil.which("mocban")
    if found is not None and Path(found).resolve() == ours.resolve():
        return "mocban"
    return shown(ours) if ours.exists() else f"{shown(Path(sys.executable))} -m mocban"


def shown(path: Path) -> str:
    """A path as one types it from here, in quotes if the shell needs them."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
