"""A full outbox: counts go first, then reports; loans never; and every seq still has something to tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from mocban.clock import SetClock
from mocban.errors import LocalProtocolError, StorageError
from mocban.events import (
    CHAIN_0,
    CommandAnswered,
    DeviceChanged,
    Fact,
    FactShed,
    GateAlarmed,
    PeopleCounted,
    chain,
    parse,
)
from mocban.held import SHED_AT_ONCE, SHEDDABLE
from mocban.messages import Ack
from mocban.outbox import Outbox

CAP = 10_000
AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def count(number: int) -> Fact:
    return PeopleCounted(passage=number, entered=1, left=0)


def report(number: int) -> Fact:
    return DeviceChanged(part=f"reader-{number}", state="lost", at=AT)


def alarm(number: int) -> Fact:
    return GateAlarmed(passage=number)


MAKE = (count, report, alarm)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """An empty one with room for about forty facts."""
    outbox = Outbox(tmp_path / "x.db", "gate-1", SetClock(), cap=CAP)
    outbox._db.execute("PRAGMA synchronous=OFF")
    yield outbox
    outbox.close()


def kinds(outbox: Outbox) -> list[str]:
    """What waits, without handing it out."""
    return [
        "fact-shed" if level == 3 else kind
        for kind, level in outbox._db.execute("SELECT kind, class FROM outbox ORDER BY seq")
    ]


def waiting(outbox: Outbox) -> int:
    """Bytes, counted anew."""
    query = "SELECT coalesce(sum(length(payload)), 0) FROM outbox WHERE seq > (SELECT upto FROM outbox_self)"
    return int(outbox._db.execute(query).fetchone()[0])


def deliver(outbox: Outbox, rows: int) -> int:
    """A gateway takes the next ``rows`` and says so."""
    assert outbox.upto == 0
    told = outbox.rows(0, rows)
    value = reduce(chain, (row.payload for row in told), CHAIN_0)
    return outbox.acked(Ack(epoch=outbox.epoch, upto=told[-1].seq, chain=value.hex()))


def test_counts_go_before_reports_and_the_oldest_first(outbox: Outbox) -> None:
    for number in range(6):
        outbox.put(report(number))
        outbox.put(count(number))
    number = 100
    while "fact-shed" not in kinds(outbox):
        outbox.put(alarm(number := number + 1))
    left = kinds(outbox)
    assert left[1] == "fact-shed"
    assert left[:12].count("people-counted") >= 4
    while kinds(outbox).count("device-changed") == 6:
        outbox.put(alarm(number := number + 1))
    left = kinds(outbox)
    assert "people-counted" not in left, "every count goes before the first report"
    assert left[0] == "fact-shed"
    assert left[-1] == "gate-alarmed"


def test_a_tombstone_keeps_the_seq_and_says_what_it_was(outbox: Outbox) -> None:
    shed = REGISTRY.get_sample_value("mocban_outbox_shed_total", {"device": "gate-1"}) or 0
    outbox.put(count(1))
    for number in range(2, 36):
        outbox.put(alarm(number))
    rows = outbox.rows(0, 100)
    assert [row.seq for row in rows] == list(range(1, 36))
    assert rows[0].kind == "fact-shed"
    envelope = parse(rows[0].payload)
    fact = envelope.fact()
    assert fact == FactShed(epoch=outbox.epoch, seq=1, what="people-counted")
    assert envelope.encode() == rows[0].payload, "written as every other envelope"
    assert (envelope.id, envelope.epoch, envelope.seq) == (fact.id_at("gate-1"), outbox.epoch, 1)
    assert REGISTRY.get_sample_value("mocban_outbox_shed_total", {"device": "gate-1"}) == shed + 1
    assert not outbox.put(count(1)), "what was shed is not told a second time"
    assert outbox.rows(0, 100) == rows, "the same bytes at every try"
    outbox.renew("asked")
    again = parse(outbox.rows(0, 1)[0].payload)
    assert (again.id, again.data, again.epoch) == (envelope.id, envelope.data, outbox.epoch)
    assert deliver(outbox, 100) == 36


def test_what_was_handed_out_keeps_its_bytes(outbox: Outbox) -> None:
    for number in range(10):
        outbox.put(count(number))
    sent = outbox.rows(0, 4)
    number = 100
    while kinds(outbox).count("fact-shed") < 6:
        outbox.put(alarm(number := number + 1))
    for _ in range(5):
        outbox.put(alarm(number := number + 1))
    assert kinds(outbox)[:10] == ["people-counted"] * 4 + ["fact-shed"] * 6
    assert outbox.rows(0, 4) == sent
    assert deliver(outbox, 1000) == outbox.told


def test_what_was_handed_out_is_known_after_a_restart(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "x.db", "gate-1", SetClock(), cap=CAP)
    for number in range(10):
        first.put(count(number))
    sent = first.rows(0, 4)
    first.put(alarm(99))
    first.close()
    again = Outbox(tmp_path / "x.db", "gate-1", SetClock(), cap=CAP)
    for number in range(100, 125):
        again.put(alarm(number))
    assert "fact-shed" in kinds(again)
    assert again.rows(0, 4) == sent
    again.close()


def test_a_count_for_which_there_is_no_room_is_told_as_given_up(outbox: Outbox) -> None:
    number = 0
    while waiting(outbox) < CAP * 0.8:
        outbox.put(alarm(number := number + 1))
    outbox.put(report(0))
    assert outbox.put(count(0))
    assert kinds(outbox)[-2:] == ["fact-shed", "fact-shed"]
    assert not outbox.put(count(0))
    assert [row.seq for row in outbox.rows(0, 1000)] == list(range(1, number + 3))


def test_alarms_are_taken_into_the_reserve_and_then_refused_by_name(outbox: Outbox) -> None:
    said: list[bool] = []
    outbox.on_full = said.append
    number = 0
    while not outbox.full:
        assert waiting(outbox) < CAP
        outbox.put(alarm(number := number + 1))
    assert waiting(outbox) >= CAP
    with pytest.raises(StorageError, match="no room") as refused:
        for _ in range(1000):
            outbox.put(alarm(number := number + 1))
    assert refused.value.code == "outbox-full"
    assert CAP * 1.2 < waiting(outbox) <= CAP * 1.25
    assert said == [True]
    told = outbox.told
    assert deliver(outbox, 5) == 5
    assert outbox.full, "it is full until it is below nine tenths"
    assert outbox.put(alarm(number)), "the refused one can be put again"
    assert outbox.told == told + 1
    outbox.acked(Ack(epoch=outbox.epoch, upto=told // 2))
    assert (outbox.full, said) == (False, [True, False])


def test_a_new_epoch_begins_also_when_there_is_no_room(outbox: Outbox) -> None:
    with pytest.raises(StorageError):
        for number in range(1000):
            outbox.put(alarm(number))
    told = outbox.told
    outbox.renew("asked")
    assert outbox.told == told + 1
    assert deliver(outbox, 1000) == told + 1


def test_kept_facts_go_before_anything_is_full(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "gate-1", SetClock(), cap=CAP)
    for number in range(4):
        outbox.put(alarm(number))
    deliver(outbox, 4)
    assert len(kinds(outbox)) == 4, "delivered and kept"
    while not outbox.full:
        outbox.put(alarm(number := number + 1))
    assert len(kinds(outbox)) == outbox.depth, "none is kept"
    outbox.close()
    again = Outbox(tmp_path / "x.db", "gate-1", SetClock(), cap=CAP)
    assert again.full
    again.close()


def test_a_fact_too_long_for_the_wire_is_our_bug_and_changes_nothing(outbox: Outbox) -> None:
    long = CommandAnswered(
        order=alarm(1).id_at("gate-1"), name="logs", app="gate", outcome="done", result={"a": "x" * 5000}
    )  # fmt: skip
    with pytest.raises(LocalProtocolError, match="command-answered"):
        outbox.put(long)
    assert (outbox.told, waiting(outbox)) == (0, 0)


def test_putting_takes_the_same_work_in_a_large_outbox(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "x.db", "gate-1", SetClock(), cap=450_000)
    outbox._db.execute("PRAGMA synchronous=OFF")
    ticks = [0]

    def tick() -> int:
        ticks[0] += 1
        return 0

    work = []
    outbox._db.set_progress_handler(tick, 100)  # every hundred steps of SQLite's machine
    for number in range(2500):
        ticks[0] = 0
        outbox.put(MAKE[number % 2](number))
        work.append(ticks[0])
    assert kinds(outbox).count("fact-shed") > 500
    assert max(work) < 10 * SHED_AT_ONCE, "in hundreds of steps; one look at all rows takes more"
    assert sum(work[-500:]) < 20 * 500
    outbox.close()


acts = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 2)),
    st.tuples(st.just("hand out"), st.integers(1, 12)),
    st.tuples(st.just("ack"), st.integers(0, 12)),
    st.tuples(st.sampled_from(["restart", "renew"]), st.just(0)),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)  # fmt: skip
@given(st.lists(acts, min_size=20, max_size=100), st.integers(2500, 6000))
def test_the_books_agree_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, int]], cap: int
) -> None:
    path = tmp_path_factory.mktemp("o") / "x.db"
    outbox = Outbox(path, "gate-1", SetClock(), cap=cap)
    outbox._db.execute("PRAGMA synchronous=OFF")
    value, delivered, alarms, was_full = CHAIN_0, set[str](), set[str](), False
    shown: dict[tuple[str, int], bytes] = {}
    for number, (act, amount) in enumerate(story):
        if act == "put":
            fact = MAKE[amount](number)
            try:
                assert outbox.put(fact)
            except StorageError as error:
                assert error.code == "outbox-full"
                assert waiting(outbox) > cap * 1.25 - 400
            else:
                alarms |= {str(fact.id_at("gate-1"))} if amount == 2 else set()
        elif act == "renew":
            outbox.renew("asked")
            value = CHAIN_0
        elif act == "restart":
            outbox.close()
            outbox = Outbox(path, "gate-1", SetClock(), cap=cap)
            outbox._db.execute("PRAGMA synchronous=OFF")
        else:
            rows = outbox.rows(outbox.upto, amount)
            for row in rows:
                assert shown.setdefault((outbox.epoch, row.seq), row.payload) == row.payload
            if act == "ack" and rows:
                for row in rows:
                    value = chain(value, row.payload)
                    delivered.add(str(parse(row.payload).id))
                ack = Ack(epoch=outbox.epoch, upto=rows[-1].seq, chain=value.hex())
                assert outbox.acked(ack) == len(rows)
        marks = outbox._held.marks
        assert marks.waiting == waiting(outbox)
        assert marks.kept <= max(0, min(cap // 8, cap - marks.waiting))
        assert outbox.full == (marks.waiting >= cap or (was_full and marks.waiting >= cap * 0.9))
        was_full = outbox.full
        held = [row[0] for row in outbox._db.execute("SELECT seq FROM outbox ORDER BY seq")]
        assert held == list(range(marks.floor, marks.next))
    delivered |= {str(parse(row.payload).id) for row in outbox.rows(0, 10_000)}
    assert alarms <= delivered
    outbox.close()


@pytest.mark.parametrize("indexed", [True, False])
def test_what_may_be_shed_is_found_by_an_index_and_also_without_it(
    indexed: bool, outbox: Outbox
) -> None:
    if not indexed:
        outbox._db.execute("DROP INDEX outbox_sheddable")
    for level in (0, 1):
        plan = outbox._db.execute(
            f"EXPLAIN QUERY PLAN {SHEDDABLE.format(level=level)}", (0, SHED_AT_ONCE)
        ).fetchall()
        assert len(plan) == 1, "no sorting"
        name = "INDEX outbox_sheddable" if indexed else "INTEGER PRIMARY KEY"
        assert name in plan[0][3]
    for number in range(4):
        outbox.put(count(number))
    number = 100
    while "fact-shed" not in kinds(outbox):
        outbox.put(alarm(number := number + 1))
    assert kinds(outbox)[0] == "fact-shed"
