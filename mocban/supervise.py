"""Keep the services of one process running: restart policy by error class, and one orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from prometheus_client import Counter

from mocban import log
from mocban.errors import LocalFault, Permanent, RemoteFault, Transient
from mocban.ids import jitter

T = TypeVar("T")
Service = Callable[[asyncio.Event], Awaitable[None]]
"""Runs until the event is set; raising means it failed."""

_BACKOFF = (0.2, 30.0)
_log = log.get("supervise")
_restarts = Counter(
    "mocban_service_restarts_total", "Services started again after a failure", ["service"]
)


async def keep(services: dict[str, Service], stop: asyncio.Event) -> None:
    """Run ``services`` until ``stop``. The first lasting fault of our own sets ``stop`` and is raised."""
    faults: list[BaseException] = []

    async def guard(name: str, service: Service) -> None:
        try:
            await _keep_one(name, service, stop)
        except Exception as error:  # noqa: BLE001  whatever it is, it ends the process in order
            faults.append(error)
            stop.set()

    async with asyncio.TaskGroup() as group:
        for name, service in services.items():
            group.create_task(guard(name, service), name=name)
    if faults:
        raise faults[0]


async def _keep_one(name: str, service: Service, stop: asyncio.Event) -> None:
    pause = _BACKOFF[0]
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        began = loop.time()
        try:
            await service(stop)
            if stop.is_set():
                return
            _log.warning("service.ended", service=name)
        except Transient as error:
            _log.warning("service.failed", service=name, code=error.code, say=error.say)
        except (LocalFault, Permanent) as error:
            if not isinstance(error, RemoteFault):
                raise
            _log.error("service.failed", service=name, code=error.code, say=error.say)
        if loop.time() - began > 60:
            pause = _BACKOFF[0]
        _restarts.labels(name).inc()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), jitter(pause))
        pause = min(pause * 2, _BACKOFF[1])


_ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def on_signals(stop: asyncio.Event) -> None:
    """SIGTERM, SIGINT and SIGHUP set ``stop``."""
    loop = asyncio.get_running_loop()
    for number in _ENDINGS:
        loop.add_signal_handler(number, stop.set)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What ``work`` returns, or None if ``stop`` came first: then it was cancelled and has cleaned up."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def deaf() -> None:
    """Ignore these signals from now on: the last act before the loop closes.

    A parent with threads that is killed sends its death signal once per thread, and one that comes while the loop
    closes would print a trace.
    """
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)


PARENT = "MOCBAN_PARENT"
"""Environment variable: pid of the supervisor this process must not outlive."""


def lifeline() -> None:
    """If started by our supervisor, end when it ends, even by kill -9 (PR_SET_PDEATHSIG)."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # 1 = PR_SET_PDEATHSIG
    if os.getppid() != int(parent):  # it died before the line was tied
        os.kill(os.getpid(), signal.SIGTERM)
