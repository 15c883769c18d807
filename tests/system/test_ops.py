"""``mocban ops`` as a process: by its command, killed at any time, and what a person reads of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mocban.clock import SystemClock
from mocban.identity import signing_key
from ops.incidents.correlate import Rules
from ops.incidents.store import Store
from tests.fault.harness import seeded, until
from tests.support.alerting import OpsProcess, Sender
from tests.support.incident_room import signal
from tests.support.ops_stand import alert, delivery
from tests.support.person import Person

ROOT = Path(__file__).parents[2]
ALERTS = 40


@pytest.fixture
def ops(tmp_path: Path) -> Iterator[OpsProcess]:
    with OpsProcess(tmp_path) as process:
        yield process


class Said:
    """What a command answered."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


def mocban(config: Path, *words: str, lang: str = "vi") -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "mocban", *words, "--config", str(config)],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "MOCBAN_LANG": lang},
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def test_no_delivery_is_lost_or_counted_twice_while_it_is_killed(ops: OpsProcess) -> None:
    _, chance = seeded("ops")
    ops.up()
    sender = Sender(ops, [alert("Disk", f"kiosk-{n}", app="") for n in range(ALERTS)])
    sender.start()
    kills = 0
    try:
        while not sender.done:
            if kills < 5:
                threading.Event().wait(chance.uniform(0.0, 0.15))
                ops.kill()
                ops.up()
                kills += 1
            else:
                until(lambda: sender.done, "everything is answered", 60)
    finally:
        sender.stop()
    assert (sender.answered, sender.given_up) == (ALERTS, [])
    assert kills >= 1
    assert ops.sql("SELECT count(*), sum(signals) FROM incident") == [(ALERTS, ALERTS)]
    assert ops.sql("SELECT count(*), count(DISTINCT id) FROM signal") == [(ALERTS, ALERTS)]
    until(lambda: ops.sql("SELECT count(*) FROM untold") == [(0,)], "all is told")
    told = "SELECT count(*) FROM outbox WHERE CAST(payload AS TEXT) LIKE '%incident-opened%'"
    assert ops.sql(told) == [(ALERTS,)]


def left_behind(ops: OpsProcess, autorun: dict[str, str]) -> Store:
    """An incident as a process leaves it that was killed right after its commit."""
    store = Store(
        ops.data / "ops" / "ops.db", SystemClock(), Rules(timedelta(minutes=5), 10), autorun
    )
    lost = signal("a", kind="reader-lost", device="kiosk-1")
    store.take([replace(lost, at=SystemClock().now())])
    assert store.due()
    return store


def test_a_playbook_begins_though_it_was_killed_before(tmp_path: Path) -> None:
    key = signing_key(tmp_path / "sign.key")
    autorun = {"reader-lost": "reader-lost"}
    staff = {"hoa": Person(tmp_path, "hoa").line.strip()}
    begun = "SELECT count(*) FROM entry WHERE what = 'playbook-begun'"
    with OpsProcess(tmp_path, staff=staff, autorun=autorun, playbook_keys=[key.public]) as ops:
        signed = mocban(
            ops.config, "runbook", "sign", "reader-lost", "--key", str(tmp_path / "sign.key")
        )
        assert signed.code == 0, signed.err
        left_behind(ops, autorun).close()
        for _ in range(3):
            ops.up()
            until(lambda: ops.sql(begun) == [(1,)], "it has begun")
            ops.kill()
        assert ops.sql("SELECT count(*) FROM due") == [(0,)]
        ops.up()
        shown = mocban(ops.config, "ops", "incidents", "show", "1", "--json").json
        assert shown["incident"]["execution"]
        lines = [entry["what"] for entry in shown["timeline"]]
        assert lines.count("playbook-begun") == 1
        assert lines.count("execution-begun") == 1


def test_a_playbook_that_cannot_begin_is_said_once(tmp_path: Path) -> None:
    with OpsProcess(tmp_path, autorun={"reader-lost": "no such playbook"}) as ops:
        left_behind(ops, {"reader-lost": "no such playbook"}).close()
        for _ in range(2):
            ops.up()
            until(lambda: ops.sql("SELECT count(*) FROM due") == [(0,)], "it was tried")
            ops.kill()
        lines = [what for (what,) in ops.sql("SELECT what FROM entry")]
        assert lines == ["opened", "playbook-refused"]


def test_it_ends_in_good_order(ops: OpsProcess) -> None:
    ops.up()
    assert ops.end() == 0
    last = json.loads(ops.log.read_text(encoding="utf-8").splitlines()[-1])
    assert last["event"] == "ops.end"


