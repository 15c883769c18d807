"""Operations as a process to be killed, and who sends it alerts: Alertmanager itself, or a sender with its manner."""

from __future__ import annotations

import http.client
import json
import queue
import sqlite3
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from mocban import access, ids
from tests.fault.harness import CLOCK, HOST, Process, free_port, listens, tool, until
from tests.support.ops_stand import delivery

BACKOFF = (0.5, 1.5, 60.0)
"""Alertmanager's pause before a delivery is repeated: first, factor, longest; each between half and one and a half."""
ANSWER = 10.0
"""Seconds it waits for an answer."""


class OpsProcess(Process):
    """``mocban ops run`` by its command, its files below ``folder``."""

    def __init__(
        self, folder: Path, port: int | None = None, *, mqtt: str = f"mqtt://{HOST}:9",
        staff: dict[str, str] | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.data = folder / "data"
        self.config = folder / "ops.toml"
        keys = {"port": self.port, "gateway_url": f"http://{HOST}:9", **settings}
        tables = {"staff": staff or {}, "ops": keys}
        lines = [f'data_dir = "{self.data}"', f'mqtt = "{mqtt}"']
        for name, table in tables.items():
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        argv = [sys.executable, "-m", "mocban", "ops", "run", "--config", str(self.config)]
        super().__init__("ops", argv, folder)

    def ready(self) -> bool:
        """``/healthz`` says so."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return bool(json.loads(answer.read())["ready"])
        except urllib.error.HTTPError as error:
            with error:
                return bool(json.loads(error.read())["ready"])
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def up(self) -> None:
        """Start it and wait until it is ready."""
        self.start()
        until(lambda: self.ready() or self.code is not None, "operations are ready")
        assert self.code is None, self.log.read_text(encoding="utf-8")[-2000:]

    @property
    def token(self) -> str:
        """Alertmanager's; made here if it has not run yet."""
        return access.token(self.data, "ops", "webhook")

    @property
    def token_file(self) -> Path:
        """Where it lies."""
        assert self.token
        return access.token_file(self.data, "ops", "webhook")

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """What stands in its database."""
        with closing(sqlite3.connect(self.data / "ops" / "ops.db", timeout=10)) as db:
            return list(db.execute(text).fetchall())

    def post(self, path: str, body: dict[str, Any], token: str = "") -> int:
        """The status of an answer; 0 if there is none."""
        request = urllib.request.Request(
            self.url + path, data=json.dumps(body).encode(), method="POST",
            headers={"authorization": f"Bearer {token or self.token}", "content-type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=ANSWER) as answer:
                answer.read()
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except (OSError, http.client.HTTPException):
            return 0


class Sender:
    """Delivers alerts, one each, until each was answered with 200; gives up on 4xx, as Alertmanager does."""

    def __init__(self, ops: OpsProcess, alerts: Sequence[dict[str, Any]], lines: int = 4) -> None:
        self.answered = 0
        self.repeated = 0
        self.given_up: list[int] = []
        self._ops = ops
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        for one in alerts:
            self._waiting.put(one)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(lines)]

    def start(self) -> None:
        """Begin to deliver."""
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        """Every delivery was answered or given up."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Give up what is left."""
        self._stop.set()
        for thread in self._threads:
            thread.join(ANSWER * 2)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                one = self._waiting.get_nowait()
            except queue.Empty:
                return
            self._deliver(one)

    def _deliver(self, one: dict[str, Any]) -> None:
        pause, factor, longest = BACKOFF
        while not self._stop.is_set():
            status = self._ops.post("/api/v1/alerts", delivery(one))
            with self._lock:
                if status == 200:
                    self.answered += 1
                    return
                if 400 <= status < 500:
                    self.given_up.append(status)
                    return
                self.repeated += 1
            self._stop.wait(pause / 2 + ids.jitter(pause))
            pause = min(pause * factor, longest)


class Alertmanager(Process):
    """The real one, which delivers each alert by itself and at once. ConfigError if it is not installed."""

    def __init__(self, folder: Path, url: str, token_file: Path) -> None:
        self.port = free_port()
        config = folder / "alertmanager.json"  # JSON is YAML, too
        webhook = {
            "url": f"{url}/api/v1/alerts", "send_resolved": False,
            "http_config": {"authorization": {"type": "Bearer", "credentials_file": str(token_file)}},
        }  # fmt: skip
        config.write_text(json.dumps({
            "route": {
                "receiver": "ops", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s",
                "repeat_interval": "4h",
            },
            "receivers": [{"name": "ops", "webhook_configs": [webhook]}],
        }))  # fmt: skip
        argv = [
            tool("prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={folder / 'am'}",
            f"--web.listen-address={HOST}:{self.port}", "--cluster.listen-address=", "--log.level=error",
        ]  # fmt: skip
        super().__init__("alertmanager", argv, folder)

    def up(self) -> None:
        """Start it and wait until it listens."""
        self.start()
        until(lambda: listens(self.port) or self.code is not None, "Alertmanager listens")
        assert self.code is None, self.log.read_text(encoding="utf-8")[-2000:]

    def raises(self, *labels: dict[str, str]) -> None:
        """Alerts with these labels, as Prometheus would post them."""
        body = json.dumps([{"labels": one} for one in labels]).encode()
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=30)) as line:
            line.request("POST", "/api/v2/alerts", body, {"content-type": "application/json"})
            answer = line.getresponse()
            answer.read()
            assert answer.status == 200, answer.status


def _toml(value: Any) -> str:
    """A string, a number, a list of strings or a table of strings."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


__all__ = ["CLOCK", "Alertmanager", "OpsProcess", "Sender"]
