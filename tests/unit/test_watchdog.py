"""The watchdog is fed by loops that turn, and by nothing else."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kiosk import inventory, runner
from kiosk.gate.ledger import Ledger
from kiosk.gate.watch import Watch
from kiosk.settings import GateSettings
from mocban.clock import SetClock
from mocban.health import Health, watchdog_seconds
from mocban.outbox import Outbox
from tests.support.kiosk_branch import Branch, play, until

WATCHDOG = 0.2  # seconds systemd would wait
WITHIN = 5.0


class Systemd:
    """What a process tells systemd, as it comes."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    async def hear(self) -> str:
        """The next thing it is told."""
        loop = asyncio.get_running_loop()
        return (await asyncio.wait_for(loop.sock_recv(self._socket, 4096), WITHIN)).decode()

    async def hear_until(self, word: str) -> str:
        """The next thing with ``word`` in it."""
        async with asyncio.timeout(WITHIN):
            while word not in (said := await self.hear()):
                pass
        return said

    def forget(self) -> None:
        """All that waits."""
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    found = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG * 1_000_000)))
    yield found
    found.close()


def watched(health: Health, scenario: Callable[[], Awaitable[None]]) -> None:
    """Run ``scenario`` with the watchdog of ``health`` at work; both end in time."""

    async def body() -> None:
        stop = asyncio.Event()
        dog = asyncio.create_task(health.watchdog(stop))
        try:
            async with asyncio.timeout(2 * WITHIN):
                await scenario()
        finally:
            stop.set()
            await asyncio.wait_for(dog, WITHIN)

    asyncio.run(body())


def test_it_is_fed_while_every_loop_turns_and_starved_by_one_that_does_not(
    systemd: Systemd,
) -> None:
    clock = SetClock()
    health = Health(clock)
    health.expect("pad", 30)
    health.expect("store", 10)

    async def scenario() -> None:
        for _ in range(3):  # again and again, not once
            assert await systemd.hear() == "STATUS=all is well\nWATCHDOG=1"
        clock.advance(20)
        health.pulse("pad")
        assert await systemd.hear_until("store") == "STATUS=store stands still"
        for _ in range(3):
            assert "WATCHDOG" not in await systemd.hear()
        assert health.stuck() == ["store"]
        health.pulse("store")
        assert "WATCHDOG=1" in await systemd.hear_until("all is well")

    watched(health, scenario)


def test_a_loop_may_rest_on_purpose(systemd: Systemd) -> None:
    clock = SetClock()
    health = Health(clock)
    health.expect("ingest", 30)
    health.pulse("ingest", pause=600)  # the broker has nobody for us: look again in ten minutes
    clock.advance(629)
    assert health.stuck() == []
    clock.advance(2)
    assert health.stuck() == ["ingest"]
    health.pulse("ingest")
    clock.advance(31)
    assert health.stuck() == ["ingest"], "the rest was for once"


def test_until_it_is_ready_it_asks_for_time_and_says_what_it_waits_for(systemd: Systemd) -> None:
    health = Health(SetClock(), needs=("reader", "ils"))
    health.check("reader", ok=True)

    async def scenario() -> None:
        assert await systemd.hear() == "STATUS=ils: not yet\nEXTEND_TIMEOUT_USEC=200000"
        assert "WATCHDOG" not in await systemd.hear()
        health.check("ils", ok=True)
        assert await systemd.hear_until("READY") == "READY=1"
        assert "WATCHDOG=1" in await systemd.hear_until("all is well")

    watched(health, scenario)


def test_what_restarting_cannot_mend_starves_nobody(systemd: Systemd) -> None:
    """A lost reader and a broker that is gone are told, and the loops that look for them turn."""
    health = Health(SetClock())
    health.expect("pad", 30)
    health.check("reader", ok=False, say="the reader\ndoes not answer")

    async def scenario() -> None:
        said = await systemd.hear_until("reader")
        assert said == "STATUS=reader: the reader does not answer\nWATCHDOG=1"

    watched(health, scenario)


