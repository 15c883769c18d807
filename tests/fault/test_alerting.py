"""From a dead kiosk to a stored incident, through Debian's own Prometheus and Alertmanager, and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mocban import access
from mocban.demo.branch import Branch, Ports, get_json

PACE = ("--scrape", "1", "--hold", "2", "--wait", "0", "--again", "1")
WITHIN = 40.0
"""Seconds: the broker waits ten before it tells the will; scrape, rule and hold take four; the rest is patience."""


async def incident(branch: Branch, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first incident of which ``true`` holds, as operations tell of it."""
    url = f"http://127.0.0.1:{branch.ports.ops}/api/v1/incidents"
    token = access.token(branch.folder, "ops", make=False)
    async with asyncio.timeout(WITHIN):
        while True:
            answer = await asyncio.to_thread(
                get_json, url, None, {"authorization": f"Bearer {token}"}
            )
            for found in answer["incidents"]:
                if true(found):
                    return dict(found)
            await asyncio.sleep(0.05)


def offline(found: dict[str, Any]) -> bool:
    return (found["kind"], found["device"]) == ("kiosk-offline", "demo-kiosk-1")


def test_a_dead_kiosk_is_an_incident_and_one_that_came_back_is_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Branch(tmp_path, Ports.free(), "mosquitto", PACE) as branch:
            loop = asyncio.get_running_loop()
            await branch.kill("kiosk")
            began = loop.time()
            opened = await incident(branch, offline)
            assert loop.time() - began > 2, "it was held"
            assert (opened["app"], opened["severity"], opened["state"]) == (
                "kiosk",
                "major",
                "open",
            )
            assert not opened["over"]
            await branch.revive("kiosk")
            ended = await incident(branch, lambda found: offline(found) and bool(found["over"]))
            assert ended["no"] == opened["no"], "the same incident"

    asyncio.run(scenario())


def test_an_alert_outlives_operations_that_are_away(tmp_path: Path) -> None:
    """Nobody answers the webhook while it fires: Alertmanager asks again."""

    async def scenario() -> None:
        async with Branch(tmp_path, Ports.free(), "mosquitto", PACE) as branch:
            await branch.kill("ops")
            await branch.kill("kiosk")
            alerts = f"http://127.0.0.1:{branch.ports.alertmanager}/api/v2/alerts"
            async with asyncio.timeout(WITHIN):
                while not (await asyncio.to_thread(get_json, alerts))["value"]:
                    await asyncio.sleep(0.1)
            await branch.revive("ops")
            assert (await incident(branch, offline))["signals"] == 1

    asyncio.run(scenario())
