"""The supervisor's policy: whose fault, and retry or not."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from mocban import supervise
from mocban.errors import ConfigError, DeviceLost, RemoteProtocolError
from mocban.health import sd_notify


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "_BACKOFF", (0.001, 0.01))


@pytest.mark.parametrize("fault", [DeviceLost("gone"), RemoteProtocolError("nonsense")])
def test_the_other_sides_faults_are_tried_again(fault: Exception) -> None:
    async def scenario() -> None:
        stop, tries = asyncio.Event(), 0

        async def service(end: asyncio.Event) -> None:
            nonlocal tries
            tries += 1
            if tries < 4:
                raise fault
            end.set()

        await asyncio.wait_for(supervise.keep({"reader": service}, stop), 5)
        assert tries == 4

    asyncio.run(scenario())


def test_a_lasting_fault_of_our_own_ends_everything_and_is_told() -> None:
    async def scenario() -> None:
        stop = asyncio.Event()
        ended = []

        async def wrong(_: asyncio.Event) -> None:
            await asyncio.sleep(0.01)
            raise ConfigError("wrong", "mend it")

        async def neighbour(end: asyncio.Event) -> None:
            await end.wait()
            ended.append("neighbour")

        with pytest.raises(ConfigError, match="wrong"):
            await asyncio.wait_for(supervise.keep({"a": wrong, "b": neighbour}, stop), 5)
        assert ended == ["neighbour"], "in order, not cut off"

    asyncio.run(scenario())


def test_a_bug_is_not_retried() -> None:
    async def scenario() -> None:
        tries = 0

        async def buggy(_: asyncio.Event) -> None:
            nonlocal tries
            tries += 1
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(supervise.keep({"a": buggy}, asyncio.Event()), 5)
        assert tries == 1

    asyncio.run(scenario())


def test_unless_gives_the_result_or_nothing_and_leaves_no_task() -> None:
    async def scenario() -> None:
        stop = asyncio.Event()
        assert await supervise.unless(stop, asyncio.sleep(0, "done")) == "done"
        cleaned = []

        async def long() -> str:
            try:
                await asyncio.Event().wait()
                return "never"
            finally:
                cleaned.append(True)

        asyncio.get_running_loop().call_later(0.01, stop.set)
        assert await supervise.unless(stop, long()) is None
        assert cleaned == [True]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


def test_unless_passes_on_what_went_wrong() -> None:
    async def scenario() -> None:
        async def wrong() -> None:
            raise DeviceLost("gone")

        with pytest.raises(DeviceLost):
            await supervise.unless(asyncio.Event(), wrong())

    asyncio.run(scenario())


def test_systemd_is_told_where_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not sd_notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert sd_notify("READY=1")
        assert listener.recv(64) == b"READY=1"