def test_a_person_goes_through_an_incident(ops: OpsProcess) -> None:
    ops.up()

    def run(*words: str, lang: str = "vi") -> Said:
        return mocban(ops.config, "ops", *words, lang=lang)

    assert run("incidents", "list").out == "Không có sự cố nào đang mở.\n"
    assert run("incidents", "list", lang="en").out == "No open incidents.\n"
    assert run("incidents", "list", "--json").json == {"ok": True, "incidents": [], "errors": []}
    assert ops.post("/api/v1/alerts", delivery(alert())) == 200
    reported = run(
        "report",
        "Cửa từ kêu suốt buổi sáng, không ai mang sách ra cả, nhờ xem giúp",
        "--device",
        "gate-1",
        "--by",
        "Lan",
    )
    assert reported.code == 0, reported.err
    assert reported.out.startswith("2  mới  Có người báo: Cửa từ kêu")
    table = run("incidents", "list").out.splitlines()
    assert table[0].split() == ["Số", "Từ", "lúc", "Trạng", "thái", "Mức", "Việc", "gì"]
    assert len(table) == 3
    assert max(map(len, table)) <= 80
    assert [row.split()[0] for row in table[1:]] == ["1", "2"], "the worst first"
    assert table[2].endswith("…")
    assert run("incidents", "ack", "2", "--by", "lan").code == 0
    assert run("incidents", "note", "2", "thùng sách mới đặt sát cửa", "--by", "hoa").code == 0
    assert run("incidents", "resolve", "2", "đã dời thùng sách", "--by", "hoa").code == 0
    shown = run("incidents", "show", "2").out
    assert "Ghi chú: thùng sách mới đặt sát cửa (hoa)" in shown
    assert "Đã xong: đã dời thùng sách (hoa)" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "Reported" not in shown
    assert "Resolved: đã dời thùng sách (hoa)" in run("incidents", "show", "2", "--lang", "en").out
    answer = run("incidents", "show", "2", "--json").json
    assert [entry["actor"] for entry in answer["timeline"]] == [
        "person:lan",
        "person:lan",
        "person:hoa",
        "person:hoa",
    ]
    assert [
        one["no"]
        for one in run("incidents", "list", "--state", "resolved", "--json").json["incidents"]
    ] == [2]
    again = run("incidents", "ack", "2", "--by", "lan")
    assert (again.code, again.err) == (
        1,
        "mocban: sự cố này đã được xử lý xong: nếu nó trở lại, hãy báo lại.\n",
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("incidents", "show", "7"), 1, "see mocban ops incidents list"),
        (("incidents", "show", "x"), 2, "mocban ops incidents show -h"),
        (("incidents", "list", "--state", "lost"), 2, "open, acked, resolved or all"),
        (("incidents", "list", "--lang", "fr"), 2, "--lang vi or --lang en"),
        (("incidents", "ack", "1", "--by", "Nguyễn Văn A"), 2, "write --by NAME"),
        (("incidents", "note", "1", "  "), 2, "it says nothing"),
        (("report", "x", "--kind", "ufo"), 2, "gate-alarm"),
        (("report", "x", "--device", "No Device"), 2, "3 to 32 characters"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    shared: OpsProcess, words: tuple[str, ...], code: int, said: str
) -> None:
    found = mocban(shared.config, "ops", *words, lang="en")
    assert (found.code, len(found.err.splitlines())) == (code, 1), found.err
    assert said in found.err
    answer = mocban(shared.config, "ops", *words, "--json", lang="en")
    assert answer.code == code
    assert answer.json["errors"][0]["say"]


@pytest.fixture(scope="module")
def shared() -> Iterator[OpsProcess]:
    with tempfile.TemporaryDirectory() as folder, OpsProcess(Path(folder)) as process:
        process.up()
        yield process


def test_a_service_that_is_away_is_said(ops: OpsProcess) -> None:
    found = mocban(ops.config, "ops", "incidents", "list")
    assert found.code == 4
    assert "start it" in found.err


def test_the_doctor_looks_at_operations(ops: OpsProcess) -> None:
    ops.up()
    found = mocban(ops.config, "doctor", "--json").json["checks"]
    by_name = {one["name"]: one for one in found if one["name"].startswith("ops.")}
    assert {name: one["ok"] for name, one in by_name.items()} == {
        "ops.port": True, "ops.outbox": True, "ops.database": True, "ops.gateway": False, "ops.playbook_keys": True,
    }  # fmt: skip
    assert "gateway_url" in by_name["ops.gateway"]["do"]


def test_a_port_that_is_taken_is_said(ops: OpsProcess, tmp_path: Path) -> None:
    ops.up()
    folder = tmp_path / "second"
    folder.mkdir()
    with OpsProcess(folder, ops.port) as second:
        second.start()
        until(lambda: second.code is not None, "it gives up")
        assert second.code == 2
        assert f"port {ops.port}" in second.log.read_text(encoding="utf-8")
