"""A backup that is killed, stopped, locked out or not alone: the next one is whole, and nothing is doubled."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup import report
from mocban.clock import SystemClock
from mocban.outbox import Outbox
from tests.fault.harness import pause, seeded, until
from tests.fault.vault import Vault, opened

CLOCK = SystemClock()


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    yield from opened(tmp_path)


def test_a_locked_repository_says_by_whom(vault: Vault) -> None:
    vault.fill()
    assert vault("run", "--init").code == 0
    holder = vault.lock()
    try:
        ended = vault("run")
        assert (ended.error, ended.code) == ("repository-locked", 1)
        assert f"process {holder.pid} " in ended.body["errors"][0]["say"]
        assert vault("status").code == 0, "reading needs no lock"
        assert vault("restore", "--to", str(vault.folder / "back")).code == 0
    finally:
        holder.kill()
        holder.wait()
    assert vault("run").error == "repository-locked", "we never break a lock"
    vault.restic("unlock")
    assert vault("run").code == 0


STORED = ("after-backup", "before-dump", "after-dump")
"""From here on a snapshot is there."""
GATES = ("before-cat", "before-init", "before-backup", *STORED)


@pytest.mark.parametrize("gate", GATES)
def test_killed_at_any_stage_the_next_run_is_whole(vault: Vault, gate: str) -> None:
    vault.fill()
    killed = vault.hold(gate, "run", "--init")
    killed.kill()
    killed.wait()
    vault.release()
    ended = vault("status")
    assert ended.code == (2 if gate in {"before-cat", "before-init"} else 1)
    assert not ended.body.get("last"), "a run nobody finished is not good"
    assert vault("run", "--init").code == 0
    ended = vault("status")
    assert ended.code == 0
    assert vault.staged == []
    # One that was stored whole, and not read back any more, is there as well, and proves itself when it is needed.
    for n, each in enumerate(ended.body["snapshots"]):
        assert vault("restore", each["id"], "--to", str(vault.folder / f"back{n}")).code == 0
    assert len(ended.body["snapshots"]) == (2 if gate in STORED else 1)
    vault.restic("check", "--read-data", "--no-lock")


def test_killed_while_it_copies_it_leaves_what_the_next_run_clears(vault: Vault) -> None:
    vault.fill(rows=3000)
    child = vault.start("run", "--init")
    copy = vault.data / "backup" / "staging" / "mocban-staged" / "gateway.db"
    until(copy.exists, "it copies")
    child.kill()
    child.wait()
    assert copy.exists()
    assert copy.parent.stat().st_mode & 0o777 == 0o700, "it is in the clear: nobody else may enter"
    assert vault("run", "--init").code == 0
    assert vault.staged == []
    assert len(vault.shelf()) == 1


def test_killed_while_it_tells_the_backup_is_good_and_the_next_run_tells_of_it(
    vault: Vault,
) -> None:
    vault.fill()
    with socket.socket() as mute:  # a broker that takes calls and never speaks
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        vault.mqtt = mute.getsockname()[1]
        vault.configure()
        child = vault.start("run", "--init")
        calls = [mute.accept()[0] for _ in range(2)]  # one looks whether somebody is there
        child.kill()
        child.wait()
        for call in calls:
            call.close()
    vault.mqtt = 1
    vault.configure()
    first = vault("status")
    assert first.code == 0
    assert vault.staged == []
    second = vault("run")
    outbox = Outbox(vault.data / "backup" / "backup.db", "backup", CLOCK)
    refs = [json.loads(row.payload)["data"]["ref"] for row in outbox.rows(0, 10)]
    outbox.close()
    assert refs == [first.body["last"]["run"], second.body["run"]]


@pytest.mark.timeout(400)
def test_killed_at_random_every_run_is_good_or_none(vault: Vault) -> None:
    _, chance = seeded()
    vault.fill(rows=2000)
    assert vault("run", "--init").code == 0
    began = CLOCK.mono()
    assert vault("run").code == 0
    lasts = CLOCK.mono() - began
    for _ in range(25 if os.environ.get("MOCBAN_ALL") else 6):
        child = vault.start("run")
        pause(chance.random() * lasts)
        child.kill()
        child.wait()
    assert vault("run").code == 0
    assert vault.staged == []
    runs = report.history(vault.data / "backup" / "backup.db")
    assert {run.outcome for run in runs} == {"done", "failed"} or {run.outcome for run in runs} == {
        "done"
    }
    assert {run.reason for run in runs} <= {"", report.CUT_OFF}
    shelf = vault.shelf()
    for run in runs:
        if run.outcome == "done":
            assert [each for each in shelf if each["id"].startswith(run.snapshot)]
    vault.restic("check", "--read-data", "--no-lock")
    oldest_unproved = next(
        (each["id"] for each in shelf if not [r for r in runs if r.snapshot == each["short_id"]]),
        "latest",
    )
    assert vault("restore", oldest_unproved, "--to", str(vault.folder / "back")).code == 0


def test_stopped_by_a_signal_it_leaves_nothing(vault: Vault) -> None:
    vault.fill()
    assert vault("run", "--init").code == 0
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        child = vault.hold("before-backup", "run")
        child.send_signal(number)
        out, err = child.communicate(timeout=20)
        vault.release()
        assert (child.returncode, err) == (1, b"")
        assert json.loads(out)["errors"][0]["code"] == "cancelled"
        assert vault.staged == []
        assert list((vault.repository / "locks").iterdir()) == []
    assert len(vault.shelf()) == 1


def test_of_two_at_once_the_second_is_refused_and_the_first_goes_on(vault: Vault) -> None:
    vault.fill()
    assert vault("run", "--init").code == 0
    first = vault.hold("before-backup", "run")
    ended = vault("run")
    assert (ended.error, ended.code) == ("backup-running", 1)
    assert vault("status").code == 0
    vault.release()
    out, _ = first.communicate(timeout=30)
    assert first.returncode == 0
    assert json.loads(out)["ok"]
    assert len(vault.shelf()) == 2
