"""The whole branch, from the card on the reader to the number on the dashboard, by its own command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.second_tier import ALL

CARD = b"TV2400001"
KEYS = {
    "ok", "loans_in_ils", "tags_disarmed", "returns_in_ils", "tags_armed", "events_sent", "events_stored",
    "events_distinct", "dashboard_loans", "alarms", "siren_frames", "seconds",
}  # fmt: skip


STATIONS = [("iotcore", "feig"), ("mosquitto", "feig")]
OTHERS = [("iotcore", pad) for pad in ("3m", "rr9", "uhf18", "pcsc")]
"""In the second tier; a smart card service needs root and Debian packages."""


@pytest.mark.parametrize(("broker", "pad"), [*STATIONS, *(OTHERS if ALL else ())])
def test_every_station_tells_the_same_story(broker: str, pad: str, tmp_path: Path) -> None:
    if broker == "mosquitto" and not shutil.which(
        "mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"
    ):
        pytest.skip("mosquitto is not installed here: this tier installs no system package")
    done, result = once("--broker", broker, "--pad", pad, "--keep", str(tmp_path))
    assert done.returncode == 0, result
    assert set(result) == KEYS
    found = f'"driver": "{pad}"'
    assert found in (tmp_path / "log" / "kiosk.log").read_text(encoding="utf-8")
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


def test_without_a_reader_the_gate_is_played_and_the_rest_is_said(tmp_path: Path) -> None:
    done, result = once("--broker", "iotcore", "--pad", "none", "--keep", str(tmp_path))
    assert done.returncode == 0, result
    assert set(result) == KEYS | {"not_played"}
    assert "--pad" in result["not_played"]
    assert result["loans_in_ils"] == result["tags_armed"] == result["tags_disarmed"] == 0
    assert result["alarms"] == result["siren_frames"] == 1


def once(*words: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The journey by its command, and the object it ends with."""
    done = subprocess.run(
        [sys.executable, "-m", "mocban", "demo", "--once", "--json", *words],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    return done, json.loads(done.stdout.strip().splitlines()[-1])
