"""Alerts on their way: from Alertmanager to an incident on disk, and how many are lost while the receiver is killed.

The real Alertmanager delivers. For the time, the reference is the least there can be: one round trip over loopback
that ends with one row committed to SQLite and synced. For the losses it is a receiver that answers before it stores,
in the same harness under the same kills. It must lose, or the kills prove nothing.
"""

from __future__ import annotations

import http.client
import json
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Self

from mocban.benches import Case
from tests.fault.harness import HOST, Process, listens, seeded, until
from tests.support.alerting import Alertmanager, OpsProcess
from tests.support.ops_stand import alert, delivery

GOAL_MS = 50.0
DEADLINE = 300.0
ALIVE = (0.05, 0.6)
"""Shortest and longest life of a receiver, in seconds after it became ready."""
HASTY = """
import http.server, pathlib, signal, sqlite3, sys, threading
db = sqlite3.connect(sys.argv[1], isolation_level=None, check_same_thread=False)
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE IF NOT EXISTS got (body BLOB)")
told, lock = [], threading.Lock()
def keep():
    while True:
        threading.Event().wait(0.05)
        with lock:
            rows, told[:] = list(told), []
        if rows:
            db.execute("BEGIN")
            db.executemany("INSERT INTO got VALUES (?)", rows)
            db.execute("COMMIT")
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with lock:
            told.append((body,))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
threading.Thread(target=keep, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Receiver).serve_forever()
"""


def run(quick: bool) -> list[Case]:
    """100 alerts for the time, or 500; 200 for the losses, or 1,000, and as many of the control."""
    ours, least = _times(100 if quick else 500)
    amount = 200 if quick else 1000
    mine, theirs = _losses(amount, hasty=False), _losses(amount, hasty=True)
    assert theirs.lost > 0, "the control lost nothing: these kills prove nothing"
    bare = "a loopback round trip with one synced commit"
    control = f"a receiver that answers before it stores, {theirs.kills} kills"

    def time_of(name: str, share: float) -> Case:
        at, floor = (sorted(side)[round((len(side) - 1) * share)] for side in (ours, least))
        return Case(
            f"Alertmanager to incident stored, {name}", round(at, 2), round(floor, 2), "ms", GOAL_MS, bare,
            round(min(ours), 2), round(max(ours), 2), len(ours),
        )  # fmt: skip

    def sum_of(name: str, pick: str) -> Case:
        one, other = float(getattr(mine, pick)), float(getattr(theirs, pick))
        return Case(name, one, other, "alerts", 0, control, one, one, 1)

    return [
        time_of("p99", 0.99),
        time_of("median", 0.5),
        sum_of(f"lost of {amount}, {mine.kills} kills", "lost"),
        sum_of(f"counted twice of {amount}", "doubled"),
    ]


# How long