def test_an_event_loop_that_hangs_feeds_nobody(systemd: Systemd) -> None:
    health = Health(SetClock())

    async def scenario() -> None:
        await systemd.hear_until("WATCHDOG=1")
        systemd.forget()
        threading.Event().wait(3 * WATCHDOG)  # as a disk would that does not come back
        with pytest.raises(BlockingIOError):
            systemd._socket.recv(4096)
        await systemd.hear_until("WATCHDOG=1")

    watched(health, scenario)


@pytest.mark.parametrize(
    ("pid", "micros", "seconds"),
    [
        ("", "", None), ("", "0", None), ("", "soon", None), ("1", "20000000", None), ("", "20000000", 20.0),
        ("ours", "1500000", 1.5),
    ],
)  # fmt: skip
def test_only_the_process_that_systemd_means_is_watched(
    pid: str, micros: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)
    monkeypatch.setenv("WATCHDOG_USEC", micros)
    assert watchdog_seconds() == seconds


def test_where_nobody_watches_it_only_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)

    async def nothing() -> None:
        await asyncio.sleep(0)

    watched(Health(SetClock()), nothing)


class Nothing:
    """No feed, no loan."""

    loans = False

    def excused(self, uid: str, item: str) -> str:
        return ""


class Hanging:
    """A gate whose driver lost itself: the third question is never answered."""

    noise = 0
    reads = 1

    def __init__(self) -> None:
        self.asked = 0
        self.hangs = asyncio.Event()

    async def open(self) -> str:
        return "hanging"

    async def close(self) -> None:
        """Nothing to close."""

    async def passages(self) -> tuple[list[Any], bool]:
        self.asked += 1
        if self.asked == 3:
            self.hangs.set()
            await asyncio.Event().wait()
        return [], False

    async def done(self) -> None:
        """It keeps nothing."""

    async def near(self) -> list[Any]:
        """Nobody is there."""
        return []

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def people(self) -> None:
        """It counts nobody."""

    async def cry(self, seconds: float) -> None:
        """Nobody carries anything."""


def test_a_gate_that_hangs_is_noticed_by_its_turns(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, stop, gate = SetClock(), asyncio.Event(), Hanging()
        health = Health(clock)
        health.expect("gate", 30)
        watch = Watch(
            GateSettings(poll_seconds=0.001), gate, ledger, lambda _turn: None, clock, Nothing(),
            lambda: health.pulse("gate"),
        )  # fmt: skip
        clock.advance(31)
        running = asyncio.create_task(watch.run(stop))
        await asyncio.wait_for(gate.hangs.wait(), WITHIN)
        assert health.stuck() == [], "it turned"
        clock.advance(31)
        assert health.stuck() == ["gate"]
        stop.set()
        await asyncio.wait_for(running, WITHIN)

    outbox = Outbox(tmp_path / "gate.db", "gate-1", SetClock())
    ledger = Ledger(tmp_path / "gate.db", outbox)
    asyncio.run(scenario())
    ledger.close()
    outbox.close()


def test_a_kiosk_whose_pad_hangs_is_told_from_one_whose_pad_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "TURN", 1.0)
    monkeypatch.setattr(inventory, "BACKOFF", (0.05, 0.2))

    async def scenario(branch: Branch) -> None:
        health = branch.kiosk.health
        await _lasts(1.5, lambda: health.stuck() == [])
        branch.world.set_fault("pad-unplugged", "on")
        await until(lambda: not branch.kiosk.runner.status.reader_ok)
        await _lasts(1.5, lambda: health.stuck() == [])
        branch.world.set_fault("pad-unplugged", "")
        await until(lambda: branch.kiosk.runner.status.reader_ok)
        async with branch.kiosk.runner._pad_turn:  # a question that is never answered
            await until(lambda: health.stuck() == ["pad"])
        await until(lambda: health.stuck() == [])

    play(tmp_path, scenario)


async def _lasts(seconds: float, true: Callable[[], bool]) -> None:
    """It is so all the while."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        assert true()
        await asyncio.sleep(0.02)
