"""A night's work at real services, by keys only."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual.widgets import Input

from tests.support.console_desk import agree, at_desk, shows, until, write
from tests.support.engine_stand import Obeying, Ops
from tests.support.gateway_stand import running_broker
from tests.support.gateway_stand import until as wait
from tests.support.orders_stand import Centre
from tests.support.person import Person


def test_a_gate_storm_from_the_report_to_the_undone_silence_by_keys_only(tmp_path: Path) -> None:
    staff = [Person(tmp_path, name) for name in ("boss", "minh")]
    with (
        running_broker("iotcore", tmp_path) as broker,
        Centre(tmp_path, broker.url, *staff) as gateway,
        Obeying(broker.url, gateway.public) as gate,
    ):
        wait(lambda: gateway.knows("gate-1"), "the gate is known")
        with Ops(tmp_path, gateway.url, broker.url, *staff) as ops:
            ops.put("gate-storm")
            report = {
                "by": "person:boss",
                "say": "cổng kêu mãi",
                "device": "gate-1",
                "kind": "gate-storm",
            }
            ops.api.post("/api/v1/reports", report)
            asyncio.run(_night(ops, gateway, gate, staff))


async def _night(ops: Ops, gateway: Centre, gate: Obeying, staff: list[Person]) -> None:
    from mocban.asking import Service

    reading = Service("gateway", gateway.url, lambda: "")
    boss, minh = staff
    async with at_desk(ops.api, reading, "vi", boss.name) as (console, pilot):
        await pilot.press("2")
        await shows(pilot, "gate-1")
        await pilot.press("3")
        await until(pilot, lambda: console.page.chosen == "1", "the incident")
        await pilot.press("a")
        await shows(pilot, "Bạn nhận xử lý sự cố 1.")
        await pilot.press("b")
        await shows(pilot, "Cổng an ninh kêu liên tục đã ký: boss")
        await pilot.press("enter")
        await until(pilot, lambda: bool(console.screen.query(Input)), "it asks for values")
        await until(
            pilot, lambda: console.screen.query_one(Input).value == "gate-1", "and knows the gate"
        )
        await pilot.press("enter")
        await shows(pilot, "Bạn đã bắt đầu kịch bản này: người khác phải duyệt.")
        assert gate.modes() == []
    async with at_desk(ops.api, reading, "vi", minh.name, str(minh.key)) as (console, pilot):
        await shows(pilot, "chờ bạn duyệt")
        await pilot.press("enter")
        await shows(pilot, "Lệnh: gate-1/gate: set-mode mode=silent seconds=900")
        await pilot.press("y")
        await shows(pilot, "enter ký và duyệt")
        await agree(pilot)
        await until(pilot, lambda: gate.modes() == ["silent"], "the gate is silent")
        await shows(pilot, "CHỜ NGƯỜI LÀM: Ra cổng xem vật gây nhiễu")
        await pilot.press("m")
        await shows(pilot, "Đã làm xong")
        await pilot.press("enter")
        await shows(pilot, "Nói thêm (có thể để trống)")
        await write(pilot, "xe day sach")
        await pilot.press("enter")
        await until(pilot, lambda: gate.modes() == ["silent", "open"], "it guards again")
        await shows(pilot, "✓ Tắt tiếng cổng 15 phút: xong, đã hoàn tác")
        await pilot.press("3", "R")
        await write(pilot, "xe day sach")
        await pilot.press("enter")
        await shows(pilot, "Sự cố 1 đã xong.")
        await pilot.press("1")
        await shows(pilot, "Không có việc gì cần làm.")
