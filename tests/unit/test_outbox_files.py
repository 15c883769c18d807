"""The file under an outbox: one process at a time, copies, other releases, damage."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import reduce
from importlib import resources
from pathlib import Path

import pytest

from mocban.clock import SetClock
from mocban.errors import ConfigError, StorageError
from mocban.events import CHAIN_0, Envelope, LoanMade, PeopleCounted, chain, parse
from mocban.fingerprint import fingerprint
from mocban.held import Row
from mocban.messages import Ack
from mocban.migrate import open_db
from mocban.outbox import Outbox

HOLDS = """
import sys
from pathlib import Path
from mocban.clock import SystemClock
from mocban.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]), "kiosk-1", SystemClock())
print("open", flush=True)
sys.stdin.read()
"""


def loan(line: int) -> LoanMade:
    return LoanMade(session="s", line=line, item=f"item-{line}")


def chain_of(rows: Sequence[Row]) -> str:
    """The chain value after ``rows``, which begin at seq 1."""
    return reduce(chain, (row.payload for row in rows), CHAIN_0).hex()


def first_release(path: Path, told: int) -> None:
    """A database as the first release left it: ``told`` facts, of which one is delivered."""
    sql = (resources.files("mocban") / "migrations" / "001_outbox.sql").read_text(encoding="utf-8")
    checksum = hashlib.sha256(sql.encode()).hexdigest()[:16]
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(sql)
        db.execute(
            "CREATE TABLE migration (component TEXT, version INTEGER, checksum TEXT,"
            " PRIMARY KEY (component, version)) STRICT"
        )
        db.execute("INSERT INTO migration VALUES ('outbox', 1, ?)", (checksum,))
        db.execute("INSERT INTO outbox_self VALUES (1, ?, ?, ?)", ("e" * 16, told + 1, min(told, 1)))  # fmt: skip
        clock = SetClock()
        for seq in range(1, told + 1):
            fact = PeopleCounted(passage=seq, entered=1, left=0)
            ident = fact.id_at("kiosk-1")
            payload = Envelope(
                id=ident, epoch="e" * 16, seq=seq, ts=clock.now(), mono=1.5, boot=clock.boot, kind=fact.kind,
                kv=fact.kv, data=fact.model_dump(mode="json"),
            ).encode()  # fmt: skip
            db.execute("INSERT INTO outbox_told VALUES (?, ?)", (str(ident), seq))
            if seq > 1:
                db.execute("INSERT INTO outbox VALUES (?, ?, ?, ?)", (seq, str(ident), fact.kind, payload))  # fmt: skip


def test_a_second_process_is_told_who_is_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(ConfigError, match="another process works with") as refused:
            Outbox(path, "kiosk-1", SetClock())
        assert refused.value.code == "outbox-in-use"
        assert refused.value.do
        other.kill()
    Outbox(path, "kiosk-1", SetClock()).close()


def test_an_outbox_that_goes_without_close_lets_go(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    outbox.put(loan(1))
    del outbox  # what a test of a crash does
    again = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    assert again.depth == 1
    again.close()


def test_a_copied_file_begins_a_new_epoch(tmp_path: Path) -> None:
    here, there = tmp_path / "x.db", tmp_path / "y.db"
    outbox = Outbox(here, "kiosk-1", SetClock())
    outbox.put(loan(1))
    epoch = outbox.epoch
    outbox.close()
    shutil.copyfile(here, there)
    assert fingerprint(here) == fingerprint(here) != fingerprint(there)
    copy = Outbox(there, "kiosk-1", SetClock())
    assert copy.epoch != epoch
    assert [row.kind for row in copy.rows(0, 9)] == ["loan-made", "audited"]
    epoch = copy.epoch
    copy.close()
    again = Outbox(there, "kiosk-1", SetClock())
    assert (again.epoch, again.depth) == (epoch, 2), "once is enough"
    again.close()


@pytest.mark.parametrize("told", [0, 3])
def test_a_file_of_the_first_release_begins_a_new_epoch(tmp_path: Path, told: int) -> None:
    path = tmp_path / "x.db"
    first_release(path, told)
    outbox = Outbox(path, "kiosk-1", SetClock())
    assert (outbox.epoch == "e" * 16) == (told == 0)
    facts = [parse(row.payload) for row in outbox.rows(0, 9)]
    assert [(fact.kind, fact.seq) for fact in facts] == (
        [("people-counted", 1), ("people-counted", 2), ("audited", 3)] if told else []
    )
    assert not told or not outbox.put(PeopleCounted(passage=2, entered=1, left=0)), "ids are known"
    epoch = outbox.epoch
    assert (
        outbox.acked(Ack(epoch=epoch, upto=outbox.told, chain=chain_of(outbox.rows(0, 9))))
        == outbox.told
    )
    outbox.close()
    again = Outbox(path, "kiosk-1", SetClock())
    assert again.epoch == epoch
    again.close()


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
