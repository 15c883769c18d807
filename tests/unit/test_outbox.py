"""The outbox: gapless, once, and only the watermark deletes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from mocban.clock import SetClock
from mocban.errors import StorageError
from mocban.events import CHAIN_0, Audited, LoanMade, chain, parse
from mocban.held import KEPT, TOLD_KEPT, Row
from mocban.messages import Ack
from mocban.outbox import Outbox


def loan(line: int) -> LoanMade:
    return LoanMade(session="s", line=line, item=f"item-{line}")


def chain_of(rows: Sequence[Row]) -> str:
    """The chain value after ``rows``, which begin at seq 1."""
    return reduce(chain, (row.payload for row in rows), CHAIN_0).hex()


def ack_of(outbox: Outbox, upto: int) -> Ack:
    """What a gateway says that has all up to ``upto``; only for an outbox that delivered nothing before."""
    value = chain_of(outbox.rows(0, upto)) if outbox.upto == 0 else None
    return Ack(epoch=outbox.epoch, upto=upto, chain=value)


def gauge(name: str, **labels: str) -> float:
    """A measured value, 0 if it was never measured."""
    return REGISTRY.get_sample_value(name, labels or {"device": "kiosk-1"}) or 0.0


def test_a_fact_put_twice_waits_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    assert outbox.put(loan(1))
    assert not outbox.put(loan(1))
    assert [row.seq for row in outbox.rows(0, 10)] == [1]
    assert outbox.acked(Ack(epoch=outbox.epoch, upto=1)) == 1
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


def test_only_a_true_watermark_ends_the_waiting(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    for line in (1, 2, 3):
        outbox.put(loan(line))
    assert outbox.acked(Ack(epoch="f" * 16, upto=3)) == 0, "another epoch"
    assert outbox.acked(Ack(epoch=outbox.epoch, upto=0)) == 0
    assert outbox.acked(ack_of(outbox, 2)) == 2
    assert (outbox.upto, outbox.told, outbox.depth) == (2, 3, 1)
    assert [row.seq for row in outbox.rows(0, 10)] == [3]
    outbox.close()


@pytest.mark.parametrize("wrong", ["another chain", "more than was told"])
def test_a_copy_begins_a_new_epoch_and_tells_all_it_holds(tmp_path: Path, wrong: str) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    epochs: list[str] = []
    outbox.on_epoch = epochs.append
    for line in (1, 2, 3):
        outbox.put(loan(line))
    old, before = outbox.epoch, outbox.rows(0, 10)
    outbox.acked(ack_of(outbox, 1))
    other = Ack(epoch=old, upto=2, chain="ab" * 16)
    assert outbox.acked(other if wrong == "another chain" else Ack(epoch=old, upto=9)) == 0
    assert (epochs, outbox.upto, outbox.told, outbox.depth) == (["clone"], 0, 4, 4)
    *again, audit = (json.loads(row.payload) for row in outbox.rows(0, 10))
    for body, row in zip(again, before, strict=True):
        assert body == json.loads(row.payload) | {"epoch": outbox.epoch}
    assert parse(outbox.rows(3, 1)[0].payload).fact() == Audited(
        ref=outbox.epoch,
        actor="device:kiosk-1",
        action="outbox-renewed",
        object=old,
        reason="clone",
    )
    assert audit["seq"] == 4
    assert not outbox.put(loan(1)), "a new epoch forgets no id"
    assert outbox.acked(ack_of(outbox, 4)) == 4
    assert outbox.depth == 0
    outbox.close()


def test_seqs_close_up_when_what_was_delivered_is_kept_no_more(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock(), cap=8 * 700)  # two are kept
    for line in range(1, 8):
        outbox.put(loan(line))
    outbox.acked(ack_of(outbox, 6))
    chained = ack_of(outbox, 7)
    outbox.renew("asked")
    assert [row.seq for row in outbox.rows(0, 10)] == [1, 2, 3, 4]
    lines = [json.loads(row.payload)["data"].get("line") for row in outbox.rows(0, 10)]
    assert lines == [5, 6, 7, None]
    assert all(parse(row.payload).seq == row.seq for row in outbox.rows(0, 10))
    assert outbox.acked(chained) == 0, "it is of the old epoch"
    outbox.put(loan(8))
    assert outbox.acked(ack_of(outbox, 5)) == 5
    outbox.close()


def test_a_gateway_that_comes_back_older_is_told_again_the_same_bytes(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    for line in range(1, 7):
        outbox.put(loan(line))
    rows, epoch = outbox.rows(0, 10), outbox.epoch
    early = ack_of(outbox, 2)
    outbox.acked(ack_of(outbox, 5))
    assert outbox.acked(early) == 0
    assert (outbox.epoch, outbox.upto, outbox.depth) == (epoch, 2, 4)
    assert outbox.rows(0, 10) == rows[2:]
    assert outbox.acked(Ack(epoch=epoch, upto=6, chain=chain_of(rows))) == 4
    assert outbox.acked(Ack(epoch=epoch, upto=0, chain=CHAIN_0.hex())) == 0
    assert outbox.rows(0, 10) == rows
    outbox.close()


def test_a_gateway_older_than_what_is_kept_gets_a_new_epoch_and_the_loss_is_told(
    tmp_path: Path,
) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock(), cap=8 * 700)
    for line in range(1, 8):
        outbox.put(loan(line))
    old, early = outbox.epoch, ack_of(outbox, 2)
    outbox.acked(ack_of(outbox, 6))
    outbox.acked(early)
    assert outbox.epoch != old
    facts = [parse(row.payload).fact() for row in outbox.rows(0, 10)]
    assert [fact.line for fact in facts if isinstance(fact, LoanMade)] == [5, 6, 7]
    assert isinstance(facts[-1], Audited)
    assert facts[-1].reason == "older: the gateway has 2, 3 to 4 are kept no more"
    outbox.close()


def test_at_most_so_many_delivered_facts_are_kept(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    outbox._db.execute("PRAGMA synchronous=OFF")
    for line in range(KEPT // 2):
        outbox.put(LoanMade(session="a", line=line, item="x"))
    outbox.acked(Ack(epoch=outbox.epoch, upto=outbox.told))
    for line in range(KEPT // 2 + 5):
        outbox.put(LoanMade(session="b", line=line, item="x"))
    outbox.acked(Ack(epoch=outbox.epoch, upto=outbox.told))
    assert outbox._db.execute("SELECT count(*), min(seq) FROM outbox").fetchone() == (KEPT, 6)
    assert outbox._db.execute("SELECT count(*) FROM outbox_told").fetchone() == (TOLD_KEPT,)
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
    for act in acts:
        if isinstance(act, int):
            assert outbox.put(loan(act)) == (act not in told)
            told.add(act)
        elif isinstance(act, tuple):
            epoch, before = outbox.epoch, outbox.told
            outbox.acked(Ack(epoch=epoch, upto=act[1]))
            assert (outbox.epoch == epoch) == (act[1] <= before)
            if outbox.epoch == epoch:
                assert outbox.upto == act[1]
        waiting = list(range(outbox.upto + 1, outbox.told + 1))
        assert [row.seq for row in outbox.rows(0, 100)] == waiting
        assert outbox.depth == len(waiting)
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


def test_a_disk_that_refuses_changes_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    for line in (1, 2, 3):
        outbox.put(loan(line))
    rows, epoch, true = outbox.rows(0, 10), outbox.epoch, ack_of(outbox, 2)
    outbox._db.execute("PRAGMA query_only=1")  # SQLite's own "attempt to write a readonly database"
    for refused in (
        lambda: outbox.put(loan(4)),
        lambda: outbox.acked(true),
        lambda: outbox.acked(Ack(epoch=epoch, upto=99)),
        lambda: outbox.renew("asked"),
    ):
        with pytest.raises(StorageError, match="cannot"):
            refused()
        assert (outbox.rows(0, 10), outbox.epoch, outbox.told, outbox.depth) == (rows, epoch, 3, 3)
        assert gauge("mocban_outbox_bytes") == sum(len(row.payload) for row in rows)
    outbox._db.execute("PRAGMA query_only=0")
    assert outbox.acked(true) == 2
    assert outbox.put(loan(4))
    outbox.close()
    with pytest.raises(StorageError, match="cannot be read"):
        outbox.rows(0, 10)


def test_what_is_measured_is_true(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "kiosk-1", SetClock())
    before = gauge("mocban_outbox_renewed_total", reason="asked")
    outbox.put(loan(1))
    outbox.put(loan(2))
    outbox.acked(ack_of(outbox, 1))
    assert gauge("mocban_outbox_facts") == 1
    assert gauge("mocban_outbox_told") == 2
    assert gauge("mocban_outbox_bytes") == len(outbox.rows(0, 1)[0].payload)
    outbox.renew("asked")
    assert gauge("mocban_outbox_facts") == 3
    assert gauge("mocban_outbox_renewed_total", reason="asked") == before + 1
    outbox.close()
