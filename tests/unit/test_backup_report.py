"""Every run is on record, told once, and what the last good one was is told honestly."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backup import report, restic, standing
from backup.report import CUT_OFF, Record
from backup.restore import choose
from backup.settings import BackupSettings
from mocban.clock import SetClock
from mocban.config import Config
from mocban.errors import ConfigError, StorageError
from mocban.events import Audited, parse
from mocban.outbox import Outbox

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOON)


@pytest.fixture
def config(tmp_path: Path) -> Config[BackupSettings]:
    """A box whose broker is not there."""
    return Config("backup", "demo", tmp_path, "mqtt://127.0.0.1:1", BackupSettings())


@pytest.fixture
def record(config: Config[BackupSettings], clock: SetClock) -> Iterator[Record]:
    with Record(config.database, clock) as opened:
        yield opened


def told(config: Config[BackupSettings], clock: SetClock) -> list[tuple[str, str, str, str]]:
    """Ref, outcome, object and reason of the facts that wait."""
    outbox = Outbox(config.database, "backup", clock)
    rows = outbox.rows(0, 100)
    outbox.close()
    facts = [parse(row.payload).fact() for row in rows]
    return [(f.ref, f.outcome, f.object, f.reason) for f in facts if isinstance(f, Audited)]


def tell(config: Config[BackupSettings], record: Record, clock: SetClock) -> int:
    return report.tell(config, record, clock, lambda: False, seconds=0.2)


def test_a_run_is_on_record_from_its_first_moment(
    record: Record, config: Config[BackupSettings], clock: SetClock
) -> None:
    record.begin("a1")
    (run,) = report.history(config.database)
    assert (run.id, run.outcome, run.began) == ("a1", None, NOON)
    clock.advance(60)
    record.end("a1", repository="90c6", snapshot="06a80032", size=5)
    (run,) = report.history(config.database)
    assert (run.outcome, run.snapshot, run.bytes) == ("done", "06a80032", 5)
    assert run.ended == NOON + timedelta(minutes=1)


def test_a_run_that_was_killed_is_told_by_the_next_one(
    record: Record, config: Config[BackupSettings], clock: SetClock
) -> None:
    record.begin("a1")
    clock.advance(60)
    record.begin("b2")
    record.end("b2", "wrong-password")
    assert tell(config, record, clock) == 2
    assert told(config, clock) == [
        ("a1", "failed", "", CUT_OFF),
        ("b2", "failed", "", "wrong-password"),
    ]


def test_a_run_is_told_once_and_waits_for_the_gateway(
    record: Record, config: Config[BackupSettings], clock: SetClock
) -> None:
    record.begin("a1")
    record.end("a1", snapshot="06a80032")
    assert tell(config, record, clock) == 1
    assert tell(config, record, clock) == 1
    # Put, and killed before that was written down: telling it again changes nothing.
    db = sqlite3.connect(config.database)
    db.execute("UPDATE run SET told = 0")
    db.commit()
    db.close()
    assert tell(config, record, clock) == 1
    assert told(config, clock) == [("a1", "done", "06a80032", "")]
    assert record.untold() == []


def test_while_another_process_has_the_outbox_nothing_is_lost(
    record: Record, config: Config[BackupSettings], clock: SetClock
) -> None:
    record.begin("a1")
    record.end("a1")
    other = Outbox(config.database, "backup", clock)
    assert tell(config, record, clock) == -1
    other.close()
    assert tell(config, record, clock) == 1


def test_the_record_is_bounded_and_keeps_the_last_good_run(
    record: Record, config: Config[BackupSettings], clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "KEPT", 5)
    for n in range(12):
        clock.advance(60)
        record.begin(f"r{n:02}")
        record.end(f"r{n:02}", "" if n == 1 else "no-repository")
        record.told(f"r{n:02}")
    runs = report.history(config.database)
    assert [run.id for run in runs] == ["r11", "r10", "r09", "r08", "r07", "r01"]
    assert [run.id for run in report.history(config.database, 2)] == ["r11", "r10", "r01"]


def test_looking_at_a_record_makes_none_and_says_if_it_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    assert report.history(file) == []
    assert not file.exists()
    file.write_bytes(b"no database" * 500)
    with pytest.raises(StorageError):
        report.history(file)


def snapshot(ident: str, hours: float, host: str = "backup") -> restic.Snapshot:
    return restic.Snapshot(ident, NOON - timedelta(hours=hours), host, (restic.TAG,))


SHELF = [snapshot("aa11" * 16, 50), snapshot("aa22" * 16, 20, "other"), snapshot("bb33" * 16, 2)]


def test_latest_is_the_last_one_of_this_device() -> None:
    assert choose(SHELF, "latest", "backup") == SHELF[2]
    assert choose(SHELF, "latest", "other") == SHELF[1]
    assert choose(SHELF, "aa11", "backup") == SHELF[0]
    for wanted, device, code in (
        ("latest", "nobody", "no-snapshot"),
        ("cccc", "backup", "no-snapshot"),
        ("aa", "backup", "ambiguous"),
    ):
        with pytest.raises(ConfigError) as refused:
            choose(SHELF, wanted, device)
        assert refused.value.code == code


def test_only_a_run_that_was_read_back_and_is_still_there_is_good(
    record: Record, config: Config[BackupSettings], clock: SetClock
) -> None:
    def good(repository: str = "90c6", shelf: list[restic.Snapshot] = SHELF) -> str:
        run, found = standing._good(report.history(config.database), shelf, repository)
        assert (run is None) == (found is None)
        return run.id if run else ""

    assert not good(), "a snapshot nobody has on record proves nothing"
    for ident, reason, name in (
        ("r1", "", "aa11aa11"), ("r2", "", "bb33bb33"), ("r3", "repository-damaged", ""),
    ):  # fmt: skip
        clock.advance(60)
        record.begin(ident)
        record.end(ident, reason, repository="" if reason else "90c6", snapshot=name)
    assert good() == "r2"
    assert good(shelf=SHELF[:2]) == "r1"
    assert not good(repository="other")
    assert not good(shelf=[])


def test_the_weight_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "data" / "00").mkdir(parents=True)
    (tmp_path / "data" / "00" / "a").write_bytes(b"x" * 700)
    (tmp_path / "config").write_bytes(b"x" * 55)
    (tmp_path / "gone").symlink_to("/nowhere")
    assert standing.weight(tmp_path) == 755 + len("/nowhere")
    assert standing.weight(tmp_path / "missing") == 0
