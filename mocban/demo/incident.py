"""The night's story: a gate cries again and again, an incident opens, a playbook begins by itself, a person approves,
the gate falls silent, somebody looks at it, and it is undone. Every step goes through the real services.

With ``kill`` the operations service is killed -9 in the middle, more than once; the story has to end the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from mocban import access
from mocban.demo.branch import Branch, Ports, get_json
from mocban.demo.once import last_words
from mocban.errors import ConfigError, MocbanError, PeerUnreachable

T = TypeVar("T")

STORIES = ("gate-storm",)
"""Incidents that can be played."""
ARMED = ("lich-su", "de-men", "thoi-gian", "sach-duc")
"""Books nobody borrowed, carried through the gate over and over."""
APPROVER, WATCHER = "lan", "minh"
"""Who approves, and who stands at the gate: staff of the demo."""
STEP_WITHIN = 30.0
"""Seconds any one step may take; a gate cries for one book once in ten."""


async def play(
    story: str, broker_kind: str = "auto", say: Callable[[str], None] = lambda _: None,
    keep: Path | None = None, *, kill: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Play ``story`` on a branch of its own; what every station says in the end, with ``ok`` if all agree.

    ``keep``: an empty folder for its data and logs; without it they go away with the branch.
    """
    if story not in STORIES:
        raise ConfigError(
            f"there is no story {story}", f"play one of: {', '.join(STORIES)}", code="usage"
        )
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise ConfigError(f"{keep} is not empty", "name a new folder")
    began = asyncio.get_running_loop().time()
    with ExitStack() as stack:
        folder = keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="mocban-demo-"))
        try:
            async with Branch(Path(folder).absolute(), Ports.free(), broker_kind) as branch:
                say(f"branch up ({branch.broker})")
                result = await Night(branch, say, kill=kill).play()
        except MocbanError as error:
            result = {"ok": False, "errors": [error.as_json()], "logs": last_words(Path(folder))}
    result["seconds"] = round(asyncio.get_running_loop().time() - began, 2)
    return result


