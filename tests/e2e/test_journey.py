"""The whole branch, from the card on the reader to the number on the dashboard, by its own command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CARD = b"TV2400001"
KEYS = {
    "ok", "loans_in_ils", "tags_disarmed", "returns_in_ils", "tags_armed", "events_sent", "events_stored",
    "events_distinct", "dashboard_loans", "alarms", "siren_frames", "seconds",
}  # fmt: skip


@pytest.mark.parametrize("broker", ["iotcore", "mosquitto"])
def test_every_station_tells_the_same_story(broker: str, tmp_path: Path) -> None:
    if broker == "mosquitto" and not shutil.which(
        "mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"
    ):
        pytest.skip("mosquitto is not installed here: this tier installs no system package")
    done = subprocess.run(
        [sys.executable, "-m", "mocban", "demo", "--once", "--json", "--broker", broker, "--keep", str(tmp_path)],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, result
    assert set(result) == KEYS
    assert result["ok"] is True
    assert result["loans_in_ils"] == result["tags_disarmed"] == result["dashboard_loans"] == 2
    assert result["returns_in_ils"] == result["tags_armed"] == 1
    assert result["events_sent"] == result["events_stored"] == result["events_distinct"] >= 5
    assert result["alarms"] == result["siren_frames"] == 1
    assert done.stderr == ""
    # Only the library system knows the card; kiosk, gate, gateway and every log have forgotten or never knew it.
    knows = {
        file.name for file in tmp_path.rglob("*") if file.is_file() and CARD in file.read_bytes()
    }
    assert knows == {"world.db"}
