"""Backups with the real restic: what goes wrong is one sentence, and nothing half-done."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backup import checks, sources, standing
from backup.settings import BackupSettings
from backup.sources import Source
from mocban import config
from mocban.clock import SetClock, SystemClock
from mocban.errors import StorageError
from tests.fault.disk import fill, small_disk
from tests.fault.harness import Broker, Device, Gateway, until
from tests.fault.vault import Vault, opened

CLOCK = SystemClock()


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    yield from opened(tmp_path)


def facts(gateway: Gateway) -> list[dict[str, Any]]:
    """What the gateway was told about backups."""
    return [fact["data"] for fact in gateway.facts() if fact["data"].get("action") == "backup-run"]


def test_what_a_running_gateway_holds_comes_back_and_another_serves_it(tmp_path: Path) -> None:
    broker = Broker("iotcore", tmp_path)
    old = Gateway(tmp_path, broker.port)
    device = Device(tmp_path, broker.port, total=3000, rate=300.0)
    vault = Vault(tmp_path, old.data, broker.port)
    with broker, old, device:
        broker.start()
        old.start()
        until(old.ready, "the gateway is ready")
        device.start()
        until(lambda: len(old.loans()) >= 100, "it is at work")
        before = set(old.loans())
        taken = vault("run", "--init")
        assert taken.code == 0
        assert taken.body["told"]
        assert len(old.loans()) > len(before), "it was not held up"
        assert facts(old) == [
            {
                "ref": taken.body["run"], "actor": "app:backup", "action": "backup-run", "outcome": "done",
                "object": taken.body["snapshot"], "reason": "",
            }
        ]  # fmt: skip
        device.kill()
        old.kill()

        code, out, _ = vault.say("restore", "--to", str(tmp_path / "back"))
        assert code == 0
        for word in ("stop these services: gateway", "gateway.db-wal", "keys are in no backup"):
            assert word in out
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        new = Gateway(fresh, broker.port)
        new.database.parent.mkdir(parents=True)
        shutil.copy(tmp_path / "back" / "gateway.db", new.database)
        with new:
            new.start()
            until(new.ready, "another gateway is ready with it")
            assert before <= set(new.loans())
            assert new.counted() == len(new.loans())


def test_while_the_gateway_is_away_the_next_run_tells_of_both(tmp_path: Path) -> None:
    broker = Broker("iotcore", tmp_path)
    gateway = Gateway(tmp_path, broker.port)
    vault = Vault(tmp_path, gateway.data, broker.port)
    vault.fill()
    first = vault("run", "--init")
    assert first.code == 0
    assert not first.body["told"]
    vault.configure(restic="/no/such/restic")
    assert vault("run").error == "missing-restic"
    vault.configure()
    with broker, gateway:
        broker.start()
        gateway.start()
        until(gateway.ready, "the gateway is ready")
        second = vault("run")
        assert second.body["told"]
        told = facts(gateway)
        assert [each["outcome"] for each in told] == ["done", "failed", "done"]
        assert [each["reason"] for each in told] == ["", "missing-restic", ""]
        assert told[0]["ref"] == first.body["run"]


def test_a_repository_is_made_only_when_asked_for(vault: Vault) -> None:
    vault.fill()
    assert vault("run").error == "no-repository"
    assert vault("status").error == "no-repository"
    assert vault("restore", "--to", str(vault.folder / "back")).error == "no-repository"
    assert not vault.repository.exists()
    assert not (vault.folder / "back").exists()
    vault.repository.mkdir()
    (vault.repository / "Hồ sơ.txt").touch()
    assert vault("run", "--init").error == "not-empty"
    assert os.listdir(vault.repository) == ["Hồ sơ.txt"]
    (vault.repository / "Hồ sơ.txt").unlink()
    assert vault("run", "--init").code == 0
    assert vault("run", "--init").code == 0
    assert len(vault.shelf()) == 2


@pytest.mark.parametrize(
    ("wrong", "code", "exit_"),
    [
        ("password", "wrong-password", 2),
        ("no-password", "no-password", 2),
        ("open-password", "bad-password-file", 2),
        ("no-restic", "missing-restic", 2),
        ("other-restic", "restic-unsuitable", 2),
        ("no-source", "no-source", 2),
        ("damaged-source", "source-damaged", 70),
        ("no-staging", "refused", 2),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_stored(
    vault: Vault, wrong: str, code: str, exit_: int
) -> None:
    vault.fill()
    assert vault("run", "--init").code == 0
    match wrong:
        case "password":
            (vault.folder / "password").write_text("1974", encoding="utf-8")
        case "no-password":
            vault.configure(password_file=None)
        case "open-password":
            (vault.folder / "password").chmod(0o644)
        case "no-restic":
            vault.configure(restic="restic-of-nobody")
        case "other-restic":
            vault.configure(restic="/bin/echo")
        case "no-source":
            vault.configure(sources=["gateway", "ops"])
        case "damaged-source":
            with vault.database.open("r+b") as file:
                file.seek(3 * 4096)
                file.write(b"\xee" * 4096)
        case _:
            vault.configure(staging="/dev/null/staging")
    ended = vault("run")
    assert (ended.error, ended.code) == (code, exit_)
    status, out, err = vault.say("run")
    assert (status, out) == (exit_, "")
    assert err.startswith("mocban: ")
    assert len(err.splitlines()) == 1
    assert len(vault.shelf()) == 1
    assert vault.staged == []
    assert "1974" not in err


def test_a_full_staging_folder_is_said_before_and_in_the_middle(vault: Vault) -> None:
    vault.fill(rows=1000)
    with small_disk(vault.folder / "small", "3m") as disk:
        vault.configure(staging=str(disk))
        ended = vault("run", "--init")
        assert (ended.error, ended.code) == ("staging-full", 70)
        assert str(disk) in ended.body["errors"][0]["say"]
        assert list(disk.iterdir()) == []
        assert len(vault.shelf()) == 0
        with pytest.raises(StorageError) as told:
            sources.stage(Source("gateway", vault.database), disk, CLOCK, lambda: False)
        assert told.value.code == "staging-full"
    vault.configure()
    assert vault("run").code == 0


def test_a_full_repository_takes_the_next_backup_once_there_is_room(vault: Vault) -> None:
    vault.fill(rows=300)
    with small_disk(vault.repository, "6m"):
        assert vault("run", "--init").code == 0
        vault.fill(rows=2000)
        ended = vault("run")
        assert (ended.error, ended.code) == ("repository-full", 70)
        assert vault.staged == []
        assert vault("restore", "--to", str(vault.folder / "back")).code == 0, (
            "what was there is there"
        )
        subprocess.run(["mount", "-o", "remount,size=64m", str(vault.repository)], check=True)
        assert vault("run").code == 0
        vault.restic("check", "--read-data", "--no-lock")


def test_a_full_disk_of_the_record_fails_the_run_and_says_so(vault: Vault) -> None:
    with small_disk(vault.folder / "data", "24m") as disk:
        vault.fill(rows=100)
        vault.configure(staging=str(vault.folder / "staging"))
        assert vault("run", "--init").code == 0
        ballast = fill(disk)
        ended = vault("run")
        assert ended.code == 70
        ballast.unlink()
        assert vault("run").code == 0
        assert vault("status").code == 0


def test_the_age_of_the_last_good_backup_is_what_counts(vault: Vault) -> None:
    vault.fill()
    vault.restic("init")
    assert (vault("status").error, vault("status").code) == ("no-good-backup", 1)
    assert vault("run").code == 0
    read = config.load("backup", BackupSettings, vault.config)
    now = CLOCK.now()

    def fresh(hours: float) -> bool:
        return standing.look(read, SetClock(now + timedelta(hours=hours))).fresh

    assert fresh(0)
    assert fresh(25.9)
    assert not fresh(26.1)
    assert not fresh(-2), "one from the future proves nothing"
    code, out, _ = vault.say("status", lang="vi")
    assert code == 0
    assert "bản sao lưu tốt gần nhất" in out
    assert "1 bản sao lưu" in out
    vault.configure(restic="no-restic")
    assert vault("run").error == "missing-restic"
    vault.configure()
    assert "missing-restic" in vault.say("status")[1]


def test_the_doctor_looks_at_the_backup_and_writes_nothing(vault: Vault) -> None:
    def found() -> list[tuple[str, bool]]:
        read = config.load("backup", BackupSettings, vault.config)
        return [(each.name, each.ok) for each in checks.backup(read, str)]

    vault.fill()
    assert found() == [("backup.repository", False)]
    vault.restic("init")
    before = sorted(vault.folder.rglob("*"))
    assert found() == [("backup.repository", True), ("backup.age", False)]
    assert sorted(vault.folder.rglob("*")) == before
    assert vault("run").code == 0
    assert found() == [("backup.repository", True), ("backup.age", True)]
    vault.config.write_text(f'data_dir = "{vault.data}"\n', encoding="utf-8")
    assert found() == [("backup.repository", True)], "nothing is configured, nothing is wrong"