def _times(amount: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each alert, and of each of as many bare deliveries, taken in turn."""
    with tempfile.TemporaryDirectory(prefix="mocban-bench-") as name:
        folder = Path(name)
        with OpsProcess(folder) as ops, _bare(folder) as bare:
            ops.up()
            with (
                Alertmanager(folder, ops.url, ops.token_file) as manager,
                closing(_reader(ops)) as db,
            ):
                manager.up()
                for n in range(5):  # the first ones pay for what is loaded late
                    _once(manager, db, f"warm-{n}")
                ours, least = [], []
                for n in range(amount):
                    ours.append(_once(manager, db, f"kiosk-{n}"))
                    least.append(bare.once(n))
    return ours, least


def _once(manager: Alertmanager, db: sqlite3.Connection, device: str) -> float:
    """Milliseconds from the alert's way to Alertmanager until its incident can be read from the disk."""
    sql = "SELECT 1 FROM incident WHERE device = ? AND kind = 'kiosk-offline'"
    began = time.perf_counter()
    manager.raises({"alertname": "MocbanKioskOffline", "device": device, "app": "kiosk"})
    while db.execute(sql, (device,)).fetchone() is None:
        assert time.perf_counter() - began < DEADLINE, f"{device} never came"
        time.sleep(0.0005)
    return (time.perf_counter() - began) * 1000


def _reader(ops: OpsProcess) -> sqlite3.Connection:
    """A reader sees what is committed, and in this mode that is synced before it is seen."""
    return sqlite3.connect(ops.data / "ops" / "ops.db", isolation_level=None, timeout=10)


class _bare:  # noqa: N801  used as a function
    """The least there can be, in a thread of ours."""

    def __init__(self, folder: Path) -> None:
        path = folder / "bare.db"

        class Receiver(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                db.execute("INSERT INTO got VALUES (?)", (body,))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE got (body BLOB)")
        self._db = db
        self._server = HTTPServer((HOST, 0), Receiver)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._line = http.client.HTTPConnection(HOST, self._server.server_port, timeout=30)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()
        self._server.shutdown()
        self._server.server_close()
        self._db.close()

    def once(self, n: int) -> float:
        """Milliseconds of one delivery."""
        body = json.dumps(delivery(alert("MocbanKioskOffline", f"kiosk-{n}"))).encode()
        began = time.perf_counter()
        self._line.request("POST", "/", body)
        self._line.getresponse().read()
        return (time.perf_counter() - began) * 1000


# How many


class Losses:
    """What became of alerts while their receiver was killed over and over."""

    def __init__(self, told: int, stored: int, signals: int, kills: int) -> None:
        self.lost = told - stored
        self.doubled = signals - stored
        self.kills = kills


def _losses(amount: int, *, hasty: bool) -> Losses:
    _, chance = seeded(f"alerts {amount}")
    with tempfile.TemporaryDirectory(prefix="mocban-bench-") as name:
        folder = Path(name)
        with OpsProcess(folder) as ops:
            receiver: Process = _hasty(folder, ops) if hasty else ops
            with receiver, Alertmanager(folder, ops.url, ops.token_file) as manager:
                manager.up()
                teller = threading.Thread(target=_tell, args=(manager, amount), daemon=True)
                kills, still, end = 0, 0, time.monotonic() + DEADLINE
                while time.monotonic() < end:
                    _up(receiver, ops, hasty=hasty)
                    if not kills:
                        teller.start()
                    time.sleep(chance.uniform(*ALIVE))
                    stored = _stored(folder, ops, hasty=hasty)[0]
                    if not teller.is_alive() and (
                        stored == amount or (hasty and _settled(manager))
                    ):
                        still += 1
                        if still > 2:
                            break
                    receiver.kill()
                    kills += 1
                found = _stored(folder, ops, hasty=hasty)
    return Losses(amount, *found, kills)


def _tell(manager: Alertmanager, amount: int) -> None:
    """Alerts one by one, over some seconds."""
    for n in range(amount):
        manager.raises({"alertname": "BenchLoss", "device": f"kiosk-{n}", "app": "kiosk"})
        time.sleep(0.01)


def _up(receiver: Process, ops: OpsProcess, *, hasty: bool) -> None:
    if hasty:
        receiver.start()
        until(lambda: listens(ops.port), "the receiver listens")
    else:
        ops.up()


def _settled(manager: Alertmanager) -> bool:
    """Alertmanager has delivered everything, as far as it was told."""
    with closing(http.client.HTTPConnection(HOST, manager.port, timeout=30)) as line:
        line.request("GET", "/metrics")
        text = line.getresponse().read().decode()
    found = {
        row.split(" ")[0]: float(row.split(" ")[1]) for row in text.splitlines() if row[:1] != "#"
    }
    mine = '{integration="webhook"}'
    sent = found.get(f"alertmanager_notifications_total{mine}", 0.0)
    failed = found.get(f"alertmanager_notifications_failed_total{mine}", 0.0)
    return sent - failed >= found.get("alertmanager_dispatcher_aggregation_groups", 0.0) > 0


def _stored(folder: Path, ops: OpsProcess, *, hasty: bool) -> tuple[int, int]:
    """How many different alerts are stored, and how many times in all."""
    if not hasty:
        sql = "SELECT count(DISTINCT device), coalesce(sum(signals), 0) FROM incident WHERE kind = 'alert'"
        found = ops.sql(sql)[0]
        return int(found[0]), int(found[1])
    with closing(sqlite3.connect(folder / "hasty.db", timeout=10)) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM got")]
    devices = [one["labels"]["device"] for body in bodies for one in body["alerts"]]
    return len(set(devices)), len(devices)


def _hasty(folder: Path, ops: OpsProcess) -> Process:
    argv = [sys.executable, "-c", HASTY, str(folder / "hasty.db"), str(ops.port)]
    return Process("hasty", argv, folder)
