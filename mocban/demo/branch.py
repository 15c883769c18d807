"""A whole demo branch as child processes, one a service, each started through its own command."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from mocban import supervise
from mocban.demo.plan import END_WITHIN, PADS, Child, Plan, Ports, known
from mocban.demo.probe import HOST, get, get_json
from mocban.errors import ConfigError, LocalFault, PeerUnreachable

__all__ = ["Branch", "Ports", "get", "get_json"]
READY_WITHIN = 25.0  # seconds for the whole branch


class Branch:
    """The demo branch in ``folder``. ``async with`` starts it; leaving ends every process.

    With a ``pace`` (see ``Plan``) Prometheus and Alertmanager are part of it. ``pad``: which reader the kiosk has.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        broker_kind: str = "auto",
        pace: tuple[str, ...] | None = None,
        pad: str = PADS[0],
    ) -> None:
        self.folder = folder
        self.ports = ports
        self.plan = Plan(folder, ports, broker_kind, pace, known(pad))
        self._lock: IO[str] | None = None
        self._watchers: list[asyncio.Task[None]] = []
        self._ending = False
        self.broker = ""
        self.children: dict[str, Child] = {}

    @property
    def kiosk_url(self) -> str:
        """The kiosk's screen."""
        return f"http://{HOST}:{self.ports.kiosk}/"

    @property
    def gateway_url(self) -> str:
        """The gateway's dashboard."""
        return f"http://{HOST}:{self.ports.gateway}/"

    @property
    def world_url(self) -> str:
        """The demo world's control panel."""
        return f"http://{HOST}:{self.ports.world}/"

    @property
    def prometheus_url(self) -> str:
        """Prometheus' own pages; empty if it is no part of the branch."""
        return f"http://{HOST}:{self.ports.prometheus}/" if self.plan.pace is not None else ""

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def start(self) -> Self:
        """Start every service and wait until all of them answer; if that fails or is cancelled, all are ended."""
        self._prepare()
        try:
            if self.plan.pace is not None:
                await self._told("monitor", self.plan.monitor())
            for child in self.children.values():
                await self._start(child)
            await asyncio.gather(self._all_ready(), self._signed())
        except BaseException:
            await self.end()
            raise
        self._watchers = [
            asyncio.create_task(self._watch(child)) for child in self.children.values()
        ]
        return self

    async def kill(self, name: str) -> None:
        """kill -9 one service and leave it dead until ``revive``."""
        child = self.children[name]
        child.held = True
        if child.process and child.process.returncode is None:
            child.process.kill()
            await child.process.wait()

    async def revive(self, name: str) -> None:
        """Start a killed service again and wait until it answers."""
        child = self.children[name]
        await self._start(child)
        child.held = False
        await self._until_ready(child, asyncio.get_running_loop().time() + READY_WITHIN)

    async def end(self) -> None:
        """End every process, the broker last; what does not listen is killed."""
        self._ending = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for wave, within in enumerate(END_WITHIN):
            alive = [
                c.process
                for c in self.children.values()
                if c.wave == wave and c.process and c.process.returncode is None
            ]
            for process in alive:
                with suppress(ProcessLookupError):
                    process.terminate()
            await asyncio.gather(*(self._bury(process, within) for process in alive))
        if self._lock:
            self._lock.close()

    async def _bury(self, process: asyncio.subprocess.Process, within: float) -> None:
        try:
            await asyncio.wait_for(process.wait(), within)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def _prepare(self) -> None:
        try:
            (self.folder / "log").mkdir(parents=True, exist_ok=True)
            self.plan.run.mkdir(exist_ok=True)
            self._lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise ConfigError(
                f"{self.folder} cannot be written: {error.strerror}",
                "choose another folder with --data",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            self._lock = None
            raise ConfigError(
                f"a demo branch already runs in {self.folder}",
                "use that one, or choose another folder with --data",
            ) from error
        for stale in self.plan.run.iterdir():  # left by a run that was ended by kill -9
            if stale.is_dir() and not stale.is_symlink():  # of a smart card service
                shutil.rmtree(stale)
            else:
                stale.unlink()
        try:
            self.ports.check(monitored=self.plan.pace is not None)
            self.plan.write()
            self.broker, children = self.plan.services()
            self.children = {child.name: child for child in children}
        except BaseException:
            self._lock.close()
            raise

    async def _told(self, name: str, argv: list[str]) -> None:
        """Run one of our commands to its end. The demo imports no app: the app's own command does what is needed."""
        words = Child(name, argv, 0, lambda: True, log=self.folder / "log" / f"{name}.log")
        await self._start(words)
        assert words.process is not None
        try:
            async with asyncio.timeout(READY_WITHIN):
                code = await words.process.wait()
        finally:
            if words.process.returncode is None:
                words.process.kill()
        if code:
            raise _failed(words)

    async def _signed(self) -> None:
        for argv in self.plan.signing():
            await self._told("sign", argv)

    async def _start(self, child: Child) -> None:
        with child.log.open("ab") as out:
            child.process = await asyncio.create_subprocess_exec(
                *child.argv, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, supervise.PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1", **child.env},
            )  # fmt: skip

    async def _all_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN
        await asyncio.gather(
            *(self._until_ready(child, deadline) for child in self.children.values())
        )

    async def _until_ready(self, child: Child, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while not await asyncio.to_thread(child.ready):
            if child.process is None or child.process.returncode is not None:
                raise _failed(child)
            if loop.time() > deadline:
                raise PeerUnreachable(
                    f"{child.name} is not ready after {READY_WITHIN:.0f} s", f"read {child.log}"
                )
            await asyncio.sleep(0.03)

    async def _watch(self, child: Child) -> None:
        """Start a service again that ended without being told to."""
        pause = 0.2
        while not self._ending:
            if child.process is not None:
                await child.process.wait()
            if child.held or self._ending:
                await asyncio.sleep(0.05)
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
            if not (child.held or self._ending):
                await self._start(child)


def _failed(child: Child) -> LocalFault:
    """What the dead service said last, as our own sentence."""
    lines = child.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = next(
        (line for line in reversed(lines) if line.startswith("mocban: ")),
        lines[-1] if lines else "",
    )
    if last.startswith("mocban: "):
        return ConfigError(
            f"{child.name}: {last.removeprefix('mocban: ').rstrip('.')}", f"details: {child.log}"
        )
    return LocalFault(f"{child.name} ended at once", f"read {child.log}")