class Night:
    """One gate storm, from the first cry to the closed incident."""

    def __init__(self, branch: Branch, say: Callable[[str], None], *, kill: bool) -> None:
        self._branch = branch
        self._say = say
        self._kill = kill
        self._kills = 0
        self._ops = f"http://127.0.0.1:{branch.ports.ops}"
        self._config = ["--config", str(branch.folder / "run" / "mocban.toml")]

    async def play(self) -> dict[str, Any]:
        """Everything that happens, and what the stations say afterwards."""
        incident = await self._storm()
        self._say(f"incident {incident['no']}: {incident['kind']}, {incident['signals']} alarms")
        execution = await self._begun(incident["no"])
        self._say("its playbook began by itself; the gate tests itself")
        await self._killed()
        ask = await self._asked(execution)
        await self._mocban("runbook", "approve", execution, ask["step"], "--as", APPROVER,
                           "--key", str(self._branch.folder / "staff" / APPROVER), "--yes")  # fmt: skip
        self._say(f"{APPROVER} approved with an SSH key")
        await self._killed()
        await self._gate("silent")
        self._say("the gate is silent")
        await self._killed()
        step = await self._waiting_for_hand(execution)
        await self._mocban("runbook", "resume", execution, step, "--as-done", "--by", WATCHER)
        self._say(f"{WATCHER} looked at the gate and found what cried")
        await self._killed()
        await self._gate("open")
        self._say("undone: the gate guards again")
        ended = await self._until("the playbook ends", lambda: self._ended(execution))
        await self._mocban("ops", "incidents", "resolve", str(incident["no"]), "--by", WATCHER)
        return await self._account(incident["no"], ended)

    async def _storm(self) -> dict[str, Any]:
        """Carry the books through until somebody calls it a storm."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STEP_WITHIN
        while loop.time() < deadline:
            await asyncio.to_thread(
                get_json,
                f"{self._branch.world_url}world/walk",
                {"tags": list(ARMED), "direction": "out"},
            )
            for _ in range(10):
                for one in (await self._get("/api/v1/incidents"))["incidents"]:
                    if one["kind"] == "gate-storm":
                        return dict(one)
                await asyncio.sleep(0.1)
        raise PeerUnreachable("the alarms made no incident", code="story-stuck")

    async def _begun(self, incident: int) -> str:
        async def execution() -> str:
            found = (await self._get(f"/api/v1/incidents/{incident}"))["incident"]
            return str(found.get("execution") or "")

        return await self._until("the playbook begins", execution)

    async def _asked(self, execution: str) -> dict[str, Any]:
        async def ask() -> dict[str, Any]:
            asks = (await self._get(f"/api/v1/executions/{execution}"))["asks"]
            return dict(asks[0]) if asks else {}

        return await self._until("somebody is asked to approve", ask)

    async def _waiting_for_hand(self, execution: str) -> str:
        async def step() -> str:
            found = await self._get(f"/api/v1/executions/{execution}")
            asked = {ask["step"] for ask in found["asks"]}
            waiting = [s["id"] for s in found["steps"] if s["state"] == "waiting"]
            return next((one for one in waiting if one not in asked), "")

        return await self._until("somebody is sent to the gate", step)

    async def _ended(self, execution: str) -> dict[str, Any]:
        found = (await self._get(f"/api/v1/executions/{execution}"))["execution"]
        return dict(found) if found["state"] in {"done", "failed", "stopped"} else {}

    async def _gate(self, mode: str) -> None:
        """Wait until the gate itself says that it is in ``mode``."""

        async def there() -> bool:
            text = await asyncio.to_thread(
                get_json, f"{self._branch.gateway_url}api/v1/commands?limit=50"
            )
            return any(
                order["name"] == "set-mode"
                and order["args"]["mode"] == mode
                and order["state"] == "done"
                for order in text["orders"]
            )

        await self._until(f"the gate is {mode}", there)

    async def _account(self, no: int, ended: dict[str, Any]) -> dict[str, Any]:
        """What the gateway and operations have on record."""
        orders = (
            await asyncio.to_thread(
                get_json, f"{self._branch.gateway_url}api/v1/commands?limit=100"
            )
        )["orders"]
        modes = [o for o in reversed(orders) if o["name"] == "set-mode"]
        story = await self._get(f"/api/v1/incidents/{no}")
        said = {
            "playbook": ended["state"],
            "incident": story["incident"]["state"],
            "timeline": len(story["timeline"]),
            "orders": len(orders),
            "modes": " ".join(o["args"]["mode"] for o in modes),
            "approved_by": " ".join(sorted({who for o in modes for who in o["approved"]})),
            "kills": self._kills,
        }
        ok = (
            said["playbook"] == "done"
            and said["incident"] == "resolved"
            and said["modes"] == "silent open"
            and said["approved_by"] == f"person:{APPROVER}"
            and all(o["state"] == "done" for o in orders)
        )
        if ok:
            return {"ok": True, **said, "errors": []}
        error = {
            "code": "disagree",
            "say": "the stations do not tell this story",
            "do": "run again with --keep FOLDER and read the logs there",
        }
        return {"ok": False, **said, "errors": [error]}

    async def _killed(self) -> None:
        """If that is the story: kill operations here, and start them again."""
        if self._kill:
            await self._branch.kill("ops")
            await self._branch.revive("ops")
            self._kills += 1
            self._say("operations killed -9 and started again")

    async def _mocban(self, *words: str) -> None:
        """One of our own commands, as a person types it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mocban", *words, *self._config, "--json",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=dict(os.environ),
        )  # fmt: skip
        out, _ = await process.communicate()
        if process.returncode:
            try:
                first = json.loads(out.decode().strip().splitlines()[-1])["errors"][0]
                say, do = first["say"], first["do"]
            except (ValueError, LookupError, TypeError):
                say, do = f"mocban {' '.join(words[:2])} ended with {process.returncode}", ""
            raise PeerUnreachable(say, do, code="story-stuck")

    async def _get(self, path: str) -> dict[str, Any]:
        token = access.token(self._branch.folder, "ops", make=False)
        return await asyncio.to_thread(
            get_json, self._ops + path, None, {"authorization": f"Bearer {token}"}
        )

    async def _until(self, what: str, found: Callable[[], Awaitable[T]]) -> T:
        """What ``found`` answers as soon as it is something; operations may be away meanwhile."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STEP_WITHIN
        while True:
            answer = await found()
            if answer:
                return answer
            if loop.time() > deadline:
                raise PeerUnreachable(
                    f"waited {STEP_WITHIN:.0f} s in vain until {what}", code="story-stuck"
                )
            await asyncio.sleep(0.1)
