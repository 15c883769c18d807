"""Trouble in the middle of a day: nothing wrong is done, and everything is told in the end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mocban.demo.branch import Branch, Ports, get
from mocban.demo.once import BORROWED, CARD, Journey


async def kinds(day: Journey) -> list[str]:
    return sorted(fact["kind"] for fact in await day._facts() if fact["kind"].endswith("-made"))


async def cut_network(branch: Branch, day: Journey) -> None:
    """The line is cut with the reader standing there; the second book is laid while it is cut."""
    await day._world("fault", name="network-down", value="1")
    await day._world("lay", tag=BORROWED[1])
    await day._screen("borrow", "row-refused")
    counters = (await day._get(branch.world_url + "world"))["counters"]
    assert counters["loans_in_ils"] == counters["tags_disarmed"] == 1, "no yes, no open tag"
    await day._world("lift", tag=BORROWED[1])

    async def missed() -> bool:
        return '"TagGone"' in (branch.folder / "log" / "kiosk.log").read_text(encoding="utf-8")

    await day._until("the pad has noticed", missed)
    await day._world("fault", name="network-down", value="")


async def silent_library_system(branch: Branch, day: Journey) -> None:
    """It hears and never answers: the kiosk must not guess, and must find out later."""
    await day._world("fault", name="ils-silent", value="1")
    await day._world("lay", tag=BORROWED[1])
    await asyncio.sleep(1)
    counters = (await day._get(branch.world_url + "world"))["counters"]
    assert counters["tags_disarmed"] == 1
    await day._world("fault", name="ils-silent", value="")


async def killed_kiosk(branch: Branch, _: Journey) -> None:
    await branch.kill("kiosk")
    await branch.revive("kiosk")


async def killed_gateway(branch: Branch, day: Journey) -> None:
    """Facts wait while it is dead; its numbers are the same when it is back."""
    await branch.kill("gateway")
    await day._world("lay", tag=BORROWED[1])
    await day._counter("tags_disarmed", 2)
    await branch.revive("gateway")


async def noisy_line(branch: Branch, day: Journey) -> None:
    """Garbage between the pad's frames: resynchronised and counted."""
    await day._world("fault", name="pad-noise", value="1")

    async def heard() -> bool:
        text = (await asyncio.to_thread(get, f"{branch.kiosk_url}metrics")).decode()
        found = re.search(
            r'^mocban_reader_noise_bytes_total{reader="pad"} (\S+)$', text, re.MULTILINE
        )
        return found is not None and float(found[1]) > 0

    await day._until("noise is counted", heard)


@pytest.mark.parametrize(
    "trouble", [noisy_line, cut_network, silent_library_system, killed_kiosk, killed_gateway]
)
def test_after_it_every_station_agrees_again(
    tmp_path: Path, trouble: Callable[[Branch, Journey], Awaitable[None]]
) -> None:
    async def scenario() -> None:
        async with Branch(tmp_path, Ports.free(), "iotcore") as branch:
            day = Journey(branch, print)
            await day._world("card", tag=CARD)
            await day._screen("borrow")
            await day._world("lay", tag=BORROWED[0])
            await day._counter("tags_disarmed", 1)
            await trouble(branch, day)
            await day._until("the kiosk is well", lambda: well(branch))
            await asyncio.to_thread(get, branch.kiosk_url)
            await day._world("lay", tag=BORROWED[1])  # again, or for the first time
            await day._counter("tags_disarmed", 2)

            async def agreed() -> bool:
                counters = (await day._get(branch.world_url + "world"))["counters"]
                told = await kinds(day)
                return (
                    counters["loans_in_ils"] == 2
                    and told == ["loan-made"] * 2
                    and await day._metric("mocban_outbox_facts") == 0
                )

            await day._until("both loans are told once", agreed)
            assert (await day._shown())["loans"] == 2

    asyncio.run(scenario())


async def well(branch: Branch) -> bool:
    """Every check of the kiosk passes again, by its own word."""
    text = await asyncio.to_thread(get, f"{branch.kiosk_url}healthz")
    return b'"ok":true' in text.split(b'"checks"')[0].replace(b" ", b"")
