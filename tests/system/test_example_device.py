"""The contract's example device, in another language: killed, its broker lost, and every count arrives."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.gateway_stand import Gateway, running_broker, until

DEVICE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "device.mjs"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None, reason="NOT TESTED: the example device, node is missing (apt install nodejs)"
)


class Counter:
    """The example as a process over a folder."""

    def __init__(self, url: str, folder: Path) -> None:
        assert NODE is not None
        self._file = folder / "outbox.jsonl"
        self._process = subprocess.Popen(
            [NODE, str(DEVICE), url, "demo", "door-1", str(folder)],
            stdin=subprocess.PIPE,
            text=True,
        )

    def count(self, entered: int, left: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{entered} {left}\n")
        self._process.stdin.flush()

    def told(self) -> int:
        return int(json.loads(self._file.read_text())["next"]) - 1 if self._file.exists() else 0

    def waiting(self) -> int:
        return len(json.loads(self._file.read_text())["rows"])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        assert self._process.stdin is not None
        self._process.stdin.close()


def test_a_device_in_another_language_loses_and_doubles_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "door"
    folder.mkdir()
    with running_broker("iotcore", tmp_path) as broker, Gateway(tmp_path, broker.url) as gateway:
        device = Counter(broker.url, folder)
        try:
            for n in range(10):
                device.count(n, 1)
            until(lambda: device.told() == 10 and device.waiting() == 0, "ten counts are confirmed")
            broker.kill()
            for n in range(10, 20):
                device.count(n, 1)
            until(lambda: device.told() == 20, "ten more are in its outbox")
            device.kill()
            broker.start()
            device = Counter(broker.url, folder)
            device.count(20, 1)
            until(lambda: device.told() == 21 and device.waiting() == 0, "all are confirmed", 30)
        finally:
            device.kill()
        facts = [fact for fact in gateway.facts() if fact["device"] == "door-1"]
        assert sorted(fact["data"]["entered"] for fact in facts) == list(range(21))
        assert gateway.json("/api/v1/dead")["count"] == 0
        doors = [one for one in gateway.json("/api/v1/devices") if one["device"] == "door-1"]
        assert [one["app"] for one in doors] == ["door"]
