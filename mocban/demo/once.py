"""The journey: card, three books of which one is refused, a return, an armed book through the gate.

On the way the broker is killed. It drives the world's API and the kiosk's screen as a person would, and then counts
at every station.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mocban.demo.branch import Branch, Ports, get, get_json
from mocban.demo.plan import PADS
from mocban.errors import ConfigError, MocbanError, PeerUnreachable

CARD = "the-1"
BORROWED = ("lich-su", "de-men")
ON_HOLD = "thoi-gian"
RETURNED = "dat-rung"
CARRIED = "sach-duc"
CENTRE = frozenset({"gateway", "ops"})  # tell facts of their own
NOT_PLAYED = "without a reader nobody can lay a card or a book: no borrowing, no returning; choose one with --pad"
STEP_WITHIN = 12.0  # seconds any one step may take


async def play(
    broker_kind: str = "auto", say: Callable[[str], None] = lambda _: None, keep: Path | None = None,
    pad: str = PADS[0],
) -> dict[str, Any]:  # fmt: skip
    """Play the journey on a branch of its own; the counts of every station, with ``ok`` if all agree.

    ``keep``: an empty folder for its data and logs; without it they go away with the branch. ``pad``: the kiosk's
    reader; with ``none`` only the gate's part is played, and ``not_played`` says so.
    """
    began = asyncio.get_running_loop().time()
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise ConfigError(
            f"{keep} is not empty", "name a new folder: the journey counts from nothing"
        )
    with ExitStack() as stack:
        folder = keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="mocban-demo-"))
        try:
            where = Path(folder).absolute()
            async with Branch(where, Ports.free(), broker_kind, pad=pad) as branch:
                up_after = asyncio.get_running_loop().time() - began
                say(f"branch up ({branch.broker}, reader {pad}) after {up_after:.1f} s")
                journey = Journey(branch, say)
                await journey.walk()
                result = await journey.count()
        except MocbanError as error:
            result = {"ok": False, "errors": [error.as_json()], "logs": last_words(Path(folder))}
    result["seconds"] = round(asyncio.get_running_loop().time() - began, 2)
    return result


class Journey:
    """One reader's day at the branch."""

    def __init__(self, branch: Branch, say: Callable[[str], None]) -> None:
        self._branch = branch
        self._say = say

    async def walk(self) -> None:
        """Everything that happens, step by step; each step waits for what a person would see."""
        if self._branch.plan.pad != "none":
            await self._visits()
        await self._world("walk", tags=[CARRIED], direction="out")
        await self._counter("siren_frames", 1)
        self._say("one armed book carried through the gate: siren")

    async def _visits(self) -> None:
        """What needs the kiosk's reader: a loan, a refusal, a return."""
        await self._world("card", tag=CARD)
        await self._screen("borrow")
        for tag in (*BORROWED, ON_HOLD):
            await self._world("lay", tag=tag)
        await self._counter("loans_in_ils", 1)
        await self._branch.kill("broker")
        self._say("broker killed in the middle of the visit")
        await self._counter("tags_disarmed", len(BORROWED))
        await self._screen("borrow", "row-refused")
        await self._act("finish")
        await self._screen("done")
        self._say("two books lent, one refused, visit finished")
        for tag in (CARD, *BORROWED, ON_HOLD):
            await self._world("lift", tag=tag)
        await self._branch.revive("broker")
        self._say("broker started again")
        await self._act("cancel")
        await self._screen("welcome")
        await self._act("return")
        await self._world("lay", tag=RETURNED)
        await self._counter("tags_armed", 1)
        await self._act("finish")
        self._say("one book returned")

    async def count(self) -> dict[str, Any]:
        """The same story told by every station, as soon as they agree; if they never do, what they say in the end."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STEP_WITHIN
        while True:
            result, kinds = await self._tally()
            if result["ok"]:
                return result
            if loop.time() > deadline:
                told = ", ".join(f"{kind} {kinds.count(kind)}" for kind in sorted(set(kinds)))
                say = f"the stations do not agree; the gateway has {told or 'nothing'}"
                do = "run again with --keep FOLDER and read the logs there"
                return {**result, "errors": [{"code": "disagree", "say": say, "do": do}]}
            await asyncio.sleep(0.1)

    async def _tally(self) -> tuple[dict[str, Any], list[str]]:
        """What every station says now, and the kinds of the facts stored."""
        sent = int(await self._metric("mocban_outbox_told"))
        waiting = int(await self._metric("mocban_outbox_facts"))
        counters = (await self._get(self._branch.world_url + "world"))["counters"]
        facts = await self._facts()
        shown = await self._shown()
        says = {
            "loans_in_ils": counters["loans_in_ils"],
            "tags_disarmed": counters["tags_disarmed"],
            "returns_in_ils": counters["returns_in_ils"],
            "tags_armed": counters["tags_armed"],
            "events_sent": sent,
            "events_stored": len(facts),
            "events_distinct": len({fact["id"] for fact in facts}),
            "dashboard_loans": shown.get("loans", -1),
            "alarms": shown.get("alarms", -1),
            "siren_frames": counters["siren_frames"],
        }
        kinds = [fact["kind"] for fact in facts]
        told = {kind: kinds.count(kind) for kind in kinds}
        lent = {
            says["loans_in_ils"],
            says["tags_disarmed"],
            says["dashboard_loans"],
            told.get("loan-made"),
        }
        back = {says["returns_in_ils"], says["tags_armed"], told.get("return-made")}
        events = {says["events_sent"], says["events_stored"], says["events_distinct"]}
        cried = {says["alarms"], says["siren_frames"], told.get("gate-alarmed")}
        agreed = (
            cried == {1} and told.get("people-counted", 0) >= 1 and len(events) == 1 and not waiting
        )
        if self._branch.plan.pad == "none":
            ok = agreed and not {*lent, *back, told.get("item-refused")} - {0, None}
            return {"ok": ok, "not_played": NOT_PLAYED, **says}, kinds
        ok = agreed and lent == {len(BORROWED)} and back == {1} and told.get("item-refused") == 1
        return {"ok": ok, **says}, kinds

    async def _metric(self, name: str) -> float:
        """The sum of ``name`` over the processes that tell facts."""
        total = 0.0
        for port in (self._branch.ports.kiosk, self._branch.ports.gate):
            text = (await asyncio.to_thread(get, f"http://127.0.0.1:{port}/metrics")).decode()
            total += sum(
                float(v)
                for v in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
            )
        return total

    async def _facts(self) -> list[dict[str, Any]]:
        """All committed facts of the branch's devices, page by page, by cursor; the centre tells its own, too."""
        found: list[dict[str, Any]] = []
        after = "0"
        while True:
            page = await self._get(
                f"{self._branch.gateway_url}api/v1/facts?after={after}&limit=200"
            )
            if not page["facts"]:
                return found
            found += [fact for fact in page["facts"] if fact["device"] not in CENTRE]
            after = page["next"]

    async def _shown(self) -> dict[str, int]:
        """The numbers a person reads on the dashboard."""
        page = (await asyncio.to_thread(get, self._branch.gateway_url)).decode()
        return {
            name: int(value)
            for name, value in re.findall(r'data-measure="([a-z_]+)"[^>]*>\s*(\d+)', page)
        }

    async def _world(self, verb: str, **body: Any) -> None:
        await asyncio.to_thread(get_json, f"{self._branch.world_url}world/{verb}", body)

    async def _get(self, url: str) -> dict[str, Any]:
        return await asyncio.to_thread(get_json, url)

    async def _act(self, action: str) -> None:
        """Touch the kiosk's screen: the token stands in the page, as for any browser."""
        page = (await asyncio.to_thread(get, self._branch.kiosk_url)).decode()
        token = re.search(r'data-token="([0-9a-f]+)"', page)
        if token is None:
            raise PeerUnreachable("the kiosk's page has no token")
        body = {"action": action, "token": token[1]}
        await asyncio.to_thread(get, self._branch.kiosk_url + "act", body)

    async def _screen(self, name: str, having: str = "") -> None:
        async def shows() -> bool:
            page = (await asyncio.to_thread(get, self._branch.kiosk_url)).decode()
            return f'data-screen="{name}"' in page and having in page

        await self._until(f"the kiosk shows {name} {having}".strip(), shows)

    async def _counter(self, name: str, at_least: int) -> None:
        async def reached() -> bool:
            return bool(
                (await self._get(self._branch.world_url + "world"))["counters"].get(name, 0)
                >= at_least
            )

        await self._until(f"{name} reaches {at_least}", reached)

    async def _until(self, what: str, true: Callable[[], Awaitable[bool]]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STEP_WITHIN
        while not await true():
            if loop.time() > deadline:
                raise PeerUnreachable(
                    f"waited {STEP_WITHIN:.0f} s in vain until {what}", code="journey-stuck"
                )
            await asyncio.sleep(0.05)


def last_words(folder: Path) -> dict[str, str]:
    """The last line of each service's log, for whoever reads the failure."""
    found = {}
    for log in sorted((folder / "log").glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if lines:
            found[log.stem] = lines[-1][:400]
    return found
