"""The outbox: gapless, once, and only the watermark deletes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocban.clock import SetClock
from mocban.errors import ConfigError, StorageError
from mocban.events import LoanMade
from mocban.migrate import open_db
from mocban.outbox import Outbox


def loan(line: int) -> LoanMade:
    return LoanMade(session="s", line=line, item=f"item-{line}")


def test_a_fact_put_twice_waits_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    assert outbox.put(loan(1))
    assert not outbox.put(loan(1))
    assert [row.seq for row in outbox.rows(0, 10)] == [1]
    assert outbox.acked(outbox.epoch, 1) == 1
    assert not outbox.put(loan(1)), "a delivered fact is remembered"
    outbox.close()


def test_facts_epoch_and_bytes_survive_a_restart(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    first.put(loan(1))
    before, epoch = first.rows(0, 10), first.epoch
    first.close()
    again = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    assert (again.rows(0, 10), again.epoch) == (before, epoch)
    again.put(loan(2))
    assert [row.seq for row in again.rows(0, 10)] == [1, 2]
    again.close()


def test_only_a_true_watermark_deletes(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    for line in (1, 2, 3):
        outbox.put(loan(line))
    assert outbox.acked("f" * 16, 3) == 0, "another epoch"
    assert outbox.acked(outbox.epoch, 4) == 0, "past what was ever sent"
    assert outbox.acked(outbox.epoch, 0) == 0
    assert outbox.acked(outbox.epoch, 2) == 2
    assert outbox.acked(outbox.epoch, 1) == 0, "it does not go back"
    assert [row.seq for row in outbox.rows(0, 10)] == [3]
    outbox.close()


def test_the_envelope_carries_no_more_than_the_fact(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    outbox.put(loan(7))
    body = json.loads(outbox.rows(0, 1)[0].payload)
    assert set(body) == {"v", "id", "epoch", "seq", "ts", "mono", "boot", "kind", "kv", "data"}
    outbox.close()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(st.integers(1, 30), st.tuples(st.just("ack"), st.integers(0, 40))), max_size=60
    )
)
def test_seq_stays_gapless_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, acts: list[object]
) -> None:
    outbox = Outbox(tmp_path_factory.mktemp("o") / "x.db", "kiosk-1", SetClock())
    told: set[int] = set()
    floor = 0
    for act in acts:
        if isinstance(act, int):
            assert outbox.put(loan(act)) == (act not in told)
            told.add(act)
        elif isinstance(act, tuple):
            outbox.acked(outbox.epoch, act[1])
            floor = max(floor, act[1]) if act[1] <= len(told) else floor
        assert [row.seq for row in outbox.rows(0, 100)] == list(range(floor + 1, len(told) + 1))
    outbox.close()


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    outbox.put(loan(1))
    outbox._db.execute("PRAGMA max_page_count=1")  # SQLite's own "database or disk is full"
    with pytest.raises(StorageError, match="cannot be stored"):
        for line in range(2, 2000):
            outbox.put(loan(line))
    waiting = len(outbox.rows(0, 5000))
    assert waiting == outbox.told
    outbox._db.execute("PRAGMA max_page_count=100000")
    assert outbox.put(loan(5000))
    assert [row.seq for row in outbox.rows(0, 5000)] == list(range(1, waiting + 2))
    outbox.close()


def test_a_damaged_or_newer_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database at all, but long enough to look like one" * 20)
    with pytest.raises(StorageError):
        open_db(broken, "outbox", "mocban")
    newer = tmp_path / "newer.db"
    db = open_db(newer, "outbox", "mocban")
    db.execute("INSERT INTO migration VALUES ('outbox', 999, 'x')")
    db.close()
    with pytest.raises(StorageError, match="newer release"):
        open_db(newer, "outbox", "mocban")


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        open_db(tmp_path / "file" / "x.db", "outbox", "mocban")


def test_a_changed_migration_is_noticed(tmp_path: Path) -> None:
    db = open_db(tmp_path / "x.db", "outbox", "mocban")
    db.execute("UPDATE migration SET checksum = 'other'")
    db.close()
    with pytest.raises(StorageError, match="not the one applied"):
        open_db(tmp_path / "x.db", "outbox", "mocban")
