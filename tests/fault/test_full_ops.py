"""Operations on a full disk, and killed while the real Alertmanager delivers: nothing is lost, nothing half-stored."""

from __future__ import annotations

import threading
from pathlib import Path

from mocban.events import GateAlarmed
from tests.fault.disk import fill, small_disk
from tests.fault.harness import seeded, until
from tests.support.alerting import Alertmanager, OpsProcess, Sender
from tests.support.gateway_stand import Gateway, Teller, running_broker
from tests.support.ops_stand import alert, delivery

ALARMS, ALERTS = 8, 20
WHOLE = (
    "SELECT (SELECT count(*) FROM incident), (SELECT count(*) FROM signal),"
    " (SELECT count(*) FROM signal WHERE incident IS NULL),"
    " (SELECT count(*) FROM incident WHERE no NOT IN (SELECT incident FROM entry WHERE what = 'opened'))"
)


def test_on_a_full_disk_it_refuses_and_goes_on_when_freed(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "data", "4m") as disk,
        running_broker("iotcore", tmp_path) as broker,
        Gateway(tmp_path / "central", broker.url) as gateway,
        OpsProcess(tmp_path, mqtt=broker.url, gateway_url=gateway.url) as ops,
        Teller(broker.url, "gate-1") as gate,
    ):
        ops.up()
        cursor = disk / "ops" / "facts.cursor"
        assert ops.post("/api/v1/alerts", delivery(alert("First", ""))) == 200
        until(cursor.exists, "facts are read")
        ballast = fill(disk)
        sender = Sender(ops, [alert("Disk", f"kiosk-{n}") for n in range(ALERTS)])
        sender.start()
        for n in range(1, ALARMS + 1):
            gate.tell(GateAlarmed(passage=n, item=f"BG{n:08}"), n)
        gate.wait_mark(ALARMS)
        until(lambda: sender.repeated >= 4, "deliveries are refused")
        incidents, signals, loose, untitled = ops.sql(WHOLE)[0]
        assert (incidents, loose, untitled) == (signals, 0, 0), "none is half there"
        assert incidents == 1 + sender.answered
        ballast.unlink()
        until(lambda: sender.done, "every delivery is answered", 60)
        assert (sender.answered, sender.given_up) == (ALERTS, [])
        alarms = "SELECT sum(signals) FROM incident WHERE device = 'gate-1'"
        until(lambda: ops.sql(alarms) == [(ALARMS,)], "every alarm is read")
        until(lambda: ops.sql("SELECT count(*) FROM untold") == [(0,)], "all is told")
        assert ops.sql("SELECT count(*) FROM incident") == [(ALERTS + 2,)]
        assert ops.end() == 0


def test_what_alertmanager_tells_is_stored_once_though_it_is_killed(tmp_path: Path) -> None:
    _, chance = seeded("alertmanager")
    with OpsProcess(tmp_path) as ops:
        ops.up()
        with Alertmanager(tmp_path, ops.url, ops.token_file) as manager:
            manager.up()
            for n in range(ALERTS):
                manager.raises({"alertname": "Disk", "device": f"kiosk-{n}", "app": "kiosk"})
                if n % 5 == 4:
                    threading.Event().wait(chance.uniform(0.0, 0.05))
                    ops.kill()
                    ops.up()
            count = "SELECT count(*), sum(signals) FROM incident"
            until(lambda: ops.sql(count) == [(ALERTS, ALERTS)], "all are stored", 60)
