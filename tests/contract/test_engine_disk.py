"""Executions on a disk that was damaged: said, shown, and nobody else's trouble."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mocban.asking import Told
from tests.support.engine_stand import Ops
from tests.support.person import Person


@pytest.fixture
def ops(tmp_path: Path) -> Iterator[Ops]:
    staff = [Person(tmp_path, name) for name in ("boss", "minh")]
    with Ops(tmp_path, "http://127.0.0.1:9", "mqtt://127.0.0.1:9", *staff) as running:
        running.put("gate-storm")
        yield running


def test_one_that_cannot_be_read_does_not_hold_up_the_others(ops: Ops) -> None:
    torn, whole = ops.begin(), ops.begin()
    ops.stop()
    disk = sqlite3.connect(ops.config.database, isolation_level=None)
    disk.execute("UPDATE happening SET body = 'torn' WHERE execution = ?", (torn,))
    disk.close()
    ops.start()
    every = ops.api.get("/api/v1/executions", authorized=True)["executions"]
    known = {one["id"]: (one["state"], one["reason"]) for one in every}
    assert known == {torn: ("failed", "unreadable"), whole: ("running", "")}
    with pytest.raises(Told) as no:
        ops.show(torn)
    assert (no.value.status, no.value.code) == (503, "storage")
    assert ops.state(whole) == "running"


def test_an_execution_that_waits_for_a_gateway_can_be_stopped_only_when_that_is_known(
    ops: Ops,
) -> None:
    ident = ops.begin()
    ops.post(ident, "stop", by="boss")
    found = ops.show(ident)
    assert found["execution"]["state"] == "running", "nobody knows yet whether the order went out"
    assert [one["what"] for one in found["log"]][-1] == "execution-stop"
