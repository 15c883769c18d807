"""What a watermark proves, and what becomes of watermarks and cursors when a store comes back older."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.projections import apply
from gateway.store.port import CursorGone, Letter, Watermark
from gateway.store.readings import SqliteReadings
from gateway.store.sqlite import SqliteStore
from mocban.clock import SetClock, rfc3339
from mocban.events import CHAIN_0, CommandAnswered, FactShed, chain, chain_hash
from tests.support.gateway_stand import EPOCH, envelope, loan, some_facts
from tests.support.store_stand import (
    OTHER,
    RX,
    STORES,
    Open,
    Stand,
    mark,
    read,
    reasons,
    receipt,
    state,
    told,
)

ORDER = UUID("11111111-2222-4333-8444-555555555555")


@pytest.fixture(params=STORES, ids=str)
def opener(request: pytest.FixtureRequest) -> Open:
    return STORES[request.param]


@pytest.fixture
def stand(opener: Open, tmp_path: Path) -> Iterator[Stand]:
    opened = Stand(opener, tmp_path)
    yield opened
    opened.close()


def append(stand: Stand, *letters: Letter | None) -> tuple[Watermark, ...]:
    """The watermarks with their chains."""
    return stand.store.append([letter for letter in letters if letter is not None]).watermarks


def over(*payloads: bytes) -> str:
    """The chain as a device computes it."""
    value = CHAIN_0
    for payload in payloads:
        value = chain(value, payload)
    return value.hex()


def payload(seq: int, line: int | None = None, epoch: str = EPOCH) -> bytes:
    return envelope(loan(seq if line is None else line), seq, epoch=epoch, ts=RX)


# The chain


def test_the_chain_of_a_digest_is_that_of_its_payload() -> None:
    digest = hashlib.sha256(b"fact").digest()[:16]
    assert chain_hash(CHAIN_0, digest) == chain(CHAIN_0, b"fact")


def test_a_watermark_proves_the_very_bytes_up_to_it(stand: Stand) -> None:
    assert append(stand, told(loan(1), 1))[0].chain == over(payload(1))
    assert append(stand, told(loan(3), 3))[0].chain == over(payload(1))  # not past the gap
    (last,) = append(stand, told(loan(2), 2))
    assert (last.upto, last.chain) == (3, over(payload(1), payload(2), payload(3)))


def test_before_the_first_fact_the_chain_is_zero(stand: Stand) -> None:
    assert append(stand, told(loan(2), 2)) == (Watermark("kiosk-1", EPOCH, 0, "00" * 16),)


def test_what_died_or_was_known_stands_in_the_chain_with_its_own_bytes(stand: Stand) -> None:
    long = b"x" * 20_000  # kept in part only
    append(stand, told(loan(7), 1, epoch=OTHER))
    (last,) = append(
        stand, read(long, "loan-made", epoch=EPOCH, seq="1"), told(loan(7), 2), told(loan(3), 3)
    )
    assert (last.upto, last.chain) == (3, over(long, payload(2, 7), payload(3)))


def test_what_came_second_at_a_place_is_not_in_the_chain(stand: Stand) -> None:
    append(stand, read(b"?", "loan-made", epoch=EPOCH, seq="1"))
    append(stand, told(loan(1), 1), told(loan(9), 1), told(loan(2), 2), told(loan(8), 2))
    (last,) = append(stand, told(loan(3), 3))
    assert (last.upto, last.chain) == (3, over(b"?", payload(2), payload(3)))
    assert sorted(reasons(stand)) == ["bad-envelope", "seq-reuse", "seq-reuse", "seq-reuse"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_comes_in_which_order_the_chain_is_over_what_came_first(
    data: st.DataObject,
) -> None:
    """Facts, other facts at the same place, bytes that are none, facts told before under another epoch."""
    last = data.draw(st.integers(1, 8))
    kinds = st.sampled_from(["fact", "other", "noise", "known"])
    arrivals = st.lists(st.tuples(st.integers(1, last), kinds), max_size=20)
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(data.draw(st.sampled_from(list(STORES.values()))), Path(folder))
        try:
            append(stand, *(told(loan(900 + seq), seq, epoch=OTHER) for seq in range(1, last + 1)))
            first: dict[int, bytes] = {}
            for batch in data.draw(st.lists(arrivals, max_size=6)):
                letters = []
                for seq, kind in batch:
                    line = {"fact": seq, "other": 500 + seq, "known": 900 + seq}.get(kind)
                    said = b"?%d" % seq if line is None else payload(seq, line)
                    letters.append(read(said, "loan-made", epoch=EPOCH, seq=str(seq)))
                    first.setdefault(seq, said)
                upto = 0
                while upto + 1 in first:
                    upto += 1
                marks = append(stand, state(True), *letters)
                assert marks == (
                    Watermark("kiosk-1", EPOCH, upto, over(*(first[n + 1] for n in range(upto)))),
                )
        finally:
            stand.close()


# States and receipts


def test_every_state_is_answered_with_the_watermark_of_its_epoch(stand: Stand) -> None:
    assert append(stand, state(True)) == (Watermark("kiosk-1", EPOCH, 0, "00" * 16),)
    append(stand, told(loan(1), 1), told(loan(2), 2))
    known = Watermark("kiosk-1", EPOCH, 2, over(payload(1), payload(2)))
    outcome = stand.store.append([letter for letter in (state(True),) if letter])
    assert (outcome.watermarks, outcome.changed) == ((known,), False)
    assert [(birth.device, birth.epoch) for birth in outcome.births] == [("kiosk-1", EPOCH)]
    assert append(stand, state(True), told(loan(3), 3))[0].upto == 3
    assert stand.read.lag() == 0


def test_a_state_of_an_epoch_never_heard_of_leaves_no_watermark_behind(stand: Stand) -> None:
    append(stand, state(True, epoch=OTHER))
    assert append(stand, told(loan(2), 2, epoch=OTHER))[0].upto == 0
    assert stand.read.lag() == 2


def test_a_receipt_and_an_answer_name_their_order(stand: Stand) -> None:
    outcome = stand.append(receipt(ORDER))
    assert (outcome.orders, outcome.changed, outcome.watermarks) == ((str(ORDER),), False, ())
    answer = CommandAnswered(order=ORDER, name="self-test", app="kiosk", outcome="done")
    assert stand.append(told(answer, 1)).orders == (str(ORDER),)


# Tombstones and clones


def test_a_tombstone_of_what_is_stored_is_no_clone_and_one_of_what_is_not_a_fact(
    stand: Stand,
) -> None:
    shed = [FactShed(epoch=EPOCH, seq=n, what="people-counted") for n in (1, 2)]
    outcome = stand.append(told(loan(1), 1), told(shed[0], 1), told(shed[1], 2))
    assert (outcome.new, outcome.duplicate, outcome.watermarks) == (2, 1, mark(2))
    assert stand.read.clones() == {}


def test_a_tombstone_of_another_place_is_a_clone_like_any_other_fact(stand: Stand) -> None:
    stand.append(told(loan(1), 1), told(FactShed(epoch=OTHER, seq=9, what="loan-made"), 1))
    assert stand.read.clones() == {("kiosk-1", EPOCH): 1}


# A store that came back older


def reopened(stand: Stand, opener: Open, folder: Path) -> Stand:
    stand.close()
    return Stand(opener, folder)


def test_a_store_opened_again_keeps_its_cursors(opener: Open, tmp_path: Path) -> None:
    stand = Stand(opener, tmp_path)
    stand.append(told(loan(1), 1), told(loan(2), 2))
    cursor = stand.read.cursor()
    stand = reopened(stand, opener, tmp_path)
    assert stand.read.cursor() == cursor
    assert stand.read.place(cursor) == stand.read.place("2") == 2
    stand.close()


@pytest.mark.parametrize("inode", ["the same file", "another file"])
def test_a_store_put_back_begins_a_generation_and_old_cursors_go_back_to_where_it_began(
    opener: Open, tmp_path: Path, inode: str
) -> None:
    stand = Stand(opener, tmp_path)
    stand.append(*(told(fact, i + 1) for i, fact in enumerate(some_facts(4))))
    early = stand.read.cursor(2)
    stand.close()
    shutil.copy(tmp_path / "g.db", tmp_path / "copy")
    stand = Stand(opener, tmp_path)
    stand.append(*(told(fact, i + 1) for i, fact in enumerate(some_facts(9))))
    late = stand.read.cursor()
    stand.close()
    if inode == "another file":
        os.replace(tmp_path / "copy", tmp_path / "g.db")
        (tmp_path / "g.db.mark").unlink()
    else:
        shutil.copyfile(tmp_path / "copy", tmp_path / "g.db")
    stand = Stand(opener, tmp_path)
    assert append(stand, state(True))[0].upto == 4
    assert (stand.read.place(early), stand.read.place(late)) == (2, 4)
    assert stand.read.cursor().split(".")[0] != late.split(".")[0]
    assert [f.cursor for f in stand.read.facts(stand.read.place(late), 10)] == []
    outcome = stand.append(*(told(fact, i + 1) for i, fact in enumerate(some_facts(9))))
    assert (outcome.new, outcome.duplicate, outcome.watermarks) == (5, 4, mark(9))
    assert [f.seq for f in stand.read.facts(stand.read.place(late), 10)] == [5, 6, 7, 8, 9]
    assert sum(stand.read.totals().values()) == 2 + 2 + 2 + 2 + 2 + 1  # each fact counted once
    stand.close()


def test_cursors_of_a_life_that_is_gone_are_gone(opener: Open, tmp_path: Path) -> None:
    stand = Stand(opener, tmp_path)
    stand.append(told(loan(1), 1))
    for cursor in ("0123456789abcdef.1", f"{stand.read.cursor().split('.')[0]}.2", "2", "9" * 19):
        with pytest.raises(CursorGone):
            stand.read.place(cursor)
    for cursor in ("", "x", "-1", "1.1", stand.read.cursor() + ".1"):
        with pytest.raises(CursorGone):
            stand.read.place(cursor)
    stand.close()


def test_a_torn_mark_is_no_mark(opener: Open, tmp_path: Path) -> None:
    stand = Stand(opener, tmp_path)
    stand.append(told(loan(1), 1))
    cursor = stand.read.cursor()
    stand.close()
    (tmp_path / "g.db.mark").write_bytes(b"\xff\x00")
    stand = Stand(opener, tmp_path)
    assert stand.read.place(cursor) == 1
    assert stand.read.cursor() == cursor
    stand.close()


def test_the_mark_is_written_once_a_second_and_at_the_end(tmp_path: Path) -> None:
    clock = SetClock()
    store = SqliteStore(tmp_path / "g.db", apply, clock=clock)

    def marked() -> int:
        return int((tmp_path / "g.db.mark").read_text().split(".")[1])

    for seq, wait, expected in ((1, 0.0, 0), (2, 0.5, 0), (3, 0.6, 3), (4, 0.1, 3)):
        clock.advance(wait)
        store.append([letter for letter in [told(loan(seq), seq)] if letter])
        assert marked() == expected
    store.close()
    assert marked() == 4


# A store of the first release


def of_the_first_release(path: Path) -> None:
    """Two facts stored and one to come, as release 1 wrote them."""
    sql = (files("gateway.store") / "migrations" / "001_facts.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(path)) as db:
        db.executescript(sql)
        db.execute(
            "CREATE TABLE migration (component TEXT, version INTEGER, checksum TEXT,"
            " PRIMARY KEY (component, version)) STRICT"
        )
        checksum = hashlib.sha256(sql.encode()).hexdigest()[:16]
        db.execute("INSERT INTO migration VALUES ('gateway', 1, ?)", (checksum,))
        for seq in (1, 2):
            body = json.loads(payload(seq))
            content = json.dumps(
                ["kiosk-1", body["kind"], body["kv"], body["data"]], sort_keys=True
            )
            digest = hashlib.blake2b(content.encode(), digest_size=16).digest()
            db.execute(
                "INSERT INTO facts (id, device, epoch, seq, kind, kv, ts, rx, digest, payload)"
                " VALUES (?, 'kiosk-1', ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    body["id"], EPOCH, seq, body["kind"], body["kv"], body["ts"], rfc3339(RX), digest, payload(seq),
                ),
            )  # fmt: skip
        db.execute("INSERT INTO watermark VALUES ('kiosk-1', ?, 2, 2, ?)", (EPOCH, rfc3339(RX)))
        db.execute("INSERT INTO watermark VALUES ('kiosk-1', ?, 0, 2, ?)", (OTHER, rfc3339(RX)))
        db.execute(
            "INSERT INTO retold VALUES ('kiosk-1', ?, 2, ?)", (OTHER, str(loan(2).id_at("kiosk-1")))
        )
        db.commit()


def test_a_store_of_the_first_release_goes_on_without_a_chain_for_its_epochs(
    tmp_path: Path,
) -> None:
    of_the_first_release(tmp_path / "g.db")
    store, readings = SqliteStore(tmp_path / "g.db", apply), SqliteReadings(tmp_path / "g.db")
    stand = Stand(lambda _: (store, readings), tmp_path)
    assert stand.append(told(loan(2), 2)).duplicate == 1
    assert append(stand, told(loan(3), 3), state(True)) == (Watermark("kiosk-1", EPOCH, 3, ""),)
    fresh = "00000000000000e3"
    assert append(stand, told(loan(1), 1, epoch=fresh))[0].chain == over(payload(1, epoch=fresh))
    # A place of which only the id is known ends the chain that began after the upgrade.
    assert append(stand, told(loan(9), 1, epoch=OTHER)) == (Watermark("kiosk-1", OTHER, 2, ""),)
    assert [f.seq for f in stand.read.facts(stand.read.place("1"), 1)] == [2]
    assert stand.read.place(stand.read.cursor()) == 4
    stand.close()
